"""`weekly_features`: from as-traded bars to the 23 features of the week so far.

Law (features/test_weekly_law.py): the rows of a session computed from only the `LOOKBACK_SESSIONS` sessions before it
equal, bit for bit, those computed in a range run over years, whatever other tickers or later data are present.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from stockfc_assets.errors import InputError
from stockfc_assets.features.formulas import weekly_tile
from stockfc_assets.features.grids import locate, member_mask
from stockfc_assets.features.names import SESSIONS_PER_WEEK, WEEKLY_FEATURES
from stockfc_assets.features.weeks import session_days, week_ends, week_positions
from stockfc_assets.features.windows import (
    BLOCK_TICKERS,
    LOOKBACK_SESSIONS,
    TILE_SESSIONS,
    daily_return,
    lag,
    make_block,
    required,
)
from stockfc_assets.settings import EQUAL_WEIGHTED, Universe

_BARS = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume", "split": "split_ratio"}


def weekly_features(
    raw: pl.DataFrame,
    sessions: Sequence[dt.date],
    calendar_sessions: Sequence[dt.date],
    universe: Universe,
    *,
    benchmark: str | None = None,
    workers: int = 2,
) -> pl.DataFrame:
    """The `tables.WeeklyFeatures` rows of ``sessions``: one per ticker of ``universe`` that traded.

    - raw: `tables.RawOhlcv` rows of ``sessions`` and, as far as they exist, of the `LOOKBACK_SESSIONS` sessions before
      the first; rows of other sessions or tickers are ignored. A split must be on a row: no row, no split.
    - sessions: consecutive sessions of the exchange.
    - calendar_sessions: all its sessions, ascending, reaching beyond the calendar week of the last target.
    - benchmark: a ticker with rows in ``raw`` (it gets none here), or ``equal_weighted``: on each session the mean
      daily log return of that session's members that traded; default: the universe's.
    - workers: threads; the result does not depend on them.

    Features are computed in float64 and stored as float32, null = missing; sorted by session, ticker.
    Raises InputError when the sessions are not consecutive or the calendar ends too early.
    """
    benchmark = benchmark or universe.benchmark
    grid = _target_grid(sessions, calendar_sessions)
    tickers = sorted(set(universe.tickers) - {benchmark})
    bars = _dense_bars(raw, tickers, grid)
    market = _market_weekly_return(raw, benchmark, universe, tickers, bars, grid)
    values = [np.empty((grid.targets, _padded(tickers)), dtype=np.float32) for _ in WEEKLY_FEATURES]

    def fill(number: int) -> None:
        columns = slice(number * BLOCK_TICKERS, (number + 1) * BLOCK_TICKERS)
        with np.errstate(all="ignore"):
            block = make_block({name: array[number] for name, array in bars.items()})
            for first in range(0, grid.targets, TILE_SESSIONS):
                last = min(first + TILE_SESSIONS, grid.targets)
                position = grid.week_position[first:last, None]
                tile = weekly_tile(block.tile(first, last), position, market[first : LOOKBACK_SESSIONS + last])
                for value, name in zip(values, WEEKLY_FEATURES, strict=True):
                    value[first:last, columns] = np.where(np.isfinite(tile[name]), tile[name], np.nan)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(len(bars["close"]))))
    traded = np.concatenate(~np.isnan(bars["close"][:, LOOKBACK_SESSIONS:]), axis=1)
    return _frame(values, traded, tickers, grid)


@dataclass(frozen=True)
class _Grid:
    """The targets and the `LOOKBACK_SESSIONS` grid rows before them, of which the calendar may lack the oldest."""

    days: np.ndarray
    """datetime64[D]: the grid's sessions that the calendar has; the last ``targets`` are the targets."""
    padding: int
    """Rows before ``days`` that the calendar does not have."""
    targets: int
    week_position: np.ndarray
    """int64 [targets]: sessions of the calendar week before the target."""
    is_week_end: np.ndarray
    """bool [targets]."""

    @property
    def rows(self) -> int:
        return self.padding + len(self.days)


def _target_grid(sessions: Sequence[dt.date], calendar_sessions: Sequence[dt.date]) -> _Grid:
    if not sessions:
        raise InputError("weekly_features: no session asked for; give at least one")
    first = bisect.bisect_left(calendar_sessions, sessions[0])
    last = first + len(sessions)
    if tuple(calendar_sessions[first:last]) != tuple(sessions):
        raise InputError(
            f"weekly_features: {sessions[0]} to {sessions[-1]} ({len(sessions)} dates) are not consecutive sessions of "
            "the exchange; ask for every session of a range"
        )
    if last == len(calendar_sessions) and sessions[-1].weekday() < 4:
        raise InputError(
            f"weekly_features: the calendar ends on {sessions[-1]}, so whether its week ends there is unknown; give a "
            "calendar that reaches beyond that week"
        )
    begin = max(0, first - LOOKBACK_SESSIONS)
    # One week before the grid and one session beyond it: what positions and ends of the targets can depend on.
    around = session_days(calendar_sessions[max(0, begin - 7) : last + 1])
    targets = slice(first - max(0, begin - 7), last - max(0, begin - 7))
    return _Grid(
        days=session_days(calendar_sessions[begin:last]),
        padding=LOOKBACK_SESSIONS - (first - begin),
        targets=len(sessions),
        week_position=week_positions(around)[targets],
        is_week_end=week_ends(around)[targets],
    )


def _padded(tickers: Sequence[str]) -> int:
    return max(1, -(-len(tickers) // BLOCK_TICKERS)) * BLOCK_TICKERS


def _dense_bars(raw: pl.DataFrame, tickers: Sequence[str], grid: _Grid) -> dict[str, np.ndarray]:
    """As-traded bars as float64 [blocks, rows, BLOCK_TICKERS], NaN = no row; split 1 without a row."""
    cells = locate(raw, tickers, grid.days)
    place = (cells.ticker // BLOCK_TICKERS, cells.session + grid.padding, cells.ticker % BLOCK_TICKERS)
    shape = (_padded(tickers) // BLOCK_TICKERS, grid.rows, BLOCK_TICKERS)
    bars = {}
    for name, column in _BARS.items():
        bars[name] = np.full(shape, 1.0 if name == "split" else np.nan)
        bars[name][place] = cells.column(column)
    return bars


def _market_weekly_return(
    raw: pl.DataFrame,
    benchmark: str,
    universe: Universe,
    tickers: Sequence[str],
    bars: dict[str, np.ndarray],
    grid: _Grid,
) -> np.ndarray:
    """Weekly log return of the benchmark up to each row of the grid; float64 [rows, 1], NaN = unknown."""
    with np.errstate(all="ignore"):
        if benchmark != EQUAL_WEIGHTED:
            alone = _dense_bars(raw, [benchmark], grid)
            return make_block({name: array[0] for name, array in alone.items()}).weekly[:, :1].copy()
        daily = _mean_member_return(universe, tickers, bars, grid)
    weekly = np.full((grid.rows, 1), np.nan)
    rows = grid.rows - SESSIONS_PER_WEEK + 1
    total, count = np.zeros(rows), np.zeros(rows)
    for k in range(SESSIONS_PER_WEEK):
        total += np.nan_to_num(lag(daily, k, rows))
        count += ~np.isnan(lag(daily, k, rows))
    weekly[SESSIONS_PER_WEEK - 1 :, 0] = np.where(count >= required(SESSIONS_PER_WEEK), total, np.nan)
    return weekly


def _mean_member_return(
    universe: Universe, tickers: Sequence[str], bars: dict[str, np.ndarray], grid: _Grid
) -> np.ndarray:
    """Mean daily log return of each session's members that traded; float64 [rows], NaN = none did.

    Summed ticker by ticker in sorted order, so that neither blocks nor the order of the universe touch the bits.
    """
    stocks = {stock.ticker: stock for stock in universe.stocks}
    total, count = np.zeros(grid.rows), np.zeros(grid.rows)
    for number in range(len(bars["close"])):
        returns = daily_return(bars["close"][number], bars["split"][number])
        for column, ticker in enumerate(tickers[number * BLOCK_TICKERS : (number + 1) * BLOCK_TICKERS]):
            daily = returns[:, column]
            counted = ~np.isnan(daily)
            counted[grid.padding :] &= member_mask(stocks[ticker], grid.days)
            total += np.where(counted, daily, 0.0)
            count += counted
    return total / np.where(count > 0, count, np.nan)


def _frame(values: list[np.ndarray], traded: np.ndarray, tickers: Sequence[str], grid: _Grid) -> pl.DataFrame:
    """Rows in order of session, ticker. ``values`` is emptied on the way, so that no second copy of it builds up."""
    row, column = np.nonzero(traded)
    columns = {
        "ticker": pl.Series(tickers, dtype=pl.String).gather(column),
        "session": pl.Series(grid.days[-grid.targets :]).gather(row),
        "is_week_end": pl.Series(grid.is_week_end).gather(row),
    }
    for name in WEEKLY_FEATURES:
        columns[name] = pl.Series(values.pop(0)[traded], nan_to_null=True)
    return pl.DataFrame(columns)
