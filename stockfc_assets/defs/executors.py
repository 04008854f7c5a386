"""What runs the steps of a run: this process, several processes, or a Dask cluster.

What belongs here: the executor that the configuration names, and how many trainings it may run at once. What does not:
which work is cut into parts (spread.py). Concept: https://docs.dagster.io/guides/operate/run-executors
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements

from stockfc_assets.running_settings import ExecutionSettings

TRAINING_POOL = "training"


def step_executor(execution: ExecutionSettings) -> dg.ExecutorDefinition:
    """The executor of jobs whose work can spread."""
    if execution.executor == "processes":
        return dg.multiprocess_executor.configured({"max_concurrent": execution.workers}, name="processes")
    if execution.executor == "dask":
        return _dask_executor(str(execution.dask_address))
    return dg.in_process_executor


def allow_training(instance: dg.DagsterInstance, execution: ExecutionSettings) -> None:
    """Lets as many trainings run at once on this instance as there are workers, one in process."""
    storage = instance.event_log_storage
    wanted = 1 if execution.executor == "in_process" else execution.workers
    limits = {limit.name: limit.limit for limit in storage.get_pool_limits()}
    if storage.supports_global_concurrency_limits and limits.get(TRAINING_POOL, 1) != wanted:
        storage.set_concurrency_slots(TRAINING_POOL, wanted)


def _dask_executor(address: str) -> dg.ExecutorDefinition:
    @dg.executor(name="dask", requirements=multiple_process_executor_requirements())
    def dask(_init: dg.InitExecutorContext) -> dg.Executor:
        from stockfc_assets.defs.dask_steps import DaskSteps

        return DaskSteps(address)

    return dask
