"""The job `retention`: what is old and not part of the record is removed, once a week.

What belongs here: the job, its schedule, and the same from a terminal. What does not: which files (storage/retention.py)
and which events (log_retention.py). Concept: https://docs.dagster.io/guides/build/ops

The partition of a removed file stays materialised in Dagster: it was made, and `stockfc report` or a run of training_panel
makes the same bytes again.
"""

import datetime as dt
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from stockfc_assets.defs.abandoned import terminal_tags
from stockfc_assets.defs.instance import TERMINAL_LOG, failure_messages
from stockfc_assets.defs.log_retention import old_runs, remove_old_log
from stockfc_assets.defs.resources import Platform
from stockfc_assets.errors import RunError
from stockfc_assets.settings import ScheduleSettings
from stockfc_assets.storage.retention import OldFile, old_files, remove_files

RETENTION = "retention"
TASK_SIZE = {"ecs/cpu": "512", "ecs/memory": "1024"}


@dg.op(
    description="Removes reports and training panels that environment.retention no longer keeps; both can be made again."
)
def remove_old_files(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    files = files_to_remove(platform)
    remove_files(platform.warehouse.store, files)
    size = sum(file.size for file in files)
    for file in files:
        context.log.info(f"removed {platform.warehouse.store.location(file.key)}")
    context.add_output_metadata({"files": len(files), "bytes": size})


@dg.op(description="Removes log lines and step output of old runs; what was materialised, checked and decided stays.")
def remove_old_log_lines(context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
    before = log_limit(platform)
    if before is None:
        context.log.info("environment.retention.events_days is null: log lines are kept")
        return
    removed = remove_old_log(context.instance, before)
    context.log.info(f"removed {removed.events} events of {removed.runs} runs that ended before {before:%Y-%m-%d}")
    context.add_output_metadata(asdict(removed))


@dg.job(
    name=RETENTION,
    tags=TASK_SIZE,
    executor_def=dg.in_process_executor,
    description="Removes reports, training panels and log lines that environment.retention no longer keeps "
    "(docs/retention.md).",
)
def retention() -> None:
    remove_old_files()
    remove_old_log_lines()


def build_retention_schedule(zone: str, settings: ScheduleSettings) -> dg.ScheduleDefinition:
    """The job on the exchange's clock."""
    return dg.ScheduleDefinition(
        name=f"{RETENTION}_schedule",
        job=retention,
        cron_schedule=settings.retention,
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.active else dg.DefaultScheduleStatus.STOPPED,
        description="Once a week: what is old and can be made again is removed.",
    )


def files_to_remove(platform: Platform) -> list[OldFile]:
    today = platform.clock().astimezone(ZoneInfo(platform.calendar.profile.time_zone)).date()
    return old_files(platform.warehouse.store, platform.settings.environment.retention, today)


def log_limit(platform: Platform) -> dt.datetime | None:
    """Log lines of runs that ended before this are removed; None = none are."""
    days = platform.settings.environment.retention.events_days
    return None if days is None else platform.clock() - dt.timedelta(days=days)


def apply_retention(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Runs the job in this process. Raises RunError naming the run when it fails."""
    result = definitions.resolve_job_def(RETENTION).execute_in_process(
        instance=instance, run_config=TERMINAL_LOG, tags=terminal_tags(), raise_on_error=False
    )
    if not result.success:
        said = "\n  ".join(failure_messages(result.all_events))
        raise RunError(f"run {result.run_id} of {RETENTION} failed:\n  {said}")


def retention_plan(platform: Platform, instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the job would remove now: ``files`` (location, bytes) and ``runs`` whose log lines are old."""
    store, before = platform.warehouse.store, log_limit(platform)
    return {
        "files": [{"file": store.location(file.key), "bytes": file.size} for file in files_to_remove(platform)],
        "runs": [] if before is None else [run.run_id for run in old_runs(instance, before)],
    }
