"""What baselines read of a sample: its last row, its company facts, and summaries of its sequence. NumPy only.

The numbers are those of the network's own inputs (`features.panel.gather`), so a baseline knows neither more nor less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stockfc_assets.features.names import (
    HORIZONS,
    MIN_VOLATILITY,
    SEQUENCE_WEEKS,
    STATIC_FEATURES,
    VOLATILITY_FEATURE,
    WEEKLY_FEATURES,
)
from stockfc_assets.features.panel import Panel, gather

WINDOW_FEATURES = ("log_return_1w", "volatility_4w", "log_volume_ratio_13w", "excess_return_1w")
WINDOW_WEEKS = (13, 52)
STATISTICS = ("mean", "std", "min", "max")
WINDOW_COLUMNS = tuple(
    f"{feature}_{statistic}_{weeks}w"
    for weeks in WINDOW_WEEKS
    for feature in WINDOW_FEATURES
    for statistic in STATISTICS
)
WEEKS_PER_YEAR = 52
YEARS = SEQUENCE_WEEKS // WEEKS_PER_YEAR
CHUNK = 4_096
"""Samples gathered at a time: 59 MB of sequences."""


@dataclass(frozen=True)
class Rows:
    """n samples (ticker, as-of session); float32, NaN = missing."""

    session: np.ndarray
    """int64 [n]: index into the panel's sessions; samples of one session are a cross-section."""
    last: np.ndarray
    """[n, 23]: weekly features of the as-of session."""
    static: np.ndarray
    """[n, 6]: company facts known then."""
    yearly: np.ndarray
    """[n, 3]: log returns over 52 weeks (260 sessions) up to the as-of session and to one and two years before it."""
    windows: np.ndarray
    """[n, 32]: `WINDOW_COLUMNS`, over the last 13 and 52 weeks of the sequence; of the weeks that have a value."""

    def __len__(self) -> int:
        return len(self.session)

    def weekly(self, name: str) -> np.ndarray:
        """A weekly feature of the as-of session as float64 [n]."""
        return self.last[:, WEEKLY_FEATURES.index(name)].astype(np.float64)


def read_rows(panel: Panel, ticker_index: np.ndarray, session_index: np.ndarray) -> Rows:
    """The samples (ticker_index[j], session_index[j]), int [n] each; hand in whole cross-sections.

    Gathered a part at a time: sequences of all samples are never in memory together.
    """
    count = len(ticker_index)
    last = np.empty((count, len(WEEKLY_FEATURES)), dtype=np.float32)
    static = np.empty((count, len(STATIC_FEATURES)), dtype=np.float32)
    yearly = np.empty((count, YEARS), dtype=np.float32)
    windows = np.empty((count, len(WINDOW_COLUMNS)), dtype=np.float32)
    year = WEEKLY_FEATURES.index("log_return_52w")
    watched = [WEEKLY_FEATURES.index(name) for name in WINDOW_FEATURES]
    for first in range(0, count, CHUNK):
        part = slice(first, first + CHUNK)
        inputs = gather(panel, ticker_index[part], session_index[part])
        last[part], static[part] = inputs.weekly_seq[:, -1], inputs.static_features
        yearly[part] = inputs.weekly_seq[:, ::-WEEKS_PER_YEAR, year][:, :YEARS]
        windows[part] = np.hstack([_statistics(inputs.weekly_seq[:, -weeks:, watched]) for weeks in WINDOW_WEEKS])
    return Rows(np.asarray(session_index, dtype=np.int64), last, static, yearly, windows)


def target_scale(rows: Rows, fallback_volatility: float) -> np.ndarray:
    """The stock's own trailing volatility x sqrt(h / 12), float64 [n, 12]: the unit in which the network's targets are.

    Where the volatility is missing, ``fallback_volatility`` (annualised) stands in; it is at least `MIN_VOLATILITY`.
    """
    known = rows.weekly(VOLATILITY_FEATURE)
    volatility = np.maximum(np.where(np.isfinite(known), known, fallback_volatility), MIN_VOLATILITY)
    return volatility[:, None] * np.sqrt(np.array(HORIZONS) / 12)


def z_scores(values: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Standard scores within each session: (value - mean) / standard deviation (divisor n), float64 [n].

    0, which says nothing, where the value is missing or where the known values of its session do not differ.
    """
    sessions, which = np.unique(session, return_inverse=True)
    known = np.isfinite(values)
    count = np.maximum(np.bincount(which[known], minlength=len(sessions)), 1)
    mean = np.bincount(which[known], values[known], minlength=len(sessions)) / count
    deviation = np.where(known, values - mean[which], 0.0)
    spread = np.sqrt(np.bincount(which, deviation**2, minlength=len(sessions)) / count)
    differs = spread > 1e-9 * np.maximum(np.abs(mean), 1e-6)
    return np.divide(deviation, spread[which], out=np.zeros(len(values)), where=differs[which])


def _statistics(sequence: np.ndarray) -> np.ndarray:
    """Mean, standard deviation (divisor n), minimum and maximum over the weeks of [n, weeks, k]; [n, 4 k], by feature."""
    known = np.isfinite(sequence)
    count = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    values = np.where(known, sequence, 0).astype(np.float64)
    mean = values.sum(axis=1) / count
    deviation = np.where(known, values - mean[:, None], 0.0)
    spread = np.sqrt((deviation**2).sum(axis=1) / count)
    none = np.isnan(count)
    lowest = np.where(none, np.nan, np.min(values, axis=1, where=known, initial=np.inf))
    highest = np.where(none, np.nan, np.max(values, axis=1, where=known, initial=-np.inf))
    return np.stack([mean, spread, lowest, highest], axis=2).reshape(len(sequence), -1)
