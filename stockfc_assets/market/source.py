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

from stockfc_assets.market.findings import findings_frame

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

    ``failures`` names the tickers that the source could not answer for, with its own reason; a stock that was not
    listed yet, or did not trade, is no failure. ``findings`` (findings.FINDINGS_SCHEMA) name what the source saw and
    would not repair, of rows within the range asked for. ``earlier`` holds rows from before the range that came with the
    answer, as traded, to be compared with what is stored; a source need not hand over any. ``late`` names tickers whose
    rows end shortly before now, and the first session without one: a live service may still deliver it, so it does not
    count as a session without a trade.
    """

    bars: pl.DataFrame
    failures: dict[str, str] = field(default_factory=dict)
    findings: pl.DataFrame = field(default_factory=findings_frame)
    earlier: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BARS_SCHEMA))
    late: dict[str, dt.date] = field(default_factory=dict)


@dataclass(frozen=True)
class FactsResult:
    """Company facts (`FACTS_SCHEMA`), sorted by ticker, at most one row per ticker: the newest one known.

    Values per share, and the number of shares, stand on the share basis of ``published``. A ticker without known facts
    has no row and is no failure. ``as_of`` is the first date on which all of it was known: the date asked for, or a
    later one when the service could only be asked later. ``notes`` say what the source would not do, such as write
    today's facts into a past month.
    """

    facts: pl.DataFrame
    as_of: dt.date
    failures: dict[str, str] = field(default_factory=dict)
    findings: pl.DataFrame = field(default_factory=findings_frame)
    notes: tuple[str, ...] = ()


class MarketDataSource(Protocol):
    """Where prices and company facts come from."""

    name: str
    """The source's name in the configuration, such as ``simulated``."""
    label: str
    """What to call it before a person, beside every number that came from it."""
    is_simulated: bool
    is_remote: bool
    """Whether a question costs a service something: then only what is missing is asked for."""

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        """As-traded bars of the sessions from ``start`` to ``end``, both inclusive."""
        ...

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        """The newest facts of each ticker that were known before ``as_of``, the first day of a month."""
        ...

    def describe(self) -> dict[str, Any]:
        """What `stockfc doctor` shows: number of tickers, first and last session, and the like (JSON values)."""
        ...
