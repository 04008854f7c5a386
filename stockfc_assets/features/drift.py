"""Drift: do today's features look like those that the model was trained on? Distribution by distribution, no labels.

Training is kept as quantiles and counts per feature (`reference`), small enough for a model card; `drift` lays new rows
over them. It says what a model meets, not what its forecasts are worth: a model may forecast badly on familiar inputs,
and well on unfamiliar ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stockfc_assets.errors import InputError

LEVELS: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
DECILES = slice(2, 11)
"""Where the nine deciles stand in `LEVELS`; they bound the cells of the stability index."""
DECIMALS = 6

AS_IN_TRAINING, SHIFTED, FAR, NEVER_SEEN = "as in training", "shifted", "far from training", "never seen"
LIMITS = (
    (FAR, 0.05, 0.25, 0.5),
    (SHIFTED, 0.20, 0.10, 0.1),
)
"""A verdict, and from where on it is given: distance of today's median from either end of training's distribution, share
outside training's 1-99 % range, share that is missing beyond training's. No limit on the stability index: within its own
training a quarter of Core30 prices has one above 0.25 for two features of three (docs/drift.md)."""


def reference(rows: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Training's distribution of each feature, in JSON's types; rows float32 [n, f], NaN or infinite = missing.

    "levels": `LEVELS`. "features": name -> "quantiles" at those levels (linear, of what is not missing; None where all
    is), in float32, so that a value that many rows share is met exactly; "counts": rows per cell between the deciles, the
    last cell = missing; "missing": its share; "n": all rows. The same rows in any order give the same.
    Raises InputError when there is no row.
    """
    if not len(rows):
        raise InputError("no row to take the training's distribution from")
    return {
        "levels": list(LEVELS),
        "features": {name: _distribution(values) for name, values in zip(names, rows.T, strict=True)},
    }


def drift(rows: np.ndarray, names: Sequence[str], reference: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How today's rows (float32 [n, f], NaN or infinite = missing) lie in training; the highest "psi" first.

    Per feature: "median" of today; "median_percentile": where it lies in training's distribution, interpolated between
    the quantiles, so from 0.01 (at or below the lowest) to 0.99; "outside": share of today's values below training's
    1 % or above its 99 % quantile, 0.02 being normal; "psi" (`stability_index` over training's deciles and missing);
    "missing" and "training_missing": shares; "n": all rows of today. A number that does not exist is None.

    psi is no test. By chance alone its mean is (cells - 1) / n for n independent values (Yurdakul and Naranjo 2020,
    J. of Risk Model Validation 14(4), 89-100); stocks of a date move together and weeks resemble their neighbours, so that
    n counts for far less, and the usual limits 0.1 and 0.25 are passed by any quarter that has a character of its own.
    Raises InputError when there is no row, or ``reference`` lacks a feature.
    """
    if not len(rows):
        raise InputError("no row to compare with training")
    unknown = [name for name in names if name not in reference["features"]]
    if unknown:
        raise InputError(f"the model's training has no record of {', '.join(unknown)}; train in full")
    found = [
        {"feature": name, **_against(values, reference["features"][name], reference["levels"])}
        for name, values in zip(names, rows.T, strict=True)
    ]
    return sorted(found, key=lambda row: -row["psi"])


def stability_index(today: np.ndarray, training: np.ndarray) -> float:
    """Population stability index of two lists of counts over the same k cells: sum of (a - e) ln(a / e).

    a, e: a cell's share of today and of training (Siddiqi 2006, Credit Risk Scorecards; the divergence of Jeffreys 1946
    and of Kullback and Leibler 1951, eq. 2.6). 0 when the shares are equal, never negative. An empty cell counts as
    half an observation, or as the other side's share where that is less: that too few rows were drawn to meet a rare
    value is no sign of drift.
    """
    a, e = today / today.sum(), training / training.sum()
    a, e = (
        np.where(a > 0, a, np.minimum(e, 0.5 / today.sum())),
        np.where(e > 0, e, np.minimum(a, 0.5 / training.sum())),
    )
    met = (a > 0) & (e > 0)
    return float(((a[met] - e[met]) * np.log(a[met] / e[met])).sum())


def verdict(row: Mapping[str, Any]) -> str:
    """One feature of `drift` in words, by `LIMITS`; each of them is enough.

    "far from training": today's median lies in the outer 5 % of training, or a quarter of the values outside its 1-99 %
    range, or half more are missing. "shifted": the outer 20 %, a tenth outside, a tenth more missing. "never seen": training
    had no value at all, so the network reads today's as missing too. "as in training" otherwise; fewer missing values
    than in training are no shift.
    """
    percentile, outside = row["median_percentile"], row["outside"]
    if row["training_missing"] == 1:
        return NEVER_SEEN
    to_the_end = None if percentile is None else round(min(percentile, 1 - percentile), DECIMALS)
    more_missing = round(row["missing"] - row["training_missing"], DECIMALS)
    for name, edge, far_out, lacking in LIMITS:
        if more_missing >= lacking or (to_the_end is not None and (to_the_end <= edge or outside >= far_out)):
            return name
    return AS_IN_TRAINING


def _distribution(values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    quantiles = [_short(value) for value in np.quantile(known.astype(np.float64), LEVELS)] if len(known) else None
    return {
        "quantiles": quantiles,
        "counts": _counts(values, quantiles).tolist(),
        "missing": round(1 - len(known) / len(values), DECIMALS),
        "n": len(values),
    }


def _against(values: np.ndarray, training: Mapping[str, Any], levels: Sequence[float]) -> dict[str, Any]:
    known, quantiles = values[np.isfinite(values)], training["quantiles"]
    comparable = len(known) and quantiles is not None
    median = _short(np.median(known.astype(np.float64))) if len(known) else None
    outside = ((known < np.float32(quantiles[0])) | (known > np.float32(quantiles[-1]))).mean() if comparable else None
    psi = stability_index(_counts(values, quantiles), np.array(training["counts"]))
    return {
        "median": median,
        "median_percentile": round(_percentile(median, quantiles, levels), DECIMALS) if comparable else None,
        "outside": round(float(outside), DECIMALS) if comparable else None,
        "psi": round(psi, DECIMALS),
        "missing": round(1 - len(known) / len(values), DECIMALS),
        "training_missing": training["missing"],
        "n": len(values),
    }


def _percentile(value: float, quantiles: Sequence[float], levels: Sequence[float]) -> float:
    """Level of ``value`` among the quantiles; where several coincide on it, the middle of theirs."""
    at, level = np.array(quantiles), np.array(levels)
    highest = np.interp(value, at, level)
    lowest = np.interp(-value, -at[::-1], level[::-1])
    return float((lowest + highest) / 2)


def _counts(values: np.ndarray, quantiles: Sequence[float] | None) -> np.ndarray:
    """Values per cell, int64: up to each edge (inclusive), above the last, missing."""
    known = values[np.isfinite(values)]
    edges = np.array([], dtype=np.float32) if quantiles is None else _edges(quantiles)
    cells = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.append(cells, len(values) - len(known))


def _edges(quantiles: Sequence[float]) -> np.ndarray:
    """The distinct deciles, float32. A value on which several coincide gets a cell of its own."""
    deciles = np.array(quantiles[DECILES], dtype=np.float32)
    coincides = np.append(np.diff(deciles) == 0, False)
    return np.unique(np.where(coincides, np.nextafter(deciles, np.float32(-np.inf)), deciles))


def _short(value: float) -> float:
    """``value`` in float32, with the fewest digits that tell it from its neighbours."""
    return float(str(np.float32(value)))
