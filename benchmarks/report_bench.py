"""Time by part and size of a session's report: `python -m benchmarks.report_bench [DATA]`.

DATA is a data root with a published session (the newest one is taken); without it the demo makes one first. Prices of
other sources than the simulated one need their STOCKFC_ variables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.platform_bench import REPO, bench_demo

REPORT = """
import datetime as dt, json, pathlib, time
from stockfc_assets.configuration import load_settings
from stockfc_assets.forecasts.report import render_report
from stockfc_assets.forecasts.session_report import report_data
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources import effective_settings
from stockfc_assets.storage import LocalStore, Warehouse
settings = effective_settings(load_settings())
warehouse = Warehouse(LocalStore(settings.data_root))
session = dt.date.fromisoformat(warehouse.partitions("daily_predictions")[-1])
arguments = (warehouse, settings, trading_calendar(settings.universe.exchange), session)
marks = [time.monotonic()]
data = report_data(*arguments)
marks.append(time.monotonic())
page = render_report(data)
marks.append(time.monotonic())
read, render = (after - before for before, after in zip(marks, marks[1:]))
peak = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({
    "stocks": len(data.document["predictions"]), "explained": len(data.explanations), "read_seconds": read,
    "render_seconds": render, "seconds": read + render,
    "megabytes": len(page.encode()) / 1e6, "peak_mb": peak,
}))
"""


def bench_report(data: Path) -> dict[str, float]:
    """Seconds to read what is stored, with drift and explanations, and to render; size; peak memory.

    In a process of its own; ``seconds`` is the whole report.
    """
    environ = {**os.environ, "STOCKFC_DATA": str(data), "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", REPORT], env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        root = Path(sys.argv[1] if len(sys.argv) > 1 else folder)
        if len(sys.argv) == 1:
            bench_demo(root)
        print("bench_report", {name: round(value, 3) for name, value in bench_report(root).items()})
