"""What must be the same before and after log lines are removed, on either of Dagster's storages."""

import datetime as dt

import dagster as dg
from dagster import AssetKey, DagsterEventType

from stockfc_assets.defs.log_retention import KEPT, REMOVED_TAG, RemovedLog, old_runs, remove_old_log

ASSETS = ("universe", "raw_ohlcv", "price_quality", "weekly_features")
DATA_VERSION = "dagster/data_version"
FUTURE = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


def record(instance: dg.DagsterInstance) -> dict[str, object]:
    """What Dagster knows of assets: partitions, data versions, lineage, checks, and how the runs ended."""
    storage = instance.event_log_storage
    found: dict[str, object] = {}
    for name in ASSETS:
        key = AssetKey(name)
        events = instance.fetch_materializations(key, limit=10_000).records
        found[name] = {
            "partitions": sorted(instance.get_materialized_partitions(key)),
            "newest": storage.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION),
            "tags": sorted(
                storage.get_latest_tags_by_partition(
                    key, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION]
                ).items()
            ),
            "events": [(event.storage_id, event.run_id, str(event.asset_materialization)) for event in events],
            "asset": str(instance.get_latest_materialization_event(key)),
        }
    return found | {
        "checks": [
            (key.to_user_string(), execution.status, execution.run_id, execution.event.timestamp)
            for key, execution in sorted(storage.get_latest_asset_check_execution_by_key(check_keys(instance)).items())
        ],
        "runs": [
            (each.dagster_run.run_id, each.dagster_run.status, each.end_time) for each in instance.get_run_records()
        ],
        "kept events": kept(instance),
    }


def check_keys(instance: dg.DagsterInstance) -> list[dg.AssetCheckKey]:
    return [dg.AssetCheckKey(AssetKey("raw_ohlcv"), name) for name in ("price_laws", "price_coverage")]


def kept(instance: dg.DagsterInstance) -> list[str]:
    runs = [run.run_id for run in instance.get_runs()]
    return [str(entry) for run in runs for entry in instance.all_logs(run) if is_kept(entry)]


def is_kept(entry: dg.EventLogEntry) -> bool:
    return entry.dagster_event_type in KEPT


def log_size(instance: dg.DagsterInstance) -> int:
    return sum(len(instance.all_logs(run.run_id)) for run in instance.get_runs())


def require_only_log_lines_go(instance: dg.DagsterInstance) -> RemovedLog:
    """Removes the log of every run of ``instance``; what was removed."""
    before, size, runs = record(instance), log_size(instance), instance.get_runs()
    assert old_runs(instance, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)) == []
    assert {run.run_id for run in old_runs(instance, FUTURE)} == {run.run_id for run in runs}

    removed = remove_old_log(instance, FUTURE)

    assert record(instance) == before
    assert all(is_kept(entry) for run in runs for entry in instance.all_logs(run.run_id))
    assert removed == RemovedLog(len(runs), size - log_size(instance))
    assert all(REMOVED_TAG in run.tags for run in instance.get_runs())
    assert remove_old_log(instance, FUTURE) == RemovedLog(0, 0)
    return removed
