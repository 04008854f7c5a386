"""Removing old log lines from the instance's event log, which has no retention of its own.

What belongs here: which events are the record, and which only tell how a run went. What does not: when (maintenance.py).
Concept: https://docs.dagster.io/deployment/oss/dagster-yaml (event log storage)

`DagsterInstance.delete_run` is no way to do it: it takes the materialisations of the run along, and a session that was
fetched last year would count as never fetched. So the events of assets, checks and runs stay, and why a step failed;
lines that were logged, and Dagster's own remarks on steps, inputs and resources, go. Both of Dagster's SQL storages
(SQLite, one file per run, and PostgreSQL) have the same table.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS, DagsterEventType
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

REMOVED_TAG = "stockfc/log_removed"
KEPT = ASSET_EVENTS | ASSET_CHECK_EVENTS | set(EVENT_TYPE_TO_PIPELINE_RUN_STATUS) | {DagsterEventType.STEP_FAILURE}
RUNS_AT_ONCE = 200


@dataclass(frozen=True)
class RemovedLog:
    """From how many runs how many events were removed."""

    runs: int
    events: int


def old_runs(instance: dg.DagsterInstance, before: dt.datetime, *, limit: int | None = None) -> list[dg.DagsterRun]:
    """Finished runs that nothing has changed since ``before`` (aware) and whose log is still whole; oldest first."""
    wanted = dg.RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before)
    runs = [
        record.dagster_run for record in instance.get_run_records(wanted, order_by="update_timestamp", ascending=True)
    ]
    return [run for run in runs if REMOVED_TAG not in run.tags][:limit]


def remove_old_log(instance: dg.DagsterInstance, before: dt.datetime) -> RemovedLog:
    """Removes events (but `KEPT`) and the steps' own output of runs that ended before ``before`` (aware).

    Each run is marked when it is done, so that a removal that was cut short goes on where it stopped.
    """
    runs = old_runs(instance, before)
    events = 0
    for run in runs:
        events += _remove_events(instance.event_log_storage, run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        instance.add_run_tags(run.run_id, {REMOVED_TAG: "true"})
    return RemovedLog(len(runs), events)


def _remove_events(storage: SqlEventLogStorage, run_id: str) -> int:
    is_file = isinstance(storage, SqliteEventLogStorage)
    if is_file and not Path(storage.path_for_shard(run_id)).is_file():
        return 0
    table = SqlEventLogStorageTable
    kind = table.c.dagster_event_type
    is_log = sa.or_(kind.is_(None), kind.not_in([event.value for event in KEPT]))
    with storage.run_connection(run_id) as connection:
        removed = connection.execute(table.delete().where(table.c.run_id == run_id, is_log)).rowcount
    if is_file:
        with sqlite3.connect(storage.path_for_shard(run_id)) as connection:
            connection.execute("VACUUM")
    return removed
