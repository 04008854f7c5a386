"""Rows as a source delivered them: those that cannot be right are refused and named before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import WARNING, finding, findings_frame

PRICES = ("open", "high", "low", "close")
BAR = (*PRICES, "volume")
UNREADABLE = "unreadable"
"""Optional column of `refuse_rows`: what stood in the cells that are no number, by `unreadable_text`."""
ROUNDING = 1e-6
"""Relative noise of prices that were stored as 32-bit numbers: 6e-8 each, with room for a split's division."""

EXPECTED = {
    "invalid_price": "four prices above 0, or no row",
    "invalid_volume": "a number of shares, 0 or more",
    "no_trade_row": "no row, because a session without a trade has none",
    "ohlc_contradiction": "low <= open, close <= high",
}


def refuse_rows(rows: pl.DataFrame, calendar: TradingCalendar) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that keep the laws of a bar, and a finding (findings.FINDINGS_SCHEMA) for each of the others.

    ``rows``: ticker, session (Date), open, high, low, close (Float64), volume (any number), all but the first two
    nullable; of one or many tickers, in any order, on any share basis. Other columns are kept; ``unreadable`` (String,
    null where all cells were numbers) is quoted in the finding and dropped.

    Refused, each row for the first reason that holds: its date is no session (phantom_row); another row of the session
    differs in any column (duplicate_row; of equal rows one is kept); no trade (no_trade_row: no volume, and prices all
    0 or missing, or all the close before); a price that is no finite number above 0 (invalid_price); high and low that
    do not enclose open and close (ohlc_contradiction); a volume that is missing, negative or not finite
    (invalid_volume). Where high and low miss by no more than `ROUNDING`, they are moved to enclose open and close.

    The rows that are kept come sorted by ticker and session.
    """
    rows = _finite(rows).sort("ticker", "session", maintain_order=True)
    rows, phantoms = _phantoms(rows, calendar)
    rows, duplicates = _duplicates(rows)
    marked = rows.with_columns(_defect=_defect(rows))
    refused = marked.filter(pl.col("_defect").is_not_null())
    named = [
        finding(row["ticker"], row["session"], row["_defect"], seen=bar_text(row), expected=EXPECTED[row["_defect"]])
        for row in refused.iter_rows(named=True)
    ]
    kept = marked.filter(pl.col("_defect").is_null()).drop("_defect", UNREADABLE, strict=False)
    kept = kept.with_columns(low=pl.min_horizontal(PRICES), high=pl.max_horizontal(PRICES))
    return kept, findings_frame([*phantoms, *duplicates, *named])


def unreadable_text(texts: Mapping[str, pl.Series]) -> pl.Expr:
    """The column ``unreadable``: of each name its text (null = the cell is a number), such as ``close '#VALUE!'``."""
    parts = [pl.format(f"{name} '{{}}'", pl.lit(text)) for name, text in texts.items()]
    joined = pl.concat_str(parts, separator=", ", ignore_nulls=True) if parts else pl.lit("")
    return pl.when(joined != "").then(joined).alias(UNREADABLE)


def bar_text(row: dict[str, Any]) -> str:
    """A row in words: ``open 10, high 11, low 9, close 10, volume 100``, or the cells that could not be read."""
    if row.get(UNREADABLE):
        return str(row[UNREADABLE])
    return ", ".join(f"{name} {number_text(row[name])}" for name in BAR)


def number_text(value: float | None) -> str:
    """At most 10 significant digits, so that 32-bit noise does not show beyond what it is; ``nothing`` for null."""
    return "nothing" if value is None else f"{value:.10g}"


def _finite(rows: pl.DataFrame) -> pl.DataFrame:
    """NaN and infinite numbers are null from here on."""
    numbers = [pl.col(name).cast(pl.Float64) for name in BAR]
    return rows.with_columns(
        pl.when(number.is_finite()).then(number).alias(number.meta.output_name()) for number in numbers
    )


def _phantoms(rows: pl.DataFrame, calendar: TradingCalendar) -> tuple[pl.DataFrame, Iterable[dict[str, Any]]]:
    why = {date: calendar.why_closed(date) for date in rows["session"].unique() if not calendar.is_session(date)}
    closed = list(why)
    if not closed:
        return rows, []
    named = [
        finding(
            row["ticker"], row["session"], "phantom_row", seen=bar_text(row), expected=f"no row: {why[row['session']]}"
        )
        for row in rows.filter(pl.col("session").is_in(closed)).unique(maintain_order=True).iter_rows(named=True)
    ]
    return rows.filter(~pl.col("session").is_in(closed)), named


def _duplicates(rows: pl.DataFrame) -> tuple[pl.DataFrame, Iterable[dict[str, Any]]]:
    key = ["ticker", "session"]
    if not rows.select(key).is_duplicated().any():
        return rows, []
    repeated = rows.filter(pl.struct(key).is_duplicated())
    distinct = rows.unique(maintain_order=True)
    differing = distinct.filter(pl.struct(key).is_duplicated())
    named = []
    for (ticker, session), same in repeated.group_by(key, maintain_order=True):
        versions = same.unique(maintain_order=True)
        equal = versions.height == 1
        texts = dict.fromkeys(bar_text(row) for row in versions.iter_rows(named=True))
        named.append(
            finding(
                ticker,
                session,
                "duplicate_row",
                seen=f"{same.height} equal rows" if equal else f"{same.height} rows: {'; '.join(texts)}",
                expected="one row",
                severity=WARNING if equal else None,
            )
        )
    return distinct.join(differing, on=key, how="anti", maintain_order="left"), named


def _defect(rows: pl.DataFrame) -> pl.Expr:
    """Name of the first law of a bar that the row breaks, else null. ``rows`` are sorted, one per ticker and session."""
    prices = [pl.col(name) for name in PRICES]
    readable = pl.col(UNREADABLE).is_null() if UNREADABLE in rows.columns else pl.lit(True)
    previous = pl.when(pl.col("close") > 0).then(pl.col("close")).forward_fill().shift(1).over("ticker")
    nothing = pl.all_horizontal((price == 0) | price.is_null() for price in prices)
    repeated = pl.all_horizontal((price == previous).fill_null(False) for price in prices)
    untraded = (pl.col("volume") == 0) | pl.col("volume").is_null()
    tolerance = 1 + ROUNDING
    outside = (pl.col("low") > pl.min_horizontal(PRICES) * tolerance) | (
        pl.col("high") * tolerance < pl.max_horizontal(PRICES)
    )
    return (
        pl.when(readable & untraded & (nothing | repeated))
        .then(pl.lit("no_trade_row"))
        .when(~pl.all_horizontal((price > 0).fill_null(False) for price in prices))
        .then(pl.lit("invalid_price"))
        .when(outside)
        .then(pl.lit("ohlc_contradiction"))
        .when(~(pl.col("volume") >= 0).fill_null(False))
        .then(pl.lit("invalid_volume"))
    )
