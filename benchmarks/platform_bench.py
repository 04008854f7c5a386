"""The platform as a whole: the demo, a backfill, loading the code location, the daily forecast's process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).parents[1]
TEN_YEARS = ("2016-11-21", "2026-11-20")


MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def timed(*command: str, data: Path, **environ: str) -> tuple[float, float]:
    """(seconds, peak resident megabytes) of a command in a process of its own.

    A process begins with the memory of the one that starts it, so a small one stands between.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STOCKFC_", "DAGSTER_HOME"))}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, *command],
        cwd=REPO,
        env={**clean, "STOCKFC_DATA": str(data), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    status, megabytes = done.stdout.split()
    if int(status):
        raise RuntimeError(f"{' '.join(command)} ended with {status}: {done.stderr[-1000:]}")
    return time.monotonic() - began, float(megabytes)


def bench_code_location() -> dict[str, float]:
    """Seconds to import the definitions in a fresh process (the best of three: the first one reads from disk)."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [timed("-c", "import stockfc_assets.definitions", data=Path(folder))[0] for _ in range(3)]
    return {"seconds": min(runs)}


def bench_backfill() -> dict[str, float]:
    """Ten years x 31 tickers on the embedded market: prices and features, the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        start, end = TEN_YEARS
        seconds, megabytes = timed(
            "-m", "stockfc_assets.cli", "backfill", "--from", start, "--to", end, data=Path(folder)
        )
    return {"seconds": seconds, "peak_mb": megabytes}


def bench_demo(data: Path) -> dict[str, float]:
    """`stockfc demo` from nothing, then again with everything in place."""
    first, megabytes = timed("-m", "stockfc_assets.cli", "demo", data=data)
    second, _ = timed("-m", "stockfc_assets.cli", "demo", data=data)
    return {"first_seconds": first, "second_seconds": second, "peak_mb": megabytes}


MODEL_FILES = ("onnx_model", "champion_model", "universe_enrichment")

DAILY = """
import datetime as dt, json, pathlib, sys, time
from stockfc_assets.forecasts.daily import DailyForecaster
from stockfc_assets.forecasts.intervals import IntervalTarget
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources import effective_settings
from stockfc_assets.configuration import load_settings
from stockfc_assets.storage import LocalStore, Warehouse
settings = effective_settings(load_settings())
source = {"name": "bench", "label": "bench", "simulated": True}
calendar = trading_calendar(settings.universe.exchange)
forecaster = DailyForecaster(Warehouse(LocalStore(settings.data_root)), settings, calendar, source=source)
session = dt.date.fromisoformat(sys.argv[1])
record = {"overall": {"n": 0}, "horizons": []}
target = IntervalTarget.nominal(settings.model.interval.level)
times = []
for _ in range(2):
    began = time.monotonic()
    forecast = forecaster.forecast(session, track_record=record, target=target)
    times.append(time.monotonic() - began)
    if len(times) == 1:  # a forecasting process makes one forecast
        peak = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"stocks": forecast.document["num_predictions"], "first_seconds": times[0],
                  "second_seconds": times[1], "peak_mb": peak}))
"""


def bench_daily(data: Path, session: str = TEN_YEARS[1], config: Path | None = None) -> dict[str, float]:
    """One session's forecast, from stored features to published files, in a process without torch or Dagster runs."""
    environ = {**os.environ, "STOCKFC_DATA": str(data), **({"STOCKFC_CONFIG": str(config)} if config else {})}
    done = subprocess.run(
        [sys.executable, "-c", DAILY, session], cwd=REPO, env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def bench_daily_4000(demo_data: Path, session: str = TEN_YEARS[1]) -> dict[str, float]:
    """The same for 4,000 invented tickers, with the demo's model; the market is made and stored first."""
    with tempfile.TemporaryDirectory() as folder:
        config, data = Path(folder) / "config", Path(folder) / "data"
        shutil.copytree(REPO / "config", config)
        local = config / "environments" / "local.yaml"
        local.write_text(local.read_text() + "sources: {simulated: {tickers: 4000}}\n")
        for name in MODEL_FILES[:2]:
            shutil.copytree(demo_data / name, data / name)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.large_market", str(config), str(data), session], cwd=REPO, check=True
        )
        return bench_daily(data, session, config)
