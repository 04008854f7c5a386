"""One market per module (about 1,260 sessions x 12 stocks, a tiny network), walked over three months and forecast.

Tests that change something put it back.
"""

import datetime as dt
import os
from pathlib import Path

import pytest

from stockfc_assets.cli import main
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets_tests.conftest import NOW, tiny_config
from stockfc_assets_tests.end_to_end.walk import FIRST, NEWEST, WALK, workbench


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    tiny_config(folder)
    return folder


@pytest.fixture(scope="module")
def flow(folder) -> Workbench:
    """Everything as of 2024-03-01, 23:00 in Tokyo."""
    bench = workbench(folder, "data", NOW)
    bench.backfill(FIRST, NEWEST)
    bench.monthly(WALK[0], WALK[-1], walk=True)
    bench.daily_range(dt.date(2024, 1, 29), dt.date(2024, 2, 2))
    bench.daily(None)
    yield bench
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture
def terminal(flow, folder, monkeypatch, capsys):
    monkeypatch.setenv("STOCKFC_CONFIG", str(folder / "config"))
    monkeypatch.setenv("STOCKFC_DATA", str(folder / "data"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        codes: list[int] = []
        main(list(arguments), leave=codes.append)
        output = capsys.readouterr()
        return (codes or [0])[0], output.out, output.err

    yield run
    os.environ.pop("DAGSTER_HOME", None)
