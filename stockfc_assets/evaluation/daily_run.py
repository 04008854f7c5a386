"""A session's forecast with its past: what the daily asset and the function both run.

A forecast carries the track record and the interval target that were known when its month began. Both are folded anew
from the published forecasts and the prices since; there is no other state.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

from stockfc_assets.evaluation.intervals import interval_target
from stockfc_assets.evaluation.outcomes import realised_outcomes
from stockfc_assets.evaluation.record import published_before
from stockfc_assets.evaluation.scores import SCORED, track_record
from stockfc_assets.forecasts.daily import DailyForecast, DailyForecaster
from stockfc_assets.forecasts.intervals import IntervalTarget
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse


class DailyRun:
    """Forecasts and publishes sessions, ascending; what a month's forecasts carry of the past is read once per month."""

    def __init__(self, warehouse: Warehouse, settings: Settings, calendar: TradingCalendar) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self.calendar = calendar
        self._forecaster = DailyForecaster(warehouse, settings, calendar, source=settings.source_label)
        self._past = lru_cache(maxsize=1)(self._read_past)

    def publish(self, session: dt.date) -> DailyForecast:
        """Forecasts and publishes ``session``. Raises as `DailyForecaster.forecast`; nothing is written then."""
        record, target = self._past(session.replace(day=1))
        return self._forecaster.forecast(session, track_record=record, target=target)

    def _read_past(self, month: dt.date) -> tuple[dict[str, Any], IntervalTarget]:
        published = published_before(self.warehouse, self.calendar, month, columns=SCORED)
        outcomes = realised_outcomes(published.raw, published.forecasts, month)
        record = track_record(published.forecasts, outcomes, known_before=month)
        return record, interval_target(published.forecasts, outcomes, month, self.settings.model.interval)
