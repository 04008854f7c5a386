"""Frames of (ticker, session) rows as dense arrays, and the split events among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stockfc_assets.settings import Stock

STALE_SESSIONS = 5
"""Where a ticker did not trade, its newest close stands in when it is at most this many sessions older."""


@dataclass(frozen=True)
class Cells:
    """The rows of a frame that lie on a grid of tickers and sessions, and where: row j at (ticker[j], session[j])."""

    frame: pl.DataFrame
    ticker: np.ndarray
    """int64 [rows]: index into the grid's tickers."""
    session: np.ndarray
    """int64 [rows]: index into the grid's sessions."""

    def column(self, name: str) -> np.ndarray:
        """A numeric column, null = NaN for floating-point ones; [rows]."""
        return self.frame[name].to_numpy()

    def dense(self, name: str, shape: tuple[int, int], missing: float = np.nan) -> np.ndarray:
        """A column as float64 [tickers, sessions]; ``missing`` where the frame has no row."""
        grid = np.full(shape, missing)
        grid[self.ticker, self.session] = self.column(name)
        return grid


def locate(frame: pl.DataFrame, tickers: Sequence[str], days: np.ndarray) -> Cells:
    """Places the rows of ``frame`` (columns ticker, session) on the grid ``tickers`` x ``days``.

    ``days`` are ascending datetime64[D]. Rows of other tickers or sessions are left out.
    """
    if len(days) == 0:
        return Cells(frame.clear(), np.zeros(0, np.int64), np.zeros(0, np.int64))
    frame = frame.filter(pl.col("session").is_between(days[0].item(), days[-1].item()))
    code = frame["ticker"].cast(pl.Enum(tickers), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    day = frame["session"].cast(pl.Int32).to_numpy().astype(np.int64)
    grid_days = days.astype(np.int64)
    position = np.minimum(np.searchsorted(grid_days, day), len(grid_days) - 1)
    known = (code >= 0) & (grid_days[position] == day)
    if known.all():
        return Cells(frame, code, position)
    return Cells(frame.filter(pl.Series(known)), code[known], position[known])


def newest_close(close: np.ndarray) -> np.ndarray:
    """Closes with gaps of up to 5 sessions filled by the newest close before; NaN stays where that is older.

    ``close`` is [sessions, ...], NaN = no trade. A filled close stands on its own session's share basis: a session
    without a row carries no split.
    """
    filled = close.copy()
    for k in range(1, STALE_SESSIONS + 1):
        np.copyto(filled[k:], close[:-k], where=np.isnan(filled[k:]))
    return filled


def member_mask(stock: Stock, days: np.ndarray) -> np.ndarray:
    """Whether ``stock`` belongs to the universe on each of ``days`` (datetime64[D]); bool, same shape."""
    belongs = np.zeros(days.shape, dtype=bool)
    for interval in stock.member:
        last = np.datetime64(interval.member_to or "9999-12-31", "D")
        belongs |= (np.datetime64(interval.member_from, "D") <= days) & (days <= last)
    return belongs


@dataclass(frozen=True)
class Split:
    """``ratio`` new shares per old one from ``day`` (datetime64[D]) on; ``ticker`` is an index."""

    ticker: int
    day: np.datetime64
    ratio: float


def split_events(raw: pl.DataFrame, tickers: Sequence[str]) -> list[Split]:
    """All splits of ``tickers`` in ``raw`` (RawOhlcv rows), oldest first."""
    index = {ticker: i for i, ticker in enumerate(tickers)}
    rows = raw.lazy().filter(pl.col("split_ratio") != 1).select("ticker", "session", "split_ratio").collect()
    return [
        Split(index[ticker], np.datetime64(session, "D"), ratio)
        for ticker, session, ratio in rows.sort("session", "ticker").iter_rows()
        if ticker in index
    ]
