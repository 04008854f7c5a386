"""One trained market for the faults that need one: five years of prices, models of two months, a published forecast."""

import datetime as dt
import os
from pathlib import Path

import pytest

from stockfc_assets.defs.workbench import Workbench
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.end_to_end.walk import workbench
from stockfc_assets_tests.faults.roots import copied, small_config

FEBRUARY, MARCH = dt.date(2024, 2, 1), dt.date(2024, 3, 1)
FIRST, LAST = dt.date(2019, 1, 4), dt.date(2024, 3, 1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The folder of the configuration; its data root is ``trained``. Copy it, do not change it."""
    folder = tmp_path_factory.mktemp("trained")
    small_config(folder)
    bench = workbench(folder, "trained", NOW)
    bench.backfill(FIRST, LAST)
    bench.monthly(FEBRUARY, None, walk=False)
    bench.monthly(MARCH, None, walk=False)
    bench.daily(dt.date(2024, 2, 29))
    bench.daily(LAST)
    return folder


@pytest.fixture
def copy(trained, tmp_path) -> Workbench:
    """A workbench on a copy of the trained market, to be broken."""
    copied(trained / "trained", tmp_path / "data")
    (tmp_path / "config").symlink_to(trained / "config")
    (tmp_path / "dagster.yaml").symlink_to(trained / "dagster.yaml")
    yield workbench(tmp_path, "data", NOW)
    os.environ.pop("DAGSTER_HOME", None)
