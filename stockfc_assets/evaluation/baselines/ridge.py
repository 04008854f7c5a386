"""Ridge regression on the as-of session's own row (Hoerl and Kennard 1970, Technometrics 12): no sequence, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stockfc_assets.evaluation.baselines.rows import Rows, target_scale
from stockfc_assets.features.names import HORIZONS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.models.normalisation import Normalisation

CLIP = 5.0
"""Inputs are clipped at so many (scaled) median absolute deviations, as the network's."""
COLUMNS = (*WEEKLY_FEATURES, *STATIC_FEATURES)


@dataclass(frozen=True)
class Ridge:
    """log return = (intercept_h + x w_h) x volatility x sqrt(h / 12); x: 29 standardised numbers and their masks."""

    normalisation: Normalisation
    intercept: np.ndarray
    """float64 [12]"""
    weights: np.ndarray
    """float64 [58, 12]"""

    def predict(self, rows: Rows) -> np.ndarray:
        scale = target_scale(rows, self.normalisation.fallback_volatility)
        return (self.intercept + standardised(rows, self.normalisation) @ self.weights) * scale

    def summary(self) -> dict[str, Any]:
        return {"intercept": [float(value) for value in self.intercept]}


def standardised(rows: Rows, normalisation: Normalisation) -> np.ndarray:
    """(value - median) / scaled MAD, clipped, 0 where missing; then 1 where missing, else 0. float64 [n, 58]."""
    values = np.hstack([rows.last, rows.static]).astype(np.float64)
    median = np.concatenate([normalisation.weekly_median, normalisation.static_median])
    scale = np.concatenate([normalisation.weekly_scale, normalisation.static_scale])
    scaled = np.clip((values - median) / scale, -CLIP, CLIP)
    missing = ~np.isfinite(scaled)
    return np.hstack([np.where(missing, 0.0, scaled), missing])


def fit_ridge(rows: Rows, labels: np.ndarray, normalisation: Normalisation, penalty: float) -> Ridge:
    """``labels`` float32 [n, 12], NaN = does not count.

    Per horizon the minimum of mean squared error + ``penalty`` x |w|^2 in units of the scaled target, the intercept free:
    w = (Xc' Xc / n + penalty I)^-1 Xc' yc / n with centred X and y. A horizon without labels has weights of 0.
    """
    inputs = standardised(rows, normalisation)
    targets = labels / target_scale(rows, normalisation.fallback_volatility)
    width = inputs.shape[1]
    intercept, weights = np.zeros(len(HORIZONS)), np.zeros((width, len(HORIZONS)))
    for column in range(len(HORIZONS)):
        known = np.isfinite(targets[:, column])
        if not known.any():
            continue
        x, y = inputs[known], targets[known, column]
        mean_x, mean_y = x.mean(axis=0), y.mean()
        x = x - mean_x
        weights[:, column] = np.linalg.solve(x.T @ x / len(y) + penalty * np.eye(width), x.T @ (y - mean_y) / len(y))
        intercept[column] = mean_y - mean_x @ weights[:, column]
    return Ridge(normalisation, intercept, weights)
