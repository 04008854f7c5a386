"""The templates are right by cfn-lint, give each part what it asks for, and grant no more than is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stockfc_assets_tests.deploy.templates import FOLDER, PARTS, REPO, resources, template

NO_NARROWER = {
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "ec2:DescribeNetworkInterfaces",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
"""Actions for which AWS's service authorization reference knows no resource."""


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """(role, statement) of every policy of every role; both sides of a condition."""
    for role, properties in resources("AWS::IAM::Role"):
        for policy in properties["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                sides = statement["Fn::If"][1:] if "Fn::If" in statement else [statement]
                yield from ((role, side) for side in sides if "Effect" in side)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(role: str) -> set[str]:
    return {action for name, statement in statements() if name == role for action in statement["Action"]}


def test_cfn_lint_finds_nothing() -> None:
    files = sorted(str(path) for path in FOLDER.glob("*.yaml"))
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    command = [linter, "--include-checks", "I", "--template", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert len(files) == 1 + len(PARTS)
    assert "ignore_checks" not in "".join((FOLDER / name).read_text() for name in files)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_gets_what_it_asks_for(part: str) -> None:
    stack = template("stockfc")["Resources"][part.capitalize()]
    given, asked = stack["Properties"]["Parameters"], template(part)["Parameters"]
    assert stack["Properties"]["TemplateURL"] == {"Fn::Sub": f"${{TemplatesUrl}}/{part}.yaml"}
    assert set(given) == set(asked)
    for value in given.values():
        if "Fn::GetAtt" in value:
            other, output = value["Fn::GetAtt"]
            assert output.removeprefix("Outputs.") in template(other.lower())["Outputs"]


def test_no_statement_is_wider_than_it_must_be() -> None:
    seen = list(statements())
    assert len(seen) > 20
    for role, statement in seen:
        assert statement["Effect"] == "Allow", role
        assert not any("*" in action for action in statement["Action"]), (role, statement)
        if "*" in as_list(statement["Resource"]):
            assert set(statement["Action"]) <= NO_NARROWER, (role, statement)
        if "iam:PassRole" in statement["Action"]:
            assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
            assert statement["Resource"] == [
                {"Fn::GetAtt": ["WorkRole", "Arn"]},
                {"Fn::GetAtt": ["ExecutionRole", "Arn"]},
            ]


def test_each_role_can_do_its_own_work_only() -> None:
    read = {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
    work = read | {"s3:PutObject", "sns:Publish", "kms:GenerateDataKey"}
    assert granted("ApiRole") == read
    assert granted("WorkRole") == work | {"s3:DeleteObject"}
    assert granted("FunctionRole") == work | {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert granted("ScheduleRole") == {"lambda:InvokeFunction", "sqs:SendMessage"}
    assert {"ecs:RunTask", "iam:PassRole"} <= granted("DaemonRole")
    assert not {"ecs:RunTask", "iam:PassRole", "s3:PutObject"} & granted("WebserverRole")
    assert not any(action.startswith("s3:") for action in granted("DaemonRole") | granted("ExecutionRole"))


def test_the_function_cannot_write_prices_models_or_scores() -> None:
    (written,) = (s["Resource"] for role, s in statements() if role == "FunctionRole" and "s3:PutObject" in s["Action"])
    folders = {resource["Fn::Sub"].split("${Prefix}/")[1] for resource in written}
    assert folders == {"predictions/*", "daily_predictions/*", "weekly_features/*", "price_quality/*", "quality/*"}


def test_the_bucket_is_private_encrypted_versioned_and_kept() -> None:
    bucket = template("stockfc")["Resources"]["Bucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    (denied,) = template("stockfc")["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_database_is_private_encrypted_and_hard_to_lose() -> None:
    database = template("database")["Resources"]["Database"]
    properties = database["Properties"]
    assert database["DeletionPolicy"] == "Snapshot"
    assert properties["StorageEncrypted"] is True
    assert properties["PubliclyAccessible"] is False
    assert properties["DeletionProtection"] is True
    assert properties["BackupRetentionPeriod"] >= 7
    assert "resolve:secretsmanager" in properties["MasterUserPassword"]["Fn::Sub"]


def test_nobody_but_the_given_group_reaches_the_web_server() -> None:
    ingress = dict(resources("AWS::EC2::SecurityGroupIngress"))
    assert {name: rule["SourceSecurityGroupId"]["Ref"] for name, rule in ingress.items()} == {
        "CodeFromTasks": "TaskGroup",
        "WebserverFromClient": "ClientSecurityGroupId",
        "ApiFromClient": "ClientSecurityGroupId",
    }
    for name, group in resources("AWS::EC2::SecurityGroup"):
        assert not any("CidrIp" in rule for rule in group.get("SecurityGroupIngress", [])), name
    command = template("dagster")["Resources"]["WebserverTask"]["Properties"]["ContainerDefinitions"][0]["Command"]
    assert command[1:3] == ["-h", {"Fn::If": ["HasClient", "0.0.0.0", "127.0.0.1"]}]


def test_there_is_never_a_second_daemon() -> None:
    services = dict(resources("AWS::ECS::Service"))
    daemon = services["DaemonService"]["DeploymentConfiguration"]
    assert (daemon["MinimumHealthyPercent"], daemon["MaximumPercent"]) == (0, 100)
    assert {service["DesiredCount"] for service in services.values()} == {1}


def test_every_alarm_tells_the_topic_and_when_it_is_over() -> None:
    alarms = dict(resources("AWS::CloudWatch::Alarm"))
    assert len(alarms) == 11
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name


def test_containers_get_the_variables_that_the_instance_reads() -> None:
    instance = (REPO / "deploy" / "aws" / "dagster.yaml").read_text() + (REPO / "deploy" / "workspace.yaml").read_text()
    needed = {word.strip("{}") for word in instance.split() if word.startswith("STOCKFC_") and word.endswith("}")}
    assert len(needed) >= 9
    baked = {"STOCKFC_DAGSTER_DIR"}
    control = needed - baked
    work = control - {"STOCKFC_RUN_TASK_DEFINITION", "STOCKFC_CODE_HOST", "STOCKFC_CODE_PORT"}
    for name, wanted in {"DaemonTask": control, "WebserverTask": control, "CodeTask": work, "RunTask": work}.items():
        (container,) = template("dagster")["Resources"][name]["Properties"]["ContainerDefinitions"]
        given = {each["Name"] for each in [*container["Environment"], *container["Secrets"]]}
        assert wanted <= given, name
        assert container["Secrets"][0]["Name"] == "STOCKFC_PG_PASSWORD"
