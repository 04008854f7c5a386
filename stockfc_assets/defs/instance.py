"""The Dagster instance of this data root, and running jobs on it from a terminal.

What belongs here: preparing DAGSTER_HOME and executing a job over partitions. What does not: deciding which partitions
(workbench.py). Concept: https://docs.dagster.io/deployment/oss/dagster-instance
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._utils.error import SerializableErrorInfo

from stockfc_assets import errors
from stockfc_assets.errors import ConfigError
from stockfc_assets.settings import Settings

USER_ERRORS = frozenset(name for name in vars(errors) if name.endswith("Error"))

TEMPLATE_BASE = "base_dir: data/dagster"
"""Where dagster.yaml keeps its databases when Dagster is started from the project's folder without `stockfc`."""

TERMINAL_LOG = {"loggers": {"console": {}}}
"""Chooses the terminal logger of build.py; without it Dagster prints every event of its own."""


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: messages name what failed, in the words of the error or the check."""

    run_id: str
    success: bool
    seconds: float
    messages: tuple[str, ...]


def prepare_home(settings: Settings) -> Path:
    """Puts the project's dagster.yaml into ``<data root>/dagster``, with that path in it, and points DAGSTER_HOME there.

    A DAGSTER_HOME that the operator has set is left alone. Raises ConfigError when dagster.yaml is missing.
    """
    if given := os.environ.get("DAGSTER_HOME"):
        return Path(given)
    template = settings.config_dir.parent / "dagster.yaml"
    if not template.is_file():
        raise ConfigError(f"{template}: missing; it configures the Dagster instance, or set DAGSTER_HOME to your own")
    home = settings.data_root / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    content = template.read_text().replace(TEMPLATE_BASE, f"base_dir: {home}")
    target = home / "dagster.yaml"
    if not target.is_file() or target.read_text() != content:
        target.write_text(content)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance


def materialized(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """Partition keys of an asset that the instance has recorded."""
    return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def run_job(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    partitions: Sequence[str],
    config: Mapping[str, Any] | None = None,
) -> RunOutcome:
    """Runs a job in this process over one partition or a contiguous range (first to last of ``partitions``).

    ``config`` is run configuration beside the terminal's logger.
    """
    began = time.monotonic()
    definition = definitions.resolve_job_def(job)
    common = {"instance": instance, "run_config": {**TERMINAL_LOG, **(config or {})}, "raise_on_error": False}
    if len(partitions) == 1:
        result = definition.execute_in_process(partition_key=partitions[0], **common)
    else:
        tags = {ASSET_PARTITION_RANGE_START_TAG: partitions[0], ASSET_PARTITION_RANGE_END_TAG: partitions[-1]}
        result = definition.execute_in_process(tags=tags, **common)
    return RunOutcome(result.run_id, result.success, time.monotonic() - began, tuple(_messages(result)))


def _messages(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """What failed first, then the checks that found something, errors before warnings."""
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error and not _is_check(event.step_failure_data.error):
            yield f"{event.step_key}: {_cause(event.step_failure_data.error)}"
    findings = [each for each in result.get_asset_check_evaluations() if not each.passed]
    for each in sorted(findings, key=lambda each: each.severity != dg.AssetCheckSeverity.ERROR):
        yield f"check {each.check_name} of {each.asset_key.to_user_string()}: {each.description}"


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
