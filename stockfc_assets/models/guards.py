"""Collapse guards: networks on noisy returns like to predict one constant. NumPy only.

Forecasts are judged in units of each stock's own volatility: one constant times 31 volatilities looks like 31 different
forecasts, and is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stockfc_assets.models.validation import MIN_CROSS_SECTION

if TYPE_CHECKING:
    from stockfc_assets.model_settings import GuardSettings

DECIMALS = 6


def guard_values(
    *,
    predicted: np.ndarray,
    realised: np.ndarray,
    scale: np.ndarray,
    encodings: np.ndarray,
    session: np.ndarray,
    losses: Sequence[float],
    weights: Sequence[np.ndarray],
) -> dict[str, float]:
    """Figures that `guard_failures` judges.

    predicted, scale: float [n, 12]; realised: float [n, 12], NaN = not known; encodings: float [n, d]; session: int
    [n]; losses: of every epoch; weights: all parameters. NaN = undefined (no date has 3 stocks). spread_ratio: spread
    of forecasts across stocks / spread of outcomes, means over dates and horizons of standard deviations.
    distinct_share: mean over dates of the share of distinct forecasts. mean_cosine: mean over dates and pairs of
    different stocks. finite_*: 1 or 0.
    """
    forecast, outcome = predicted / scale, realised / scale
    dates = list(_cross_sections(session))
    return {
        "spread_ratio": _spread_ratio(forecast, outcome, dates),
        "distinct_share": _mean([len(np.unique(np.round(forecast[d], DECIMALS), axis=0)) / len(d) for d in dates]),
        "mean_cosine": _mean([_mean_cosine(encodings[d]) for d in dates]),
        "finite_outputs": float(np.isfinite(predicted).all()),
        "finite_losses": float(all(math.isfinite(loss) for loss in losses)),
        "finite_weights": float(all(np.isfinite(array).all() for array in weights)),
    }


def guard_failures(values: dict[str, float], settings: GuardSettings) -> list[str]:
    """One message per guard that fails; undefined figures (NaN or None) do not fail, infinite outputs do."""
    messages = [
        f"{name.replace('_', ' ')}: some are NaN or infinite; lower the learning rate or look for wild inputs"
        for name in ("finite_outputs", "finite_losses", "finite_weights")
        if values[name] != 1.0
    ]
    limits = (
        ("spread_ratio", "below", settings.min_spread_ratio, "forecasts hardly differ across stocks"),
        ("distinct_share", "below", settings.min_distinct_share, "many stocks get the same forecast"),
        ("mean_cosine", "above", settings.max_mean_cosine, "the encoder sees all stocks alike"),
    )
    for name, side, limit, meaning in limits:
        value = values[name]
        if value is not None and (value < limit if side == "below" else value > limit):
            messages.append(f"{name} {value:.6g} is {side} {limit:g}: {meaning}; train in full or change model.yaml")
    return messages


def _cross_sections(session: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of each date that has enough stocks."""
    order = np.argsort(session, kind="stable")
    _, starts = np.unique(session[order], return_index=True)
    for date in np.split(order, starts[1:]):
        if len(date) >= MIN_CROSS_SECTION:
            yield date


def _spread_ratio(forecast: np.ndarray, outcome: np.ndarray, dates: list[np.ndarray]) -> float:
    forecast_spread, outcome_spread = [], []
    for date in dates:
        known = np.isfinite(outcome[date])
        for column in np.flatnonzero(known.sum(axis=0) >= MIN_CROSS_SECTION):
            stocks = date[known[:, column]]
            forecast_spread.append(forecast[stocks, column].std(dtype=np.float64))
            outcome_spread.append(outcome[stocks, column].std(dtype=np.float64))
    spread = _mean(outcome_spread)
    return _mean(forecast_spread) / spread if spread > 0 else math.nan


def _mean_cosine(encodings: np.ndarray) -> float:
    """Mean cosine similarity over all pairs of different rows, from the norm of the sum of the unit vectors."""
    vectors = encodings.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.ones_like(vectors) / math.sqrt(vectors.shape[1]), where=norms > 0)
    total = units.sum(axis=0)
    return float((total @ total - len(units)) / (len(units) * (len(units) - 1)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
