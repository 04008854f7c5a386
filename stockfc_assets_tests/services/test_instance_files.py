"""deploy/dagster.yaml and deploy/aws/dagster.yaml: Dagster accepts them, and they differ where they must, nowhere else."""

import boto3
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.config_schema import process_workspace_config
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.s3 import S3ComputeLogManager

from stockfc_assets_tests.conftest import REPO

MACHINE = REPO / "deploy/dagster.yaml"
AWS = REPO / "deploy/aws/dagster.yaml"
DATABASE = {"STOCKFC_PG_HOST": "db", "STOCKFC_PG_PORT": "5432", "STOCKFC_PG_DB": "dagster", "STOCKFC_PG_USER": "u"}
STORAGES = ("run_storage", "schedule_storage", "event_log_storage")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    folder = {"STOCKFC_DAGSTER_DIR": str(tmp_path), "STOCKFC_PG_PASSWORD": "p", "STOCKFC_LOGS_PREFIX": "dagster/logs"}
    for name, value in (DATABASE | folder).items():
        monkeypatch.setenv(name, value)


def read(path):
    """The file without how its connections are encrypted, and that."""
    content = yaml.safe_load(path.read_text())
    database = content["run_storage"]["config"]
    assert all(content[name]["config"] is database for name in STORAGES)
    return content, database["postgres_db"]["params"].pop("sslmode")


def test_only_launcher_logs_and_encryption_differ():
    machine, preferred = read(MACHINE)
    aws, required = read(AWS)
    assert (preferred, required) == ("prefer", "require")
    assert sorted(machine) == sorted(aws)
    assert {key for key in machine if machine[key] != aws[key]} == {"run_launcher", "compute_logs"}


def test_what_must_hold_in_production():
    machine, _ = read(MACHINE)
    assert machine["telemetry"] == {"enabled": False}
    assert machine["concurrency"]["pools"] == {"default_limit": 1}
    assert machine["run_retries"] == {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
    assert machine["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert machine["run_monitoring"]["max_runtime_seconds"] > 0


def test_one_machine_s_file_is_accepted(tmp_path):
    (tmp_path / "dagster.yaml").write_text(MACHINE.read_text())
    ref = InstanceRef.from_dir(str(tmp_path))
    assert ref.event_storage_data.class_name == "BatchedPostgresEventLogStorage"
    assert ref.run_launcher.supports_check_run_worker_health is False
    assert ref.compute_log_manager.get_captured_local_path(["run"], "out").startswith(str(tmp_path))


def test_aws_s_file_makes_a_launcher_of_a_registered_task(tmp_path, bucket, monkeypatch):
    container = {"name": "run", "image": "stockfc", "cpu": 256, "memory": 512}
    boto3.client("ecs").register_task_definition(family="stockfc-run", containerDefinitions=[container])
    monkeypatch.setenv("STOCKFC_RUN_TASK_DEFINITION", "stockfc-run")
    monkeypatch.setenv("STOCKFC_S3_BUCKET", bucket)
    (tmp_path / "dagster.yaml").write_text(AWS.read_text())
    ref = InstanceRef.from_dir(str(tmp_path))
    launcher = ref.run_launcher
    assert isinstance(launcher, EcsRunLauncher)
    assert launcher.task_definition.endswith(":task-definition/stockfc-run:1")
    assert launcher.secrets_tags == []
    assert launcher.supports_check_run_worker_health is True
    logs = ref.compute_log_manager
    assert isinstance(logs, S3ComputeLogManager)
    boto3.client("s3").put_object(Bucket=bucket, Key="dagster/logs/storage/r1/compute_logs/a.err", Body=b"said")
    boto3.client("s3").put_object(Bucket=bucket, Key="dagster/logs/storage/r2/compute_logs/a.err", Body=b"said")
    logs.delete_logs(prefix=["r1"])
    kept = boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in kept] == ["dagster/logs/storage/r2/compute_logs/a.err"]


def test_the_workspace_is_accepted(monkeypatch):
    monkeypatch.setenv("STOCKFC_CODE_HOST", "code")
    monkeypatch.setenv("STOCKFC_CODE_PORT", "4000")
    checked = process_workspace_config(yaml.safe_load((REPO / "deploy/workspace.yaml").read_text()))
    assert checked.success, checked.errors
