"""How the forecasts published before a month turned out: the track record beside every forecast, and the month's scores."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl

from stockfc_assets.evaluation.scores import (
    NOTHING_MATURED,
    realised_outcomes,
    rounded,
    score_samples,
    scored_samples,
    scores_by_model,
    scores_by_sector,
    scores_by_year,
)
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import Predictions, RawOhlcv


@dataclass(frozen=True)
class Published:
    """Forecasts (tables.Predictions), and the prices (tables.RawOhlcv) of every session since the first of them."""

    forecasts: pl.DataFrame
    raw: pl.DataFrame


def published_before(warehouse: Warehouse, calendar: TradingCalendar, month: dt.date) -> Published:
    """The stored forecasts of which at least the first horizon had matured when ``month`` began, and the prices since.

    Both are empty when there is none. What is read does not change within the month.
    """
    matured = add_months(month, -1)
    keys = [key for key in warehouse.partitions("daily_predictions") if dt.date.fromisoformat(key) < matured]
    forecasts = warehouse.read_tables("daily_predictions", keys)
    if forecasts is None:
        return Published(Predictions.create_empty(), RawOhlcv.create_empty())
    sessions = calendar.between(dt.date.fromisoformat(keys[0]), month - dt.timedelta(days=1))
    raw = warehouse.read_tables("raw_ohlcv", [session.isoformat() for session in sessions])
    return Published(forecasts, RawOhlcv.create_empty() if raw is None else raw)


def forecast_scores(published: Published, month: dt.date) -> dict[str, Any]:
    """The content of forecast_scores/{month}.json: every score of what had matured when ``month`` began.

    ``published`` may reach beyond ``month``: what was not known before it changes nothing. Keys: month and
    matured_before (ISO dates, equal: every label ended before it), horizons and overall (`scores.score_samples`),
    by_sector, by_year, by_model (empty lists without a forecast), note (null, or why there are no scores yet).
    """
    outcomes = realised_outcomes(published.raw, published.forecasts, month)
    samples = scored_samples(published.forecasts, outcomes)
    return {
        "month": month.isoformat(),
        "matured_before": month.isoformat(),
        **rounded(score_samples(samples)),
        "by_sector": rounded(scores_by_sector(samples)),
        "by_year": rounded(scores_by_year(samples)),
        "by_model": rounded(scores_by_model(samples)),
        "note": NOTHING_MATURED if samples.is_empty() else None,
    }
