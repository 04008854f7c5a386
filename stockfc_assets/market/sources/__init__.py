"""Sources of prices and company facts, chosen by ``source`` in the environment file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from stockfc_assets.errors import ConfigError
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.source import MarketDataSource
from stockfc_assets.settings import Settings


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def build_source(settings: Settings, *, now: Callable[[], dt.datetime] = utc_now) -> MarketDataSource:
    """The source that ``settings`` names; only the chosen one is imported. Raises ConfigError.

    ``now`` tells an aware time; only live sources look at it.
    """
    calendar = trading_calendar(settings.universe.exchange)
    if settings.source == "simulated":
        from stockfc_assets.market.sources.simulated import SimulatedSource

        universe = settings.universe.model_copy(update={"benchmark": settings.benchmark})
        return SimulatedSource(settings.environment.sources.simulated, universe, settings.sectors, calendar)
    if settings.source == "files":
        from stockfc_assets.market.sources.files import FilesSource

        if settings.environment.sources.files is None:
            raise ConfigError("source is 'files', but sources.files is missing from the environment file; add it")
        return FilesSource(settings.environment.sources.files, settings.universe, calendar, settings.quality)
    try:
        from stockfc_assets.market.sources.yahoo import YahooSource
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"source is 'yahoo', but the package {error.name} is not installed; "
            "`.venv/bin/pip install -c constraints.txt -e '.[yahoo]'`"
        ) from None
    return YahooSource(settings.environment.sources.yahoo, settings.universe, calendar, settings.quality, now=now)


def effective_settings(settings: Settings) -> Settings:
    """``settings`` with the simulated source's invented tickers as universe where it asks for them."""
    count = settings.environment.sources.simulated.tickers
    if settings.source != "simulated" or count is None:
        return settings
    from stockfc_assets.market.sources.simulated import simulated_universe

    return settings.model_copy(
        update={"universe": simulated_universe(count, settings.sectors, settings.universe.exchange)}
    )
