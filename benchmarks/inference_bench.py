"""Speed and memory of the forecast: `python benchmarks/inference_bench.py`.

The network has its real size; its weights are untrained, which changes no time. Each figure is taken in a process of
its own that loads neither torch nor dagster, as the daily forecast does.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).parents[1]
Figures = dict[str, float]

EXPORT = """
import sys
from pathlib import Path
import torch
from stockfc_assets.models.export import export_onnx
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.configuration import load_settings
torch.manual_seed(0)
network = ForecastNetwork(load_settings({}).model.network).eval()
Path(sys.argv[1]).write_bytes(export_onnx(network))
"""

PREDICT = """
import json, re, sys, time
from pathlib import Path
import numpy as np
from stockfc_assets.features.panel import ModelInputs
from stockfc_assets.forecasts.inference import OnnxForecaster
folder, count, repeats = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
forecaster = OnnxForecaster((folder / "model.onnx").read_bytes(), json.loads((folder / "model.json").read_text()))
load = time.perf_counter() - began
random = np.random.default_rng(0)
weekly = random.normal(0, 0.05, (count, 156, 23)).astype(np.float32)
weekly[random.random(weekly.shape) < 0.02] = np.nan
inputs = ModelInputs(
    tickers=tuple(str(number) for number in range(count)),
    weekly_seq=weekly,
    static_features=random.normal(size=(count, 6)).astype(np.float32),
    position_features=random.random((count, 2)).astype(np.float32),
    sector_id=np.zeros(count, dtype=np.int64),
)
times = []
for _ in range(repeats + 1):
    began = time.perf_counter()
    forecaster.predict(inputs)
    times.append(time.perf_counter() - began)
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"load": load, "first": times[0], "times": times[1:], "peak_mb": peak}))
"""


def bench_31_tickers() -> Figures:
    """31 stocks: loading the model (hash and checks included), the first forecast, the median of 20 more."""
    figures = _predict(31, repeats=20)
    return {
        "load_ms": figures["load"] * 1e3,
        "first_ms": figures["first"] * 1e3,
        "median_ms": statistics.median(figures["times"]) * 1e3,
        "peak_mb": figures["peak_mb"],
    }


def bench_4000_tickers() -> Figures:
    """4,000 stocks in batches, on two threads."""
    figures = _predict(4000, repeats=2)
    return {"seconds": min(figures["times"]), "peak_mb": figures["peak_mb"]}


def _predict(count: int, *, repeats: int) -> dict:
    from stockfc_assets.features.names import (
        HORIZONS,
        POSITION_FEATURES,
        SEQUENCE_WEEKS,
        STATIC_FEATURES,
        WEEKLY_FEATURES,
    )

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        _python(EXPORT, str(model))
        card = {
            "model_id": "bench",
            "onnx": {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()},
            "features": {"weekly": WEEKLY_FEATURES, "static": STATIC_FEATURES, "position": POSITION_FEATURES},
            "horizons": HORIZONS,
            "sequence_weeks": SEQUENCE_WEEKS,
            "sectors": {"Unknown": 0},
        }
        (Path(folder) / "model.json").write_text(json.dumps(card))
        return json.loads(_python(PREDICT, folder, str(count), str(repeats)))


def _python(script: str, *arguments: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=REPO, env=environ, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    for bench in (bench_31_tickers, bench_4000_tickers):
        print(bench.__name__, {name: round(value, 3) for name, value in bench().items()})
