"""``make bench``: everything that is measured, one after the other, as a table with the machine and the target."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import platform_bench, report_bench

REPO = Path(__file__).parents[1]


def main() -> None:
    print(machine(), "\n")
    print(f"{'what':<58} {'measured':>24}   target")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for name, measure in platform_rows(data).items():
            row(name, measure())
        row("forecast_report, 31 tickers, in process", _report(report_bench.bench_report(data)), "<= 5 s, <= 5 MB")
        row("daily_predictions, 31 tickers, in process", _daily(platform_bench.bench_daily(data)), "<= 1 s, < 300 MB")
        row("daily_predictions, 4,000 tickers", _daily(platform_bench.bench_daily_4000(data)), "<= 20 s")
    for script in (
        "market_bench",
        "features_bench",
        "training_bench",
        "inference_bench",
        "baselines_bench",
        "scoring_bench",
        "backtest_bench",
        "walk_forward_bench",
        "s3_bench",
        "function_bench",
        "executor_bench",
        "storage_bench",
    ):
        print(f"\n{script}")
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{script}"], cwd=REPO, capture_output=True, text=True, check=True
        )
        print(done.stdout.strip())


def platform_rows(data: Path) -> dict[str, Callable[[], str]]:
    """What the platform rows measure; the demo leaves its data in ``data`` for those that follow."""
    return {
        "code location, import in a fresh process": lambda: (
            f"{platform_bench.bench_code_location()['seconds']:.2f} s|<= 2.5 s"
        ),
        "backfill, 10 years x 31 tickers, prices and features": lambda: (
            "{seconds:.1f} s, {peak_mb:.0f} MB|<= 30 s".format(**platform_bench.bench_backfill())
        ),
        "demo, first and second call": lambda: "{first_seconds:.1f} s, {second_seconds:.1f} s|<= 240 s, <= 20 s".format(
            **platform_bench.bench_demo(data)
        ),
        "model file": lambda: f"{next(data.glob('onnx_model/*/model.onnx')).stat().st_size / 1e6:.2f} MB|<= 2.8 MB",
    }


def row(name: str, measured: str, target: str = "") -> None:
    text, _, aim = measured.partition("|")
    print(f"{name:<58} {text:>24}   {target or aim}", flush=True)


def _daily(figures: dict[str, float]) -> str:
    return "{first_seconds:.2f} s, {peak_mb:.0f} MB".format(**figures)


def _report(figures: dict[str, float]) -> str:
    return "{seconds:.1f} s, {megabytes:.2f} MB".format(**figures)


def machine() -> str:
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = Path("/proc/meminfo").read_text().split()[1]
    versions = {"python": platform.python_version()}
    return json.dumps(
        {"cpu": cpu.split(":")[1].strip(), "cores": os.cpu_count(), "memory_gb": int(memory) // 10**6, **versions}
    )


if __name__ == "__main__":
    main()
