"""The one resource: what assets need beside their inputs.

What belongs here: opening the store, the price source, the calendar. What does not: anything an asset computes.
Concept: https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cached_property

import polars as pl

from stockfc_assets.configuration import load_settings
from stockfc_assets.features.weekly import EQUAL_WEIGHTED
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.market.source import MarketDataSource
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.tables import RawOhlcv


def open_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The configuration as the price source sees it."""
    from stockfc_assets.market.sources import effective_settings

    return effective_settings(load_settings(environ))


class Platform:
    """Settings and the things built from them, each on first use, so that loading definitions stays fast."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def calendar(self) -> TradingCalendar:
        return trading_calendar(self.settings.universe.exchange)

    @cached_property
    def warehouse(self) -> Warehouse:
        return Warehouse(LocalStore(self.settings.data_root))

    @cached_property
    def source(self) -> MarketDataSource:
        from stockfc_assets.market.sources import build_source

        return build_source(self.settings)

    def newest_session(self, now: dt.datetime) -> dt.date:
        """The newest session that is over at ``now`` and that the price source reaches."""
        newest = self.calendar.newest_closed(now)
        last = self.source.describe().get("last_session")
        return min(newest, dt.date.fromisoformat(str(last))) if last else newest

    def claim_data_root(self) -> None:
        """Refuses to write prices of another source over those already there."""
        identity: dict[str, object] = {"source": self.settings.source}
        if self.settings.source == "simulated":
            identity |= self.settings.environment.sources.simulated.model_dump(mode="json")
        self.warehouse.require_source(identity)

    def source_label(self) -> dict[str, object]:
        """How published files name the source of their prices."""
        source = self.source
        return {"name": source.name, "label": source.label, "simulated": source.is_simulated}

    def fetched_tickers(self) -> list[str]:
        """All tickers whose prices are stored: every stock that ever belongs, and the benchmark if it is a ticker."""
        benchmark = self.settings.benchmark
        extra = [] if benchmark == EQUAL_WEIGHTED else [benchmark]
        return sorted({*self.settings.universe.tickers, *extra})

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
