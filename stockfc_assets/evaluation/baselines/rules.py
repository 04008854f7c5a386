"""Baselines that a person can compute by hand: no change, drift, and a signal ranked across the stocks of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stockfc_assets.evaluation.baselines.rows import WEEKS_PER_YEAR, Rows, z_scores
from stockfc_assets.features.names import HORIZONS, SESSIONS_PER_WEEK, SESSIONS_PER_YEAR

SESSIONS_PER_MONTH = SESSIONS_PER_YEAR / 12


class NoChange:
    """The random walk: every log return is 0."""

    def predict(self, rows: Rows) -> np.ndarray:
        return np.zeros((len(rows), len(HORIZONS)))

    def summary(self) -> dict[str, Any]:
        return {}


class Drift:
    """The random walk with the stock's own drift: its mean log return a session over the past three years, carried on.

    Of a stock with a shorter history the years that it has; without any, no change.
    """

    def predict(self, rows: Rows) -> np.ndarray:
        known = np.isfinite(rows.yearly)
        total = np.where(known, rows.yearly, 0).astype(np.float64).sum(axis=1)
        sessions = np.maximum(known.sum(axis=1), 1) * WEEKS_PER_YEAR * SESSIONS_PER_WEEK
        return (total / sessions * SESSIONS_PER_MONTH)[:, None] * np.array(HORIZONS)

    def summary(self) -> dict[str, Any]:
        return {}


def momentum_12_1(rows: Rows) -> np.ndarray:
    """Log return from twelve months to one month ago, float64 [n] (Jegadeesh and Titman 1993, Journal of Finance 48)."""
    return rows.weekly("log_return_52w") - rows.weekly("log_return_4w")


def last_month(rows: Rows) -> np.ndarray:
    """Log return of the last month, float64 [n] (Jegadeesh 1990, Journal of Finance 45: it tends to revert)."""
    return rows.weekly("log_return_4w")


@dataclass(frozen=True)
class CrossSectional:
    """Predicted log return = beta_h x z, z the standard score of a signal among the stocks of its session."""

    signal: Callable[[Rows], np.ndarray]
    beta: np.ndarray
    """float64 [12]: the sign is what the past said, not what the literature says."""

    def predict(self, rows: Rows) -> np.ndarray:
        return z_scores(self.signal(rows), rows.session)[:, None] * self.beta

    def summary(self) -> dict[str, Any]:
        return {"beta": [float(value) for value in self.beta]}


def fit_cross_sectional(signal: Callable[[Rows], np.ndarray], rows: Rows, labels: np.ndarray) -> CrossSectional:
    """``labels`` float32 [n, 12], NaN = does not count. beta_h = sum z y / sum z^2 over the labels of horizon h; 0
    where there is none. No intercept: z sums to 0 in each session, so what all stocks did together drops out."""
    z = z_scores(signal(rows), rows.session)
    known = np.isfinite(labels)
    product = np.where(known, labels, 0).astype(np.float64) * z[:, None]
    squares = (known * z[:, None] ** 2).sum(axis=0)
    beta = np.divide(product.sum(axis=0), squares, out=np.zeros(len(HORIZONS)), where=squares > 0)
    return CrossSectional(signal, beta)
