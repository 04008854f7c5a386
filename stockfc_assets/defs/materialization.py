"""How every asset reports what it wrote: per partition, with its own data version and metadata.

What belongs here: materialisation results and the metadata that all assets share. What does not: reading or writing.
Concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags

A run over a range of partitions records, by Dagster's own event, one data version for all of them. Ours differ by
partition (they are content hashes), so a second event per partition follows, in one batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import dataframely as dy

from stockfc_assets.defs.event_log import log_materializations

Metadata = Mapping[str, Any]
OWNERS = ["team:stockfc"]
SHOWN_FINDINGS = 50


@dataclass(frozen=True)
class Written:
    """One partition as written: its content hash, its rows (None for files) and metadata to show."""

    data_version: str
    rows: int | None = None
    metadata: Metadata = field(default_factory=dict)

    def event_metadata(self) -> dict[str, Any]:
        rows = {} if self.rows is None else {"dagster/partition_row_count": self.rows}
        return {**rows, **self.metadata}


class PartitionLog:
    """Collects the partitions that a step has finished, so that a step that fails half-way still records them."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self.context = context
        self.written: dict[str, Written] = {}

    def add(self, partition: str, written: Written) -> None:
        self.written[partition] = written

    def results(self) -> Iterator[dg.MaterializeResult]:
        """To be yielded from by the asset once everything is written."""
        if len(self.written) == 1:
            ((_, written),) = self.written.items()
            yield dg.MaterializeResult(
                metadata=written.event_metadata(), data_version=dg.DataVersion(written.data_version)
            )
            return
        yield dg.MaterializeResult()
        self.log_events()

    def log_events(self) -> None:
        key = self.context.asset_key
        log_materializations(
            self.context.op_execution_context,
            [
                dg.AssetMaterialization(
                    key,
                    partition=partition,
                    metadata=written.event_metadata(),
                    tags={
                        "dagster/data_version": written.data_version,
                        "dagster/data_version_is_user_provided": "true",
                        "dagster/code_version": self.context.assets_def.code_versions_by_key[key] or "",
                    },
                )
                for partition, written in self.written.items()
            ],
        )


@contextlib.contextmanager
def partition_log(context: dg.AssetExecutionContext) -> Iterator[PartitionLog]:
    """A `PartitionLog` that records what was finished if the body fails or is interrupted."""
    log = PartitionLog(context)
    try:
        yield log
    except BaseException:
        if log.written:
            log.log_events()
            context.log.warning(f"failed after {len(log.written)} finished partitions, which are kept and recorded")
        raise


def write_each(
    context: dg.AssetExecutionContext, partitions: Iterable[str], write: Callable[[str], Written]
) -> Iterator[dg.MaterializeResult]:
    """Writes partitions in order and reports them: the body of most assets."""
    yield from record_all(context, ((partition, write(partition)) for partition in partitions))


def record_all(
    context: dg.AssetExecutionContext, finished: Iterable[tuple[str, Written]]
) -> Iterator[dg.MaterializeResult]:
    """Reports partitions as they are finished, also those before one that fails."""
    with partition_log(context) as log:
        for partition, written in finished:
            log.add(partition, written)
    yield from log.results()


def declared(
    group: str, grid: dg.PartitionsDefinition | None = None, *, table: type[dy.Schema] | None = None
) -> dict[str, Any]:
    """What the definitions of all assets share: group, owners, grid with ranges in one run, column schema."""
    options: dict[str, Any] = {"group_name": group, "owners": OWNERS}
    if grid is not None:
        options |= {"partitions_def": grid, "backfill_policy": dg.BackfillPolicy.single_run()}
    if table is not None:
        options["metadata"] = _column_schema(table)
    return options


def scores_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> dg.TableMetadataValue:
    """``columns`` of score rows as a table to show; a score that the data do not give is an empty cell."""

    def shown(value: Any) -> str:
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    return dg.MetadataValue.table([dg.TableRecord({name: shown(row[name]) for name in columns}) for row in rows])


def findings_table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Findings (findings.FINDINGS_SCHEMA, as JSON values) as a table to show: the first `SHOWN_FINDINGS`."""
    columns = ("ticker", "session", "defect", "severity", "seen", "expected")
    return dg.MetadataValue.table(
        [dg.TableRecord({name: row[name] for name in columns}) for row in rows[:SHOWN_FINDINGS]]
    )


def _column_schema(table: type[dy.Schema]) -> dict[str, Any]:
    columns = [
        dg.TableColumn(
            name=name,
            type=str(column.dtype),
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=False),
        )
        for name, column in table.columns().items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}
