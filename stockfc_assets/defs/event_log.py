"""The instance's event log on SQLite, with events of one batch written in one transaction; postgres_log.py has PostgreSQL's.

What belongs here: how materialisation events reach the instance quickly. What does not: what they say (assets/).
Concept: https://docs.dagster.io/deployment/oss/dagster-yaml (event log storage).

Why it exists: Dagster's SQLite storage opens two databases and commits twice per event, about 8 ms each. A backfill of
ten years records some 15,000 events, which is two minutes of bookkeeping for ten seconds of work. Written in batches
they take seconds.
"""

from __future__ import annotations

import itertools
import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

from dagster import AssetMaterialization, EventLogEntry, OpExecutionContext
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import (
    DagsterEvent,
    DagsterEventBatchMetadata,
    DagsterEventType,
    generate_event_batch_id,
)
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from sqlalchemy.engine import Connection

BATCH_SIZE = 500
BATCHED_TYPES = frozenset({DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED})


def enable_batching() -> None:
    """Switches Dagster's event batching on for this process and its children, unless the operator chose a size."""
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))


class BatchedEventLogStorage(SqlEventLogStorage):
    """What both batched storages do, in front of Dagster's own class for the database."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores neighbouring materialisation events of one asset together; others one by one, as the parent does.

        A batch of planned events goes through the assets of a run one after the other.
        """
        for (kind, *_), group in itertools.groupby(events, _belongs_to):
            together = list(group)
            if kind in BATCHED_TYPES and len(together) > 1:
                self._store_together(together)
            else:
                for event in together:
                    self.store_event(event)

    @abstractmethod
    def _store_together(self, events: Sequence[EventLogEntry]) -> None: ...

    def _insert_asset_events(self, connection: Connection, events: Sequence[EventLogEntry]) -> None:
        """Inserts events of one asset into the table that assets are looked up in."""
        insert = SqlEventLogStorageTable.insert()
        returning = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        rows = [self._event_to_row(event) for event in events]
        ids = list(connection.execute(returning, rows).scalars())
        self._store_asset_event_tags(connection, events, ids)
        # The asset's own row holds its newest event only: the last of the batch.
        self._store_asset_event(connection, events[-1], ids[-1])

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Plans one evaluation per check and run, as our checks report it (one result for the whole run).

        The parent would plan one for each partition of the run, and leave all but one of them planned for ever: 14 checks
        over ten years are 34,000 rows.
        """
        planned = event.get_dagster_event().event_specific_data
        whole_run = AssetCheckEvaluationPlanned(
            asset_key=planned.asset_key, check_name=planned.check_name, partitions_subset=None
        )
        dagster_event = event.get_dagster_event()._replace(event_specific_data=whole_run)
        super()._store_asset_check_evaluation_planned(event._replace(dagster_event=dagster_event), event_id)


class BatchedSqliteEventLogStorage(BatchedEventLogStorage, SqliteEventLogStorage):
    """Dagster's SQLite event log with `store_event_batch` in two transactions instead of two per event.

    Chosen in dagster.yaml (``event_log_storage``); reads and writes the same databases as its parent.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        enable_batching()
        return cls(inst_data=inst_data, **config_value)

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [self._event_to_row(event) for event in events])
        with self.index_transaction() as connection:
            self._insert_asset_events(connection, events)


def _belongs_to(event: EventLogEntry) -> tuple[Any, str, Any]:
    """Kind, run and asset of an event."""
    return event.dagster_event_type, event.run_id, event.dagster_event.asset_key if event.dagster_event else None


def log_materializations(context: OpExecutionContext, materializations: Sequence[AssetMaterialization]) -> None:
    """Records materialisations of this step as one batch, in order."""
    batch = generate_event_batch_id()
    step = context.get_step_execution_context()
    for number, materialization in enumerate(materializations, start=1):
        is_end = number == len(materializations)
        DagsterEvent.asset_materialization(step, materialization, DagsterEventBatchMetadata(batch, is_end))
