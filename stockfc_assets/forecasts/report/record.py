"""The track record: how matured forecasts turned out, with its uncertainty, beside simple rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.horizons import SHOWN_HORIZONS
from stockfc_assets.forecasts.report.words import FORECASTERS, verdict
from stockfc_assets.record_charts import ScoreRow, calibration_chart, coverage_chart, horizon_chart, score_forest
from stockfc_assets.svg import PAGE

NETWORK = "network"
WIDTH = 400
"""Of charts, in pixels: on a phone their words are still read, and on a desktop two stand side by side."""


def record_view(data: ReportData) -> dict[str, Any]:
    """Tables and charts of the month's scores; without them, of the record published with the forecast."""
    record, scores = data.record, data.scores or {}
    rows = [row for row in record["horizons"] if row["n"]]
    view = {
        "matured_before": dt.date.fromisoformat(record["matured_before"]),
        "note": record.get("note"),
        "rows": rows,
        "waiting": [row["horizon"] for row in record["horizons"] if not row["n"]],
        "overall": record["overall"],
        "by_sector": scores.get("by_sector", []),
        "by_year": scores.get("by_year", []),
        "forecasters": [_named(row) for row in scores.get("by_forecaster", [])],
        "compared_horizons": _compared_horizons(scores.get("by_forecaster", [])),
        "charts": {},
    }
    if rows:
        view["charts"] = _charts(rows, record["overall"], data.document.get("interval_level"))
    if view["forecasters"]:
        at, rows = _comparable(view["forecasters"])
        view["compared_at"] = at
        view["charts"] |= _forests(rows)
    return view


def validation_view(card: Mapping[str, Any]) -> dict[str, Any]:
    overall = card["validation"]["overall"]
    return {
        "basis": card["validation"]["basis"],
        "overall": overall,
        "rows": card["validation"]["horizons"],
        "short": [row for row in card["validation"]["horizons"] if row["horizon"] in SHOWN_HORIZONS],
        "verdict": verdict(overall.get("skill")),
    }


def standard_error(row: Mapping[str, Any], name: str) -> float | None:
    """The error of a score in ``row``: published with it, or, of a mean over dates, the mean over its t; None without."""
    if f"{name}_error" in row:
        return row[f"{name}_error"]
    value, t = row[name], row.get(f"{name}_hac_t")
    return None if value is None or not t or name == "skill" else abs(value / t)


def _charts(rows: Sequence[Mapping[str, Any]], overall: Mapping[str, Any], level: float | None) -> dict[str, Markup]:
    charts = {
        f"{name}_by_horizon": Markup(
            horizon_chart(
                [(row["horizon"], row[name], standard_error(row, name)) for row in rows],
                title=f"{title} by months ahead",
                unit=unit,
                zero_label=zero,
                palette=PAGE,
                width=WIDTH,
            )
        )
        for name, title, unit, zero in (
            ("skill", "Skill", "share", "no change"),
            ("rank_ic", "Rank IC", "correlation", "chance"),
        )
    }
    if level is not None:
        coverage = [(row["horizon"], row["coverage"], row["n"]) for row in rows]
        charts["coverage"] = Markup(coverage_chart(coverage, level, palette=PAGE, width=WIDTH))
    groups = [(group["forecast"], group["outcome"], group["n"]) for group in overall.get("calibration", [])]
    if groups:
        title = "What happened, by what was forecast"
        charts["calibration"] = Markup(calibration_chart(groups, title=title, palette=PAGE, width=WIDTH))
    return charts


def _comparable(forecasters: Sequence[Mapping[str, Any]]) -> tuple[int | None, list[Mapping[str, Any]]]:
    """(None, the overall scores) where these have errors; else the longest horizon whose scores have, and those scores."""
    network = next(row for row in forecasters if row["is_network"])
    if standard_error(network, "skill") is None:
        known = [row["horizon"] for row in network.get("horizons", []) if standard_error(row, "skill") is not None]
        if known:
            at = max(known)
            own = [next(row for row in one["horizons"] if row["horizon"] == at) for one in forecasters]
            return at, [{**one, **row} for one, row in zip(forecasters, own, strict=True)]
    return None, list(forecasters)


def _forests(forecasters: Sequence[Mapping[str, Any]]) -> dict[str, Markup]:
    def rows(name: str) -> list[ScoreRow]:
        return [
            ScoreRow(row["name"], row[name], standard_error(row, name), row["is_network"])
            for row in forecasters
            if row["forecaster"] != "no_change"
        ]

    skill = score_forest(
        rows("skill"), title="Skill of the network and of simple rules", unit="share", palette=PAGE, width=WIDTH
    )
    order = score_forest(
        rows("rank_ic"),
        title="Rank IC of the network and of simple rules",
        unit="correlation",
        zero_label="chance",
        palette=PAGE,
        width=WIDTH,
    )
    return {"skill_forest": Markup(skill), "rank_ic_forest": Markup(order)}


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    forecaster = row["forecaster"]
    return {**row, "name": FORECASTERS.get(forecaster, forecaster), "is_network": forecaster == NETWORK}


def _compared_horizons(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Skill and rank IC of each forecaster over the shown horizons; empty where the record has none per horizon."""
    compared = []
    for row in rows:
        own = {score["horizon"]: score for score in row.get("horizons", [])}
        if own:
            scores = [own.get(horizon, {"skill": None, "rank_ic": None}) for horizon in SHOWN_HORIZONS]
            compared.append({**_named(row), "scores": scores})
    return compared
