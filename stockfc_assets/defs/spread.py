"""Assets whose partitions can be made side by side: as one step, or as parts for several processes or machines.

What belongs here: the two forms of such an asset. What does not: what a part does (assets/), what runs it (executors.py).
Concept: https://docs.dagster.io/guides/build/assets/graph-backed-assets

The parts hand nothing to one another: each knows from the run's partitions which are its own, and records those that it
has finished in the event log, from which the last step takes them. So nothing is written between steps, and what was
finished stays recorded although another part fails. The number of parts is fixed: Dask's executor takes all steps of a
run at its start and cannot run such as appear later (DynamicOut).
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from stockfc_assets.defs.materialization import Written, partition_log, record_all
from stockfc_assets.defs.resources import Platform
from stockfc_assets.running_settings import ExecutionSettings

PAGE = 1000
"""Events that are read at once."""


@dataclass(frozen=True)
class Share:
    """What one call of an asset's work is asked for: ``keys``, of all those of the run, both in order of time."""

    platform: Platform
    log: dg.DagsterLogManager
    keys: Sequence[str]
    run_keys: Sequence[str]


Work = Callable[[Share], Iterator[tuple[str, Written]]]
"""Writes the partitions of its share; yields each when it is finished."""

Cut = Callable[[Platform, Sequence[str]], Sequence[Sequence[str]]]
"""Groups of a run's partitions, such that no group needs another one."""


def spread_asset(
    execution: ExecutionSettings, *, cut: Cut | None = None, mend: Work | None = None, **options: Any
) -> Callable[[Work], dg.AssetsDefinition]:
    """Decorator: the asset with the given work, one step in process, else ``workers`` parts and a step that collects.

    ``cut`` says which partitions belong together (None: each can be made alone; every part gets a range). ``mend`` runs
    after all parts, over all partitions, and yields those that it made again. ``options`` are those of ``@dg.asset``.
    Both forms have the same key, dependencies, checks, versions and results.
    """

    def build(work: Work) -> dg.AssetsDefinition:
        @dg.asset(**{"name": work.__name__, **options})
        def one_step(
            context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
        ) -> Iterator[dg.MaterializeResult]:
            keys = sorted(context.partition_keys)
            yield from record_all(context, work(Share(platform, context.log, keys, keys)))

        if execution.executor == "in_process":
            return one_step
        return _in_parts(one_step, work, cut or ranges(execution.workers), mend, execution.workers)

    return build


def ranges(count: int) -> Cut:
    """At most ``count`` neighbouring ranges of nearly the same length."""

    def cut(_platform: Platform, keys: Sequence[str]) -> list[Sequence[str]]:
        edges = [len(keys) * number // count for number in range(count + 1)]
        return [keys[start:end] for start, end in itertools.pairwise(edges) if end > start]

    return cut


def dealt(groups: Sequence[Sequence[str]], count: int) -> list[list[Sequence[str]]]:
    """Groups for each of ``count`` parts: in order, each to the part that has the fewest partitions so far."""
    parts: list[list[Sequence[str]]] = [[] for _ in range(count)]
    for group in groups:
        min(parts, key=lambda part: sum(map(len, part))).append(group)
    return parts


def _in_parts(asset: dg.AssetsDefinition, work: Work, cut: Cut, mend: Work | None, workers: int) -> dg.AssetsDefinition:
    """``asset`` with a graph in the place of its one step."""
    name, inputs = asset.key.to_python_identifier(), list(asset.keys_by_input_name)
    names = [f"part_{number + 1}" for number in range(workers)]
    parts = [_part(asset, work, cut, number, workers) for number in range(workers)]
    results = [dg.DependencyDefinition(part, "result") for part in names]
    invocations = [dg.NodeInvocation(part.name, alias=alias) for part, alias in zip(parts, names, strict=True)]
    graph = dg.GraphDefinition(
        name=name,
        node_defs=[*parts, _collect(asset, mend)],
        dependencies={
            **{invocation: {} for invocation in invocations},
            dg.NodeInvocation(f"{name}_collect", alias="collect"): {"parts": dg.MultiDependencyDefinition(results)},
        },
        input_mappings=[
            dg.InputMapping(graph_input_name=each, mapped_node_name=part, mapped_node_input_name=each)
            for each in inputs
            for part in names
        ],
        output_mappings=[
            dg.OutputMapping(graph_output_name="result", mapped_node_name="collect", mapped_node_output_name="result")
        ],
    )
    return dg.AssetsDefinition(
        node_def=graph,
        keys_by_input_name=asset.keys_by_input_name,
        keys_by_output_name={"result": asset.key},
        backfill_policy=asset.backfill_policy,
        specs=list(asset.specs),
    )


def _part(asset: dg.AssetsDefinition, work: Work, cut: Cut, number: int, workers: int) -> dg.OpDefinition:
    @dg.op(
        name=f"{asset.key.to_python_identifier()}_part_{number + 1}",
        ins={name: dg.In(dg.Nothing) for name in asset.keys_by_input_name},
        out=dg.Out(dg.Nothing),
        pool=asset.op.pool,
    )
    def part(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> None:
        run_keys = sorted(context.partition_keys)
        with partition_log(context) as log:
            for keys in dealt(cut(platform, run_keys), workers)[number]:
                for key, written in work(Share(platform, context.log, keys, run_keys)):
                    log.add(key, written)
        log.log_events()

    return part


def _collect(asset: dg.AssetsDefinition, mend: Work | None) -> dg.OpDefinition:
    @dg.op(
        name=f"{asset.key.to_python_identifier()}_collect",
        ins={"parts": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=asset.op.pool,
    )
    def collect(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        keys = sorted(context.partition_keys)
        recorded = _recorded(context)
        if missing := [key for key in keys if key not in recorded]:
            raise dg.Failure(f"{len(missing)} partitions were not made, the first is {missing[0]}; run it again")
        with partition_log(context) as log:
            for key, written in mend(Share(platform, context.log, keys, keys)) if mend else ():
                log.add(key, written)
        log.written = {key: log.written.get(key, recorded[key]) for key in keys}
        yield from log.results()

    return collect


def _recorded(context: dg.AssetExecutionContext) -> dict[str, Written]:
    """What the parts of this run have recorded, and those of the runs that it continues after a failure."""
    lineage, began = _lineage(context)
    wanted = dg.AssetRecordsFilter(context.asset_key, after_timestamp=began)
    found: dict[str, Written] = {}
    cursor, has_more = None, True
    while has_more:
        page = context.instance.fetch_materializations(wanted, limit=PAGE, cursor=cursor, ascending=True)
        cursor, has_more = page.cursor, page.has_more
        for record in page.records:
            event = record.asset_materialization
            if record.run_id in lineage and event is not None and event.partition is not None:
                version = (event.tags or {})[DATA_VERSION_TAG]
                found[event.partition] = Written(version, metadata=event.metadata)
    return found


def _lineage(context: dg.AssetExecutionContext) -> tuple[set[str], float]:
    """The ids of this run and of those that it continues, and when the oldest of them was created (Unix seconds)."""
    ids, run_id, began = set(), context.run_id, 0.0
    while run_id is not None:
        record = context.instance.get_run_record_by_id(run_id)
        if record is None:
            break
        ids.add(run_id)
        began = record.create_timestamp.timestamp()
        run_id = record.dagster_run.parent_run_id
    return ids, began
