"""Median and scaled median absolute deviation of the training rows, per feature. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stockfc_assets.features.names import VOLATILITY_FEATURE, WEEKLY_FEATURES

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel

MAD_TO_SIGMA = 1.4826
"""1 / Phi^-1(3/4): the MAD of a normal distribution times this is its standard deviation."""
MAX_ROWS = 200_000
"""Rows beyond this many, evenly spaced, would change the medians in the third digit only."""


@dataclass(frozen=True)
class Normalisation:
    """Buffers of the network; all float32."""

    weekly_median: np.ndarray
    """[23]; NaN = no training row has a value."""
    weekly_scale: np.ndarray
    """[23], > 0."""
    static_median: np.ndarray
    """[6]; NaN as above."""
    static_scale: np.ndarray
    """[6], > 0."""
    fallback_volatility: np.float32
    """Median of the volatility feature; stands in where a sample lacks it."""


def fit_normalisation(panel: Panel, last_session: int) -> Normalisation:
    """From the traded rows of all tickers up to session index ``last_session`` (inclusive): nothing later is looked at.

    Scale = 1.4826 x MAD; where the MAD is 0, the standard deviation; where that is 0 or undefined, 1.
    """
    weekly, static = training_rows(panel, np.arange(last_session + 1))
    weekly_median, weekly_scale = _robust_location_and_scale(weekly)
    static_median, static_scale = _robust_location_and_scale(static)
    volatility = weekly_median[WEEKLY_FEATURES.index(VOLATILITY_FEATURE)]
    return Normalisation(
        weekly_median=weekly_median,
        weekly_scale=weekly_scale,
        static_median=static_median,
        static_scale=static_scale,
        fallback_volatility=np.float32(0.3) if np.isnan(volatility) else volatility,
    )


def training_rows(panel: Panel, sessions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weekly float32 [n, 23], static float32 [n, 6]) of the traded rows of all tickers on ``sessions`` (int [k] indices).

    At most `MAX_ROWS`, evenly spaced over tickers and time.
    """
    rows = np.flatnonzero(panel.traded[:, sessions])
    if len(rows) > MAX_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_ROWS).astype(np.int64)]
    ticker, column = np.divmod(rows, len(sessions))
    return panel.features[ticker, sessions[column]], panel.static[ticker, sessions[column]]


def _robust_location_and_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median, scale) per column of float32 [rows, k]; NaN and infinite values are left out."""
    medians = np.full(rows.shape[1], np.nan, dtype=np.float32)
    scales = np.ones(rows.shape[1], dtype=np.float32)
    for column in range(rows.shape[1]):
        values = rows[:, column]
        values = values[np.isfinite(values)].astype(np.float64)
        if not len(values):
            continue
        medians[column] = median = np.median(values)
        deviation = MAD_TO_SIGMA * np.median(np.abs(values - median)) or values.std()
        if np.float32(deviation) > 0:
            scales[column] = deviation
    return medians, scales
