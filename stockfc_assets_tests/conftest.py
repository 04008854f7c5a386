"""Shared by all tests: small markets in a folder of their own, and real Dagster instances on it."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import hypothesis
import pytest
import yaml

from stockfc_assets.defs.instance import open_instance
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.settings import Settings
from stockfc_assets_tests.local_aws import REGION, aws_environ, moto_server

# The suite says the same twice: laws are tried on the same examples each time. To look for new counterexamples:
# `pytest --hypothesis-profile=default`.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")

REPO = Path(__file__).parents[1]
SHARED = REPO.parent / "shared" / "data"
NOW = dt.datetime(2024, 3, 1, 14, 0, tzinfo=dt.UTC)
"""23:00 in Tokyo on Friday 2024-03-01: that session is over."""


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Files by name that are not equal: which, instead of pytest's difference of their bytes, which can take an hour."""
    both = [left, right]
    if op != "==" or not all(isinstance(side, dict) for side in both):
        return None
    if not any(isinstance(value, bytes) and len(value) > 1_000 for side in both for value in side.values()):
        return None
    names = sorted({*left, *right}, key=str)
    differing = [name for name in names if name not in left or name not in right or left[name] != right[name]]
    return [f"{len(differing)} of {len(names)} files differ: {', '.join(map(str, differing[:20]))}"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real prices beside the checkout; tests that need them skip where they are absent."""
    if not SHARED.is_dir():
        pytest.skip("shared/data is not beside the checkout")
    return SHARED


def tiny_config(folder: Path, *, tickers: int = 12, history_start: str = "2019-01-04", **environment: object) -> Path:
    """A configuration whose network and training are small enough for tests; everything else is the real thing."""
    config = folder / "config"
    shutil.copytree(REPO / "config", config)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPO / name, folder / name)
    universe = yaml.safe_load((config / "universes/topix_core30.yaml").read_text())
    universe["stocks"] = universe["stocks"][-tickers:]
    for stock in universe["stocks"]:
        stock["member"] = [{"member_from": "2010-01-04"}]
    (config / "universes/tiny.yaml").write_text(yaml.safe_dump(universe, sort_keys=False))
    local = yaml.safe_load((config / "environments/local.yaml").read_text())
    local |= {"universe": "tiny", "history_start": history_start, **environment}
    (config / "environments/local.yaml").write_text(yaml.safe_dump(local))
    model = yaml.safe_load((config / "model.yaml").read_text())
    model["network"] |= {"hidden": 6, "sector_dim": 2, "mlp": [12, 8], "dropout": 0}
    model["training"] |= {
        "history_months": 62,
        "full": {
            "samples_per_epoch": 1024,
            "epochs": 4,
            "batch_size": 32,
            "learning_rate": 0.01,
            "validation_months": 8,
        },
        "fine_tuning": {"epochs": 1, "new_samples": 64},
    }
    (config / "model.yaml").write_text(yaml.safe_dump(model))
    return config


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    """The address of Amazon's APIs on loopback (moto's server), for the whole session."""
    with moto_server() as address:
        yield address


@pytest.fixture
def bucket(aws_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new, empty bucket; AWS's own variables point to the local server while the test runs."""
    import boto3

    for name, value in aws_environ(aws_server).items():
        monkeypatch.setenv(name, value)
    name = f"stockfc-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a tiny market under ``tmp_path``; keyword arguments go to `tiny_config`."""

    def make(**options: object) -> Settings:
        config = tiny_config(tmp_path, **options)
        return open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(tmp_path / "data")})

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def instance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    with open_instance(settings) as opened:
        yield opened
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def bench(settings: Settings, instance: dg.DagsterInstance, said: list[str]) -> Workbench:
    """A workbench on the tiny market at 23:00 Tokyo on 2024-03-01; what it tells the person is in ``said``."""
    return Workbench(settings, instance, say=said.append, now=NOW)
