"""A walk through time of the interval machinery alone: forecasts of "no change" on a market's closes.

Each January a table of quantiles is made from the 18 months before, as a full training does; each month the miss rate is
adapted; the intervals of its sessions are drawn and, when their horizon is over, judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stockfc_assets.evaluation.intervals import adapted_target
from stockfc_assets.features.names import HORIZONS, MIN_VOLATILITY, SESSIONS_PER_YEAR
from stockfc_assets.features.weeks import months_later
from stockfc_assets.forecasts.intervals import half_widths
from stockfc_assets.model_settings import IntervalSettings
from stockfc_assets.models.validation import interval_quantiles

VOLATILITY_SESSIONS = 65
VALIDATION_MONTHS = 18
H = len(HORIZONS)


@dataclass(frozen=True)
class Market:
    """What forecasts of "no change" meet: T sessions, N stocks."""

    sessions: np.ndarray
    """datetime64[D] [T]"""
    realised: np.ndarray
    """[T, N, 12] log returns; NaN = not known."""
    label_end: np.ndarray
    """datetime64[D] [T, 12]"""
    volatility: np.ndarray
    """[T, N] annualised, of the 65 daily returns before; NaN = not known."""


def market_of(sessions: np.ndarray, log_close: np.ndarray, *, every: int = 1) -> Market:
    """The market of ``log_close`` [T, N] (split-adjusted), with every ``every``-th session as an as-of date."""
    label_end = np.stack([months_later(sessions, horizon) for horizon in HORIZONS], axis=1)
    at = np.searchsorted(sessions, label_end, side="right") - 1
    realised = np.stack([log_close[at[:, column]] - log_close for column in range(H)], axis=2)
    realised = np.where((label_end > sessions[-1])[:, None, :], np.nan, realised)
    daily = np.diff(log_close, axis=0, prepend=np.nan)
    sums, squares = (np.nancumsum(values, axis=0) for values in (daily, daily**2))
    volatility = np.full_like(log_close, np.nan)
    k = VOLATILITY_SESSIONS
    mean = (sums[k:] - sums[:-k]) / k
    variance = ((squares[k:] - squares[:-k]) / k - mean**2) * k / (k - 1)
    volatility[k:] = np.sqrt(variance * SESSIONS_PER_YEAR)
    volatility[k] = np.nan
    step = slice(VOLATILITY_SESSIONS + 1, None, every)
    return Market(sessions[step], realised[step], label_end[step], np.maximum(volatility, MIN_VOLATILITY)[step])


def walk(market: Market, settings: IntervalSettings) -> tuple[np.ndarray, np.ndarray]:
    """(covered, width): float [T, 12], share of stocks covered and mean full width of the intervals; NaN = not judged."""
    months = market.sessions.astype("datetime64[M]")
    shape = (len(months), H)
    covered, width = np.full(shape, np.nan), np.full(shape, np.nan)
    ended = market.label_end.astype("datetime64[M]")
    card: dict | None = None
    for month in np.unique(months)[VALIDATION_MONTHS + 1 :]:
        if card is None or month.item().month == 1:
            card = _calibrate(market, month)
        known = (ended < month) & np.isfinite(covered)
        target = adapted_target(_misses(covered, ended, known), month.item(), settings)
        rows = np.flatnonzero(months == month)
        for row in rows:
            half = half_widths(card, target, market.volatility[row])
            judged = np.isfinite(market.realised[row] + half).all(axis=0)
            covered[row] = np.where(judged, (np.abs(market.realised[row]) <= half).mean(axis=0), np.nan)
            width[row] = 2 * half.mean(axis=0)
    return covered, width


def _calibrate(market: Market, month: np.datetime64) -> dict:
    day = month.astype("datetime64[D]")
    first = (month - VALIDATION_MONTHS).astype("datetime64[D]")
    rows = np.flatnonzero((market.sessions >= first) & (market.sessions < day))
    realised = np.where((market.label_end[rows] < day)[:, None, :], market.realised[rows], np.nan)
    stocks = realised.shape[1]
    scale = market.volatility[rows][:, :, None] * np.sqrt(np.array(HORIZONS) / 12)
    return interval_quantiles(
        np.zeros((len(rows) * stocks, H)),
        realised.reshape(-1, H),
        scale.reshape(-1, H),
        np.repeat(market.sessions[rows], stocks),
        np.repeat(market.label_end[rows], stocks, axis=0),
    )


def _misses(covered: np.ndarray, ended: np.ndarray, known: np.ndarray) -> pl.DataFrame:
    row, column = np.nonzero(known)
    return (
        pl.DataFrame(
            {"horizon": column + 1, "month": ended[row, column].astype("datetime64[D]"), "missed": 1 - covered[known]},
            schema_overrides={"horizon": pl.Int64},
        )
        .group_by("horizon", "month")
        .agg(n=pl.len(), missed=pl.col("missed").mean())
        .sort("horizon", "month")
    )
