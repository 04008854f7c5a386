"""What is done by itself when the world has changed: a new ticker in the universe, sessions missed while nothing ran.

What belongs here: noticing, and asking for the right partitions. What does not: the work itself, and anything on a clock
(schedules.py). Concept: https://docs.dagster.io/guides/automate/sensors

Both sensors look at what is stored, not at events: they give the same answer after a restart, on a copied data root, and
however often they are asked. A run that is still to finish is never asked for twice. universe_changed reads the configuration
again at each tick, because the process that holds these definitions may be older than the last edit.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from stockfc_assets.defs.abandoned import UNFINISHED, end_abandoned_runs
from stockfc_assets.defs.jobs import DAILY_FORECAST, HISTORY
from stockfc_assets.defs.resources import Platform
from stockfc_assets.market.collect import unanswered

NAMED_TICKERS = 10
INTERVAL_SECONDS = 300


def build_sensors(platform: Platform, jobs: Sequence[UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """universe_changed, missing_sessions; ``jobs`` are those of jobs.py."""
    by_name = {job.name: job for job in jobs}
    active = platform.settings.environment.schedules.active
    status = dg.DefaultSensorStatus.RUNNING if active else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        job=by_name[HISTORY],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="A ticker was added to the universe's file: fetches its history over the sessions that are stored. The "
        "others are not asked for again. A ticker that was taken out ends; nothing of it is deleted.",
    )
    def universe_changed(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _new_tickers(context, platform.reopened())

    @dg.sensor(
        jobs=[by_name[HISTORY], by_name[DAILY_FORECAST]],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="Sessions closed while nothing ran: asks for those that were never materialised, oldest first, a "
        "bounded number per tick; never for one that is not over or whose own schedule is still to come.",
    )
    def missing_sessions(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _missed(context, platform)

    return [universe_changed, missing_sessions]


def _new_tickers(context: dg.SensorEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
    stored = platform.warehouse.partitions("raw_ohlcv")
    if not stored:
        return dg.SkipReason("nothing is stored yet: run `stockfc backfill` first")
    tickers = platform.known_tickers()
    state = hashlib.sha256(" ".join([*tickers, stored[0], stored[-1]]).encode()).hexdigest()[:16]
    if context.cursor == state:
        return dg.SkipReason(f"the universe's {len(tickers)} tickers are all stored, {stored[0]} to {stored[-1]}")
    if running := _unfinished(context):
        return dg.SkipReason(f"run {running} is under way")
    sessions = [dt.date.fromisoformat(key) for key in stored]
    wanted = platform.fetched_tickers(sessions[0])
    lacking = unanswered(platform.warehouse, sessions, wanted)
    if not lacking:
        context.update_cursor(state)
        return dg.SkipReason(f"the universe's {len(tickers)} tickers are all stored, {stored[0]} to {stored[-1]}")
    new = sorted({ticker for names in lacking.values() for ticker in names})
    context.log.info(f"{len(new)} tickers lack history: {', '.join(new[:NAMED_TICKERS])}")
    keys = sorted(session.isoformat() for session in lacking)
    return _request(HISTORY, keys, run_key=f"universe-{state}")


def _missed(context: dg.SensorEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
    now = platform.clock()
    settings = platform.settings.environment.schedules
    stored = set(platform.warehouse.partitions("raw_ohlcv")) & set(platform.warehouse.partitions("weekly_features"))
    if not stored:
        return dg.SkipReason("nothing is stored yet: run `stockfc backfill` first")
    settled = platform.newest_session(now - dt.timedelta(hours=settings.missing_after_hours))
    keys = platform.sessions_between(dt.date.fromisoformat(min(stored)), settled)
    missing = [key for key in keys if key not in stored]
    if not missing:
        return dg.SkipReason(f"no session is missing from {keys[0] if keys else min(stored)} to {settled}")
    if running := _unfinished(context):
        return dg.SkipReason(f"{len(missing)} sessions are missing, but run {running} is under way")
    keys = _first_stretch(keys, missing)[: settings.missing_sessions_per_tick]
    forecasts = platform.warehouse.partitions("daily_predictions")
    job = DAILY_FORECAST if forecasts and keys[0] > forecasts[-1] else HISTORY
    context.log.info(f"{len(missing)} sessions are missing; asking for {len(keys)}, {keys[0]} to {keys[-1]}")
    # One attempt an hour: a service that is down is asked again, but not every five minutes.
    return _request(job, keys, run_key=f"missing-{keys[0]}-{keys[-1]}-{now:%Y-%m-%dT%H}")


def _first_stretch(sessions: Sequence[str], missing: Sequence[str]) -> list[str]:
    """The oldest missing sessions that follow each other without a stored one between them."""
    lacking = set(missing)
    start = sessions.index(missing[0])
    stretch = []
    for key in sessions[start:]:
        if key not in lacking:
            break
        stretch.append(key)
    return stretch


def _unfinished(context: dg.SensorEvaluationContext) -> str | None:
    """The short id of a run of these jobs that has not ended, whoever started it. A killed one has."""
    end_abandoned_runs(context.instance)
    for job in (HISTORY, DAILY_FORECAST):
        runs = context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1)
        if runs:
            return runs[0].run_id[:8]
    return None


def _request(job: str, keys: Sequence[str], *, run_key: str) -> dg.RunRequest:
    if len(keys) == 1:
        return dg.RunRequest(run_key=run_key, job_name=job, partition_key=keys[0])
    tags = {ASSET_PARTITION_RANGE_START_TAG: keys[0], ASSET_PARTITION_RANGE_END_TAG: keys[-1]}
    return dg.RunRequest(run_key=run_key, job_name=job, tags=tags)
