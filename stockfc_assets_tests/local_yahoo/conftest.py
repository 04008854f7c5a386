"""Fixtures: small markets behind a local Yahoo, and the real yfinance library pointed at it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from curl_cffi import requests

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources.simulated import SimulatedSource, simulated_universe
from stockfc_assets.settings import SimulatedSettings
from stockfc_assets_tests.local_yahoo import LocalYahoo

SECTORS = {"Banks": 0, "Pharmaceutical": 1}


class LoopbackSession(requests.Session):
    """yfinance's own kind of session, which asks the local server instead of the internet."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.endpoint = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        assert url.startswith("https://")
        return super().request(method, f"{self.endpoint}/{url.removeprefix('https://')}", *args, **kwargs)


@pytest.fixture(scope="session")
def simulated() -> SimulatedSource:
    """Six invented stocks since 2016, with a split 3:1 and a reverse split 1:5 among them."""
    universe = simulated_universe(6, SECTORS, "XTKS")
    chosen = SimulatedSettings(seed=1, epoch=dt.date(2016, 1, 4))
    return SimulatedSource(chosen, universe, SECTORS, trading_calendar("XTKS"))


@pytest.fixture
def yahoo(simulated: SimulatedSource) -> Iterator[LocalYahoo]:
    """The simulated market as Yahoo shows it on 2024-03-01."""
    with LocalYahoo(simulated, today=dt.date(2024, 3, 1)) as server:
        yield server


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[LocalYahoo], Callable[[str], Any]]]:
    """``library(server)("7203.T")`` is a yfinance.Ticker that asks ``server``; nothing is cached or kept on disk."""
    import yfinance
    from yfinance import cache
    from yfinance.data import YfData

    monkeypatch.setattr(cache._TzCacheManager, "_tz_cache", cache._TzCacheDummy())
    monkeypatch.setattr(cache._CookieCacheManager, "_Cookie_cache", cache._CookieCacheDummy())
    hidden = yfinance.config.debug.hide_exceptions
    yfinance.config.debug.hide_exceptions = False

    def connect(server: LocalYahoo) -> Callable[[str], Any]:
        session = LoopbackSession(server.url)
        data = YfData(session=session)
        data._cookie = data._crumb = None
        data._cookie_strategy = "basic"
        data.fundamentals_use_chunked = False
        data.cache_get.cache_clear()
        return lambda ticker: yfinance.Ticker(ticker, session=session)

    yield connect
    yfinance.config.debug.hide_exceptions = hidden


@pytest.fixture
def get() -> Callable[..., requests.Response]:
    """``get(server, "query2.finance.yahoo.com/v8/...", **query)``: a question without the library."""

    def ask(server: LocalYahoo, place: str, **query: Any) -> requests.Response:
        return requests.get(f"{server.url}/{place}", params=query, timeout=10)

    return ask
