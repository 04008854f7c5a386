"""What spreading costs and saves: ``python -m benchmarks.executor_bench [TICKERS:YEARS ...]``, each size with each executor.

The market's prices are made and stored first. Then one session (all of it is overhead) and the whole span of
weekly_features with its checks are made by one process, by two, and by a Dask cluster of two workers on loopback; Dagster's
record is in SQLite, and, for the first size, in a PostgreSQL on loopback, too.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
import yaml

from benchmarks.large_market import BLOCK
from stockfc_assets.defs import jobs
from stockfc_assets.defs.build import job_elsewhere
from stockfc_assets.defs.instance import JOB_ELSEWHERE, open_instance
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets_tests.local_dask import dask_cluster
from stockfc_assets_tests.services.postgres import PostgresServer, postgres_binaries, postgres_server
from stockfc_assets_tests.services.stack import shipped_home

REPO = Path(__file__).parents[1]
SIZES = ("31:10", "500:3")
LAST_YEAR = 2025
FEATURES = [dg.AssetKey("weekly_features")]


def make_market(folder: Path, tickers: int, years: int) -> Platform:
    """Stored prices of ``tickers`` invented stocks over the ``years`` up to `LAST_YEAR`, and nothing else."""
    shutil.copytree(REPO / "config", folder / "config")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPO / name, folder / name)
    local = folder / "config" / "environments" / "local.yaml"
    simulated = {"sources": {"simulated": {"tickers": tickers}}, "history_start": f"{LAST_YEAR - years + 1}-01-01"}
    local.write_text(yaml.safe_dump(yaml.safe_load(local.read_text()) | simulated))
    platform = _platform(folder)
    sessions = [day for day in platform.calendar.sessions if LAST_YEAR - years < day.year <= LAST_YEAR]
    for begin in range(0, len(sessions), BLOCK):
        block = sessions[begin : begin + BLOCK]
        raw = platform.source.fetch_bars(platform.known_tickers(), block[0], block[-1]).bars
        for key, rows in raw.partition_by("session", as_dict=True).items():
            platform.warehouse.write_table("raw_ohlcv", key[0].isoformat(), rows)
    return platform


def measured(
    folder: Path, execution: dict[str, object], span: Sequence[str], instance: Mapping[str, str]
) -> tuple[float, int]:
    """(seconds, steps) of a run that makes weekly_features from the first to the last of ``span``.

    ``instance``: variables of Dagster's instance; none for SQLite in the data root.
    """
    os.environ.pop("DAGSTER_HOME", None)
    os.environ |= instance
    local = folder / "config" / "environments" / "local.yaml"
    local.write_text(yaml.safe_dump(yaml.safe_load(local.read_text()) | {"execution": execution}))
    platform = _platform(folder)
    edges = {"dagster/asset_partition_range_start": span[0], "dagster/asset_partition_range_end": span[-1]}
    with open_instance(platform.settings) as opened:
        began = time.monotonic()
        if execution["executor"] == "in_process":
            job = job_elsewhere(jobs.HISTORY, platform.environ)
            run = job.execute_in_process(instance=opened, asset_selection=FEATURES, tags=edges)
            steps = len([event for event in run.all_events if event.is_step_success])
        else:
            elsewhere = dg.build_reconstructable_job(*JOB_ELSEWHERE, (jobs.HISTORY, platform.environ))
            with dg.execute_job(elsewhere, opened, asset_selection=FEATURES, tags=edges, raise_on_error=True) as run:
                steps = len([event for event in run.all_events if event.is_step_success])
        return time.monotonic() - began, steps


def on_postgres(server: PostgresServer, folder: Path) -> dict[str, str]:
    """The variables of an instance as deploy/dagster.yaml has it."""
    return {
        **server.environ,
        "DAGSTER_HOME": str(shipped_home(folder)),
        "STOCKFC_DAGSTER_DIR": str(folder / "dagster"),
    }


def _platform(folder: Path) -> Platform:
    return Platform(open_settings({"STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(folder / "data")}))


def compare(
    folder: Path, executions: Sequence[dict[str, object]], spans: Sequence[Sequence[str]], instance: Mapping[str, str]
) -> None:
    """Prints a line for each executor and span."""
    record = "PostgreSQL" if instance else "SQLite"
    for execution in executions:
        for span in spans:
            seconds, steps = measured(folder, execution, span, instance)
            what = f"{execution['executor']}, {record}, {len(span)} sessions"
            print(f"  {what:<40} {seconds:6.1f} s, {steps} steps, load {os.getloadavg()[0]:.1f}", flush=True)


def main() -> None:
    binaries = postgres_binaries()
    with dask_cluster(workers=2) as (address, _):
        executions = (
            {"executor": "in_process"},
            {"executor": "processes", "workers": 2},
            {"executor": "dask", "workers": 2, "dask_address": address},
        )
        sizes = sys.argv[1:] or SIZES
        for size in sizes:
            tickers, years = map(int, size.split(":"))
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                stored = make_market(folder, tickers, years).warehouse.partitions("raw_ohlcv")
                print(f"{tickers} tickers")
                compare(folder, executions, (stored[-1:], stored), {})
                if size == sizes[0] and binaries:
                    with postgres_server(binaries) as server:
                        # A Dask worker has the variables of its start, and so SQLite's instance.
                        compare(folder, executions[:2], (stored[-1:], stored), on_postgres(server, folder))


if __name__ == "__main__":
    main()
