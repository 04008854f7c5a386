"""Scores of forecasts beside the random walk's ("no change"), and conformal interval quantiles. NumPy only.

Overlapping horizons are not independent: these figures describe, and carry no t statistic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stockfc_assets.features.names import HORIZONS

MIN_CROSS_SECTION = 3
"""Stocks that a date needs before ranks across them are compared."""


def scores(predicted: np.ndarray, realised: np.ndarray, session: np.ndarray) -> dict[str, Any]:
    """{"overall": {...}, "horizons": [12 x {"horizon", ...}]}, beside the random walk's.

    Figures: n, mse, mse_random_walk, skill, mae, mae_random_walk, rank_ic, hit_rate.
    predicted: float [n, 12] log returns; realised: float [n, 12], NaN = does not count; session: int [n], equal on
    equal dates. skill = 1 - MSE / MSE of "no change"; rank_ic = mean over dates of Spearman's correlation across
    stocks; hit_rate = share of right signs where the price did change. None where a figure is undefined. Overall
    figures pool all labels; its rank_ic is the mean over horizons.
    """
    horizons = [
        {"horizon": horizon, **_figures(predicted[:, column], realised[:, column]), "rank_ic": rank_ic}
        for column, horizon in enumerate(HORIZONS)
        for rank_ic in [mean_rank_ic(predicted[:, column], realised[:, column], session)]
    ]
    known = [row["rank_ic"] for row in horizons if row["rank_ic"] is not None]
    overall = _figures(predicted.ravel(), realised.ravel())
    return {"overall": {**overall, "rank_ic": _mean(known)}, "horizons": horizons}


def mean_rank_ic(predicted: np.ndarray, realised: np.ndarray, session: np.ndarray) -> float | None:
    """Mean over dates of Spearman's correlation across stocks; [n] each, realised NaN = does not count.

    Dates with fewer than 3 stocks, or on which all forecasts or all outcomes are equal, have none. None without a date.
    """
    known = np.flatnonzero(np.isfinite(realised))
    known = known[np.argsort(session[known], kind="stable")]
    starts = np.flatnonzero(np.diff(session[known], prepend=np.iinfo(np.int64).min))
    correlations = [
        spearman(predicted[date], realised[date])
        for date in np.split(known, starts[1:])
        if len(date) >= MIN_CROSS_SECTION
    ]
    return _mean([value for value in correlations if value is not None])


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rank correlation of two finite [n] arrays, ties at their mean rank; None when one is constant."""
    ranks_a, ranks_b = average_ranks(a), average_ranks(b)
    ranks_a -= ranks_a.mean()
    ranks_b -= ranks_b.mean()
    norm = math.sqrt(float(ranks_a @ ranks_a) * float(ranks_b @ ranks_b))
    return float(ranks_a @ ranks_b) / norm if norm > 0 else None


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean; float64 [n]."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[which]


def conformal_quantiles(
    predicted: np.ndarray, realised: np.ndarray, scale: np.ndarray, level: float
) -> tuple[list[float | None], list[int]]:
    """(quantile, n) per horizon of |realised - predicted| / scale, [n, 12] each, realised NaN = does not count.

    The interval predicted -+ quantile x scale covers a new, exchangeable outcome with at least ``level``: split
    conformal prediction (Lei et al. 2018, eq. 2.1 f.): the ceil((n + 1) level)-th smallest residual; None where n is
    too small.
    """
    quantiles: list[float | None] = []
    counts: list[int] = []
    residuals = np.abs(realised.astype(np.float64) - predicted) / scale
    for column in range(residuals.shape[1]):
        known = np.sort(residuals[np.isfinite(residuals[:, column]), column])
        # The tolerance keeps 0.8 x 10 from being the 9th when the product is a rounding error above 8.
        position = math.ceil((len(known) + 1) * level - 1e-9)
        quantiles.append(float(known[position - 1]) if position <= len(known) else None)
        counts.append(len(known))
    return quantiles, counts


def _figures(predicted: np.ndarray, realised: np.ndarray) -> dict[str, Any]:
    known = np.isfinite(realised)
    forecast, outcome = predicted[known].astype(np.float64), realised[known].astype(np.float64)
    moved = outcome != 0
    mse, mse_random_walk = _mean((forecast - outcome) ** 2), _mean(outcome**2)
    return {
        "n": int(known.sum()),
        "mse": mse,
        "mse_random_walk": mse_random_walk,
        "skill": 1 - mse / mse_random_walk if mse is not None and mse_random_walk else None,
        "mae": _mean(np.abs(forecast - outcome)),
        "mae_random_walk": _mean(np.abs(outcome)),
        "hit_rate": _mean(np.sign(forecast[moved]) == np.sign(outcome[moved])),
    }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None
