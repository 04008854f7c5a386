"""Random as-traded bars with gaps and splits, and a universe to go with them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Universe

BENCHMARK = "1306.T"
RATIOS = (2.0, 3.0, 5.0, 1.5, 0.1)


def calendar_sessions() -> tuple[dt.date, ...]:
    return trading_calendar("XTKS").sessions


def sessions_between(first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    return trading_calendar("XTKS").between(first, last)


def universe_of(tickers: Sequence[str], *, benchmark: str = BENCHMARK, members: dict | None = None) -> Universe:
    members = members or {}
    always = [{"member_from": dt.date(2000, 1, 1)}]
    stocks = [
        {
            "ticker": ticker,
            "name": ticker,
            "sector": "Foods" if i % 2 else "Banks",
            "member": members.get(ticker, always),
        }
        for i, ticker in enumerate(tickers)
    ]
    content = {"name": "test", "exchange": "XTKS", "benchmark": benchmark, "stocks": stocks}
    return Universe.model_validate(content)


def random_bars(
    tickers: Sequence[str],
    sessions: Sequence[dt.date],
    *,
    seed: int = 0,
    gap_share: float = 0.03,
    split_share: float = 0.01,
    locked_share: float = 0.05,
    zero_volume_share: float = 0.03,
) -> pl.DataFrame:
    """RawOhlcv rows: each ticker's bars follow from (seed, ticker) and the sessions alone."""
    frames = [
        _ticker_bars(ticker, sessions, np.random.default_rng([seed, *ticker.encode()]), shares)
        for shares in [(gap_share, split_share, locked_share, zero_volume_share)]
        for ticker in tickers
    ]
    return pl.concat(frames).sort("session", "ticker")


def _ticker_bars(ticker, sessions, generator, shares) -> pl.DataFrame:
    gap_share, split_share, locked_share, zero_volume_share = shares
    n = len(sessions)
    adjusted = 1000 * np.exp(np.cumsum(generator.normal(0, 0.02, n)))
    opened = adjusted * np.exp(generator.normal(0, 0.01, n))
    high = np.maximum(adjusted, opened) * np.exp(np.abs(generator.normal(0, 0.01, n)))
    low = np.minimum(adjusted, opened) * np.exp(-np.abs(generator.normal(0, 0.01, n)))
    locked = generator.random(n) < locked_share
    opened, high, low = (np.where(locked, adjusted, price) for price in (opened, high, low))
    volume = generator.integers(1_000, 1_000_000, n) * (generator.random(n) >= zero_volume_share)
    traded = generator.random(n) >= gap_share
    split = np.where((generator.random(n) < split_share) & traded, generator.choice(RATIOS, n), 1.0)
    basis = np.cumprod(split)
    frame = pl.DataFrame(
        {
            "ticker": [ticker] * n,
            "session": list(sessions),
            "open": opened / basis,
            "high": high / basis,
            "low": low / basis,
            "close": adjusted / basis,
            "volume": np.round(volume * basis).astype(np.int64),
            "dividend": np.zeros(n),
            "split_ratio": split,
            "currency": ["JPY"] * n,
        }
    )
    return frame.filter(pl.Series(traded))


def random_facts(
    tickers: Sequence[str], months: Sequence[dt.date], *, seed: int = 0, missing: float = 0.2
) -> pl.DataFrame:
    """UniverseEnrichment rows (the columns that features read) of several months, with nulls and missing rows."""
    generator = np.random.default_rng(seed)
    columns = {
        "shares_outstanding": (1e7, 1e9),
        "eps_ttm": (-50.0, 200.0),
        "book_value_per_share": (100.0, 3000.0),
        "dividend_per_share_ttm": (0.0, 60.0),
        "return_on_equity": (-0.1, 0.3),
        "profit_margin": (-0.1, 0.2),
    }
    rows = []
    for month in months:
        for ticker in tickers:
            values = {
                name: None if generator.random() < missing else float(generator.uniform(*bounds))
                for name, bounds in columns.items()
            }
            if generator.random() >= missing:
                rows.append({"ticker": ticker, "as_of": month, **values})
    schema = {"ticker": pl.String, "as_of": pl.Date} | dict.fromkeys(columns, pl.Float64)
    return pl.DataFrame(rows, schema=schema)
