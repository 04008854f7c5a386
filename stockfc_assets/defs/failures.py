"""What a failed run says, in the words of its errors and checks.

What belongs here: turning a run's events into messages. What does not: what a failure means or who is told (alarms.py).
Concept: https://docs.dagster.io/guides/log-debug/logging
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._utils.error import SerializableErrorInfo

from stockfc_assets import errors

USER_ERRORS = frozenset(name for name in vars(errors) if name.endswith("Error"))


def failure_messages(events: Sequence[dg.DagsterEvent]) -> Iterator[str]:
    """What failed first, then the checks that found something, errors before warnings."""
    for event in events:
        if event.is_step_failure and event.step_failure_data.error and not _is_check(event.step_failure_data.error):
            yield f"{event.step_key}: {_cause(event.step_failure_data.error)}"
        if (error := _failure_beside_steps(event)) is not None:
            yield _cause(error)
    checks = [event for event in events if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION]
    findings = [each for each in (event.asset_check_evaluation_data for event in checks) if not each.passed]
    for each in sorted(findings, key=lambda each: each.severity != dg.AssetCheckSeverity.ERROR):
        yield f"check {each.check_name} of {each.asset_key.to_user_string()}: {each.description}"


def _failure_beside_steps(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """Why a run failed although no step did, such as a cluster that does not answer."""
    data = event.event_specific_data if event.is_job_failure else None
    return None if data is None or data.first_step_failure_event else data.error


def _is_check(error: SerializableErrorInfo) -> bool:
    """Whether this is only Dagster's way to stop after a blocking check, which has been named already."""
    return error.cls_name == "DagsterAssetCheckFailedError"


def _cause(error: SerializableErrorInfo) -> str:
    """The message of the innermost error; with its type unless a user can mend it."""
    while error.cause is not None:
        error = error.cause
    message = error.message.strip()
    kind, _, text = message.partition(": ")
    return text if kind.rpartition(".")[2] in USER_ERRORS | {"Failure"} else message
