"""Charts as sent: against yfinance's own reading of the same answer, and recorded ones."""

from __future__ import annotations

import datetime as dt
import json
import math

import pytest

from stockfc_assets.market.sources.yahoo.chart import COLUMNS, parse_chart
from stockfc_assets.market.sources.yahoo.client import connect, ticker
from stockfc_assets.market.sources.yahoo.prices import ask_chart

DAY = 86_400
MONDAY = 1_708_905_600
"""2024-02-26 09:00 in Tokyo."""


def answer(stamps, *, meta=None, events=None, **columns):
    quote = {name: columns.get(name, [100.0] * len(stamps)) for name in COLUMNS}
    result = {"meta": {"currency": "JPY"} | (meta or {}), "timestamp": stamps, "indicators": {"quote": [quote]}}
    return {"chart": {"result": [result | ({"events": events} if events else {})], "error": None}}


def test_rows_and_events_are_those_that_the_library_reads(yahoo, polite, simulated):
    session = polite(requests_per_minute=1e6)
    splits = 0
    for name in ("S00001.T", "S00002.T", "S00003.T"):
        connect(session)  # the library must ask again, not remember
        frame = ticker(name, session, "Asia/Tokyo").history(
            start="2016-01-01", end="2024-03-02", auto_adjust=False, keepna=True
        )
        connect(session)
        chart = ask_chart(name, session, "Asia/Tokyo", dt.date(2016, 1, 1), dt.date(2024, 3, 1))
        assert chart.rows["session"].to_list() == [stamp.date() for stamp in frame.index]
        for column in COLUMNS:
            assert chart.rows[column].to_list() == frame[column.capitalize()].to_list()
        paid = frame["Dividends"][frame["Dividends"] > 0]
        assert list(chart.dividends.select("ex_date", "amount").iter_rows()) == [
            (at.date(), x) for at, x in paid.items()
        ]
        ratios = frame["Stock Splits"][frame["Stock Splits"] > 0]
        assert list(chart.splits.iter_rows()) == [(stamp.date(), ratio) for stamp, ratio in ratios.items()]
        splits += len(ratios)
        assert (chart.currency, chart.last_trade) == ("JPY", dt.date(2024, 3, 1))
    assert splits


def test_nulls_stay_nulls_and_whole_numbers_are_numbers():
    chart = parse_chart(answer([MONDAY, MONDAY + DAY], close=[None, 7], volume=[None, 200]), "Asia/Tokyo")
    assert chart.rows["close"].to_list() == [None, 7.0]
    assert chart.rows["volume"].to_list() == [None, 200.0]


def test_of_the_newest_day_the_live_row_counts():
    live = MONDAY + DAY + 6 * 3600
    chart = parse_chart(answer([MONDAY, MONDAY + DAY, live], volume=[1, 2, 3]), "Asia/Tokyo")
    assert chart.rows.select("session", "volume").rows() == [(dt.date(2024, 2, 26), 1.0), (dt.date(2024, 2, 27), 3.0)]


def test_a_row_sent_twice_is_kept_twice_for_the_check_to_name():
    chart = parse_chart(answer([MONDAY, MONDAY, MONDAY + DAY, MONDAY + DAY]), "Asia/Tokyo")
    assert chart.rows.height == 4


def test_dates_are_those_of_the_exchange():
    evening_in_utc = 1_708_957_800  # 14:30 UTC: 09:30 in New York on the 26th, 23:30 in Tokyo
    assert parse_chart(answer([evening_in_utc]), "America/New_York").rows["session"][0] == dt.date(2024, 2, 26)


def test_an_answer_without_rows_has_none_and_its_dates_tell_whether_it_should():
    meta = {"firstTradeDate": MONDAY, "regularMarketTime": MONDAY + DAY}
    empty = {"meta": meta, "indicators": {"quote": [{}]}}
    chart = parse_chart({"chart": {"result": [empty]}}, "Asia/Tokyo")
    assert chart.rows.is_empty()
    day = dt.date(2024, 2, 26)
    assert not chart.may_have_rows(dt.date(2024, 1, 1), dt.date(2024, 2, 25))
    assert chart.may_have_rows(dt.date(2024, 1, 1), day)
    assert chart.may_have_rows(dt.date(2024, 2, 27), dt.date(2024, 3, 1))
    assert not chart.may_have_rows(dt.date(2024, 2, 28), dt.date(2024, 3, 1))
    unknown = parse_chart({"chart": {"result": [empty | {"meta": {}}]}}, "Asia/Tokyo")
    assert unknown.may_have_rows(day, day)


@pytest.mark.parametrize(
    "broken", [{}, {"chart": {"result": None}}, {"chart": {"result": []}}, {"chart": {"result": [{}]}}]
)
def test_another_shape_raises(broken):
    with pytest.raises((KeyError, IndexError, TypeError)):
        parse_chart(broken, "Asia/Tokyo")


def test_recorded_tokyo_answer_with_a_split_and_a_dividend_on_one_day(shared_data):
    content = json.loads(
        (shared_data / "yahoo/tokyo/chart_6309.T_1mo_1d_split_and_dividend_2025-05-19.json").read_text()
    )
    chart = parse_chart(content, "Asia/Tokyo")
    assert chart.rows["session"][0] == dt.date(2025, 4, 21)
    assert chart.rows["session"][-1] == dt.date(2025, 5, 19)
    assert chart.rows["session"].is_unique().all()
    assert chart.splits.rows() == [(dt.date(2025, 4, 28), 3.0)]
    assert chart.dividends.select("ex_date", "amount").rows() == [(dt.date(2025, 4, 28), 73.0)]
    assert math.isclose(chart.rows["close"][0] * 3, 4285, rel_tol=1e-6)
