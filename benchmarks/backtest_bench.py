"""Speed and memory of the backtest, on random arrays: `python -m benchmarks.backtest_bench`."""

from __future__ import annotations

import resource
import time

import numpy as np

from stockfc_assets.evaluation.backtest import Market, backtest
from stockfc_assets.evaluation.backtest_record import trading_rules
from stockfc_assets.trading_rules import BacktestSettings

SESSIONS_PER_MONTH = 21
TARGET_SECONDS = 2.0


def random_market(days: int, stocks: int, seed: int = 0) -> Market:
    """Random walks, two dividends a year, 1 % of the rows missing, a turnover of about 180 million a day."""
    generator = np.random.default_rng(seed)
    close = 1000 * np.exp(np.cumsum(generator.normal(0, 0.02, (days, stocks)), axis=0))
    close[generator.random((days, stocks)) < 0.01] = np.nan
    dividend = np.where(generator.random((days, stocks)) < 2 / 245, 5.0, 0.0)
    return Market(close, dividend, generator.lognormal(19, 1, (days, stocks)))


def bench_backtest(years: int, stocks: int) -> dict[str, float]:
    """Seconds of the first and of a second run: three portfolios, monthly decisions; peak memory in GB."""
    market = random_market(245 * years, stocks)
    decisions = np.arange(SESSIONS_PER_MONTH - 1, 245 * years, SESSIONS_PER_MONTH)
    forecast = np.random.default_rng(1).normal(size=(len(decisions), stocks))
    rules = trading_rules(BacktestSettings(), "XTKS")
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        backtest(market, decisions, forecast, np.ones(forecast.shape, dtype=bool), rules)
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"first_seconds": seconds[0], "second_seconds": seconds[1], "peak_gb": peak}


def main() -> None:
    for stocks in (31, 4_000):
        figures = bench_backtest(10, stocks)
        title = f"backtest, 10 years x {stocks:,} stocks"
        print(
            f"{title:42s}",
            ", ".join(f"{name} {value:,.3f}" for name, value in figures.items()),
            f"(aim {TARGET_SECONDS:g} s)",
        )


if __name__ == "__main__":
    main()
