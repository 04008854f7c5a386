"""A Dask cluster on loopback: a scheduler and workers as processes of their own, one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from stockfc_assets_tests.local_aws import free_port

STARTS_WITHIN = 120


@contextmanager
def dask_cluster(workers: int = 2, environ: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[int]]]:
    """Yields the scheduler's address and the workers' process ids. Raises RuntimeError when they do not come up."""
    address = f"tcp://127.0.0.1:{free_port()}"
    options = {"env": {**os.environ, **(environ or {})}, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    port = address.rpartition(":")[2]
    scheduler = _dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", **options)
    started = [scheduler]
    try:
        for _ in range(workers):
            started.append(_dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", **options))
        _wait_for(address, workers)
        yield address, [worker.pid for worker in started[1:]]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _dask(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "dask", *arguments], **options)


def _wait_for(address: str, workers: int) -> None:
    import distributed

    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        with suppress(OSError, TimeoutError), distributed.Client(address, timeout=5) as client:
            client.wait_for_workers(workers, timeout=deadline - time.monotonic())
            return
    raise RuntimeError(f"the Dask cluster at {address} does not answer")
