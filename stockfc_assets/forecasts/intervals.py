"""How wide an interval is: the model card's quantiles at the level that is asked for, scaled to stock and horizon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stockfc_assets.features.names import HORIZONS

MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class IntervalTarget:
    """What an interval is to hold, and the miss rate alpha at which it is drawn to do so."""

    level: float
    """Share of outcomes to hold."""
    alpha: tuple[float, ...]
    """[12] per horizon: 1 - level, or what past misses have made of it (evaluation/intervals.py)."""

    @classmethod
    def nominal(cls, level: float) -> IntervalTarget:
        """Nothing learnt from past misses."""
        return cls(level, (1 - level,) * len(HORIZONS))


def interval_entry(interval: Mapping[str, Any], target: IntervalTarget) -> dict[str, Any]:
    """What a predictions file says of its intervals: level, alpha_by_horizon, n and n_effective (residuals behind them).

    ``interval`` is the entry of the model card.
    """
    return {
        "level": target.level,
        "alpha_by_horizon": [round(alpha, 6) for alpha in target.alpha],
        "n": list(interval.get("n", [])),
        "n_effective": list(interval.get("n_effective", [])),
    }


def half_widths(interval: Mapping[str, Any], target: IntervalTarget, volatility: np.ndarray) -> np.ndarray:
    """Half widths as log returns, float64 [n, 12]: q_h x volatility x sqrt(h / 12); NaN where they are not known.

    ``interval`` and ``target`` as in `quantiles_at`; ``volatility`` [n] is annualised, NaN = not known.
    """
    years = np.asarray(HORIZONS, dtype=np.float64) / MONTHS_PER_YEAR
    return quantiles_at(interval, target) * volatility[:, None] * np.sqrt(years)


def quantiles_at(interval: Mapping[str, Any], target: IntervalTarget) -> np.ndarray:
    """The card's quantile of scaled residuals at level 1 - alpha, per horizon; float64 [12].

    ``interval`` is the entry of the model card: levels [L] ascending and quantiles [12][L], None where residuals were too
    few for a level. Between two levels the quantile is interpolated; beyond the last known one it stays, for no larger
    residual was seen. NaN for a horizon whose residuals were too few for ``target.level`` itself, and for every horizon
    of a card without quantiles.
    """
    levels = interval.get("levels", [])
    rows = interval.get("quantiles") or [[None] * len(levels)] * len(HORIZONS)
    return np.array(
        [_quantile(levels, row, 1 - alpha, target.level) for row, alpha in zip(rows, target.alpha, strict=True)]
    )


def _quantile(levels: Sequence[float], quantiles: Sequence[float | None], wanted: float, nominal: float) -> float:
    known = [(level, value) for level, value in zip(levels, quantiles, strict=True) if value is not None]
    if not known or known[-1][0] < nominal:
        return math.nan
    at, values = zip(*known, strict=True)
    return float(np.interp(wanted, at, values))
