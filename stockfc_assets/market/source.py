"""The protocol of price sources, and what they hand over.

A source knows a market and answers for any range of dates. It stores nothing, and it never invents a row: a stock that
did not trade on a session has none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

BARS_SCHEMA = pl.Schema(
    {
        "ticker": pl.String,
        "session": pl.Date,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,
        "dividend": pl.Float64,
        "split_ratio": pl.Float64,
        "currency": pl.String,
    }
)
"""Columns of `FetchResult.bars`: those of tables.RawOhlcv, in its order."""

FACTS_SCHEMA = pl.Schema(
    {
        "ticker": pl.String,
        "published": pl.Date,
        "shares_outstanding": pl.Float64,
        "eps_ttm": pl.Float64,
        "book_value_per_share": pl.Float64,
        "dividend_per_share_ttm": pl.Float64,
        "return_on_equity": pl.Float64,
        "profit_margin": pl.Float64,
        "sector": pl.String,
        "industry": pl.String,
    }
)
"""Columns of `FactsResult.facts`. Any but the first two may be null."""


@dataclass(frozen=True)
class FetchResult:
    """Prices as traded: rows of tables.RawOhlcv, sorted by session, then ticker.

    ``failures`` names the tickers that the source could not answer for, with its reason; a stock that was not listed
    yet, or did not trade, is no failure. ``warnings`` name what the source saw and would not repair: each says ticker,
    session, what was seen.
    """

    bars: pl.DataFrame
    failures: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FactsResult:
    """Company facts (`FACTS_SCHEMA`), sorted by ticker, at most one row per ticker: the newest one known.

    Values per share, and the number of shares, stand on the share basis of ``published``. A ticker without known facts
    has no row and is no failure.
    """

    facts: pl.DataFrame
    failures: dict[str, str] = field(default_factory=dict)


class MarketDataSource(Protocol):
    """Where prices and company facts come from."""

    name: str
    """The source's name in the configuration, such as ``simulated``."""
    label: str
    """What to call it before a person, beside every number that came from it."""
    is_simulated: bool

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        """As-traded bars of the sessions from ``start`` to ``end``, both inclusive."""
        ...

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        """The newest facts of each ticker that were published on a date before ``as_of``."""
        ...

    def describe(self) -> dict[str, Any]:
        """What `stockfc doctor` shows: number of tickers, first and last session, and the like (JSON values)."""
        ...
