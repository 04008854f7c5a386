"""The yahoo source through the real client: a small simulated market behind a local Yahoo, and a clock that never waits."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator

import pytest

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources.simulated import SimulatedSource, simulated_universe
from stockfc_assets.market.sources.yahoo import YahooSource
from stockfc_assets.market.sources.yahoo.session import PoliteSession
from stockfc_assets.settings import QualitySettings, SimulatedSettings, Universe, YahooSettings
from stockfc_assets_tests.local_yahoo import LocalYahoo

SECTORS = {"Banks": 0, "Pharmaceutical": 1}
TODAY = dt.date(2024, 3, 1)
NIGHT = dt.datetime(2024, 3, 1, 14, 0, tzinfo=dt.UTC)
"""23:00 in Tokyo on 2024-03-01: that session is over."""


class Time:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(scope="session")
def universe() -> Universe:
    return simulated_universe(6, SECTORS, "XTKS")


@pytest.fixture(scope="session")
def simulated(universe: Universe) -> SimulatedSource:
    """Six invented stocks since 2016, with a split 3:1 and a reverse split 1:5 among them."""
    chosen = SimulatedSettings(seed=1, epoch=dt.date(2016, 1, 4))
    return SimulatedSource(chosen, universe, SECTORS, trading_calendar("XTKS"))


@pytest.fixture
def yahoo(simulated: SimulatedSource) -> Iterator[LocalYahoo]:
    """The simulated market as Yahoo shows it on 2024-03-01."""
    with LocalYahoo(simulated, today=TODAY) as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def polite(yahoo: LocalYahoo, time: Time) -> Callable[..., PoliteSession]:
    """``polite(**settings)``: a session that asks the local server and waits on ``time``."""

    def make(**chosen: object) -> PoliteSession:
        settings = YahooSettings(endpoint=yahoo.url, **({"jitter_seconds": 0} | chosen))
        return PoliteSession(settings, clock=time.clock, sleep=time.sleep, chance=random.Random(1))

    return make


@pytest.fixture
def source(yahoo: LocalYahoo, universe: Universe, time: Time) -> Callable[..., YahooSource]:
    """``source(now=..., server=..., **settings)``: the source on the local server, waiting on ``time``."""

    def make(*, now: dt.datetime = NIGHT, server: LocalYahoo = yahoo, **chosen: object) -> YahooSource:
        settings = YahooSettings(endpoint=server.url, **({"jitter_seconds": 0} | chosen))
        session = PoliteSession(settings, clock=time.clock, sleep=time.sleep, chance=random.Random(1))
        calendar = trading_calendar("XTKS")
        return YahooSource(settings, universe, calendar, QualitySettings(), now=lambda: now, session=session)

    return make
