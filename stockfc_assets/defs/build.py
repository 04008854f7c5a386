"""Builds the Definitions: for production and for tests alike.

What belongs here: putting the pieces together. What does not: any piece.
Concept: https://docs.dagster.io/guides/build/projects
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import dagster as dg

from stockfc_assets.defs import assets, checks
from stockfc_assets.defs.alarms import build_alarm_sensor
from stockfc_assets.defs.event_log import enable_batching
from stockfc_assets.defs.executors import step_executor
from stockfc_assets.defs.jobs import build_jobs
from stockfc_assets.defs.maintenance import build_retention_schedule, retention
from stockfc_assets.defs.partitions import build_grids
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.defs.schedules import build_schedules
from stockfc_assets.defs.sensors import build_sensors
from stockfc_assets.settings import Settings


def build_definitions(settings: Settings, *, platform: Platform | None = None) -> dg.Definitions:
    """Fresh Definitions for these settings. ``platform`` replaces the one resource, with a clock or a source of one's own."""
    enable_batching()
    platform = platform or Platform(settings)
    grids = build_grids(platform.calendar, settings.environment.history_start)
    execution = settings.environment.execution
    jobs = build_jobs(grids, len(settings.universe.stocks), step_executor(execution))
    return dg.Definitions(
        assets=assets.build_assets(grids, settings.model.training.history_months, execution),
        asset_checks=checks.build_checks(),
        jobs=[*jobs, retention],
        sensors=[*build_sensors(platform, jobs), build_alarm_sensor(platform)],
        schedules=[
            *build_schedules(platform.calendar, settings.environment.schedules),
            build_retention_schedule(platform.calendar.profile.time_zone, settings.environment.schedules),
        ],
        resources={"platform": platform},
        executor=step_executor(execution),
        loggers={"console": terminal_logger},
    )


def job_elsewhere(job: str, environ: Mapping[str, str]) -> dg.JobDefinition:
    """A job, built again in the process of a worker; ``environ`` chooses the settings beside the worker's own variables."""
    return build_definitions(open_settings({**os.environ, **environ})).resolve_job_def(job)


@dg.logger(description="What assets say, one line each; Dagster's own events are in the event log.")
def terminal_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("stockfc", level=logging.INFO)
    handler = logging.StreamHandler()
    handler.addFilter(_is_said_by_an_asset)
    handler.setFormatter(_MessageFormatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    logger.addHandler(handler)
    return logger


def _is_said_by_an_asset(record: logging.LogRecord) -> bool:
    """Not Dagster's own events, nor its remarks on steps that do not run because an earlier one failed."""
    meta = getattr(record, "dagster_meta", {})
    return meta.get("dagster_event") is None and not str(meta.get("orig_message", "")).startswith(
        "Dependencies for step"
    )


class _MessageFormatter(logging.Formatter):
    """Dagster prefixes messages with job, run and step; a terminal wants what the asset said."""

    def format(self, record: logging.LogRecord) -> str:
        original = getattr(record, "dagster_meta", {}).get("orig_message")
        if original:
            record = logging.makeLogRecord({**record.__dict__, "msg": original, "args": None})
        return super().format(record)
