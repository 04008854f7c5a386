"""The steps of a run on the workers of a Dask cluster.

What belongs here: handing steps to the cluster in the right order. What does not: what a step does, starting a cluster.
Concept: https://docs.dagster.io/integrations/libraries/dask

A step runs on a worker as in dagster-dask, by its own function. Handing them out is ours: the executor of dagster-dask
0.29.27 fails at once with Dask 2026.8, which looks into its arguments; it would run the steps after a failed one (also
those that a blocking check should stop); it names tasks by job and step, so that a second run of the same job gets the
results of the first; and it does not find the finished steps of a run that is continued after a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import distributed
from dagster import DagsterEvent, DagsterEventType, Executor, deserialize_value, serialize_value
from dagster._core.errors import raise_execution_interrupts
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._utils import iterate_with_context
from dagster_dask.executor import query_on_dask_worker

from stockfc_assets.errors import ConfigError

CONNECT_SECONDS = 30


class DaskSteps(Executor):
    """Runs each step as one task of the cluster at ``address``, as soon as those before it have succeeded."""

    def __init__(self, address: str) -> None:
        self.address = address

    @property
    def retries(self) -> RetryMode:
        return RetryMode.DISABLED

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Events of all steps as they end. Raises ConfigError when the cluster does not answer or is of no use."""
        with _connected(self.address) as client:
            run = _as_text(plan_context, execution_plan)
            futures: dict[str, distributed.Future] = {}
            for step in (step for level in execution_plan.get_steps_to_execute_by_level() for step in level):
                needed = [futures[key] for each in step.step_inputs for key in each.dependency_keys if key in futures]
                futures[step.key] = client.submit(
                    _run_step, needed, run, step.key, key=f"{plan_context.run_id}.{step.key}", pure=False
                )
            names = {future.key: key for key, future in futures.items()}
            ended = distributed.as_completed(futures.values(), with_results=True)
            for future, events in iterate_with_context(raise_execution_interrupts, ended):
                if not events:
                    said = f"Dependencies for step {names[future.key]} failed. Not executing."
                    yield DagsterEvent.engine_event(plan_context, said, EngineEventData())
                yield from (deserialize_value(event, DagsterEvent) for event in events)


def _as_text(plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> str:
    """What a worker must know of the run, as JSON: Dask looks into Dagster's own objects and stumbles over them."""
    job, run, instance = plan_context.reconstructable_job, plan_context.dagster_run, plan_context.instance.get_ref()
    return serialize_value([job, run, instance, execution_plan.known_state])


def _run_step(needed: Sequence[Sequence[str]], run: str, step: str) -> list[str]:
    """On a worker: the step's events; none, as it is not run, unless all steps before it have succeeded."""
    if not all(any(_is_success(event) for event in events) for events in needed):
        return []
    job, dagster_run, instance, known_state = deserialize_value(run, list)
    events = query_on_dask_worker(None, job, dagster_run, dagster_run.run_config, [step], instance, known_state)
    return [serialize_value(event) for event in events]


def _is_success(event: str) -> bool:
    return deserialize_value(event, DagsterEvent).event_type is DagsterEventType.STEP_SUCCESS


def _connected(address: str) -> distributed.Client:
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"execution.dask_address: no Dask scheduler answers at {address} ({error}); start it, or choose another executor"
        ) from None
    workers = client.scheduler_info(n_workers=-1)["workers"]
    several = [name for name, worker in workers.items() if worker["nthreads"] != 1]
    if not workers or several:
        client.close()
        problem = f"worker {several[0]} has several threads" if several else "no worker is there"
        raise ConfigError(
            f"execution.dask_address: {address}: {problem}; "
            f"start workers with `dask worker {address} --nworkers 2 --nthreads 1`"
        )
    return client
