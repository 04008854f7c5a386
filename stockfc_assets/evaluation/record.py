"""The track record that a forecast carries: how the forecasts published before its month turned out."""

from __future__ import annotations

import datetime as dt
from typing import Any

from stockfc_assets.evaluation.scores import track_record
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import Predictions, RawOhlcv


def track_record_before(warehouse: Warehouse, calendar: TradingCalendar, month: dt.date) -> dict[str, Any]:
    """Scores of the stored forecasts of which at least the first horizon had matured when ``month`` began.

    Reads ``daily_predictions`` of earlier sessions and the prices since; the result does not change within the month.
    """
    matured = add_months(month, -1)
    keys = [key for key in warehouse.partitions("daily_predictions") if dt.date.fromisoformat(key) < matured]
    forecasts = warehouse.read_tables("daily_predictions", keys)
    if forecasts is None:
        return track_record(Predictions.create_empty(), RawOhlcv.create_empty(), known_before=month)
    sessions = calendar.between(dt.date.fromisoformat(keys[0]), month - dt.timedelta(days=1))
    raw = warehouse.read_tables("raw_ohlcv", [session.isoformat() for session in sessions])
    return track_record(forecasts, RawOhlcv.create_empty() if raw is None else raw, known_before=month)
