"""The laws that a month's published scores must obey, as messages: empty means obeyed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stockfc_assets.features.names import HORIZONS

SHARES = ("hit_rate", "coverage")
CORRELATIONS = ("ic", "rank_ic")
NOT_NEGATIVE = ("n", "n_dates", "mse", "mse_random_walk", "mae", "width")
BREAKDOWNS = ("by_sector", "by_year", "by_model")
TOLERANCE = 1e-6


def score_problems(document: Mapping[str, Any]) -> list[str]:
    """What cannot be true of ``document`` (record.forecast_scores): counts that do not add up, scores out of range."""
    overall, horizons = document["overall"], document["horizons"]
    problems = []
    if [row["horizon"] for row in horizons] != list(HORIZONS):
        problems.append(f"horizons are {[row['horizon'] for row in horizons]}, expected {list(HORIZONS)}")
    for name in ("horizons", *BREAKDOWNS):
        total = sum(row["n"] for row in document[name])
        if total != overall["n"]:
            problems.append(f"{name} add up to {total} forecasts, overall has {overall['n']}")
    for where, row in _rows(document):
        problems += [f"{where}: {problem}" for problem in _row_problems(row)]
    return problems


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "overall", document["overall"]
    for row in document["horizons"]:
        yield f"{row['horizon']} months", row
    for name in BREAKDOWNS:
        key = name.removeprefix("by_").replace("model", "model_id")
        for row in document[name]:
            yield str(row[key]), row


def _row_problems(row: Mapping[str, Any]) -> list[str]:
    known = {name: value for name, value in row.items() if isinstance(value, (int, float))}
    limits = [
        *((name, 0, 1) for name in SHARES),
        *((name, -1, 1) for name in CORRELATIONS),
        *((name, 0, float("inf")) for name in NOT_NEGATIVE),
        ("skill", -float("inf"), 1),
    ]
    problems = [
        f"{name} is {known[name]}, outside {low} to {high}"
        for name, low, high in limits
        if name in known and not low - TOLERANCE <= known[name] <= high + TOLERANCE
    ]
    if row["n_dates"] > row["n"]:
        problems.append(f"{row['n_dates']} dates with {row['n']} forecasts")
    if row["n"] and row["mse"] is None:
        problems.append(f"{row['n']} forecasts without an error")
    if "calibration" in row and sum(group["n"] for group in row["calibration"]) != row["n"]:
        problems.append(f"the calibration does not hold all {row['n']} forecasts")
    return problems
