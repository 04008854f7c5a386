"""Charts: what the library reads of a whole history, at any day, and the splits that are told to happen."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.market.calendar import PROFILES, trading_calendar
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.charts import adjust
from stockfc_assets_tests.local_yahoo.histories import Histories, Split
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of

CHART = "query2.finance.yahoo.com/v8/finance/chart/"
TODAY = dt.date(2024, 3, 1)
WEEK = [dt.date(2024, 2, day) for day in (19, 20, 21, 22, 26, 27)]
"""Six sessions in Tokyo: 2024-02-23 is a holiday."""


def history(ticker, start="2016-01-01", end="2024-03-02"):
    return ticker.history(start=start, end=end, auto_adjust=False, actions=True)


def later_product(splits, session, today):
    product = Fraction(1)
    for ex_date, ratio in splits:
        if session < ex_date <= today:
            product *= Fraction(ratio)
    return product


def assert_shows(frame, bars, today):
    """The library's frame is ``bars`` divided by the splits until ``today``, computed row by row with fractions."""
    bars = bars.filter(pl.col("session") <= today)
    splits = [(row["session"], row["split_ratio"]) for row in bars.to_dicts() if row["split_ratio"] != 1]
    assert [stamp.date() for stamp in frame.index] == bars["session"].to_list()
    for row, (_, seen) in zip(bars.to_dicts(), frame.iterrows(), strict=True):
        product = float(later_product(splits, row["session"], today))
        for name in ("open", "high", "low", "close"):
            assert seen[name.capitalize()] == float(np.float32(row[name] / product)), (row["session"], name)
            assert round(seen[name.capitalize()] * product, 1) == row[name]
        assert seen["Volume"] == round(row["volume"] * product)
        assert seen["Dividends"] == pytest.approx(row["dividend"] / product, abs=5e-7)
        assert (seen["Stock Splits"] or 1.0) == row["split_ratio"]


def test_library_reads_the_whole_simulated_history(yahoo, simulated, library):
    ask = library(yahoo)
    ratios = []
    for name in ("S00001.T", "S00002.T", "S00003.T", "S00004.T", "S00005.T", "S00006.T"):
        bars = simulated.fetch_bars([name], dt.date(2016, 1, 1), TODAY).bars
        assert_shows(history(ask(name)), bars, TODAY)
        assert yahoo.as_traded(name).equals(bars)
        ratios += bars.filter(pl.col("split_ratio") != 1)["split_ratio"].to_list()
    assert min(ratios) < 1 < max(ratios)
    assert yahoo.count("chart") == 12  # one for the time zone, one for the prices of each
    assert yahoo.count("chart", "S00003.T") == 2
    assert yahoo.count("crumb") == 1


def test_history_grows_and_is_divided_when_a_split_arrives(yahoo, simulated, library):
    bars = simulated.fetch_bars([f"S{number:05d}.T" for number in range(1, 7)], dt.date(2016, 1, 1), TODAY).bars
    name, ex_date, ratio = bars.filter(pl.col("split_ratio") > 1).select("ticker", "session", "split_ratio").row(-1)
    before = trading_calendar("XTKS").before(ex_date, 1)
    mine = bars.filter(pl.col("ticker") == name)

    yahoo.today = before
    earlier = history(library(yahoo)(name))
    assert_shows(earlier, mine, before)
    yahoo.today = ex_date
    later = history(library(yahoo)(name))
    assert_shows(later, mine, ex_date)
    assert later["Close"].iloc[-2] == pytest.approx(earlier["Close"].iloc[-1] / ratio, rel=1e-7)


@pytest.mark.parametrize("ratio", [2.0, 1.5, 0.1])
def test_injected_split_is_real_from_its_date_on(library, ratio):
    closes = [3000.0, 3010.0, 2990.0, 3020.0, 3040.0, 3050.0]
    rows = {"session": WEEK, "close": closes, "volume": [6000] * 6, "dividend": [0, 50.0, 0, 0, 0, 30.0]}
    with LocalYahoo(GivenMarket(bars_of("7203.T", rows)), today=WEEK[-1]) as yahoo:
        yahoo.add_split("7203.T", WEEK[3], ratio)
        truth = yahoo.as_traded("7203.T")
        assert truth["close"].to_list() == [*closes[:3], *(round(close / ratio, 1) for close in closes[3:])]
        assert truth["volume"].to_list() == [6000] * 3 + [6000 * ratio] * 3
        assert truth["dividend"].to_list() == [0, 50, 0, 0, 0, round(30 / ratio, 2)]
        assert truth["split_ratio"].to_list() == [1, 1, 1, ratio, 1, 1]
        assert_shows(history(library(yahoo)("7203.T")), truth, WEEK[-1])

        yahoo.today = WEEK[2]
        assert yahoo.as_traded("7203.T")["close"].to_list() == closes[:3]
        assert history(library(yahoo)("7203.T"))["Close"].to_list() == closes[:3]


def test_split_listed_twice_is_applied_once(library):
    market = GivenMarket(bars_of("7203.T", {"session": WEEK, "close": [100.0] * 6}))
    with LocalYahoo(market, today=WEEK[-1]) as yahoo:
        yahoo.add_split("7203.T", WEEK[2], 5.0, listed_twice_on=WEEK[4])
        seen = history(library(yahoo)("7203.T"))
        assert seen["Stock Splits"].to_list() == [0, 0, 5, 0, 5, 0]
        assert seen["Close"].to_list() == [20.0] * 6
        assert yahoo.as_traded("7203.T")["close"].to_list() == [100, 100, 20, 20, 20, 20]
        assert yahoo.as_traded("7203.T")["split_ratio"].to_list() == [1, 1, 5, 1, 1, 1]


def test_split_that_is_only_listed_changes_no_price(library):
    market = GivenMarket(bars_of("7203.T", {"session": WEEK, "close": [100.0] * 6}))
    with LocalYahoo(market, today=WEEK[-1]) as yahoo:
        yahoo.add_split("7203.T", WEEK[2], 3.0, applied=False)
        seen = history(library(yahoo)("7203.T"))
        assert seen["Stock Splits"].to_list() == [0, 0, 3, 0, 0, 0]
        assert seen["Close"].to_list() == [100.0] * 6
        assert yahoo.as_traded("7203.T")["split_ratio"].to_list() == [1.0] * 6


def test_several_splits_of_one_stock_multiply(get):
    market = GivenMarket(bars_of("7203.T", {"session": WEEK, "close": [600.0] * 6}))
    with LocalYahoo(market, today=WEEK[-1]) as yahoo:
        for session, ratio in ((WEEK[1], 2.0), (WEEK[2], 0.5), (WEEK[4], 3.0), (WEEK[4], 2.0)):
            yahoo.add_split("7203.T", session, ratio)
        assert yahoo.as_traded("7203.T")["close"].to_list() == [600, 300, 600, 600, 100, 100]
        result = get(yahoo, CHART + "7203.T", range="max", events="div,splits").json()["chart"]["result"][0]
        assert result["indicators"]["quote"][0]["close"] == [100.0] * 6
        events = list(result["events"]["splits"].values())
        assert [event["splitRatio"] for event in events] == ["2:1", "1:2", "6:1"]


# --- ranges and refusals ----------------------------------------------------------------------------------------------


@pytest.fixture
def week():
    rows = {"session": WEEK, "close": [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]}
    with LocalYahoo(GivenMarket(bars_of("7203.T", rows)), today=dt.date(2024, 2, 28)) as yahoo:
        yield yahoo


def seconds(year, month, day, hour=0):
    """UTC seconds of a time in Tokyo."""
    return int(dt.datetime(year, month, day, hour, tzinfo=dt.UTC).timestamp()) - 9 * 3600


def test_rows_are_dated_by_the_opening_and_the_end_is_exclusive(week, get):
    question = {"period1": seconds(2024, 2, 20), "period2": seconds(2024, 2, 26, 9), "interval": "1d"}
    result = get(week, CHART + "7203.T", **question).json()["chart"]["result"][0]
    assert result["timestamp"] == [seconds(2024, 2, day, 9) for day in (20, 21, 22)]
    assert result["indicators"]["quote"][0]["close"] == [101.0, 102.0, 103.0]
    assert result["meta"]["exchangeTimezoneName"] == "Asia/Tokyo"
    assert (result["meta"]["currency"], result["meta"]["symbol"]) == ("JPY", "7203.T")
    assert (result["meta"]["gmtoffset"], result["meta"]["timezone"]) == (32400, "JST")
    assert result["meta"]["regularMarketPrice"] == 105.0
    assert result["meta"]["chartPreviousClose"] == 100.0
    assert result["meta"]["firstTradeDate"] == seconds(2024, 2, 19, 9)


@pytest.mark.parametrize(("span", "closes"), [("1d", [105.0]), ("5d", [101.0, 102.0, 103.0, 104.0, 105.0])])
def test_ranges_count_back_from_the_newest_row(week, get, span, closes):
    result = get(week, CHART + "7203.T", range=span, interval="1d").json()["chart"]["result"][0]
    assert result["indicators"]["quote"][0]["close"] == closes


@pytest.mark.parametrize(
    ("question", "status", "text"),
    [
        ({"period1": 1, "period2": 2}, 400, "Data doesn't exist for startDate = 1, endDate = 2"),
        ({"period1": 1709132400, "period2": 1709164800}, 400, "Data doesn't exist for startDate = 1709132400"),
        ({"period1": 5, "period2": 2}, 400, "Invalid input - start date cannot be after end date"),
        ({"range": "7y"}, 400, "range=7y is not supported"),
        ({"range": "5d", "interval": "5m"}, 422, "5m data not available"),
    ],
)
def test_ranges_without_data_are_refused(week, get, question, status, text):
    answer = get(week, CHART + "7203.T", **question)
    assert answer.status_code == status
    assert text in answer.json()["chart"]["error"]["description"]
    assert answer.json()["chart"]["result"] is None


def test_days_without_a_row_between_others_give_no_timestamps(week, get):
    answer = get(week, CHART + "7203.T", period1=seconds(2024, 2, 23), period2=seconds(2024, 2, 26))
    assert answer.status_code == 200
    result = answer.json()["chart"]["result"][0]
    assert "timestamp" not in result
    assert result["indicators"] == {"quote": [{}], "adjclose": [{}]}


def test_data_after_today_do_not_exist(week, get):
    week.today = dt.date(2024, 2, 21)
    result = get(week, CHART + "7203.T", range="max").json()["chart"]["result"][0]
    assert result["indicators"]["quote"][0]["close"] == [100.0, 101.0, 102.0]
    week.today = dt.date(2024, 2, 18)
    assert get(week, CHART + "7203.T", range="max").status_code == 404


def test_events_are_given_for_the_asked_range_only_and_by_name(get):
    rows = {
        "session": WEEK,
        "close": [100.0] * 6,
        "dividend": [0, 2.0, 0, 0, 3.0, 0],
        "split_ratio": [1, 1, 2, 1, 1, 1],
    }
    with LocalYahoo(GivenMarket(bars_of("7203.T", rows)), today=WEEK[-1]) as yahoo:
        question = {"period1": seconds(2024, 2, 21), "period2": seconds(2024, 2, 28)}
        both = get(yahoo, CHART + "7203.T", events="div,splits", **question).json()["chart"]["result"][0]["events"]
        paid, split = seconds(2024, 2, 26, 9), seconds(2024, 2, 21, 9)
        assert both == {
            "dividends": {str(paid): {"amount": 3.0, "date": paid}},
            "splits": {str(split): {"date": split, "numerator": 2, "denominator": 1, "splitRatio": "2:1"}},
        }
        only = get(yahoo, CHART + "7203.T", events="splits", **question).json()["chart"]["result"][0]["events"]
        assert list(only) == ["splits"]
        whole = get(yahoo, CHART + "7203.T", range="max", events="div").json()["chart"]["result"][0]["events"]
        assert [event["amount"] for event in whole["dividends"].values()] == [1.0, 3.0]


@pytest.mark.skipif("XNYS" not in PROFILES, reason="the exchange's profile is not there yet")
def test_new_york_opens_at_half_past_nine_in_summer_and_winter():
    histories = Histories(None, "XNYS")
    assert histories.opens_at(dt.date(2024, 3, 8)) == 1709908200  # 14:30 UTC
    assert histories.opens_at(dt.date(2024, 3, 11)) == 1710163800  # 13:30 UTC


def test_source_is_asked_once_for_all_tickers():
    bars = pl.concat([bars_of(name, {"session": WEEK, "close": [1.0] * 6}) for name in ("1.T", "2.T", "3.T")])
    market = GivenMarket(bars)
    histories = Histories(market, "XTKS", ["1.T", "2.T", "3.T", "4.T"])
    found = [histories.history(name) for name in ("3.T", "1.T", "2.T", "4.T", "1.T")]
    assert [each and each.ticker for each in found] == ["3.T", "1.T", "2.T", None, "1.T"]
    assert market.questions == 1


# --- the arithmetic ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    closes=st.lists(st.integers(50, 900_000), min_size=2, max_size=12),
    splits=st.lists(st.tuples(st.integers(0, 14), st.sampled_from([2.0, 3.0, 1.5, 0.1, 0.2, 10.0])), max_size=4),
    paid=st.lists(st.integers(0, 30), min_size=12, max_size=12),
    today=st.integers(0, 14),
)
def test_adjustment_agrees_with_fractions_and_can_be_undone(closes, splits, paid, today):
    days = trading_calendar("XTKS").between(dt.date(2024, 1, 4), dt.date(2024, 2, 29))
    rows = {
        "session": days[: len(closes)],
        "close": [close / 10 for close in closes],
        "volume": [close * 100 for close in closes],
        "dividend": [
            float(amount) if 10 * amount < close else 0.0 for amount, close in zip(paid, closes, strict=False)
        ],
    }
    histories = Histories(GivenMarket(bars_of("1.T", rows)), "XTKS")
    for day, ratio in splits:
        histories.inject("1.T", Split(days[day], ratio))
    shown_day = days[today]
    part = histories.history("1.T").until(shown_day)
    shown, truth = adjust(part), part.bars()
    events = [(days[day], ratio) for day, ratio in splits]
    for row, bar in enumerate(truth.to_dicts()):
        product = float(later_product(events, bar["session"], shown_day))
        assert shown.prices["close"][row] == pytest.approx(bar["close"] / product, rel=6e-8)
        assert math.isclose(shown.prices["close"][row] * product, bar["close"], rel_tol=1.2e-7)
        assert shown.volume[row] == pytest.approx(bar["volume"] * product, abs=0.5001)
        assert shown.dividend[row] == pytest.approx(bar["dividend"] / product, abs=5.1e-7)
    later = 1.0
    for row in range(truth.height - 1, -1, -1):
        assert shown.adjusted_close[row] == pytest.approx(shown.prices["close"][row] * later, rel=1e-6)
        if row and shown.prices["close"][row - 1]:
            later *= 1 - shown.dividend[row] / shown.prices["close"][row - 1]
