"""Scores of forecasts beside the random walk's ("no change"), and conformal interval quantiles. NumPy only.

Overlapping horizons are not independent: these figures describe, and carry no t statistic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stockfc_assets.features.names import HORIZONS

MIN_CROSS_SECTION = 3
"""Stocks that a date needs before ranks across them are compared."""

QUANTILE_LEVELS = tuple(step / 50 for step in range(1, 50))
"""0.02 to 0.98: wherever the adaptive level of an interval may wander."""

ROUNDING = 1e-9


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


def interval_quantiles(
    predicted: np.ndarray, realised: np.ndarray, scale: np.ndarray, as_of: np.ndarray, label_end: np.ndarray
) -> dict[str, Any]:
    """The card's ``interval``: how far outcomes fell from forecasts, as quantiles of |realised - predicted| / scale.

    predicted, realised, scale: float [n, 12], realised NaN = does not count; as_of: datetime64[D] [n]; label_end:
    datetime64[D] [n, 12], equal on equal as-of dates. Returns levels [49] (0.02 to 0.98), quantiles [12][49] rounded to
    6 decimals, n [12] and n_effective [12] residuals.

    The interval predicted -+ quantile x scale covers a new, exchangeable outcome with at least its level: split
    conformal prediction (Lei et al. 2018, eq. 2.1 f.), the ceil((n + 1) level) / n quantile of n residuals. Labels that
    overlap in time nearly repeat each other, and n copies of a residual say what one says: the correction counts
    ``n_effective``, the stocks of an average date x the label intervals that fit one behind the other. None where that
    is too few for the level. Stocks count as separate although the market moves them together.
    """
    residuals = np.abs(realised.astype(np.float64) - predicted) / scale
    quantiles, counts, effective = [], [], []
    for column in range(len(HORIZONS)):
        known = np.isfinite(residuals[:, column])
        dates, first = np.unique(as_of[known], return_index=True)
        periods = separate_periods(dates, label_end[known, column][first])
        count = int(known.sum())
        counts.append(count)
        effective.append(count * periods // max(len(dates), 1))
        quantiles.append(conformal_quantiles(residuals[known, column], effective[-1], QUANTILE_LEVELS))
    return {"levels": list(QUANTILE_LEVELS), "quantiles": quantiles, "n": counts, "n_effective": effective}


def conformal_quantiles(residuals: np.ndarray, n_effective: int, levels: Sequence[float]) -> list[float | None]:
    """The ceil((n_effective + 1) level) / n_effective quantile of finite ``residuals`` [n] for each level, 6 decimals.

    None where that is beyond 1: no residual seen so far bounds so large a share of outcomes.
    """
    ordered = np.sort(residuals)
    quantiles: list[float | None] = []
    for level in levels:
        # The tolerances keep 0.8 x 10 from being the 9th when the product is a rounding error above 8.
        wanted = math.ceil((n_effective + 1) * level - ROUNDING)
        if wanted > n_effective:
            quantiles.append(None)
            continue
        position = math.ceil(len(ordered) * wanted / n_effective - ROUNDING)
        quantiles.append(round(float(ordered[position - 1]), 6))
    return quantiles


def separate_periods(starts: np.ndarray, ends: np.ndarray) -> int:
    """How many of the intervals from ``starts`` to ``ends`` (both ascending [d]) fit one behind the other.

    The most that are possible: always taking the one that ends first (Kleinberg and Tardos 2006, section 4.1). One may
    begin on the day on which another ends: the two share a price, but no return.
    """
    count, position = 0, 0
    while position < len(starts):
        count += 1
        position = int(np.searchsorted(starts, max(ends[position], starts[position] + 1)))
    return count


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
