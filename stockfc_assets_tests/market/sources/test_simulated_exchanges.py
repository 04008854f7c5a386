"""The simulated market as other exchanges write it down; Tokyo's own bytes never change."""

from __future__ import annotations

import datetime as dt
import hashlib

import numpy as np
import polars as pl
import pytest

from stockfc_assets import tables
from stockfc_assets.market.calendar import profile_of, trading_calendar
from stockfc_assets.market.sources.simulated import SimulatedSource, simulated_universe
from stockfc_assets.market.sources.simulated_market import Quotation, quoted
from stockfc_assets.settings import SimulatedSettings

D = dt.date
SECTORS = {"Unknown": 0, "Foods": 1, "Banks": 2, "Machinery": 3}


def source_of(exchange: str, count: int) -> tuple[SimulatedSource, list[str]]:
    universe = simulated_universe(count, SECTORS, exchange)
    source = SimulatedSource(SimulatedSettings(), universe, SECTORS, trading_calendar(exchange))
    return source, [*universe.tickers, universe.benchmark]


def digest(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.write_csv().encode()).hexdigest()[:16]


def test_tokyo_s_simulated_prices_are_the_bytes_they_always_were() -> None:
    """Models, tests and figures of every release stand on them; the digests are those of the first release."""
    source, tickers = source_of("XTKS", 120)
    bars = source.fetch_bars(tickers, D(2010, 1, 4), D(2021, 12, 31)).bars
    assert (bars.height, digest(bars)) == (347_971, "c5dafa01f90ffbfb")
    assert bars.filter(pl.col("split_ratio") != 1).height == 30
    assert digest(source.fetch_facts(tickers, D(2012, 3, 1)).facts) == "27e0273cb9859e3c"
    assert digest(source.fetch_facts(tickers, D(2021, 7, 1)).facts) == "56661c980519ef53"


@pytest.mark.parametrize(
    ("exchange", "suffix", "low", "high"), [("XNYS", "", 50, 200), ("XKRX", ".KS", 25_000, 100_000)]
)
def test_prices_volumes_and_facts_are_written_as_the_exchange_does(
    exchange: str, suffix: str, low: float, high: float
) -> None:
    profile, calendar = profile_of(exchange), trading_calendar(exchange)
    source, tickers = source_of(exchange, 150)
    bars = source.fetch_bars(tickers, D(2010, 1, 4), D(2019, 12, 31)).bars
    tables.RawOhlcv.validate(bars)
    assert set(bars["ticker"]) == {f"S{number:05d}{suffix}" for number in range(151)}
    assert set(bars["currency"]) == {profile.currency}
    assert set(bars["session"]) == set(calendar.between(D(2010, 1, 4), D(2019, 12, 31)))
    for column in ("open", "high", "low", "close", "dividend"):
        assert (bars[column] == bars[column].round(profile.price_decimals)).all()
    assert low < bars["close"].median() < high
    assert bars["volume"].min() >= 1
    assert (bars["volume"] % 100 != 0).mean() > 0.9  # odd lots count
    assert bars.filter(pl.col("split_ratio") != 1).height > 10
    paid = bars.filter(pl.col("dividend") > 0)
    assert 0.003 < (paid["dividend"] / paid["close"]).median() < 0.02

    facts = source.fetch_facts(tickers, D(2020, 1, 6)).facts.select("ticker", "eps_ttm", "book_value_per_share")
    last = bars.filter(pl.col("session") == bars["session"].max()).join(facts, on="ticker")
    assert 8 < (last["close"] / last["eps_ttm"]).median() < 30
    assert 0.5 < (last["close"] / last["book_value_per_share"]).median() < 2


def test_one_price_on_three_exchanges() -> None:
    two_thousand, split = np.log([[2000.0, 2000.06, 1e-9]]), np.array([[1.0, 1.0, 1.0]])
    written = {code: quoted(two_thousand, split, Quotation.of(profile_of(code))) for code in ("XTKS", "XNYS", "XKRX")}
    assert written["XTKS"].tolist() == [[2000.0, 2000.1, 0.1]]
    assert written["XNYS"].tolist() == [[100.0, 100.0, 0.01]]
    assert written["XKRX"].tolist() == [[50_000.0, 50_002.0, 1.0]]
    assert quoted(two_thousand, 2 * split, Quotation.of(profile_of("XNYS"))).tolist() == [[50.0, 50.0, 0.01]]
    assert Quotation.of(profile_of("XTKS")) == Quotation()
