"""The Dagster instance of this data root, and running jobs on it from a terminal.

What belongs here: preparing DAGSTER_HOME and executing a job over partitions. What does not: deciding which partitions
(workbench.py). Concept: https://docs.dagster.io/deployment/oss/dagster-instance
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from sqlalchemy.exc import DBAPIError

from stockfc_assets.defs.abandoned import end_abandoned_runs, terminal_tags
from stockfc_assets.defs.executors import allow_training
from stockfc_assets.defs.failures import failure_messages
from stockfc_assets.errors import ConfigError, StorageError
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.settings import Settings
from stockfc_assets.storage import open_store

TEMPLATE_BASE = "base_dir: data/dagster"
"""Where dagster.yaml keeps its databases when Dagster is started from the project's folder without `stockfc`."""

LOG_UPLOAD_SECONDS = 30

STORE_KEY = "stockfc/store"
"""Under this key of its own storage an instance knows whose partitions it has recorded."""

JOB_ELSEWHERE = ("stockfc_assets.defs.build", "job_elsewhere")
"""The function by which another process builds a job again."""

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
    content = template.read_text().replace(TEMPLATE_BASE, f"base_dir: {home}") + _compute_logs(home, settings)
    target = home / "dagster.yaml"
    if not target.is_file() or target.read_text() != content:
        target.write_text(content)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _compute_logs(home: Path, settings: Settings) -> str:
    """Where steps' own output goes, as a part of dagster.yaml: beside the data where that is in a bucket."""
    storage = settings.environment.storage
    if not isinstance(storage, S3Storage):
        return ""
    encryption = {"ServerSideEncryption": storage.encryption, "SSEKMSKeyId": storage.kms_key}
    config = {
        "bucket": storage.bucket,
        "prefix": f"{storage.prefix}/compute_logs",
        # Until they are uploaded. By default each run leaves an empty folder in the system's temporary one.
        "local_dir": str(home / "compute_logs"),
        "skip_empty_files": True,
        "upload_interval": LOG_UPLOAD_SECONDS,
        "upload_extra_args": {name: value for name, value in encryption.items() if value is not None},
    }
    manager = {"module": "dagster_aws.s3.compute_log_manager", "class": "S3ComputeLogManager", "config": config}
    return "\n" + yaml.safe_dump({"compute_logs": manager}, sort_keys=False)


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance of this data root, or of the operator's DAGSTER_HOME.

    Raises ConfigError when what it has recorded is of another store, StorageError when its database fails while it is
    open, as on a full disk.
    """
    home = prepare_home(settings)
    try:
        with dg.DagsterInstance.get() as instance:
            _require_store(instance, settings)
            end_abandoned_runs(instance)
            allow_training(instance, settings.environment.execution)
            yield instance
    except DBAPIError as error:
        # SQLite may say no more than "disk I/O error" of a full disk.
        free = shutil.disk_usage(home).free / 1e6
        raise StorageError(
            f"{home}: Dagster's database failed ({error.orig}; {free:,.1f} MB are free there); make room or give the "
            "right to write there, then run it again: what is stored stays"
        ) from error


def _require_store(instance: dg.DagsterInstance, settings: Settings) -> None:
    """An instance records which partitions are stored, so it belongs to one store; the first one leaves its name."""
    in_bucket = isinstance(settings.environment.storage, S3Storage)
    # A folder may be moved, or be mounted elsewhere.
    store = open_store(settings).location("") if in_bucket else "a folder"
    recorded = instance.run_storage.get_cursor_values({STORE_KEY}).get(STORE_KEY)
    if recorded is None:
        instance.run_storage.set_cursor_values({STORE_KEY: store})
    elif recorded != store:
        raise ConfigError(
            f"Dagster's record in {os.environ['DAGSTER_HOME']} is of {recorded}, and the configured store is {store}; set "
            "STOCKFC_DATA to another folder (or DAGSTER_HOME, where you have set it), or the store back"
        )


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
    """Runs a job over one partition or a contiguous range (first to last of ``partitions``); its steps run where its
    executor says, in this process unless the configuration chose another one.

    ``config`` is run configuration beside the terminal's logger.
    """
    began = time.monotonic()
    definition = definitions.resolve_job_def(job)
    first, last = partitions[0], partitions[-1]
    span = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    tags = terminal_tags() | ({PARTITION_NAME_TAG: first} if len(partitions) == 1 else span)
    common = {"instance": instance, "run_config": {**TERMINAL_LOG, **(config or {})}, "raise_on_error": False}
    if definition.executor_def is dg.in_process_executor:
        result = definition.execute_in_process(tags=tags, **common)
        run_id, success, events = result.run_id, result.success, result.all_events
    else:
        elsewhere = dg.build_reconstructable_job(*JOB_ELSEWHERE, (job, definitions.resources["platform"].environ))
        with dg.execute_job(elsewhere, tags=tags, **common) as result:
            run_id, success, events = result.run_id, result.success, result.all_events
    return RunOutcome(run_id, success, time.monotonic() - began, tuple(failure_messages(events)))
