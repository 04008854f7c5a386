"""The one resource: what assets need beside their inputs.

What belongs here: opening the store, the price source, the calendar. What does not: anything an asset computes.
Concept: https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any

import polars as pl

from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.market.configured import fetched_tickers, known_tickers, open_settings, source_identity
from stockfc_assets.market.source import MarketDataSource
from stockfc_assets.market.sources import utc_now
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse, open_store
from stockfc_assets.tables import RawOhlcv


class Platform:
    """Settings and the things built from them, each on first use, so that loading definitions stays fast.

    ``clock`` tells an aware time; only sources that ask a live service look at it.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], dt.datetime] = utc_now) -> None:
        self.settings = settings
        self.clock = clock

    @property
    def environ(self) -> dict[str, str]:
        """The variables that choose these settings, also in another process."""
        return {
            "STOCKFC_ENV": self.settings.env,
            "STOCKFC_CONFIG": str(self.settings.config_dir),
            "STOCKFC_DATA": str(self.settings.data_root),
            "STOCKFC_SOURCE": self.settings.source,
        }

    def reopened(self) -> Platform:
        """The platform with its configuration read again: a process that runs for weeks notices an edited file."""
        return Platform(open_settings({**os.environ, **self.environ}), clock=self.clock)

    @cached_property
    def calendar(self) -> TradingCalendar:
        return trading_calendar(self.settings.universe.exchange)

    @cached_property
    def warehouse(self) -> Warehouse:
        return Warehouse(open_store(self.settings))

    @cached_property
    def source(self) -> MarketDataSource:
        from stockfc_assets.market.sources import build_source

        return build_source(self.settings, now=self.clock)

    def newest_session(self, now: dt.datetime) -> dt.date:
        """The newest session that is over at ``now`` and that the price source reaches."""
        newest = self.calendar.newest_closed(now)
        last = self.source.describe().get("last_session")
        return min(newest, dt.date.fromisoformat(str(last))) if last else newest

    def claim_data_root(self) -> None:
        """Refuses to write prices of another source over those already there."""
        self.warehouse.require_source(source_identity(self.settings))

    def source_label(self) -> dict[str, Any]:
        """How published files name the source of their prices."""
        return self.settings.source_label

    def known_tickers(self) -> list[str]:
        """All tickers that may have prices."""
        return known_tickers(self.settings)

    def fetched_tickers(self, since: dt.date) -> list[str]:
        """Tickers to fetch for sessions from ``since`` on."""
        return fetched_tickers(self.settings, since)

    def raw_before(self, date: dt.date, *, months: int) -> pl.DataFrame:
        """Stored prices of the ``months`` calendar months that end before ``date``."""
        start = add_months(date, -months)
        return self.raw_between(start, date - dt.timedelta(days=1))

    def raw_between(self, start: dt.date, end: dt.date) -> pl.DataFrame:
        """Stored prices from ``start`` to ``end``, both inclusive; empty when there are none."""
        frame = self.warehouse.read_tables("raw_ohlcv", self.sessions_between(start, end))
        return RawOhlcv.create_empty() if frame is None else frame

    def sessions_between(self, start: dt.date, end: dt.date) -> list[str]:
        """Session keys from ``start`` to ``end``, both inclusive."""
        return [session.isoformat() for session in self.calendar.between(start, end)]
