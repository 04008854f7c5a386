"""The configuration as the market sees it: the stocks that there were, which are fetched, whose prices these are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.market.membership import removed_stocks
from stockfc_assets.market.sources import effective_settings
from stockfc_assets.settings import EQUAL_WEIGHTED, Settings
from stockfc_assets.storage import Warehouse, open_store

FIRST_EXCHANGE = "XTKS"
"""Data roots that name no exchange are of this one: they may be older than the others."""

REMEMBERED = dt.timedelta(days=400)
"""Prices of a former member are fetched for so long after it left: its last forecasts mature within a year."""


def open_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The configuration as the price source sees it, with the stocks that were taken out of the universe's file."""
    settings = effective_settings(load_settings(environ))
    return with_removed_stocks(settings, Warehouse(open_store(settings)))


def with_removed_stocks(settings: Settings, warehouse: Warehouse) -> Settings:
    """``settings`` with the stocks that had prices in ``warehouse`` before they were taken out of the universe's file.

    Raises ConfigError when the sector of such a stock is no longer configured.
    """
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


def known_tickers(settings: Settings) -> list[str]:
    """All tickers that may have prices: every stock that ever belongs, and the benchmark if it is a ticker."""
    extra = [] if settings.benchmark == EQUAL_WEIGHTED else [settings.benchmark]
    return sorted({*settings.universe.tickers, *extra})


def fetched_tickers(settings: Settings, since: dt.date) -> list[str]:
    """Tickers to fetch for sessions from ``since`` on: all known ones but those that left more than a year before."""
    former = {
        stock.ticker
        for stock in settings.universe.stocks
        if all(each.member_to is not None and each.member_to + REMEMBERED < since for each in stock.member)
    }
    return [ticker for ticker in known_tickers(settings) if ticker not in former]


def source_identity(settings: Settings) -> dict[str, Any]:
    """What must not change under one data root (`Warehouse.require_source`): prices of two sources are never mixed."""
    identity: dict[str, Any] = {"source": settings.source}
    if settings.universe.exchange != FIRST_EXCHANGE:
        identity["exchange"] = settings.universe.exchange
    if settings.source == "simulated":
        identity |= settings.environment.sources.simulated.model_dump(mode="json")
    if settings.source == "yahoo" and (endpoint := settings.environment.sources.yahoo.endpoint):
        identity["endpoint"] = endpoint
    return identity
