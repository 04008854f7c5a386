"""Who looks whether something is wrong, and how often: runs that failed, blocking checks, and the conditions of the store.

What belongs here: what Dagster's instance knows of failures, and the sensor. What does not: what else must hold, who is
told, and how often (stockfc_assets/alarms/). Concept: https://docs.dagster.io/guides/automate/sensors

The sensor looks at what the instance and the store hold, not at events (a run-failure sensor would forget the runs that
failed before it was switched on, those that were started at a terminal, and those during which it raised): it gives the
same answer after a restart, and `stockfc alarms` gives it without a daemon.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)

from stockfc_assets.alarms.book import KEY as BOOK
from stockfc_assets.alarms.book import Evaluation, TextStore, evaluate
from stockfc_assets.alarms.channels import configured_channels
from stockfc_assets.alarms.conditions import STORAGE, Condition, conditions
from stockfc_assets.alarms.incidents import incident_document
from stockfc_assets.alarms.messages import CHECK_FAILED, RUN_FAILED, TEST
from stockfc_assets.configuration import load_settings
from stockfc_assets.defs.failures import failure_messages
from stockfc_assets.defs.resources import Platform
from stockfc_assets.errors import StorageError
from stockfc_assets.market.sources import effective_settings
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, open_store

INTERVAL_SECONDS = 120
RUN_DAYS = 14
"""Runs that began longer ago are no longer looked at."""
RUN_LIMIT = 1000
RETRY_PATIENCE = dt.timedelta(hours=1)
"""A failed run that Dagster is to start again, and did not for so long, has failed: the daemon is not there."""
UNREACHABLE = "unreachable"
SINGLE_ASSETS = "__ASSET_JOB"
SHOWN_MESSAGES = 3


# --- runs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """What a run was to make: a job (or the assets that were chosen by hand) over partitions ``first`` to ``last``."""

    job: str
    first: str
    last: str

    @classmethod
    def of(cls, run: dg.DagsterRun) -> Scope:
        assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
        first, last = (
            run.tags.get(tag) or run.tags.get(PARTITION_NAME_TAG, "")
            for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
        )
        return cls(assets if run.job_name == SINGLE_ASSETS and assets else run.job_name, first, last)

    def reaches(self, other: Scope) -> bool:
        """Whether a run of this scope also makes the last partition of the other."""
        return self.job == other.job and self.first <= other.last <= self.last

    def __str__(self) -> str:
        span = self.first if self.first == self.last else f"{self.first} to {self.last}"
        return f"{self.job} {span}".strip()


def run_conditions(instance: dg.DagsterInstance, now: dt.datetime) -> list[Condition]:
    """Of each job and its partitions, how the newest run ended that has ended: run_failed or blocking_check_failed.

    A failure is over when a later run of the same job succeeds for the same partition, or one for a range that holds the
    failed range's end. A run that Dagster is to start again has not failed yet; a cancelled one says nothing.
    """
    recent = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
        created_after=now - dt.timedelta(days=RUN_DAYS),
    )
    judged: dict[Scope, list[Condition]] = {}
    succeeded: list[tuple[Scope, str]] = []
    for record in instance.get_run_records(recent, limit=RUN_LIMIT):
        run, scope = record.dagster_run, Scope.of(record.dagster_run)
        if run.status is dg.DagsterRunStatus.SUCCESS:
            succeeded.append((scope, run.run_id))
        if scope in judged or _is_started_again(record, now):
            continue
        by = next((run_id for other, run_id in succeeded if other.reaches(scope)), None)
        judged[scope] = _failed(instance, record, scope) if by is None else _succeeded(scope, by)
    return [condition for found in judged.values() for condition in found]


def _is_started_again(record: RunRecord, now: dt.datetime) -> bool:
    """Whether another run takes this one's place, or is about to."""
    run = record.dagster_run
    if run.status is not dg.DagsterRunStatus.FAILURE or run.tags.get(WILL_RETRY_TAG) != "true":
        return False
    ended = dt.datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), dt.UTC)
    return not run.is_complete_and_waiting_to_retry or now - ended < RETRY_PATIENCE


def _succeeded(scope: Scope, run_id: str) -> list[Condition]:
    return [Condition(name, True, f"run {run_id[:8]} succeeded", str(scope)) for name in (RUN_FAILED, CHECK_FAILED)]


def _failed(instance: dg.DagsterInstance, record: RunRecord, scope: Scope) -> list[Condition]:
    """One of the two does not hold: a run that was stopped by a check has failed for that reason and no other."""
    run_id = record.dagster_run.run_id
    events = list(_events(instance, run_id))
    checks = [
        event.asset_check_evaluation_data for event in events if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    blocking = [
        f"check {each.check_name} of {each.asset_key.to_user_string()}: {each.description}"
        for each in checks
        if each.blocking and not each.passed and each.severity is dg.AssetCheckSeverity.ERROR
    ]
    messages = list(failure_messages(events)) or [event.message or "" for event in events if event.is_run_failure]
    told = "; ".join(messages[:SHOWN_MESSAGES]) or "Dagster names no reason"
    name, other = (CHECK_FAILED, RUN_FAILED) if blocking else (RUN_FAILED, CHECK_FAILED)
    remedy = f"mend it, then run it again (`stockfc ui`, Runs, {run_id[:8]})"
    return [
        Condition(name, False, f"{'; '.join(blocking) or told}; {remedy}", str(scope)),
        Condition(other, True, f"run {run_id[:8]} failed for another reason: {name}", str(scope)),
    ]


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    kinds = {
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.RUN_FAILURE,
    }
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        if record.event_log_entry.dagster_event is not None:
            yield record.event_log_entry.dagster_event


# --- evaluation -------------------------------------------------------------------------------------------------------


def check_alarms(platform: Platform, instance: dg.DagsterInstance, say: Callable[[str], Any]) -> Evaluation:
    """Looks at everything and tells whom it concerns; ``say`` is the log. Raises StorageError where nothing can be kept."""
    now, settings = platform.clock(), platform.settings
    found = conditions(platform.warehouse, settings, platform.calendar, now)
    return _evaluate(platform, platform.warehouse.store, [*found, *run_conditions(instance, now)], say)


def check_from_terminal(opened: Callable[[], Any], say: Callable[[str], Any]) -> tuple[Evaluation, str | None]:
    """As `check_alarms`, for cron, and why the store could not be reached (None: it could).

    ``opened`` opens the workbench. A store that cannot be reached is told like everything else, once: this machine
    remembers it, in `UNREACHABLE` of its data root.
    """
    settings = effective_settings(load_settings())
    platform, memory = Platform(settings), LocalStore(settings.data_root / UNREACHABLE)
    try:
        with opened() as bench:
            looked, lost = check_alarms(bench.platform, bench.instance, say), None
    except StorageError as error:
        looked, lost = None, str(error)
    if lost is None and memory.version(BOOK) is None:
        return looked, None
    state = Condition(STORAGE, lost is None, lost or f"{open_store(settings).location('')} can be reached again")
    try:
        told = _evaluate(platform, memory, [state], say)
        if not (told.open or told.failures):
            memory.delete(BOOK)
    except StorageError:
        # Nothing can be remembered here either: told each time is better than never.
        told = _evaluate(platform, TextStore(), [state], say)
    return (told if looked is None else replace(looked, failures={**told.failures, **looked.failures})), lost


def no_channel(settings: Settings) -> str | None:
    """What to do where nobody but the log is told; None where somebody is."""
    alarms = settings.environment.alarms
    if alarms.webhook_url is not None or alarms.sns_topic is not None:
        return None
    return "no channel is configured, only this output tells: set STOCKFC_ALARM_WEBHOOK or STOCKFC_ALARM_TOPIC"


def _evaluate(platform: Platform, store: Any, found: Sequence[Condition], say: Callable[[str], Any]) -> Evaluation:
    repeat = platform.settings.environment.alarms.repeat_days
    return evaluate(
        store,
        found,
        configured_channels(platform.settings, say),
        now=platform.clock(),
        who=f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}",
        complete=(RUN_FAILED, CHECK_FAILED),
        repeat=None if repeat is None else dt.timedelta(days=repeat),
    )


def build_alarm_sensor(platform: Platform) -> dg.SensorDefinition:
    """alarms: every two minutes."""
    active = platform.settings.environment.schedules.active

    @dg.sensor(
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if active else dg.DefaultSensorStatus.STOPPED,
        description="Tells webhook, SNS and log, once per incident and once when it is over: runs and blocking checks that "
        "failed, a stale or thin forecast, an old champion, a calendar that ends (docs/alarms.md).",
    )
    def alarms(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        lost: str | None = None
        evaluation = None
        try:
            evaluation = check_alarms(platform, context.instance, context.log.warning)
        except StorageError as error:
            lost = str(error)
        if lost is not None or context.cursor:
            _store_is_lost(context, platform, lost)
        return dg.SkipReason(lost if evaluation is None else summary(evaluation))

    return alarms


def _store_is_lost(context: dg.SensorEvaluationContext, platform: Platform, lost: str | None) -> None:
    """Where the store keeps no incidents, that alone is one, and the sensor's cursor remembers it."""
    memory = TextStore(context.cursor or "")
    state = Condition(STORAGE, lost is None, lost or f"{platform.warehouse.store.location('')} keeps incidents again")
    evaluation = _evaluate(platform, memory, [state], context.log.warning)
    context.update_cursor(memory.text if evaluation.open or evaluation.failures else "")


def try_alarms(settings: Settings, say: Callable[[str], Any]) -> Evaluation:
    """Sends a message that says that it is a test through every channel; nothing of it is kept, no store is asked."""
    test = Condition(TEST, False, "somebody ran `stockfc alarms --test`; it says nothing about the forecasts")
    tried = _evaluate(Platform(settings), TextStore(), [test], say)
    return replace(tried, open=())


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """``open`` incidents, channel -> number of news ``told``, channel -> reason of ``failures``, ``deferred``."""
    return {
        "open": [incident_document(each) for each in evaluation.open],
        "told": {channel: len(news) for channel, news in evaluation.told.items()},
        "failures": dict(evaluation.failures),
        "deferred": evaluation.deferred,
    }


def summary(evaluation: Evaluation) -> str:
    """``2 incidents are open: ...; told webhook of 1``"""
    named = ", ".join(f"{each.name} {each.subject}".strip() for each in evaluation.open)
    told = [f"told {channel} of {len(news)}" for channel, news in evaluation.told.items()]
    failed = [f"could not tell {channel}: {why}" for channel, why in evaluation.failures.items()]
    count = len(evaluation.open)
    first = "nothing is wrong" if not count else f"{count} incident{'s are' if count > 1 else ' is'} open: {named}"
    return "; ".join([first, *told, *failed, *(["another evaluator is telling"] if evaluation.deferred else [])])
