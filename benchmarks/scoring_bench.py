"""Speed and memory of scoring ten years of monthly forecasts of 4,000 stocks: `python -m benchmarks.scoring_bench`.

5.76 million forecasts (120 dates x 4,000 stocks x 12 horizons) with as many outcomes, both in no order. Each figure is
taken in a process of its own on two threads; the rank IC per date is beside pandas, and alphalens-reloaded where it is
installed, on the same panel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[1]
Figures = dict[str, float]

PANEL = """
import datetime as dt, json, re, time, warnings
from pathlib import Path
import numpy as np
import polars as pl
from stockfc_assets.features.names import HORIZONS

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

def panel(dates=120, stocks=4000, horizons=HORIZONS):
    random = np.random.default_rng(0)
    sessions = [dt.date(2016 + month // 12, month % 12 + 1, 28) for month in range(dates)]
    tickers = pl.DataFrame({"ticker": [f"{1000 + number}.T" for number in range(stocks)]})
    tickers = tickers.with_columns(sector=pl.format("sector {}", pl.int_range(stocks) % 33))
    keys = pl.DataFrame({"session": sessions}).join(pl.DataFrame({"horizon": horizons}), how="cross")
    keys = keys.join(tickers, how="cross").sample(fraction=1, shuffle=True, seed=1)
    forecast = random.normal(0, 0.05, keys.height)
    forecasts = keys.with_columns(log_return=forecast, current_price=100.0, lower=90.0, upper=115.0)
    forecasts = forecasts.with_columns(model_id=pl.col("session").dt.year().cast(pl.String))
    realised = 0.05 * forecast + random.normal(0, 0.1, keys.height)
    outcomes = keys.select("ticker", "session", "horizon", realised_log_return=realised)
    return forecasts, outcomes.sample(fraction=1, shuffle=True, seed=2)
"""

SCORES = """
from stockfc_assets.evaluation.scores import *
forecasts, outcomes = panel()
data_mb = peak_mb()
began, cpu = time.perf_counter(), time.process_time()
samples = scored_samples(forecasts, outcomes)
joined = time.perf_counter()
score_samples(samples)
scored = time.perf_counter()
for breakdown in (scores_by_sector, scores_by_year, scores_by_model):
    breakdown(samples)
done = time.perf_counter()
print(json.dumps({"join": joined - began, "scores": scored - joined, "breakdowns": done - scored, "total": done - began,
                  "cpu": time.process_time() - cpu,
                  "data_mb": data_mb, "peak_mb": peak_mb()}))
"""

RANK_IC = """
warnings.filterwarnings("ignore")
from importlib.util import find_spec
from stockfc_assets.evaluation.dates import date_scores
from stockfc_assets.evaluation.scores import scored_samples
samples = scored_samples(*panel(horizons=(1,)))
frame = samples.with_columns(pl.col("ticker").cast(pl.String)).to_pandas()
pair = ["log_return", "realised_log_return"]
data = frame.assign(date=frame["session"].astype("datetime64[ns]").dt.tz_localize("UTC")).set_index(["date", "ticker"])
data = data[pair].set_axis(["factor", "21D"], axis=1)
peers = {
    "ours": lambda: date_scores(samples, 10)["rank_ic"].to_numpy(),
    "pandas": lambda: frame.groupby("session")[pair].corr(method="spearman").unstack().iloc[:, 1].to_numpy(),
}
if find_spec("alphalens"):
    from alphalens.performance import factor_information_coefficient
    peers["alphalens"] = lambda: factor_information_coefficient(data)["21D"].to_numpy()
figures, found = {}, {}
for name, peer in peers.items():
    began = time.perf_counter()
    found[name] = peer()
    figures[name] = time.perf_counter() - began
figures["max_difference"] = max(float(np.abs(found["ours"] - theirs).max()) for theirs in found.values())
print(json.dumps(figures))
"""


def bench_scoring() -> Figures:
    """Seconds of the join, of all scores and of the three breakdowns, of both processors; memory of the inputs, and peak."""
    return _measure(SCORES)


def bench_rank_ic() -> Figures:
    """Seconds for the rank IC (and ours: IC and spread with it) of 120 dates x 4,000 stocks; largest difference."""
    return _measure(RANK_IC)


def _measure(script: str) -> Figures:
    environ = {**os.environ, "PYTHONPATH": str(REPO), "POLARS_MAX_THREADS": "2"}
    command = [sys.executable, "-c", PANEL + script]
    done = subprocess.run(command, cwd=REPO, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    for bench in (bench_scoring, bench_rank_ic):
        print(bench.__name__, {name: float(f"{value:.3g}") for name, value in bench().items()})
