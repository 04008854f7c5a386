"""Runs whose process was killed: nobody is left to say that they ended.

What belongs here: knowing which process a run at a terminal belongs to, and ending runs whose process is gone. What does
not: runs that the daemon launched (their code server and run monitoring watch those).
Concept: https://docs.dagster.io/deployment/execution/run-monitoring

Dagster's run monitoring cannot see the process of a run at a terminal. Such a run would stay STARTED for ever, and the
sensors, which wait for unfinished runs, would wait with it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

PROCESS_TAG = "stockfc/process"
ZOMBIE = "Z"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def terminal_tags() -> dict[str, str]:
    """Tags of a run in this process: which process it is, and that a person, not the daemon, starts it again."""
    pid = os.getpid()
    return {PROCESS_TAG: f"{_machine()} {pid} {_started(pid)}", MAX_RETRIES_TAG: "0"}


def end_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs of this machine as failed whose process is gone, and frees their pools; returns their ids."""
    gone = [run for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)) if _is_gone(run.tags.get(PROCESS_TAG))]
    for run in gone:
        instance.report_run_failed(
            run, "its process is gone: killed, out of memory, or the machine was switched off; start it again"
        )
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in gone]


def _is_gone(process: str | None) -> bool:
    """Whether ``process`` (machine, id, start) was of this machine and runs no more."""
    machine, pid, started = (process or "").split() or ("", "0", "")
    return machine == _machine() and _started(int(pid)) != started


def _machine() -> str:
    """The host's name and what numbers its processes: two containers may share the one, never the other."""
    try:
        return f"{socket.gethostname()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """When the process began, in ticks since the machine did, so that a number that was given again is told apart;
    ``unknown`` where the system has no /proc, and nothing for a process that does not run."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == ZOMBIE else rest[18]
    except OSError:
        return "unknown" if _is_alive(pid) else ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
