"""A source made of given rows, for tests that need a history of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA, FactsResult, FetchResult


class GivenMarket:
    """A `MarketDataSource` of given ``bars`` (BARS_SCHEMA) and ``facts`` (FACTS_SCHEMA). Counts the questions."""

    name = "given"
    label = "given rows"
    is_simulated = True
    is_remote = False

    def __init__(self, bars: pl.DataFrame, facts: pl.DataFrame | None = None) -> None:
        self._bars = bars
        self._facts = pl.DataFrame(schema=FACTS_SCHEMA) if facts is None else facts
        self.questions = 0

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        self.questions += 1
        wanted = pl.col("ticker").is_in(list(tickers)) & pl.col("session").is_between(start, end)
        return FetchResult(self._bars.filter(wanted).sort("session", "ticker"))

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        known = self._facts.filter(pl.col("ticker").is_in(list(tickers)) & (pl.col("published") < as_of))
        newest = known.sort("published").unique("ticker", keep="last", maintain_order=True)
        return FactsResult(newest.sort("ticker"), as_of)

    def describe(self) -> dict[str, Any]:
        return {"tickers": self._bars["ticker"].n_unique()}


def bars_of(ticker: str, rows: dict[str, Sequence[Any]], *, currency: str = "JPY") -> pl.DataFrame:
    """Rows of BARS_SCHEMA; prices that are not given equal the close, dividends are 0 and split ratios 1."""
    frame = pl.DataFrame({"volume": [1000] * len(rows["close"]), **rows}, strict=False)
    missing = {name: pl.col("close") for name in ("open", "high", "low") if name not in frame.columns}
    missing |= {name: pl.lit(value) for name, value in (("dividend", 0.0), ("split_ratio", 1.0)) if name not in rows}
    return (
        frame.with_columns(ticker=pl.lit(ticker), currency=pl.lit(currency), **missing)
        .select(BARS_SCHEMA.names())
        .cast(BARS_SCHEMA)
    )
