"""How the forecasts published before a month turned out: the track record beside every forecast, and the month's scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stockfc_assets.evaluation.baselines import on_published_samples
from stockfc_assets.evaluation.scores import (
    KEY,
    NOTHING_MATURED,
    realised_outcomes,
    rounded,
    score_forecasts,
    score_samples,
    scored_samples,
    scores_by_model,
    scores_by_sector,
    scores_by_year,
)
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import BaselineForecasts, Predictions, RawOhlcv

COMPARED = ("n", "n_dates", "mse", "mae", "skill", "skill_hac_t", "skill_error", "rank_ic", "rank_ic_hac_t", "hit_rate")
"""Scores of the network and of the baselines, side by side."""


@dataclass(frozen=True)
class Published:
    """Forecasts (tables.Predictions), and the prices (tables.RawOhlcv) of every session since the first of them."""

    forecasts: pl.DataFrame
    raw: pl.DataFrame


def published_before(
    warehouse: Warehouse, calendar: TradingCalendar, month: dt.date, *, columns: Sequence[str] | None = None
) -> Published:
    """The stored forecasts of which at least the first horizon had matured when ``month`` began, and the prices since.

    Both are empty when there is none. What is read does not change within the month. ``columns``: of the forecasts, all
    by default.
    """
    matured = add_months(month, -1)
    keys = [key for key in warehouse.partitions("daily_predictions") if dt.date.fromisoformat(key) < matured]
    forecasts = warehouse.read_tables("daily_predictions", keys, columns=columns)
    if forecasts is None:
        return Published(Predictions.create_empty(), RawOhlcv.create_empty())
    sessions = calendar.between(dt.date.fromisoformat(keys[0]), month - dt.timedelta(days=1))
    raw = warehouse.read_tables("raw_ohlcv", [session.isoformat() for session in sessions])
    return Published(forecasts, RawOhlcv.create_empty() if raw is None else raw)


def baselines_before(warehouse: Warehouse, month: dt.date) -> pl.DataFrame:
    """The stored baseline forecasts (tables.BaselineForecasts) of sessions before ``month``; empty when there are none."""
    keys = [key for key in warehouse.partitions("baseline_forecasts") if dt.date.fromisoformat(key) <= month]
    rows = warehouse.read_tables("baseline_forecasts", keys)
    return BaselineForecasts.create_empty() if rows is None else rows


def scores_by_forecaster(
    forecasts: pl.DataFrame, outcomes: pl.DataFrame, baselines: pl.DataFrame
) -> list[dict[str, Any]]:
    """``forecaster`` ("network", then each baseline), its overall scores and those per horizon (``horizons``), all on the
    same samples: those that have a forecast of the network and of the baselines, and an outcome. Baselines that could
    not be fitted are left out."""
    said = {name: frame for name, frame in on_published_samples(baselines, forecasts).items() if frame.height}
    if not said:
        return []
    own = forecasts.join(baselines.select(KEY), on=KEY, how="semi")
    rows = []
    for name, frame in {"network": own, **said}.items():
        scores = score_forecasts(frame, outcomes)
        horizons = [{key: row[key] for key in ("horizon", *COMPARED)} for row in scores["horizons"]]
        rows.append({"forecaster": name, **{key: scores["overall"][key] for key in COMPARED}, "horizons": horizons})
    return rows


def forecast_scores(published: Published, month: dt.date, baselines: pl.DataFrame | None = None) -> dict[str, Any]:
    """The content of forecast_scores/{month}.json: every score of what had matured when ``month`` began.

    ``published`` may reach beyond ``month``: what was not known before it changes nothing. Keys: month and
    matured_before (ISO dates, equal: every label ended before it), horizons and overall (`scores.score_samples`),
    by_sector, by_year, by_model (empty lists without a forecast), by_forecaster (the network beside ``baselines``,
    tables.BaselineForecasts, on the same samples; empty without any), note (null, or why there are no scores yet).
    """
    baselines = BaselineForecasts.create_empty() if baselines is None else baselines
    outcomes = realised_outcomes(published.raw, published.forecasts, month)
    samples = scored_samples(published.forecasts, outcomes)
    return {
        "month": month.isoformat(),
        "matured_before": month.isoformat(),
        **rounded(score_samples(samples)),
        "by_sector": rounded(scores_by_sector(samples)),
        "by_year": rounded(scores_by_year(samples)),
        "by_model": rounded(scores_by_model(samples)),
        "by_forecaster": rounded(scores_by_forecaster(published.forecasts, outcomes, baselines)),
        "note": NOTHING_MATURED if samples.is_empty() else None,
    }
