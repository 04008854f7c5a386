"""Each fault as the unmodified library sees it, how many answers it strikes, and which."""

from __future__ import annotations

import datetime as dt
import json
import time

import pytest
from curl_cffi import CurlECode, requests
from curl_cffi.requests.exceptions import HTTPError, RequestException

from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of

CHART = "query2.finance.yahoo.com/v8/finance/chart/7203.T"
SUMMARY = "query2.finance.yahoo.com/v10/finance/quoteSummary/7203.T"
WEEK = [dt.date(2024, 2, day) for day in (19, 20, 21, 22, 26)]
CLOSES = [100.0, 101.0, 102.0, 103.0, 104.0]


@pytest.fixture
def week():
    rows = {"session": WEEK, "close": CLOSES, "volume": [1000, 1100, 1200, 1300, 1400], "low": [90.0] * 5}
    with LocalYahoo(GivenMarket(bars_of("7203.T", rows)), today=WEEK[-1]) as yahoo:
        yield yahoo


@pytest.fixture
def ask(week, library):
    ticker = library(week)("7203.T")
    ticker._tz = "Asia/Tokyo"  # as a cache would know it: one question per history
    return lambda **options: ticker.history(start="2024-02-19", end="2024-02-27", auto_adjust=False, **options)


def test_without_a_fault_one_question_is_enough(week, ask):
    assert ask()["Close"].to_list() == CLOSES
    assert [asked.kind for asked in week.requests] == ["cookie", "cookie", "crumb", "chart"]
    assert [asked.status for asked in week.requests] == [404, 404, 200, 200]


def test_rate_limit_is_plain_text_and_raised_after_the_second_answer(week, ask, get):
    from yfinance.exceptions import YFRateLimitError

    week.faults.add(429, retry_after=7)
    with pytest.raises(YFRateLimitError):
        ask()
    assert [(asked.kind, asked.status) for asked in week.requests if asked.kind == "chart"] == [("chart", 429)] * 2
    answer = get(week, CHART)
    assert (answer.status_code, answer.text) == (429, "Too Many Requests")
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_rate_limited_crumb_leaves_the_chart_alone(week, ask):
    week.faults.add(429, kind="crumb")
    assert ask()["Close"].to_list() == CLOSES
    assert "crumb" not in week.requests[-1].query


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "No data found, symbol may be delisted"),
        (422, "1d data not available for the requested range."),
        (500, "An internal error occurred, please try again later."),
    ],
)
def test_refusals_carry_a_reason(week, ask, status, words):
    from yfinance.exceptions import YFPricesMissingError

    week.faults.add(status)
    with pytest.raises(YFPricesMissingError) as refused:
        ask()
    assert refused.value.yahoo_reason == words


def test_unavailable_service_answers_with_a_page(week, ask, get):
    week.faults.add(503)
    with pytest.raises(json.JSONDecodeError):
        ask()
    answer = get(week, CHART)
    assert (answer.status_code, answer.text[:6]) == (503, "<html>")


def test_first_refusal_sends_the_library_through_the_consent_form_to_a_new_crumb(week, ask):
    week.faults.add(500, times=1)
    assert ask()["Close"].to_list() == CLOSES
    assert [asked.kind for asked in week.requests] == [
        "cookie", "cookie", "crumb", "chart", "consent", "consent", "consent", "crumb", "chart",
    ]  # fmt: skip
    assert [asked.host for asked in week.requests][4:8] == [
        "guce.yahoo.com", "consent.yahoo.com", "guce.yahoo.com", "query2.finance.yahoo.com",
    ]  # fmt: skip


def test_invalid_crumb_is_renewed_once(week, library):
    week.faults.add(401, kind="quoteSummary", times=1)
    info = library(week)("7203.T").info
    assert info["currency"] == "JPY"
    assert [asked.status for asked in week.requests if asked.kind == "quoteSummary"] == [401, 200]
    assert week.count("crumb") == 2


def test_facts_need_the_right_crumb(week, library, get):
    wrong = get(week, SUMMARY, modules="price", crumb="wrong")
    assert (wrong.status_code, wrong.json()["finance"]["error"]["description"]) == (401, "Invalid Crumb")
    assert get(week, SUMMARY, modules="price").status_code == 401
    assert get(week, "query1.finance.yahoo.com/v7/finance/quote", symbols="7203.T").status_code == 401
    crumb = get(week, "query1.finance.yahoo.com/v1/test/getcrumb").text
    assert get(week, SUMMARY, modules="price", crumb=crumb).status_code == 200
    week.crumb = "another"
    assert get(week, SUMMARY, modules="price", crumb=crumb).status_code == 401
    week.faults.add(401)
    with pytest.raises(HTTPError, match="401"):
        library(week)("7203.T").get_info()


def test_connection_is_cut_in_the_middle_of_the_body(week, ask):
    week.faults.add("cut")
    with pytest.raises(RequestException) as broken:
        ask()
    assert broken.value.code == CurlECode.PARTIAL_FILE


def test_stalled_answer_times_out_and_comes_when_waited_for(week, ask):
    week.faults.add("stall", seconds=0.6, times=2)
    with pytest.raises(RequestException) as silent:
        ask(timeout=0.2)
    assert silent.value.code == CurlECode.OPERATION_TIMEDOUT
    assert week.requests[-1].status == 0
    assert ask(timeout=5)["Close"].to_list() == CLOSES


def test_server_stops_although_an_answer_stalls():
    with LocalYahoo(None, today=WEEK[-1]) as yahoo:
        yahoo.faults.add("stall", seconds=60)
        with pytest.raises(RequestException):
            requests.get(f"{yahoo.url}/{CHART}", timeout=0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("fault", ["malformed", "half"])
def test_body_that_is_no_json(week, ask, fault):
    week.faults.add(fault)
    with pytest.raises(json.JSONDecodeError):
        ask()
    assert week.requests[-1].status == 200


def test_row_of_nulls_is_dropped_by_the_library_unless_kept(week, ask):
    week.faults.add("nulls", on=WEEK[1])
    assert ask()["Close"].to_list() == [100.0, 102.0, 103.0, 104.0]
    kept = ask(keepna=True)
    assert [stamp.date() for stamp in kept.index] == WEEK
    assert kept.iloc[1][["Open", "High", "Low", "Close"]].isna().all()


def test_missing_timestamps_break_the_library(week, ask):
    week.faults.add("no_timestamps")
    with pytest.raises(KeyError, match="timestamp"):
        ask()


def test_repeated_rows_are_hidden_by_the_library_and_visible_in_the_answer(week, ask, get):
    week.faults.add("duplicate_rows", on=WEEK[2])
    assert ask()["Close"].to_list() == CLOSES
    result = get(week, CHART, range="max").json()["chart"]["result"][0]
    stamps, quote = result["timestamp"], result["indicators"]["quote"][0]
    assert stamps[2] == stamps[3] == week.opens_at(WEEK[2])
    assert quote["close"] == [100.0, 101.0, 102.0, 102.0, 103.0, 104.0]
    assert quote["volume"] == [1000, 1100, 1200, 1200, 1300, 1400]

    week.faults.clear()
    week.faults.add("conflicting_rows", on=WEEK[2])
    quote = get(week, CHART, range="max").json()["chart"]["result"][0]["indicators"]["quote"][0]
    assert quote["close"] == [100.0, 101.0, 102.0, 90.0, 103.0, 104.0]
    assert quote["volume"] == [1000, 1100, 1200, 1300, 1300, 1400]
    assert {len(column) for column in quote.values()} == {6}


def test_newest_row_may_be_dated_by_its_last_trade(week, ask, get):
    week.faults.add("live_row")
    result = get(week, CHART, range="5d").json()["chart"]["result"][0]
    assert result["timestamp"][-1] == result["meta"]["regularMarketTime"] == week.opens_at(WEEK[-1]) + 6.5 * 3600
    assert [stamp.date() for stamp in ask().index] == WEEK


def test_row_fault_on_a_session_outside_the_answer_changes_nothing(week, ask):
    week.faults.add("nulls", on=dt.date(2024, 2, 27))
    assert ask()["Close"].to_list() == CLOSES


def test_faults_strike_what_they_name_and_so_many_times(week, get):
    week.faults.add(500, kind="chart", ticker="9984.T")
    week.faults.add(429, ticker="7203.T", times=2)
    week.faults.add(503, kind="timeseries")
    series = "query2.finance.yahoo.com/ws/fundamentals-timeseries/v1/finance/timeseries/7203.T"
    assert [get(week, CHART).status_code for _ in range(3)] == [429, 429, 200]
    assert get(week, CHART.replace("7203.T", "9984.T")).status_code == 500
    assert get(week, series).status_code == 503
    assert get(week, "query1.finance.yahoo.com/v1/test/getcrumb").status_code == 200
    week.faults.clear()
    assert get(week, series).status_code == 200
    assert [asked.status for asked in week.requests] == [429, 429, 200, 500, 503, 200, 200]


def test_unknown_fault_is_refused(week):
    with pytest.raises(ValueError, match="unknown fault 'flood'"):
        week.faults.add("flood")
