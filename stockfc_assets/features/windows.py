"""Window arithmetic over blocks of tickers, such that a value never depends on anything outside its own window.

A block is a set of float64 arrays [LOOKBACK_SESSIONS + targets, BLOCK_TICKERS], C-contiguous: rows are consecutive
sessions, columns tickers (padded with NaN to a fixed width), NaN = no trade. A window is summed over its offsets
k = 0, 1, ... from the target backwards, one elementwise operation on all targets and tickers at a time. No running or
cumulative sum is carried from one session to the next, so the bits of a row are the same whether its session is
computed alone or among ten years of others.

Share basis: a price of k sessions ago on the target's basis is price / product of the split ratios of the sessions
(t - k, t], a volume is multiplied by that product; the product, too, is accumulated from the target backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from stockfc_assets.features.grids import STALE_SESSIONS, newest_close
from stockfc_assets.features.names import SESSIONS_PER_WEEK as WEEK

LOOKBACK_SESSIONS = 52 * WEEK + STALE_SESSIONS
"""Sessions before a target that its features can depend on: 52 weeks, and a close that may be 5 sessions older."""

BLOCK_TICKERS = 32
"""Tickers per block: with `TILE_SESSIONS`, the arrays of an inner loop fit a processor's second-level cache."""

TILE_SESSIONS = 256

EMA_WEEKS = 36
"""Length of the truncated exponential averages of the MACD; beyond it lie 6 % of a 26-week average's weight."""
SIGNAL_WEEKS = 52 - EMA_WEEKS + 2
"""Length of the truncated MACD signal line: its oldest value still sees a whole `EMA_WEEKS` window in 52 weeks."""


def required(window: int) -> int:
    """How many of a window's ``window`` observations must be present: 80 %, rounded up."""
    return -(-4 * window // 5)


def lag(x: np.ndarray, k: int, rows: int) -> np.ndarray:
    """The last ``rows`` rows of ``x``, each ``k`` sessions earlier; a view."""
    return x[len(x) - rows - k : len(x) - k]


@dataclass(frozen=True)
class Block:
    """As-traded bars of some tickers and what follows from them session by session; all float64 [rows, tickers]."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    split: np.ndarray
    """Split ratio taking effect on the session, 1 = none or no row."""
    newest: np.ndarray
    """Close, or the newest one at most 5 sessions older (`newest_close`)."""
    week_split: np.ndarray
    """Product of the split ratios of the five sessions up to this one."""
    daily: np.ndarray
    """Log return from the newest close before the session to its close."""
    weekly: np.ndarray
    """Log return from the newest close five sessions ago to the newest close."""
    overnight: np.ndarray
    """Log return from the newest close before the session to its open."""
    volume_change: np.ndarray
    """Log change of volume since the newest positive volume, at most 6 sessions before; NaN at zero volume."""

    def tile(self, first: int, last: int) -> Block:
        """The targets ``first`` to ``last`` (exclusive) with the sessions before them; views, no copies."""
        return Block(*(getattr(self, field.name)[first : LOOKBACK_SESSIONS + last] for field in fields(self)))

    @property
    def rows(self) -> int:
        """Number of targets."""
        return len(self.close) - LOOKBACK_SESSIONS


def make_block(bars: dict[str, np.ndarray]) -> Block:
    """A block from as-traded open, high, low, close, volume and split (NaN = no row, split 1)."""
    close, volume, split = bars["close"], bars["volume"], bars["split"]
    newest = newest_close(close)
    week_split = np.ones_like(split)
    for k in range(WEEK):
        week_split[WEEK - 1 :] *= lag(split, k, len(split) - WEEK + 1)
    return Block(
        **bars,
        newest=newest,
        week_split=week_split,
        daily=daily_return(close, split),
        weekly=np.log(newest / (_shift(newest, WEEK) / week_split)),
        overnight=np.log(bars["open"] / (_shift(newest, 1) / split)),
        volume_change=_volume_change(volume, split),
    )


def daily_return(close: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Log return to each close from the newest one before it, at most 6 sessions before; [rows, tickers]."""
    return np.log(close / (_shift(newest_close(close), 1) / split))


def _volume_change(volume: np.ndarray, split: np.ndarray) -> np.ndarray:
    traded = np.where(volume > 0, volume, np.nan)
    newest, factor = traded.copy(), np.ones_like(split)
    for k in range(1, STALE_SESSIONS + 1):
        # A session of zero volume has a row and may carry a split, unlike one without a row.
        factor[k:] *= split[1 : len(split) - k + 1]
        np.copyto(newest[k:], traded[:-k] * factor[k:], where=np.isnan(newest[k:]))
    return np.log(traded / (_shift(newest, 1) * split))


def _shift(x: np.ndarray, k: int) -> np.ndarray:
    shifted = np.full_like(x, np.nan)
    shifted[k:] = x[:-k]
    return shifted


def split_factors(split: np.ndarray, window: int, rows: int, step: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (k, product of the ratios of sessions (t - k, t]) for k = 0, step, ... (``window`` offsets).

    ``split`` holds the ratio of each session, or with ``step`` 5 of each five sessions up to this one. The array
    [rows, tickers] is reused: read it before going on, and do not write to it.
    """
    factor = np.ones((rows, split.shape[1]))
    for i in range(window):
        if i:
            factor *= lag(split, (i - 1) * step, rows)
        yield i * step, factor


def observed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x with 0 where it is NaN, 1.0 where it is present and 0.0 where it is not)."""
    present = ~np.isnan(x)
    return np.where(present, x, 0.0), present.astype(np.float64)


def window_mean(x: np.ndarray, window: int, rows: int) -> np.ndarray:
    """Mean of the observations present among the last ``window`` sessions; NaN where fewer than 80 % are."""
    value, present = observed(x)
    total, count = np.zeros((2, rows, x.shape[1]))
    for k in range(window):
        total += lag(value, k, rows)
        count += lag(present, k, rows)
    return np.where(count >= required(window), total / count, np.nan)


@dataclass(frozen=True)
class Moments:
    """Number of pairs and centred sums of squares and products in a window; NaN where fewer than 80 % are present."""

    n: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray


def window_moments(x: np.ndarray, y: np.ndarray, window: int, rows: int, step: int = 1) -> Moments:
    """Moments of the pairs (x, y) at offsets 0, step, ... (``window`` of them) where both are present.

    Two passes: the means first, then the deviations from them. ``y`` may be [rows, 1].
    """
    present = (~np.isnan(x + y)).astype(np.float64)
    x, y = np.where(present > 0, x, 0.0), np.where(present > 0, y, 0.0)
    n, mean_x, mean_y, xx, xy, yy = np.zeros((6, rows, x.shape[1]))
    for k in range(0, window * step, step):
        n += lag(present, k, rows)
        mean_x += lag(x, k, rows)
        mean_y += lag(y, k, rows)
    n[n < required(window)] = np.nan
    mean_x /= n
    mean_y /= n
    for k in range(0, window * step, step):
        here = lag(present, k, rows)
        dx = (lag(x, k, rows) - mean_x) * here
        dy = (lag(y, k, rows) - mean_y) * here
        xy += dx * dy
        xx += np.square(dx, out=dx)
        yy += np.square(dy, out=dy)
    return Moments(n, xx, xy, yy)


def window_deviation(x: np.ndarray, window: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(number of observations, sample variance with n - 1) of the last ``window`` sessions; NaN below 80 % present."""
    value, present = observed(x)
    count, mean, squares = np.zeros((3, rows, x.shape[1]))
    for k in range(window):
        mean += lag(value, k, rows)
        count += lag(present, k, rows)
    count[count < required(window)] = np.nan
    mean /= count
    for k in range(window):
        deviation = lag(value, k, rows) - mean
        deviation *= lag(present, k, rows)
        squares += np.square(deviation, out=deviation)
    return count, squares / (count - 1)
