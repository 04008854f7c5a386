"""The real service's recorded answers, through the library; and our own words and numbers against the real ones."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources.files import FilesSource
from stockfc_assets.settings import FilesSettings, Membership, QualitySettings, Stock, Universe
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.charts import chart_not_found
from stockfc_assets_tests.local_yahoo.faults import encode, refusal
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of

TODAY = dt.date(2025, 5, 19)


@pytest.fixture
def recorded(shared_data):
    with LocalYahoo(None, today=TODAY, recorded=shared_data / "yahoo") as yahoo:
        yield yahoo


def test_recorded_charts_are_found_by_ticker_and_range(recorded, library):
    ask = library(recorded)
    apple = ask("AAPL").history(start="2020-08-31", end="2020-11-07", auto_adjust=False)
    assert len(apple) == 49
    assert apple["Stock Splits"].iloc[0] == 4.0
    assert apple["Dividends"][apple["Dividends"] > 0].to_list() == [0.205]
    january = ask("AAPL").history(start="2020-01-01", end="2020-01-03", auto_adjust=False)
    assert january["Close"].to_list() == [75.0875015258789]
    assert ask("MSFT").history(start="2021-02-01", end="2022-01-31", auto_adjust=False)["Dividends"].max() == 0.62
    assert ask("NVDA").history(start="2021-02-01", end="2022-01-31", auto_adjust=False)["Stock Splits"].max() == 4.0

    tomoe = ask("6309.T").history(start="2025-04-19", end="2025-05-20", auto_adjust=False)
    day = tomoe.loc["2025-04-28"]
    assert (day["Close"], day["Dividends"], day["Stock Splits"]) == (1378.0, 73.0, 3.0)
    assert str(tomoe.index.tz) == "Asia/Tokyo"


def test_recorded_summaries(recorded, library):
    info = library(recorded)("AAPL").info
    assert (info["sharesOutstanding"], info["trailingEps"], info["sector"]) == (15022100480, 6.31, "Technology")
    assert library(recorded)("BABA").info["financialCurrency"] == "CNY"


def test_unknown_ticker_is_not_found_in_yahoos_words(recorded, library, get):
    from yfinance.exceptions import YFPricesMissingError

    ticker = library(recorded)("1234.T")
    ticker._tz = "Asia/Tokyo"
    with pytest.raises(YFPricesMissingError) as missing:
        ticker.history(start="2025-05-01", end="2025-05-10")
    assert missing.value.yahoo_reason == "No data found, symbol may be delisted"
    answer = get(
        recorded, "query2.finance.yahoo.com/v10/finance/quoteSummary/ADH", modules="price", crumb=recorded.crumb
    )
    assert answer.status_code == 404


def test_our_refusals_are_yahoos(shared_data):
    folder = shared_data / "yahoo" / "errors"
    assert chart_not_found().body == json.loads((folder / "404_chart_not_found.json").read_text())
    assert refusal(404, "chart") == chart_not_found()
    assert refusal(401, "quoteSummary").body == json.loads((folder / "401_quoteSummary_invalid_crumb.json").read_text())
    assert encode(refusal(429, "chart"))[0] == (folder / "429_too_many_requests.txt").read_bytes()
    unavailable = json.loads((folder / "422_chart_range_unavailable.json").read_text())["chart"]
    ours = refusal(422, "chart").body["chart"]
    assert ours.keys() == unavailable.keys()
    assert ours["error"]["code"] == unavailable["error"]["code"]


def test_our_chart_of_a_real_stock_has_yahoos_numbers(shared_data, get):
    """6309.T from 2025-04-21: a split 3:1 and a dividend of 73 on 2025-04-28, traded in whole yen."""
    body = json.loads((shared_data / "yahoo/tokyo/chart_6309.T_1mo_1d_split_and_dividend_2025-05-19.json").read_text())
    real = body["chart"]["result"][0]
    quote = real["indicators"]["quote"][0]
    days = [dt.datetime.fromtimestamp(stamp, dt.UTC).date() for stamp in real["timestamp"]]
    split = dt.date(2025, 4, 28)
    ratio = [3 if day < split else 1 for day in days]
    rows = {
        "session": days,
        **{
            name: [float(round(price * k)) for price, k in zip(quote[name], ratio, strict=True)]
            for name in ("open", "high", "low", "close")
        },
        "volume": [volume // k for volume, k in zip(quote["volume"], ratio, strict=True)],
        "dividend": [73.0 if day == split else 0.0 for day in days],
        "split_ratio": [3.0 if day == split else 1.0 for day in days],
    }
    with LocalYahoo(GivenMarket(bars_of("6309.T", rows)), today=TODAY) as yahoo:
        yahoo.faults.add("live_row")
        answer = get(yahoo, "query2.finance.yahoo.com/v8/finance/chart/6309.T", range="1mo", events="div,splits")
    ours = answer.json()["chart"]["result"][0]
    assert ours["timestamp"] == real["timestamp"]
    assert ours["events"] == real["events"]
    assert ours["indicators"]["quote"][0]["volume"] == quote["volume"]
    for name in ("open", "high", "low", "close"):
        assert [np.float32(x) for x in ours["indicators"]["quote"][0][name]] == [np.float32(x) for x in quote[name]]
    adjusted = (part["indicators"]["adjclose"][0]["adjclose"] for part in (ours, real))
    np.testing.assert_allclose(*adjusted, rtol=2e-7)
    same = ("currency", "symbol", "exchangeName", "fullExchangeName", "instrumentType", "gmtoffset", "timezone",
            "exchangeTimezoneName", "regularMarketPrice", "regularMarketDayHigh", "regularMarketDayLow",
            "regularMarketVolume", "regularMarketTime", "dataGranularity", "range", "validRanges", "currentTradingPeriod",
            "hasPrePostMarketData", "priceHint")  # fmt: skip
    assert {name: ours["meta"][name] for name in same} == {name: real["meta"][name] for name in same}


def test_real_histories_are_served_as_the_service_delivers_them(shared_data, library):
    """Split-adjusted files, turned into as-traded rows by the files source and back into a chart: the same prices."""
    folder = shared_data / "jp_core30/csv"
    files = FilesSettings(
        prices=folder,
        basis="split_adjusted",
        splits=shared_data / "facts/core30_splits_2016_2026.csv",
        ticker_suffix=".T",
    )
    always = (Membership(member_from=dt.date(2000, 1, 1)),)
    stocks = tuple(Stock(ticker=name, name=name, sector="Banks", member=always) for name in ("6501.T", "7203.T"))
    universe = Universe(name="two", exchange="XTKS", stocks=stocks)
    source = FilesSource(files, universe, trading_calendar("XTKS"), QualitySettings())
    with LocalYahoo(source, today=dt.date(2026, 2, 6), tickers=universe.tickers) as yahoo:
        ask = library(yahoo)
        for name, listed in (("6501.T", [0.2, 5.0]), ("7203.T", [5.0])):
            seen = ask(name).history(start="2016-02-04", end="2026-02-07", auto_adjust=False)
            delivered = pl.read_csv(folder / f"{name}.csv", try_parse_dates=True)
            assert [stamp.date() for stamp in seen.index] == delivered["Date"].to_list()
            assert len(seen) > 2400
            for column in ("Open", "High", "Low", "Close"):
                np.testing.assert_allclose(seen[column], delivered[column], rtol=1e-6)
            np.testing.assert_allclose(seen["Volume"], delivered["Volume"], rtol=1e-6, atol=1)
            assert [ratio for ratio in seen["Stock Splits"] if ratio] == listed
