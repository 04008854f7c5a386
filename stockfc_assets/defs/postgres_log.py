"""The instance's event log on PostgreSQL, with events of one batch written in one transaction.

What belongs here: how events reach PostgreSQL quickly. What does not: what they say (assets/).
Concept: https://docs.dagster.io/deployment/oss/dagster-yaml (event log storage)

Why it exists: Dagster's own storage batches what was materialised, but plans one by one, in three statements each: a
backfill of 490 sessions took 25 s before its first run began. See also event_log.py on planned checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from dagster import EventLogEntry
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

from stockfc_assets.defs.event_log import BatchedEventLogStorage, enable_batching


class BatchedPostgresEventLogStorage(BatchedEventLogStorage, PostgresEventLogStorage):
    """Dagster's PostgreSQL event log with `store_event_batch` in one transaction per asset.

    Chosen in deploy/dagster.yaml (``event_log_storage``); reads and writes the same tables as its parent.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        enable_batching()
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        with self.index_transaction() as connection:
            self._insert_asset_events(connection, events)
