"""Gradient boosting on the as-of session's row and window statistics (LightGBM: Ke et al. 2017, NeurIPS 30).

lightgbm is imported inside the functions: it loads a second OpenMP runtime, and most of what imports this room only scores.
"""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stockfc_assets.evaluation.baselines.rows import WINDOW_COLUMNS, Rows, target_scale
from stockfc_assets.features.names import HORIZONS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.model_settings import BaselineSettings

if TYPE_CHECKING:
    import lightgbm

COLUMNS = (*WEEKLY_FEATURES, *STATIC_FEATURES, *WINDOW_COLUMNS)
MOST_USED = 5


def why_unavailable() -> str | None:
    """Why LightGBM cannot run on this machine, and what to install; None where it can."""
    try:
        importlib.import_module("lightgbm")
    except (ImportError, OSError) as error:
        return f"lightgbm cannot be loaded ({error}); install the extra `train` and the system's libgomp1"
    return None


@dataclass(frozen=True)
class GradientBoosting:
    """One ensemble per horizon; log return = trees(x) x volatility x sqrt(h / 12). Missing values go where they fit best."""

    ensembles: tuple[lightgbm.Booster | None, ...]
    """[12]; None where the horizon had no label: no change."""
    fallback_volatility: float

    def predict(self, rows: Rows) -> np.ndarray:
        inputs = _inputs(rows)
        scaled = np.zeros((len(rows), len(HORIZONS)))
        for column, ensemble in enumerate(self.ensembles):
            if ensemble is not None and len(rows):
                scaled[:, column] = ensemble.predict(inputs, num_threads=1)
        return scaled * target_scale(rows, self.fallback_volatility)

    def summary(self) -> dict[str, Any]:
        """The columns whose splits explained most, over all horizons."""
        gain = np.zeros(len(COLUMNS))
        for ensemble in self.ensembles:
            if ensemble is not None:
                gain += ensemble.feature_importance("gain")
        order = np.argsort(-gain, kind="stable")[:MOST_USED]
        return {"most_used": [COLUMNS[i] for i in order if gain[i] > 0]}

    def text(self) -> str:
        """The ensembles in LightGBM's own text format, one after the other: equal for equal models."""
        return "\n".join("" if ensemble is None else ensemble.model_to_string() for ensemble in self.ensembles)


def fit_gradient_boosting(
    rows: Rows,
    labels: np.ndarray,
    fallback_volatility: float,
    settings: BaselineSettings,
    *,
    threads: int,
    seed: int,
) -> GradientBoosting:
    """``labels`` float32 [n, 12], NaN = does not count. Squared error of the scaled target; no early stopping, so that
    no label is spent on choosing. The same rows, seed and library version give the same trees, whatever ``threads``."""
    inputs = _inputs(rows)
    targets = labels / target_scale(rows, fallback_volatility)
    # An ensemble per thread: LightGBM's own threads would wait for each other at every split of these small trees.
    with ThreadPoolExecutor(threads) as pool:
        ensembles = pool.map(lambda target: _ensemble(inputs, target, settings, seed), targets.T)
        return GradientBoosting(tuple(ensembles), float(fallback_volatility))


def _ensemble(inputs: np.ndarray, target: np.ndarray, settings: BaselineSettings, seed: int) -> lightgbm.Booster | None:
    """``target`` float64 [n], NaN = does not count; None where none counts."""
    import lightgbm

    known = np.isfinite(target)
    if not known.any():
        return None
    parameters = {
        "objective": "regression",
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf_samples,
        "feature_fraction": 0.5,
        "max_bin": 63,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(inputs[known], target[known], feature_name=list(COLUMNS), params=parameters)
    return lightgbm.train(parameters, data, settings.trees)


def _inputs(rows: Rows) -> np.ndarray:
    return np.hstack([rows.last, rows.static, rows.windows]).astype(np.float64)
