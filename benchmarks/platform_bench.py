"""The platform as a whole: the demo, a backfill, loading the code location, the daily forecast's process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).parents[1]
TEN_YEARS = ("2016-11-21", "2026-11-20")


def _timed(*command: str, data: Path, **environ: str) -> tuple[float, float]:
    """(seconds, peak resident megabytes) of a command in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STOCKFC_", "DAGSTER_HOME"))}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=REPO,
        env={**clean, "STOCKFC_DATA": str(data), **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def bench_code_location() -> dict[str, float]:
    """Seconds to import the definitions in a fresh process (the best of three: the first one reads from disk)."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [_timed("-c", "import stockfc_assets.definitions", data=Path(folder))[0] for _ in range(3)]
    return {"seconds": min(runs)}


def bench_backfill() -> dict[str, float]:
    """Ten years x 31 tickers on the embedded market: prices and features, the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        start, end = TEN_YEARS
        seconds, megabytes = _timed(
            "-m", "stockfc_assets.cli", "backfill", "--from", start, "--to", end, data=Path(folder)
        )
    return {"seconds": seconds, "peak_mb": megabytes}


def bench_demo(data: Path) -> dict[str, float]:
    """`stockfc demo` from nothing, then again with everything in place."""
    first, megabytes = _timed("-m", "stockfc_assets.cli", "demo", data=data)
    second, _ = _timed("-m", "stockfc_assets.cli", "demo", data=data)
    return {"first_seconds": first, "second_seconds": second, "peak_mb": megabytes}


DAILY = """
import datetime as dt, json, resource, sys, time
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.forecasts.daily import DailyForecaster
platform = Platform(open_settings())
source = {"name": "bench", "label": "bench", "simulated": True}
forecaster = DailyForecaster(platform.warehouse, platform.settings, platform.calendar, source=source)
session = dt.date.fromisoformat(sys.argv[1])
record = {"overall": {"n": 0}, "horizons": []}
platform.calendar.sessions
times = []
for _ in range(3):
    began = time.monotonic()
    forecaster.forecast(session, track_record=record)
    times.append(time.monotonic() - began)
print(json.dumps({"first_seconds": times[0], "best_seconds": min(times),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def bench_daily(data: Path, session: str) -> dict[str, float]:
    """One session's forecast, from stored features to published files, in a process without torch."""
    import json

    environ = {**os.environ, "STOCKFC_DATA": str(data)}
    done = subprocess.run(
        [sys.executable, "-c", DAILY, session], cwd=REPO, env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
