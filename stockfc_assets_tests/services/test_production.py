"""Dagster as deploy/ configures it, on a real PostgreSQL: code server, daemon and webserver are processes of their own.

One story in the order of the file: prices by a backfill, features by a run whose worker is killed, the newest sessions by a
run during which PostgreSQL is restarted; a schedule's tick, and the removal of log lines. In the end every file has the
bytes of a data root on which nothing went wrong.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from stockfc_assets.defs.instance import open_instance
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets_tests.defs.log_record import require_only_log_lines_go
from stockfc_assets_tests.services.stack import Stack, wait_for

pytestmark = pytest.mark.service

NOW = dt.datetime.now(dt.UTC)
YEARS = 3
DOWN_SECONDS = 4
STARTED_WORKER = re.compile(r"Started process for run \(pid: (\d+)\)")
REPOSITORY = {"repositoryLocationName": "stockfc", "repositoryName": "__repository__"}
SCHEDULE = {**REPOSITORY, "scheduleName": "retention_schedule"}

LAUNCH_BACKFILL = """mutation($partitions: [String!]!) {
  launchPartitionBackfill(backfillParams: {assetSelection: [{path: ["raw_ohlcv"]}], partitionNames: $partitions}) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status } ... on PythonError { message } } }"""
LAUNCH_RUN = """mutation($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {selector: $selector, executionMetadata: {tags: $tags}}) {
    ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""
RUNS = """query($tags: [ExecutionTag!]!) { runsOrError(filter: {tags: $tags}) { ... on Runs { results { id status } } } }"""
START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  ... on ScheduleStateResult { scheduleState { id } } ... on PythonError { message } } }"""
STOP = """mutation($id: String!) { stopRunningSchedule(id: $id) {
  ... on ScheduleStateResult { scheduleState { status } } ... on PythonError { message } } }"""
HEALTH = """{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"""


@pytest.fixture(scope="module")
def sessions() -> list[str]:
    """Those of about three years, which are over."""
    calendar = trading_calendar("XTKS")
    return [day.isoformat() for day in calendar.between(history_start(), calendar.newest_closed(NOW))]


def history_start() -> dt.date:
    return NOW.date().replace(year=NOW.year - YEARS, day=1)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, bytes]:
    """Key -> content of the same history, made in this process on an instance of its own."""
    home = os.environ.pop("DAGSTER_HOME", None)
    root = folder / "undisturbed"
    settings = open_settings({"STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(root)})
    with open_instance(settings) as instance:
        bench = Workbench(settings, instance, say=lambda _: None, now=NOW)
        bench.backfill(history_start(), None)
    os.environ.pop("DAGSTER_HOME", None)
    if home:
        os.environ["DAGSTER_HOME"] = home
    return contents(root)


def contents(root: Path) -> dict[str, bytes]:
    """Everything stored under a data root, without what belongs to the machine (instance, staged writes, locks)."""
    files = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in files.items() if not key.startswith(("dagster/", "."))}


def stored(folder: Path, asset: str, sessions: list[str]) -> set[str]:
    return {key for key in sessions if (folder / f"data/{asset}/{key}.parquet").is_file()}


def launch_history(stack: Stack, sessions: list[str]) -> str:
    """The id of a queued run of the job `history` over a range."""
    edges = {"start": sessions[0], "end": sessions[-1]}
    tags = [{"key": f"dagster/asset_partition_range_{edge}", "value": key} for edge, key in edges.items()]
    return stack.query(LAUNCH_RUN, selector={**REPOSITORY, "jobName": "history"}, tags=tags)["launchRun"]["run"]["id"]


def status(stack: Stack, run: str) -> str:
    return stack.query(RUN, id=run)["runOrError"]["status"]


def tagged(stack: Stack, key: str, value: str) -> list[dict[str, str]]:
    return stack.query(RUNS, tags=[{"key": key, "value": value}])["runsOrError"]["results"]


def wait_for_success(stack: Stack, run: str, *, seconds: float) -> str:
    """The id of the run that succeeded: ``run`` itself, or the one that Dagster started in its place."""

    def succeeded() -> str | None:
        family = [{"id": run, "status": status(stack, run)}, *tagged(stack, "dagster/root_run_id", run)]
        return next((each["id"] for each in family if each["status"] == "SUCCESS"), None)

    return wait_for(succeeded, f"success of run {run}", seconds=seconds)


def test_the_webserver_shows_the_assets_of_the_code_server(stack):
    assets = stack.assets()
    assert {"raw_ohlcv", "weekly_features", "champion_model", "daily_predictions", "forecast_report"} <= set(assets)


def test_a_backfill_is_done_by_the_daemon(stack, postgres, folder, sessions):
    past = sessions[: len(sessions) // 2]
    backfill = stack.query(LAUNCH_BACKFILL, partitions=past)["launchPartitionBackfill"]["backfillId"]

    def ended() -> Any:
        state = stack.query(BACKFILL, id=backfill)["partitionBackfillOrError"]["status"]
        return state if state not in ("REQUESTED", "COMPLETING") else None

    assert wait_for(ended, "backfill", seconds=150) == "COMPLETED_SUCCESS"
    assert stored(folder, "raw_ohlcv", sessions) == set(past)
    assert [each["status"] for each in tagged(stack, "dagster/backfill", backfill)] == ["SUCCESS"]

    # What the log holds of it: each partition planned and materialised, with its own data version; each check once.
    counts = dict(
        postgres.execute("SELECT dagster_event_type, count(DISTINCT partition) FROM event_logs WHERE asset_key IS NOT NULL "
                         "AND partition IS NOT NULL GROUP BY 1")
    )  # fmt: skip
    assert counts["ASSET_MATERIALIZATION_PLANNED"] == counts["ASSET_MATERIALIZATION"] == len(past)
    assert len(postgres.execute("SELECT DISTINCT value FROM asset_event_tags WHERE key = 'dagster/data_version'")) > 1
    checks = postgres.execute("SELECT check_name, execution_status FROM asset_check_executions")
    assert sorted(checks) == [("price_coverage", "SUCCEEDED"), ("price_laws", "SUCCEEDED")]


def test_a_killed_worker_is_noticed_and_its_run_started_again(stack, postgres, folder, sessions):
    past = sessions[: 3 * len(sessions) // 4]
    run = launch_history(stack, past)
    new = past[len(sessions) // 2 :]
    wait_for(lambda: stored(folder, "raw_ohlcv", new), "first new session", seconds=90)
    said = postgres.execute(
        f"SELECT event FROM event_logs WHERE run_id = '{run}' AND dagster_event_type = 'ENGINE_EVENT'"
    )
    (pid,) = {int(found[1]) for (event,) in said if (found := STARTED_WORKER.search(event))}
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: status(stack, run) == "FAILURE", "the killed run's failure", seconds=60)
    assert len(stored(folder, "weekly_features", past)) < len(past)

    assert wait_for_success(stack, run, seconds=120) != run
    assert stored(folder, "weekly_features", past) == set(past)


def test_postgres_is_restarted_during_a_run(stack, postgres, folder, sessions):
    newest = sessions[3 * len(sessions) // 4 :]
    run = launch_history(stack, newest)
    wait_for(lambda: stored(folder, "raw_ohlcv", newest), "first new session", seconds=90)
    postgres.stop()
    time.sleep(DOWN_SECONDS)
    postgres.start()

    def answers() -> bool:
        try:
            return bool(status(stack, run))
        except (OSError, AssertionError):
            return False

    wait_for(answers, "webserver after the restart", seconds=60)
    wait_for_success(stack, run, seconds=150)
    assert stored(folder, "weekly_features", newest) == set(newest)
    stack.require_running()

    def healthy() -> bool:
        daemons = stack.query(HEALTH)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return all(each["healthy"] for each in daemons if each["required"])

    wait_for(healthy, "healthy daemons after the restart", seconds=90)


def test_a_schedule_s_tick_launches_its_run(stack):
    state = stack.query(START, selector=SCHEDULE)["startSchedule"]["scheduleState"]["id"]
    (ticked, *_) = wait_for(
        lambda: tagged(stack, "dagster/schedule_name", SCHEDULE["scheduleName"]), "tick", seconds=120
    )
    stopped = stack.query(STOP, id=state)["stopRunningSchedule"]
    assert stopped["scheduleState"]["status"] == "STOPPED"
    assert wait_for_success(stack, ticked["id"], seconds=90) == ticked["id"]


def test_only_log_lines_go_and_the_record_stays(stack, postgres, environ, monkeypatch, record_property):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    rows = "SELECT count(*) FROM event_logs"
    (before,) = postgres.execute(rows)[0]
    with dg.DagsterInstance.from_config(environ["DAGSTER_HOME"]) as instance:
        removed = require_only_log_lines_go(instance)
    (after,) = postgres.execute(rows)[0]
    assert before - after == removed.events > 50
    record_property("event log rows", f"{before} before, {after} after")


def test_after_all_that_every_file_is_as_if_nothing_had_happened(stack, folder, undisturbed):
    stack.stop()
    found = contents(folder / "data")
    assert sorted(found) == sorted(undisturbed)
    assert [key for key in undisturbed if found[key] != undisturbed[key]] == []
