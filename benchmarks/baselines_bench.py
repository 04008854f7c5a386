"""Speed and memory of the baselines on random bars: `python -m benchmarks.baselines_bench`."""

from __future__ import annotations

import datetime as dt
import resource
import time

import numpy as np
import polars as pl

from benchmarks.features_bench import random_bars, random_facts, random_universe
from stockfc_assets.evaluation.baselines import BASELINES, evaluate_baselines, fit, training_rows
from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel, build_panel
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.samples import evenly_in_time, matured_before

MONTH = dt.date(2026, 1, 1)
START = dt.date(2016, 1, 1)


def random_panel(n_tickers: int) -> Panel:
    """Ten years of noise: what it holds does not matter, how much does."""
    calendar = trading_calendar("XTKS")
    sessions = calendar.between(START, dt.date(2026, 1, 31))
    universe = random_universe(n_tickers)
    raw = random_bars(universe.tickers, sessions)
    noise = np.random.default_rng(1).normal(0, 0.05, (raw.height, len(WEEKLY_FEATURES))).astype(np.float32)
    features = pl.concat(
        [raw.select("ticker", "session"), pl.DataFrame(noise, schema=list(WEEKLY_FEATURES))], how="horizontal"
    )
    facts = random_facts(universe.tickers, START, MONTH)
    return build_panel(features, raw, facts, universe, {"A": 0}, calendar.sessions, START, dt.date(2026, 2, 1))


def bench_baselines(n_tickers: int) -> dict[str, float]:
    """Seconds to read the training rows, to fit each baseline and to forecast a month; peak memory of the process."""
    panel, settings = random_panel(n_tickers), ModelSettings()
    figures, fitted = {"samples": int(panel.eligible.sum())}, {}
    begin = time.perf_counter()
    training = training_rows(panel, evenly_in_time(matured_before(panel, MONTH), settings.baselines.samples))
    figures["rows_seconds"] = time.perf_counter() - begin
    for name in BASELINES:
        begin = time.perf_counter()
        fitted[name] = fit(name, training, settings)
        if (seconds := time.perf_counter() - begin) >= 0.01:
            figures[f"{name}_seconds"] = seconds
    begin = time.perf_counter()
    figures["forecasts"] = evaluate_baselines(panel, MONTH, fitted).height * len(fitted)
    figures["forecast_seconds"] = time.perf_counter() - begin
    return figures | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    for n_tickers in (31, 500):
        figures = bench_baselines(n_tickers)
        print(f"{n_tickers} tickers x 10 years".ljust(24), ", ".join(f"{k} {v:,.2f}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
