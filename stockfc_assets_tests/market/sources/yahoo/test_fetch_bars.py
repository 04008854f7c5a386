"""Prices through the real client and a real server: exact, counted, and whole after every fault."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from stockfc_assets.configuration import load_settings
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.findings import FINDINGS_SCHEMA
from stockfc_assets.market.source import BARS_SCHEMA
from stockfc_assets.market.sources import build_source
from stockfc_assets.market.sources.files import FilesSource
from stockfc_assets.market.sources.yahoo.chart import parse_chart
from stockfc_assets.market.sources.yahoo.prices import read_history
from stockfc_assets.settings import FilesSettings, Membership, QualitySettings, Stock, Universe
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of
from stockfc_assets_tests.market.sources.yahoo.conftest import NIGHT, TODAY

NAMES = [f"S{number:05d}.T" for number in range(1, 7)]
SOME = NAMES[:4]
START = dt.date(2016, 1, 4)
DAYS = (dt.date(2024, 1, 15), TODAY)
FAST = {"requests_per_minute": 1e6}


def truth(simulated, start=START, end=TODAY, names=NAMES):
    return simulated.fetch_bars(names, start, end).bars


def test_a_whole_history_comes_back_exactly(source, simulated, yahoo):
    fetched = source(**FAST).fetch_bars(NAMES, START, TODAY)
    expected = truth(simulated)
    assert fetched.bars.equals(expected)
    assert fetched.failures == {}
    assert expected["split_ratio"].min() < 1 < expected["split_ratio"].max()
    assert yahoo.count("chart") == 6


def test_rows_before_the_range_come_with_it(source, simulated):
    calendar = trading_calendar("XTKS")
    fetched = source(**FAST).fetch_bars(NAMES, *DAYS)
    assert fetched.bars.equals(truth(simulated, *DAYS))
    before = calendar.between(calendar.before(DAYS[0], 20), calendar.before(DAYS[0], 1))
    assert len(before) == 20
    assert fetched.earlier.equals(truth(simulated, before[0], before[-1]))


def test_core30_costs_31_requests_and_a_cookie_and_a_crumb_for_ten_years_and_for_a_day():
    settings = load_settings({})
    market = build_source(settings)
    with LocalYahoo(market, today=TODAY, tickers=settings.universe.tickers) as server:
        yahoo_settings = settings.environment.sources.yahoo.model_copy(
            update={"endpoint": server.url, "requests_per_minute": 1e9, "jitter_seconds": 0}
        )
        sources = settings.environment.sources.model_copy(update={"yahoo": yahoo_settings})
        environment = settings.environment.model_copy(update={"source": "yahoo", "sources": sources})
        source = build_source(settings.model_copy(update={"environment": environment}), now=lambda: NIGHT)
        ten_years = source.fetch_bars(settings.universe.tickers, dt.date(2014, 3, 3), TODAY)
        assert ten_years.bars.equals(market.fetch_bars(settings.universe.tickers, dt.date(2014, 3, 3), TODAY).bars)
        assert (server.count("chart"), source.requests_made) == (31, 33)
        source.fetch_bars(settings.universe.tickers, TODAY, TODAY)
        assert (server.count("chart"), source.requests_made) == (62, 64)
        assert len(server.requests) == source.requests_made


def test_describing_it_and_asking_for_nothing_make_no_request(source, yahoo):
    asked = source()
    described = asked.describe()
    assert described == {
        "service": "Yahoo Finance through yfinance 1.7.0",
        "requests_per_minute": 60,
        "endpoint": yahoo.url,
    }
    nothing = asked.fetch_bars((), dt.date.max, dt.date.min)
    assert (nothing.bars.schema, nothing.bars.height) == (BARS_SCHEMA, 0)
    label = f"stand-in for Yahoo Finance at {yahoo.url}"
    assert (asked.name, asked.label, asked.is_remote, asked.is_simulated) == ("yahoo", label, True, True)
    assert yahoo.requests == []


def test_a_session_that_is_not_over_is_left_out(source, simulated, yahoo):
    noon = dt.datetime(2024, 3, 1, 3, 0, tzinfo=dt.UTC)
    fetched = source(now=noon, **FAST).fetch_bars(NAMES, *DAYS)
    assert fetched.bars["session"].max() == dt.date(2024, 2, 29)
    assert fetched.bars.equals(truth(simulated, DAYS[0], dt.date(2024, 2, 29)))


def test_a_stock_that_is_not_listed_yet_is_no_failure(source, yahoo):
    yahoo.today = dt.date(2016, 3, 1)
    fetched = source(**FAST).fetch_bars(NAMES, dt.date(2010, 1, 4), dt.date(2012, 1, 4))
    assert (fetched.failures, fetched.bars.height) == ({}, 0)


def test_a_stock_that_no_longer_trades_is_no_failure(source, universe):
    rows = {"session": [dt.date(2019, 3, 4), dt.date(2019, 3, 5)], "close": [10.0, 11.0]}
    with LocalYahoo(GivenMarket(bars_of("OLD.T", rows)), today=TODAY) as server:
        fetched = source(server=server, **FAST).fetch_bars(["OLD.T"], *DAYS)
    assert (fetched.failures, fetched.bars.height) == ({}, 0)


def test_prices_in_another_currency_are_refused(source):
    rows = {"session": [dt.date(2024, 2, 29), TODAY], "close": [10.0, 11.0]}
    with LocalYahoo(GivenMarket(bars_of("US.T", rows, currency="USD")), today=TODAY) as server:
        fetched = source(server=server, **FAST).fetch_bars(["US.T"], *DAYS)
    assert fetched.failures == {"US.T": "prices are in USD; the universe expects JPY"}
    assert fetched.bars.height == 0


# --- the split law, end to end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [[(5.0, 8)], [(1 / 10, 8)], [(3.0, 4), (2.0, 8), (1 / 5, 11)], [(1.5, 3), (1.1, 9)]])
def test_a_session_fetched_before_and_after_later_splits_is_the_same(source, yahoo, later):
    calendar = trading_calendar("XTKS")
    name, days = "S00001.T", calendar.between(dt.date(2024, 2, 1), TODAY)
    yahoo.today = days[2]
    before = source(**FAST).fetch_bars([name], START, days[2]).bars
    for ratio, day in later:
        yahoo.add_split(name, days[day], ratio, listed_twice_on=days[day + 2])
    for today in [days[day] for _, day in later] + [TODAY]:
        yahoo.today = today
        after = source(**FAST).fetch_bars([name], START, TODAY)
        assert after.bars.filter(pl.col("session") <= days[2]).equals(before)
        assert after.bars.equals(yahoo.as_traded(name).filter(pl.col("session") >= START))
    twice = after.findings.filter(pl.col("defect") == "duplicate_split")
    assert twice["session"].to_list() == [days[day + 2] for _, day in later]


def test_a_split_and_a_dividend_on_one_day(source):
    days = trading_calendar("XTKS").between(dt.date(2023, 10, 2), TODAY)
    count = len(days)
    rows = {
        "session": days,
        "close": [3000.0 if n < 60 else 1000.0 + n for n in range(count)],
        "volume": [10_000 + 100 * n for n in range(count)],
        "split_ratio": [3.0 if n == 60 else 1.0 for n in range(count)],
        "dividend": [{20: 36.5, 60: 12.25, 80: 12.5}.get(n, 0.0) for n in range(count)],
    }
    market = GivenMarket(bars_of("S.T", rows))
    with LocalYahoo(market, today=TODAY) as server:
        fetched = source(server=server, **FAST).fetch_bars(["S.T"], days[0], TODAY)
    assert fetched.bars.equals(market.fetch_bars(["S.T"], days[0], TODAY).bars)


def test_ten_real_years_with_their_splits_come_back_exactly(source, shared_data):
    """Forward, reverse and double listings of Core30, served as Yahoo would: rows and findings of the files they are from."""
    names = ("6501.T", "6758.T", "7011.T", "7203.T", "8411.T", "9434.T")
    splits = shared_data / "facts/core30_splits_2016_2026.csv"
    files = FilesSettings(
        prices=shared_data / "jp_core30/csv", basis="split_adjusted", splits=splits, ticker_suffix=".T"
    )
    always = (Membership(member_from=dt.date(2000, 1, 1)),)
    real = Universe(
        name="real",
        exchange="XTKS",
        stocks=tuple(Stock(ticker=name, name=name, sector="Banks", member=always) for name in names),
    )
    market = FilesSource(files, real, trading_calendar("XTKS"), QualitySettings())
    end, night = dt.date(2026, 2, 6), dt.datetime(2026, 2, 6, 14, 0, tzinfo=dt.UTC)
    expected = market.fetch_bars(names, dt.date(2016, 2, 4), end)
    with LocalYahoo(market, today=end, tickers=names) as server:
        fetched = source(server=server, now=night, **FAST).fetch_bars(names, dt.date(2016, 2, 4), end)
    assert fetched.bars.equals(expected.bars)
    assert fetched.failures == {}
    assert fetched.bars.filter(pl.col("split_ratio") != 1).height >= 6
    assert fetched.bars["split_ratio"].min() < 1


def test_a_recorded_split_is_undone_to_the_yen(shared_data):
    content = json.loads(
        (shared_data / "yahoo/tokyo/chart_6309.T_1mo_1d_split_and_dividend_2025-05-19.json").read_text()
    )
    chart = parse_chart(content, "Asia/Tokyo")
    history = read_history("6309.T", chart, "JPY", trading_calendar("XTKS"), QualitySettings(), dt.date(2025, 5, 19))
    rows = history.bars.filter(pl.col("session") < dt.date(2025, 4, 28))
    assert rows["close"].to_list() == [4285.0, 4225.0, 4205.0, 4180.0, 4210.0]
    assert all(volume % 100 == 0 for volume in history.bars["volume"])
    assert history.bars.filter(pl.col("split_ratio") == 3)["session"].to_list() == [dt.date(2025, 4, 28)]
    assert history.bars.filter(pl.col("dividend") > 0)["dividend"].to_list() == [73.0]


# --- faults -----------------------------------------------------------------------------------------------------------


def fetch_with(source, yahoo, simulated, fault, *, name="S00003.T", **options):
    """A fetch of four tickers while one of them fails; the others must be whole, and the failed one absent."""
    yahoo.faults.add(fault, ticker=name, **options)
    fetched = source(**FAST, timeout_seconds=0.3, budget_seconds=500).fetch_bars(SOME, *DAYS)
    others = [other for other in SOME if other != name]
    assert fetched.bars.filter(pl.col("ticker") != name).equals(truth(simulated, *DAYS, names=others))
    return fetched


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (404, "404 Not Found: No data found, symbol may be delisted"),
        (422, "422 Unprocessable Entity: 1d data not available for the requested range."),
        (401, "401 Unauthorized: Invalid Crumb"),
        (500, "500 Internal Server Error: An internal error occurred, please try again later."),
        (503, "503 Service Unavailable"),
        ("stall", "no answer within 0.3 s"),
        ("cut", "connection failed: "),
        ("malformed", "the answer is not JSON"),
        ("half", "the answer is not JSON"),
        ("no_timestamps", "the answer holds no prices"),
    ],
)
def test_a_ticker_that_fails_keeps_its_reason_and_the_others_are_whole(source, yahoo, simulated, fault, reason):
    fetched = fetch_with(source, yahoo, simulated, fault, seconds=1.0)
    assert list(fetched.failures) == ["S00003.T"]
    assert fetched.failures["S00003.T"].startswith(reason)
    assert "S00003.T" not in set(fetched.bars["ticker"])
    yahoo.faults.clear()
    healed = source(**FAST).fetch_bars(list(fetched.failures), *DAYS)
    assert healed.bars.equals(truth(simulated, *DAYS, names=["S00003.T"]))


@pytest.mark.parametrize("fault", [429, 500, 503, "stall", "cut", "malformed", "half", 401])
def test_a_fault_that_passes_leaves_no_trace(source, yahoo, simulated, fault):
    fetched = fetch_with(source, yahoo, simulated, fault, times=1 if fault == 401 else 2, seconds=0.5)
    assert fetched.failures == {}
    assert fetched.bars.equals(truth(simulated, *DAYS, names=SOME))


def test_a_rate_limit_for_ever_keeps_what_came_before_it_and_names_the_rest(source, yahoo, simulated, time):
    asked = source(**FAST, budget_seconds=300)
    yahoo.faults.add(429, ticker="S00003.T")
    yahoo.faults.add(429, ticker="S00004.T")
    yahoo.faults.add(429, ticker="S00005.T")
    yahoo.faults.add(429, ticker="S00006.T")
    fetched = asked.fetch_bars(NAMES, *DAYS)
    assert fetched.bars.equals(truth(simulated, *DAYS, names=NAMES[:2]))
    assert list(fetched.failures) == NAMES[2:]
    assert all(reason.startswith("429 Too Many Requests") for reason in fetched.failures.values())
    assert fetched.failures["S00006.T"].endswith("s of waiting")
    assert yahoo.count("chart", "S00006.T") == 0
    assert asked.seconds_waited <= 300
    assert sum(time.slept) < 301


def test_a_limit_on_cookies_and_crumbs_costs_no_prices(source, yahoo, simulated):
    for kind in ("cookie", "crumb", "consent"):
        yahoo.faults.add(429, kind=kind)
    fetched = source(**FAST).fetch_bars(NAMES, *DAYS)
    assert fetched.bars.equals(truth(simulated, *DAYS))


def test_a_row_of_nulls_is_no_row_and_is_named(source, yahoo, simulated):
    day = dt.date(2024, 2, 6)
    fetched = fetch_with(source, yahoo, simulated, "nulls", on=day)
    mine = truth(simulated, *DAYS, names=["S00003.T"])
    assert fetched.failures == {}
    assert fetched.bars.filter(pl.col("ticker") == "S00003.T").equals(mine.filter(pl.col("session") != day))
    assert named(fetched, day) == [("S00003.T", "no_trade_row", "warning")]


def test_a_row_twice_counts_once_and_conflicting_ones_not_at_all(source, yahoo, simulated):
    day = dt.date(2024, 2, 6)
    fetched = fetch_with(source, yahoo, simulated, "duplicate_rows", on=day)
    assert fetched.bars.equals(truth(simulated, *DAYS, names=SOME))
    assert named(fetched, day) == [("S00003.T", "duplicate_row", "warning")]
    yahoo.faults.clear()
    fetched = fetch_with(source, yahoo, simulated, "conflicting_rows", on=day)
    mine = truth(simulated, *DAYS, names=["S00003.T"])
    assert fetched.bars.filter(pl.col("ticker") == "S00003.T").equals(mine.filter(pl.col("session") != day))
    assert named(fetched, day) == [("S00003.T", "duplicate_row", "error")]


def test_findings_begin_after_the_session_before_the_range(source, yahoo, simulated):
    yahoo.faults.add("duplicate_rows", ticker="S00001.T", on=dt.date(2024, 1, 12))
    day_before, day = dt.date(2024, 1, 12), dt.date(2024, 1, 15)
    assert named(source(**FAST).fetch_bars(NAMES, day, TODAY), day_before) == []
    assert len(named(source(**FAST).fetch_bars(NAMES, day_before, TODAY), day_before)) == 1


def test_a_phantom_row_before_the_first_session_is_reported_with_it(source):
    holiday, after = dt.date(2024, 2, 12), dt.date(2024, 2, 13)
    days = [dt.date(2024, 2, 8), dt.date(2024, 2, 9), holiday, after, dt.date(2024, 2, 14)]
    rows = {"session": days, "close": [10.0, 11.0, 11.0, 12.0, 13.0], "volume": [100, 100, 0, 100, 100]}
    with LocalYahoo(GivenMarket(bars_of("S.T", rows)), today=TODAY) as server:
        fetched = source(server=server, **FAST).fetch_bars(["S.T"], after, TODAY)
    assert fetched.bars["session"].to_list() == days[3:]
    assert fetched.findings.select("session", "defect").rows() == [(holiday, "phantom_row")]
    assert fetched.findings.schema == FINDINGS_SCHEMA


def named(fetched, day):
    found = fetched.findings.filter(pl.col("session") == day)
    return found.select("ticker", "defect", "severity").rows()
