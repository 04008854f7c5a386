"""Overnight moves that no split explains, and the split that a move looks like: shared by `events` and `stored`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from stockfc_assets.market.as_traded import ratio_text
from stockfc_assets.market.findings import finding
from stockfc_assets.settings import PriceQuality

Finding = dict[str, object]


def previous(column: str, count: int = 1) -> pl.Expr:
    """``column`` of the ticker's row ``count`` rows before; rows are sorted by ticker and session."""
    return pl.when(pl.col("ticker") == pl.col("ticker").shift(count)).then(pl.col(column).shift(count))


def with_moves(bars: pl.DataFrame) -> pl.DataFrame:
    """As-traded ``bars`` (tables.RawOhlcv) sorted by ticker and session, with the row before and the move since.

    Adds ``previous_session``, ``previous_close`` (on that day's share basis), ``base`` (the same on the row's own) and
    the log returns ``open_move`` and ``close_move`` from ``base``; null on a ticker's first row.
    """
    base = previous("close") / pl.col("split_ratio")
    return (
        bars.sort("ticker", "session")
        .with_columns(previous_session=previous("session"), previous_close=previous("close"), base=base)
        .with_columns(
            open_move=(pl.col("open") / pl.col("base")).log(), close_move=(pl.col("close") / pl.col("base")).log()
        )
    )


def jumped(settings: PriceQuality) -> pl.Expr:
    """Whether a row of `with_moves` opens and closes beyond ``settings.jump``, on the same side; null on a first row."""
    moves = ("open_move", "close_move")
    limit = math.log(settings.jump)
    return (pl.min_horizontal(moves) > limit) | (pl.max_horizontal(moves) < -limit)


def half_applied(pairs: pl.DataFrame, settings: PriceQuality) -> list[Finding]:
    """Findings ``half_applied_split``: rows that moved by about the ratio of a split of the ticker.

    ``pairs``: rows of `with_moves` that jumped, each beside ``ex_date`` and ``ratio`` of every split that may explain
    it. Of several that do, the nearest in time is named.
    """
    tolerance, log_ratio = math.log(settings.split_tolerance), pl.col("ratio").log()
    alike = [
        pl.all_horizontal((pl.col(name) - sign * log_ratio).abs() <= tolerance for name in ("open_move", "close_move"))
        for sign in (1, -1)
    ]
    nearest = (
        pairs.filter(pl.any_horizontal(alike))
        .with_columns(_distance=(pl.col("ex_date") - pl.col("session")).abs())
        .sort("ticker", "session", "_distance", "ex_date")
        .unique(["ticker", "session"], keep="first", maintain_order=True)
    )
    return [
        finding(
            row["ticker"],
            row["session"],
            "half_applied_split",
            seen=move_text(row),
            expected=f"no move: the split {ratio_text(row['ratio'])} is of {row['ex_date']}"
            if row["ex_date"] != row["session"]
            else f"one move by the split {ratio_text(row['ratio'])} of that day",
        )
        for row in nearest.iter_rows(named=True)
    ]


def move_text(row: dict[str, object]) -> str:
    """A row of `with_moves` in words: from the close before to open and close, and the split of that day."""
    split = "" if row["split_ratio"] == 1.0 else f" over the split {ratio_text(row['split_ratio'])}"
    return (
        f"from {row['previous_close']:.10g} ({row['previous_session']}) to {row['open']:.10g} (open) and "
        f"{row['close']:.10g} (close){split}"
    )


def without(findings: Sequence[Finding], named: Sequence[Finding]) -> list[Finding]:
    """``findings`` of tickers and sessions that ``named`` does not hold."""
    known = {(row["ticker"], row["session"]) for row in named}
    return [row for row in findings if (row["ticker"], row["session"]) not in known]
