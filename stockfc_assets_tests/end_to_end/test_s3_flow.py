"""The whole flow in a bucket on loopback (STOCKFC_ENV=s3), from backfill to report: the same bytes as in a folder."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml

from stockfc_assets_tests.conftest import NOW, tiny_config
from stockfc_assets_tests.end_to_end.walk import FIRST, NEWEST, WALK, workbench

pytestmark = pytest.mark.service

RANGE = (dt.date(2024, 1, 29), dt.date(2024, 2, 2))


def run_flow(bench) -> None:
    """All but the newest session."""
    bench.backfill(FIRST, NEWEST - dt.timedelta(days=1))
    bench.monthly(WALK[0], WALK[-1], walk=True)
    bench.daily_range(*RANGE)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A configuration whose environment s3 is the shipped one, of the tiny universe and the simulated market."""
    config = tiny_config(tmp_path)
    path = config / "environments/s3.yaml"
    environment = yaml.safe_load(path.read_text())
    tiny = {"source": "simulated", "universe": "tiny", "history_start": "2019-01-04"}
    path.write_text(yaml.safe_dump(environment | tiny))
    return tmp_path


def objects(bucket: str) -> dict[str, bytes]:
    client = boto3.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [each["Key"] for page in pages for each in page["Contents"]]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def files(folder: Path) -> dict[str, bytes]:
    """What a data root holds beside Dagster's instance."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in paths.items() if not key.startswith(("dagster/", "."))}


def test_the_flow_in_a_bucket_gives_the_bytes_of_a_folder(folder, bucket, monkeypatch):
    monkeypatch.setenv("STOCKFC_S3_BUCKET", bucket)
    monkeypatch.setenv("STOCKFC_S3_PREFIX", "team/stockfc")
    monkeypatch.setenv("STOCKFC_S3_ENCRYPTION", "AES256")
    local = workbench(folder, "local", NOW)
    run_flow(local)
    local.daily(None)
    run_flow(workbench(folder, "remote", NOW, env="s3"))
    os.environ.pop("DAGSTER_HOME", None)
    environ = os.environ | {
        "STOCKFC_ENV": "s3", "STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(folder / "remote"),
    }  # fmt: skip

    def stockfc(*arguments: str) -> str:
        command = [sys.executable, "-m", "stockfc_assets.cli", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = stockfc("daily", "--session", str(NEWEST))
    status = json.loads(stockfc("status", "--json"))

    assert f"Report     s3://{bucket}/team/stockfc/forecast_report/{NEWEST}.html" in said
    assert status["data_root"] == f"s3://{bucket}/team/stockfc/"
    stored = {key.removeprefix("team/stockfc/"): data for key, data in objects(bucket).items()}
    logs = {key: data for key, data in stored.items() if key.startswith("compute_logs/")}
    expected = files(folder / "local")
    assert sorted(stored.keys() - logs) == sorted(expected)
    assert [key for key in expected if stored[key] != expected[key]] == []
    assert {f"forecast_report/{NEWEST}.html", "predictions/latest.json", "backtest/2024-03-01.json"} < set(expected)
    assert status["assets"]["raw_ohlcv"]["partitions"] == len([key for key in expected if key.startswith("raw_ohlcv/")])
    # Nothing but Dagster's own instance lies on the machine, and what its steps said lies in the bucket.
    assert files(folder / "remote") == {}
    assert any(f"fetching 13 tickers, {NEWEST}" in data.decode() for data in logs.values())
