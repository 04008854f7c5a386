"""Prices as traded, and their one adjustment for splits.

Price services divide a history by every split up to the day of asking, so histories fetched on different days stand on
different bases. We store what was paid (`to_as_traded`, `attach_splits`) and adjust on reading, with the splits known
at the reader's date (`adjusted_bars`).

The law that this module keeps: fetching a session before a later split and after it gives the same stored rows,
whatever the number, order and size of the splits. It holds to the byte as long as the service's own rounding, times
the product of the ratios, stays below half a unit of the rounding here (4 decimals of a price, 1 share of volume).

Frames of bars are those of tables.RawOhlcv. Splits have columns ``ticker``, ``ex_date`` (date) and ``ratio`` (new
shares per old share; below 1 for a reverse split), dividends ``ticker``, ``ex_date`` and ``amount`` (per share). What is
dropped is a finding (findings.FINDINGS_SCHEMA).
"""

from __future__ import annotations

import datetime as dt
import math

import polars as pl

from stockfc_assets.market.findings import finding, findings_frame

PRICE_COLUMNS = ("open", "high", "low", "close")
PRICE_DECIMALS = 4
DUPLICATE_DAYS = 7
"""The same ratio reported again within so many days is a duplicate."""
JUMP = 1.4
"""A price that opens and closes beyond this factor of the previous close shows, or contradicts, a split: it is more than
Tokyo's daily limits allow a share above 200 yen, and less than a 3:2 split. What is stored follows from it, so it is no
setting."""

SPLITS_SCHEMA = pl.Schema({"ticker": pl.String, "ex_date": pl.Date, "ratio": pl.Float64})
DIVIDENDS_SCHEMA = pl.Schema({"ticker": pl.String, "ex_date": pl.Date, "amount": pl.Float64})


# --- storing ----------------------------------------------------------------------------------------------------------


def to_as_traded(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Split-adjusted bars as they were traded: undoes every split with ``ex_date`` after the row's session.

    ``splits`` holds exactly those that the service has divided by: none that becomes effective only after the fetch,
    none twice (`drop_duplicate_splits`). Prices and ``dividend`` (where present) are multiplied by the product of the
    later ratios and rounded to 4 decimals, ``volume`` is divided by it and rounded to Int64. Row order is kept.
    """
    later = (
        splits.group_by("ticker", "ex_date")
        .agg(pl.col("ratio").product())
        .sort("ticker", "ex_date")
        .select(
            "ticker",
            pl.col("ex_date").cast(pl.Date),
            factor=pl.col("ratio").cast(pl.Float64).cum_prod(reverse=True).over("ticker"),
        )
        .sort("ex_date")
    )
    joined = (
        bars.with_row_index("_row")
        .sort("session")
        .join_asof(
            later,
            left_on="session",
            right_on="ex_date",
            by="ticker",
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .sort("_row")
    )
    factor = pl.col("factor").fill_null(1.0)
    per_share = [name for name in (*PRICE_COLUMNS, "dividend") if name in bars.columns]
    return joined.with_columns(
        (pl.col(per_share) * factor).round(PRICE_DECIMALS),
        (pl.col("volume") / factor).round(0).cast(pl.Int64),
    ).select(bars.columns)


def attach_splits(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Adds ``split_ratio``: 1, or the ratio of the split that takes effect on this row (several multiply).

    A split takes effect on the ticker's first row with session >= ``ex_date``, so also when the stock was halted on
    the day itself. A split from before the ticker's first row here is left out unless that row is its ``ex_date``:
    whether an earlier row already carries it cannot be seen. So to fetch one session, hand over the rows since the
    session before it. Row order is kept.
    """
    first = bars.group_by("ticker").agg(_first=pl.col("session").min())
    splits = splits.select("ticker", "ex_date", pl.col("ratio").cast(pl.Float64))
    effective = _effective_sessions(bars, splits).join(first, on="ticker")
    ratios = (
        effective.filter((pl.col("session") > pl.col("_first")) | (pl.col("session") == pl.col("ex_date")))
        .group_by("ticker", "session")
        .agg(split_ratio=pl.col("ratio").sort_by("ex_date").product())
    )
    rest = [name for name in bars.columns if name != "split_ratio"]
    return (
        bars.select(rest)
        .join(ratios, on=["ticker", "session"], how="left", maintain_order="left")
        .with_columns(pl.col("split_ratio").fill_null(1.0))
    )


def attach_dividends(bars: pl.DataFrame, dividends: pl.DataFrame) -> pl.DataFrame:
    """Adds ``dividend``: 0, or the amount per share that goes ex on this row (several add up), on the basis of ``bars``.

    ``dividends``: ticker, ex_date, amount. A dividend belongs to the ticker's first row with session >= ``ex_date``; one
    from before the ticker's first row here is left out. Row order is kept.
    """
    first = bars.group_by("ticker").agg(_first=pl.col("session").min())
    paid = (
        _effective_sessions(bars, dividends)
        .join(first, on="ticker")
        .filter(pl.col("ex_date") >= pl.col("_first"))
        .group_by("ticker", "session")
        .agg(dividend=pl.col("amount").sort_by("ex_date").sum())
    )
    rest = [name for name in bars.columns if name != "dividend"]
    return (
        bars.select(rest)
        .join(paid, on=["ticker", "session"], how="left", maintain_order="left")
        .with_columns(pl.col("dividend").fill_null(0.0))
    )


def _effective_sessions(bars: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """``events`` that have a row of the ticker on or after ``ex_date``, with the ``session`` of the first such row."""
    return (
        events.with_columns(pl.col("ex_date").cast(pl.Date))
        .sort("ex_date")
        .join_asof(
            bars.select("ticker", "session", _effective="session").sort("session"),
            left_on="ex_date",
            right_on="session",
            by="ticker",
            strategy="forward",
            check_sortedness=False,
        )
        .filter(pl.col("_effective").is_not_null())
        .select(*events.columns, session="_effective")
    )


# --- doubting ---------------------------------------------------------------------------------------------------------


def drop_duplicate_splits(splits: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``splits`` without repetitions, and a finding ``duplicate_split`` for each one dropped.

    Services list some splits twice, a few days apart: the same ticker and ratio within 7 days of the entry before.
    """
    marked = splits.sort("ticker", "ratio", "ex_date").with_columns(
        _previous=pl.col("ex_date").shift(1).over("ticker", "ratio")
    )
    gap = pl.col("ex_date") - pl.col("_previous")
    marked = marked.with_columns(_duplicate=(gap <= pl.duration(days=DUPLICATE_DAYS)).fill_null(False))
    rows = [
        finding(
            row["ticker"],
            row["ex_date"],
            "duplicate_split",
            seen=f"{ratio_text(row['ratio'])} again",
            expected=f"{ratio_text(row['ratio'])} once, on {row['_previous']}",
        )
        for row in marked.filter("_duplicate").iter_rows(named=True)
    ]
    kept = marked.filter(~pl.col("_duplicate")).select(splits.columns).sort("ticker", "ex_date")
    return kept, findings_frame(rows)


def drop_unseen_splits(bars: pl.DataFrame, splits: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``splits`` without those that as-traded ``bars`` contradict, and a finding ``unseen_split`` for each one dropped.

    A split of ratio k divides the price by k. It is contradicted when both open and close of its session, against the
    previous close, lie nearer to "no split" than to k, and applying it would leave a jump (`JUMP`). A small ratio
    (below about 1.4) can never be told from an ordinary move and is believed.
    """
    split_rows = attach_splits(bars, splits).filter(pl.col("split_ratio") != 1.0)
    ratios = split_rows.select("ticker", "session", "split_ratio", log_ratio=pl.col("split_ratio").log())
    unseen = _overnight_moves(bars.drop("split_ratio", strict=False)).join(ratios, on=["ticker", "session"])
    for move in (pl.col("_open_move"), pl.col("_close_move")):
        after_split = (move + pl.col("log_ratio")).abs()
        unseen = unseen.filter((after_split > math.log(JUMP)) & (after_split > move.abs()))
    rows = [
        finding(
            row["ticker"],
            row["session"],
            "unseen_split",
            seen=f"{ratio_text(row['split_ratio'])} listed, but the price went from {row['_previous']:g} to "
            f"{row['open']:g} (open) and {row['close']:g} (close)",
            expected=f"about {row['_previous'] / row['split_ratio']:g}, or no split",
        )
        for row in unseen.iter_rows(named=True)
    ]
    dropped = _effective_sessions(bars, splits).join(unseen, on=["ticker", "session"], how="semi")
    kept = splits.join(dropped, on=["ticker", "ex_date"], how="anti", maintain_order="left")
    return kept, findings_frame(rows)


def _overnight_moves(bars: pl.DataFrame) -> pl.DataFrame:
    """Rows that have a predecessor, with log(open / previous close) and log(close / previous close)."""
    return (
        bars.sort("ticker", "session")
        .with_columns(_previous=pl.col("close").shift(1).over("ticker"))
        .filter(pl.col("_previous").is_not_null())
        .with_columns(
            _open_move=(pl.col("open") / pl.col("_previous")).log(),
            _close_move=(pl.col("close") / pl.col("_previous")).log(),
        )
    )


def ratio_text(ratio: float) -> str:
    """``5:1`` for 5 new shares per old one, ``1:10`` for one new share per ten."""
    return f"{ratio:g}:1" if ratio >= 1 else f"1:{1 / ratio:g}"


# --- reading ----------------------------------------------------------------------------------------------------------


def adjusted_bars(raw: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Split-adjusted bars as a reader at the end of ``as_of`` knows them; on the share basis of that day.

    Prices and ``dividend`` are divided, ``volume`` multiplied (Float64), by the product of the split ratios of the
    ticker's sessions in (row, as_of]. Rows after ``as_of`` are dropped, and so is ``split_ratio``, which is used up.
    Sorted by ticker, then session.
    """
    factor = pl.col("split_ratio").shift(-1, fill_value=1.0).cum_prod(reverse=True).over("ticker")
    return (
        raw.filter(pl.col("session") <= as_of)
        .sort("ticker", "session")
        .with_columns(_factor=factor)
        .with_columns(
            pl.col(*PRICE_COLUMNS, "dividend") / pl.col("_factor"),
            pl.col("volume").cast(pl.Float64) * pl.col("_factor"),
        )
        .drop("_factor", "split_ratio")
    )
