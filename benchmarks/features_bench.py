"""Speed and memory of the features room, on random bars: `python benchmarks/features_bench.py`."""

from __future__ import annotations

import datetime as dt
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.features.panel import build_panel
from stockfc_assets.features.panel_file import panel_bytes, read_panel
from stockfc_assets.features.weekly import LOOKBACK_SESSIONS, weekly_features
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Universe

END = dt.date(2026, 1, 31)
Figures = dict[str, float]


def random_universe(n_tickers: int) -> Universe:
    member = [{"member_from": dt.date(2000, 1, 1)}]
    stocks = [
        {"ticker": f"{10_000 + i}.T", "name": f"Stock {i}", "sector": "A", "member": member} for i in range(n_tickers)
    ]
    return Universe.model_validate({"name": "bench", "exchange": "XTKS", "stocks": stocks})


def random_bars(tickers: tuple[str, ...], sessions: tuple[dt.date, ...], seed: int = 0) -> pl.DataFrame:
    """RawOhlcv rows of random walks with a split every ten years or so."""
    generator = np.random.default_rng(seed)
    shape = (len(sessions), len(tickers))
    split = np.where(generator.random(shape) < 1 / 2450, 2.0, 1.0).ravel()
    close = 1000 * np.exp(np.cumsum(generator.normal(0, 0.02, shape), axis=0).ravel())
    opened = close * np.exp(generator.normal(0, 0.01, close.size))
    volume = generator.integers(1_000, 1_000_000, close.size)
    rows = len(sessions)
    return pl.DataFrame(
        {
            "ticker": pl.Series(tickers).gather(np.tile(np.arange(len(tickers)), rows)),
            "session": pl.Series(sessions).gather(np.repeat(np.arange(rows), len(tickers))),
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) / 1.01,
            "close": close,
            "volume": volume,
            "split_ratio": split,
        }
    )


def random_facts(tickers: tuple[str, ...], first: dt.date, last: dt.date) -> pl.DataFrame:
    months = pl.date_range(first.replace(day=1), last, "1mo", eager=True)
    values = {
        "shares_outstanding": 1e8,
        "eps_ttm": 80.0,
        "book_value_per_share": 900.0,
        "dividend_per_share_ttm": 25.0,
        "return_on_equity": 0.09,
        "profit_margin": 0.05,
    }
    keys = pl.DataFrame({"as_of": months}).join(pl.DataFrame({"ticker": tickers}), how="cross")
    return keys.with_columns(**{name: pl.lit(value) for name, value in values.items()})


def bench_weekly_features(n_tickers: int, years: int, *, sessions: int | None = None) -> Figures:
    """Seconds and peak memory (GB, of the process so far) of one range run; ``sessions`` shortens the range."""
    calendar = trading_calendar("XTKS").sessions
    known = trading_calendar("XTKS").between(END.replace(year=END.year - years), END)
    targets = known if sessions is None else known[-sessions:]
    universe = random_universe(n_tickers)
    first = calendar.index(targets[0])
    raw = random_bars(universe.tickers, calendar[first - LOOKBACK_SESSIONS : first + len(targets)])
    begin = time.perf_counter()
    features = weekly_features(raw, targets, calendar, universe)
    return {"seconds": time.perf_counter() - begin, "rows": features.height, "peak_gb": _peak_gb()}


def bench_panel(n_tickers: int, years: int) -> Figures:
    """Seconds to build, serialise, write and map a panel from frames in memory."""
    calendar = trading_calendar("XTKS")
    start = END.replace(year=END.year - years)
    sessions = calendar.between(start, END)
    universe = random_universe(n_tickers)
    raw = random_bars(universe.tickers, sessions)
    noise = np.random.default_rng(1).normal(size=(raw.height, len(WEEKLY_FEATURES))).astype(np.float32)
    features = pl.concat(
        [raw.select("ticker", "session"), pl.DataFrame(noise, schema=list(WEEKLY_FEATURES))], how="horizontal"
    )
    facts = random_facts(universe.tickers, start, END)
    begin = time.perf_counter()
    panel = build_panel(features, raw, facts, universe, {"A": 0}, calendar.sessions, start, dt.date(2026, 2, 1))
    built = time.perf_counter()
    content = panel_bytes(panel)
    serialised = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.arrow"
        path.write_bytes(content)
        mapping = time.perf_counter()
        read_panel(path)
        mapped = time.perf_counter()
    return {
        "seconds": built - begin,
        "bytes_seconds": serialised - built,
        "map_seconds": mapped - mapping,
        "cells": panel.traded.size,
        "samples": int(panel.eligible.sum()),
        "megabytes": len(content) / 1e6,
        "peak_gb": _peak_gb(),
    }


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    for title, figures in (
        ("weekly_features 31 tickers, 1 session", bench_weekly_features(31, 10, sessions=1)),
        ("weekly_features 31 tickers x 10 years", bench_weekly_features(31, 10)),
        ("panel 31 tickers x 10 years", bench_panel(31, 10)),
        ("panel 328 tickers x 10 years", bench_panel(328, 10)),
        ("weekly_features 4,000 tickers x 10 years", bench_weekly_features(4_000, 10)),
    ):
        print(f"{title:42s}", ", ".join(f"{name} {value:,.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
