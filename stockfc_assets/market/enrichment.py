"""Company facts of a month: what was known when it began, on the share basis of that moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from stockfc_assets.market.source import FACTS_SCHEMA

PER_SHARE_COLUMNS = ("eps_ttm", "book_value_per_share", "dividend_per_share_ttm")
COLUMNS = (
    "ticker", "as_of", "shares_outstanding", "eps_ttm", "book_value_per_share", "dividend_per_share_ttm",
    "return_on_equity", "profit_margin", "sector", "industry", "per", "pbr", "dividend_yield", "market_cap",
)  # fmt: skip


def enrich(facts: pl.DataFrame, raw_before: pl.DataFrame, as_of: dt.date, members: Sequence[str]) -> pl.DataFrame:
    """Rows of tables.UniverseEnrichment, one per member, sorted by ticker; all null where no facts are known.

    ``facts``: `source.FACTS_SCHEMA`; of each ticker the newest row published before ``as_of`` counts.
    ``raw_before``: as-traded rows (tables.RawOhlcv) that reach back at least to the publication dates; rows on or after
    ``as_of`` are ignored.

    Values per share are divided, and shares multiplied, by the splits that took effect after ``published`` and before
    ``as_of``. ``per``, ``pbr``, ``dividend_yield`` and ``market_cap`` use the newest as-traded close before ``as_of``
    and are null without one. Negative earnings give a negative ``per`` (its reciprocal, the earnings yield, stays
    meaningful and ordered); earnings of exactly 0 give null, and likewise for ``pbr``.
    """
    known = (
        facts.select(pl.col(name).cast(dtype) for name, dtype in FACTS_SCHEMA.items())
        .filter(pl.col("published") < as_of)
        .sort("ticker", "published")
        .unique("ticker", keep="last", maintain_order=True)
    )
    raw = raw_before.filter(pl.col("session") < as_of)
    close = raw.sort("session").group_by("ticker").agg(_close=pl.col("close").last())
    splits = (
        raw.filter(pl.col("split_ratio") != 1.0)
        .join(known.select("ticker", "published"), on="ticker")
        .filter(pl.col("session") > pl.col("published"))
        .group_by("ticker")
        .agg(_split=pl.col("split_ratio").sort_by("session").product())
    )
    return (
        pl.DataFrame({"ticker": sorted(set(members))}, schema={"ticker": pl.String})
        .join(known, on="ticker", how="left")
        .join(close, on="ticker", how="left")
        .join(splits, on="ticker", how="left")
        .with_columns(pl.col("_split").fill_null(1.0), as_of=pl.lit(as_of))
        .with_columns(pl.col(*PER_SHARE_COLUMNS) / pl.col("_split"), pl.col("shares_outstanding") * pl.col("_split"))
        .with_columns(
            per=pl.col("_close") / _non_zero("eps_ttm"),
            pbr=pl.col("_close") / _non_zero("book_value_per_share"),
            dividend_yield=pl.col("dividend_per_share_ttm") / pl.col("_close"),
            market_cap=pl.col("_close") * pl.col("shares_outstanding"),
        )
        .select(COLUMNS)
        .sort("ticker")
    )


def _non_zero(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != 0).then(pl.col(column))
