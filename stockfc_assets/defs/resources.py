"""The one resource: what assets need beside their inputs.

What belongs here: opening the store, the price source, the calendar. What does not: anything an asset computes.
Concept: https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from functools import cached_property

import polars as pl

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.features.weekly import EQUAL_WEIGHTED
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.market.membership import removed_stocks
from stockfc_assets.market.source import MarketDataSource
from stockfc_assets.market.sources import utc_now
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse, open_store
from stockfc_assets.tables import RawOhlcv

FIRST_EXCHANGE = "XTKS"
"""Data roots that name no exchange are of this one: they may be older than the others."""

REMEMBERED = dt.timedelta(days=400)
"""Prices of a former member are fetched for so long after it left: its last forecasts mature within a year."""


def open_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The configuration as the price source sees it, with the stocks that were taken out of the universe's file."""
    from stockfc_assets.market.sources import effective_settings

    return _with_removed_stocks(effective_settings(load_settings(environ)))


def _with_removed_stocks(settings: Settings) -> Settings:
    warehouse = Warehouse(open_store(settings))
    sessions = warehouse.partitions("raw_ohlcv")
    if not sessions or not warehouse.partitions("universe"):
        return settings
    stored = warehouse.read_table("universe", "universe")
    removed = removed_stocks(settings.universe, stored, dt.date.fromisoformat(sessions[-1]))
    if not removed:
        return settings
    names = [stock.ticker for stock in removed]
    rows = warehouse.read_tables("raw_ohlcv", sessions, tickers=names, columns=["ticker"])
    # A ticker that never had a price was a mistake, and is forgotten when it is taken back.
    priced = set() if rows is None else set(rows["ticker"])
    removed = tuple(stock for stock in removed if stock.ticker in priced)
    for stock in removed:
        if stock.sector not in settings.sectors:
            raise ConfigError(
                f"{settings.config_dir / 'sectors.yaml'}: {stock.sector!r} is missing, the sector of the former member "
                f"{stock.ticker}; sectors are only ever appended: put it back"
            )
    universe = settings.universe.model_copy(update={"stocks": (*settings.universe.stocks, *removed)})
    return settings.model_copy(
        update={"universe": universe, "removed_stocks": tuple(stock.ticker for stock in removed)}
    )


class Platform:
    """Settings and the things built from them, each on first use, so that loading definitions stays fast.

    ``clock`` tells an aware time; only sources that ask a live service look at it.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], dt.datetime] = utc_now) -> None:
        self.settings = settings
        self.clock = clock

    def reopened(self) -> Platform:
        """The platform with its configuration read again: a process that runs for weeks notices an edited file."""
        settings = self.settings
        chosen = {
            "STOCKFC_ENV": settings.env,
            "STOCKFC_CONFIG": str(settings.config_dir),
            "STOCKFC_DATA": str(settings.data_root),
            "STOCKFC_SOURCE": settings.source,
        }
        return Platform(open_settings({**os.environ, **chosen}), clock=self.clock)

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
        identity: dict[str, object] = {"source": self.settings.source}
        if self.settings.universe.exchange != FIRST_EXCHANGE:
            identity["exchange"] = self.settings.universe.exchange
        if self.settings.source == "simulated":
            identity |= self.settings.environment.sources.simulated.model_dump(mode="json")
        if self.settings.source == "yahoo" and (endpoint := self.settings.environment.sources.yahoo.endpoint):
            identity["endpoint"] = endpoint
        self.warehouse.require_source(identity)

    def source_label(self) -> dict[str, object]:
        """How published files name the source of their prices."""
        source = self.source
        return {"name": source.name, "label": source.label, "simulated": source.is_simulated}

    def known_tickers(self) -> list[str]:
        """All tickers that may have prices: every stock that ever belongs, and the benchmark if it is a ticker."""
        benchmark = self.settings.benchmark
        extra = [] if benchmark == EQUAL_WEIGHTED else [benchmark]
        return sorted({*self.settings.universe.tickers, *extra})

    def fetched_tickers(self, since: dt.date) -> list[str]:
        """Tickers to fetch for sessions from ``since`` on: all known ones but those that left more than a year before."""
        former = {
            stock.ticker
            for stock in self.settings.universe.stocks
            if all(each.member_to is not None and each.member_to + REMEMBERED < since for each in stock.member)
        }
        return [ticker for ticker in self.known_tickers() if ticker not in former]

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
