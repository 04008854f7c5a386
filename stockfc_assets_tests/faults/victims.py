"""Runs that are killed: `python -m stockfc_assets_tests.faults.victims` imports everything once and forks a run per request.

A request is a line of JSON: ``folder`` (of the configuration), ``data`` (of the data root in it), ``stage``, ``kill`` (None;
``{"after": seconds}``; or ``{"write": n, "moment": ...}``, at the n-th file that is written). The answer is a line, too: wait
``status`` of the process, ``seconds``, ``writes``, and, of a run that ended by itself, what the instance ``knows``.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MONTH = dt.date(2024, 3, 1)
STAGES: dict[str, Callable[[Any], Any]] = {
    "history": lambda bench: bench.backfill(dt.date(2019, 1, 4), dt.date(2024, 2, 29)),
    "backfill": lambda bench: bench.backfill(dt.date(2024, 2, 5), dt.date(2024, 3, 1)),
    "training": lambda bench: bench.monthly(MONTH, None, walk=False),
    "publication": lambda bench: bench.daily(None),
}
MOMENTS = ("before", "half", "staged", "after")
"""Of a write: before it begins, with half of its bytes in the staged file, before the rename, after it."""


class Victims:
    """The other end of the server: ``run`` starts one process and waits for its end."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def run(self, folder: Path, data: str, stage: str, kill: dict[str, Any] | None = None) -> dict[str, Any]:
        request = {"folder": str(folder), "data": data, "stage": stage, "kill": kill}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, "the server of victims has ended; its last words are above"
        return json.loads(answer)


@contextmanager
def serving() -> Iterator[Victims]:
    environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    command = [sys.executable, "-m", "stockfc_assets_tests.faults.victims"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ, cwd=root
    ) as server:
        yield Victims(server)
        server.stdin.close()


# --- inside the server ------------------------------------------------------------------------------------------------


def main() -> None:
    import onnx  # noqa: F401 - imported before the forks, once for all of them
    import onnxruntime  # noqa: F401
    import torch  # noqa: F401

    import stockfc_assets.defs.workbench
    import stockfc_assets.forecasts.inference
    import stockfc_assets.market.sources.simulated
    import stockfc_assets.models.export
    import stockfc_assets.models.fine_tuning  # noqa: F401
    from stockfc_assets.market.calendar import trading_calendar

    trading_calendar("XTKS")

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_one(json.loads(line))), file=answers, flush=True)


def _one(request: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be(request, writing)
    os.close(writing)
    kill = request["kill"] or {}
    if "after" in kill:
        time.sleep(kill["after"])
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return {"status": status, "seconds": time.monotonic() - began, **(json.loads(said) if said else {})}


def _be(request: dict[str, Any], writing: int) -> None:
    """The forked process; never returns."""
    from stockfc_assets_tests.conftest import NOW
    from stockfc_assets_tests.end_to_end.walk import workbench

    try:
        writes = _watch_writes(request["kill"] or {})
        bench = workbench(Path(request["folder"]), request["data"], NOW)
        STAGES[request["stage"]](bench)
        os.write(writing, json.dumps({"writes": len(writes), "knows": _knows(bench)}).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _knows(bench: Any) -> dict[str, Any]:
    from stockfc_assets.defs.instance import materialized
    from stockfc_assets.defs.status import ASSETS

    return {
        "materialized": {asset: sorted(materialized(bench.instance, asset)) for asset in ASSETS},
        "runs": sorted(run.status.value for run in bench.instance.get_runs()),
    }


def _watch_writes(kill: dict[str, Any]) -> list[Path]:
    """The files that this process writes; at the ``write``-th it dies."""
    from stockfc_assets.storage import local

    written: list[Path] = []
    whole = local.LocalStore._write

    def write(store: local.LocalStore, target: Path, data: bytes) -> None:
        written.append(target)
        moment = kill.get("moment") if len(written) == kill.get("write") else None
        if moment == "before":
            _die()
        if moment == "half":
            local.os.fdopen = lambda handle, _mode: _die(os.write(handle, data[: len(data) // 2]))
        if moment == "staged":
            local.os.replace = _die
        whole(store, target, data)
        if moment == "after":
            _die()

    local.LocalStore._write = write
    return written


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
