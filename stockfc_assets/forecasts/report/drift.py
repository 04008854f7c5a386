"""What a session's inputs look like beside those on which the model was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from stockfc_assets.features.drift import FAR, NEVER_SEEN, SHIFTED
from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.words import FEATURES, feature_value, listed
from stockfc_assets.record_charts import drift_strip
from stockfc_assets.svg import PAGE, share

MOST_NAMED = 3


def drift_view(data: ReportData) -> dict[str, Any] | None:
    """The table of inputs against training, and the furthest in words; None where there is none to show."""
    drift = data.drift
    if drift is None:
        return None
    rows = [
        {
            **row,
            "name": FEATURES.get(row["feature"], row["feature"]),
            "shown_median": feature_value(row["feature"], row["median"]),
            "strip": Markup(drift_strip(row["median_percentile"], row["outside"] or 0.0, palette=PAGE)),
        }
        for row in drift["features"]
    ]
    return {"document": drift, "rows": rows, "words": _drift_words(drift, rows)}


def _drift_words(drift: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    moved = [row for row in rows if row["verdict"] in (FAR, SHIFTED)]
    unseen = sum(row["verdict"] == NEVER_SEEN for row in rows)
    without = f" {unseen} more were missing in training, so the model knows nothing of them." if unseen else ""
    if not moved:
        return f"All {len(rows) - unseen} inputs look as in training.{without}"
    told = [f"{row['name']} ({_place(row)})" for row in moved[:MOST_NAMED]]
    return (
        f"Of {len(rows) - unseen} inputs {drift['far']} lie far from training and {drift['shifted']} are shifted. "
        f"Furthest: {listed(told)}.{without}"
    )


def _place(row: Mapping[str, Any]) -> str:
    if row["median_percentile"] is None:
        return "missing today"
    return f"its median is above {share(row['median_percentile'], 0)} of training’s values"
