"""The stacks as moto's CloudFormation creates them, in the order and with the values that stockfc.yaml gives its parts."""

from __future__ import annotations

import ast
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from stockfc_assets_tests.deploy.templates import PARTS, template
from stockfc_assets_tests.local_aws import REGION, moto_server

pytestmark = pytest.mark.service

NOT_IN_MOTO = {
    "AWS::CloudFormation::Stack": "its nested stacks have no outputs; the test passes them on instead",
    "AWS::CloudWatch::Alarm": "not in its CloudFormation",
    "AWS::EC2::SecurityGroupEgress": "not in its CloudFormation",
    "AWS::Lambda::EventInvokeConfig": "not in its CloudFormation",
    "AWS::S3::BucketPolicy": "not in its CloudFormation",
    "AWS::SNS::Subscription": "not in its CloudFormation",
    "AWS::Scheduler::Schedule": "not in its CloudFormation",
    "AWS::SecretsManager::Secret": "not in its CloudFormation",
    "AWS::ServiceDiscovery::PrivateDnsNamespace": "not in its CloudFormation",
    "AWS::ServiceDiscovery::Service": "not in its CloudFormation",
}
"""Types that moto 5.2 cannot create. cfn-lint has checked their properties against AWS's schemas. Of those that it creates,
it leaves out a bucket's versioning, lifecycle and public access block, a function's image, a service's network, a
task's role and a database's protection; test_cloudformation.py reads those."""
ORDER = ("network", "database", "dagster", "api", "function")
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/stockfc-"
Make = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with moto_server() as started:
        yield started


@pytest.fixture
def client(address: str) -> Callable[[str], Any]:
    """A boto3 client of a service on an empty account of moto's."""
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST")).close()
    options = {"region_name": REGION, "aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return lambda service: boto3.client(service, endpoint_url=address, **options)


@pytest.fixture
def make(client: Callable[[str], Any]) -> Make:
    """Creates the stacks of a variant in a fresh network; gives the outputs of each by its name."""

    def created(**chosen: str) -> dict[str, dict[str, str]]:
        ec2, root = client("ec2"), template("stockfc")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=REGION + zone)["Subnet"][
                "SubnetId"
            ]
            for n, zone in enumerate("ac")
        ]
        values = {name: str(each["Default"]) for name, each in root["Parameters"].items() if "Default" in each}
        values |= {"VpcId": vpc, "SubnetIds": ",".join(subnets), "TemplatesUrl": "https://bucket/stockfc"} | chosen
        outputs = {"stockfc": create_stack(client, "stockfc", values)}
        values |= {"Bucket": outputs["stockfc"]["BucketName"], "Alarms": outputs["stockfc"]["AlarmTopic"]}
        for part in ORDER:
            nested = root["Resources"][part.capitalize()]
            if holds(root["Conditions"], nested["Condition"], values):
                given = nested["Properties"]["Parameters"]
                outputs[part] = create_stack(client, part, {k: resolve(v, values, outputs) for k, v in given.items()})
        return outputs

    return created


def create_stack(client: Callable[[str], Any], name: str, values: dict[str, str]) -> dict[str, str]:
    """Creates what moto can of a template and returns the stack's outputs."""
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(without_the_impossible(template(name))),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def without_the_impossible(document: dict[str, Any]) -> dict[str, Any]:
    """``document`` without resources of `NOT_IN_MOTO`; whatever refers to one gets an invented name."""
    absent = {name for name, each in document["Resources"].items() if each["Type"] in NOT_IN_MOTO}

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("Ref") in absent or value.get("Fn::GetAtt", [None])[0] in absent:
            return f"invented:{value.get('Ref') or value['Fn::GetAtt'][0]}"
        if isinstance(text := value.get("Fn::Sub"), str) and any(f"${{{name}}}" in text for name in absent):
            return "invented"
        return {key: replaced(item) for key, item in value.items() if key != "DependsOn"}

    kept = {name: replaced(each) for name, each in document["Resources"].items() if name not in absent}
    outputs = {name: replaced(each) for name, each in document["Outputs"].items()}
    return {key: value for key, value in document.items() if key != "Rules"} | {"Resources": kept, "Outputs": outputs}


def holds(conditions: dict[str, Any], name: str, values: dict[str, str]) -> bool:
    def true(node: Any) -> bool:
        if "Condition" in node:
            return holds(conditions, node["Condition"], values)
        if "Fn::Not" in node:
            return not true(node["Fn::Not"][0])
        if "Fn::Or" in node:
            return any(true(each) for each in node["Fn::Or"])
        left, right = node["Fn::Equals"]
        return values[left["Ref"]] == right

    return true(conditions[name])


def resolve(value: Any, values: dict[str, str], outputs: dict[str, dict[str, str]]) -> str:
    if "Ref" in value:
        return values[value["Ref"]]
    if "Fn::Join" in value:
        return values[value["Fn::Join"][1]["Ref"]]
    part, output = value["Fn::GetAtt"]
    return outputs[part.lower()][output.removeprefix("Outputs.")]


IMAGES = {"ControlImage": f"{IMAGE}control:1", "CodeImage": f"{IMAGE}code:1", "FunctionImage": f"{IMAGE}function:1"}


def test_every_type_is_either_created_or_listed_with_a_reason(make: Make, client: Callable[[str], Any]) -> None:
    balancer = client("ec2").create_security_group(GroupName="balancer", Description="asks for a login")["GroupId"]
    make(Variant="both", ApiImage=f"{IMAGE}api:1", ClientSecurityGroupId=balancer, **IMAGES)
    declared, created = set(), set()
    for name in ("stockfc", *PARTS):
        declared |= {each["Type"] for each in template(name)["Resources"].values()}
        rows = client("cloudformation").list_stack_resources(StackName=name)["StackResourceSummaries"]
        created |= {row["ResourceType"] for row in rows}
    assert declared - created == set(NOT_IN_MOTO)
    assert len(created) == 13


def test_the_bucket_is_encrypted(make: Make, client: Callable[[str], Any]) -> None:
    bucket = make(Variant="function", **IMAGES)["stockfc"]["BucketName"]
    s3 = client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_function_is_as_it_was_asked_for(make: Make, client: Callable[[str], Any]) -> None:
    outputs = make(Variant="function", **IMAGES)
    assert set(outputs) == {"stockfc", "function"}
    function = client("lambda").get_function(FunctionName=outputs["function"]["FunctionName"])["Configuration"]
    assert (function["MemorySize"], function["Timeout"]) == (512, 300)
    assert function["Environment"]["Variables"] == {
        "STOCKFC_ENV": "s3",
        "STOCKFC_SOURCE": "yahoo",
        "STOCKFC_S3_BUCKET": outputs["stockfc"]["BucketName"],
        "STOCKFC_S3_PREFIX": "stockfc",
    }


def test_the_daemon_starts_runs_of_one_definition_and_passes_two_roles(
    make: Make, client: Callable[[str], Any]
) -> None:
    outputs = make(Variant="dagster", **IMAGES)
    assert set(outputs) == {"stockfc", "network", "database", "dagster"}
    iam = client("iam")
    roles = {role["RoleName"].split("-")[1]: role for role in iam.list_roles()["Roles"]}
    assert set(roles) == {"ExecutionRole", "DaemonRole", "WebserverRole", "WorkRole"}
    policy = iam.get_role_policy(RoleName=roles["DaemonRole"]["RoleName"], PolicyName="runs")["PolicyDocument"]
    policy = ast.literal_eval(policy)  # moto stores an inline policy as Python's text of it
    allowed = {action: statement for statement in policy["Statement"] for action in statement["Action"]}
    assert allowed["ecs:RunTask"]["Resource"] == outputs["dagster"]["RunTask"]
    assert allowed["iam:PassRole"]["Resource"] == [roles["WorkRole"]["Arn"], roles["ExecutionRole"]["Arn"]]
    definition = client("ecs").describe_task_definition(taskDefinition=outputs["dagster"]["RunTask"])["taskDefinition"]
    assert definition["containerDefinitions"][0]["name"] == "run"


def test_services_and_database_are_there_and_no_port_is_open(make: Make, client: Callable[[str], Any]) -> None:
    outputs = make(Variant="dagster", ApiImage=f"{IMAGE}api:1", **IMAGES)
    ecs, cluster = client("ecs"), outputs["network"]["ClusterName"]
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    services = ecs.describe_services(cluster=cluster, services=arns)["services"]
    assert len(services) == 4
    assert {service["desiredCount"] for service in services} == {1}
    rules = client("ec2").describe_security_groups(GroupIds=[outputs["network"]["EntranceGroup"]])
    assert rules["SecurityGroups"][0]["IpPermissions"] == []
    (database,) = client("rds").describe_db_instances()["DBInstances"]
    assert (database["StorageEncrypted"], database["PubliclyAccessible"]) == (True, False)
