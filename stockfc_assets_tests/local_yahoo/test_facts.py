"""Company facts: what the library reads agrees with what the source had published, on today's share basis."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.source import FACTS_SCHEMA
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.facts import quarter_end, quarterly_flows
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of

TICKER = "S00001.T"
TODAY = dt.date(2024, 3, 1)


def newest(source, ticker, today):
    """The newest publication until ``today``, straight from the source, and the one before, ..."""
    as_of, rows = today + dt.timedelta(days=1), []
    while (facts := source.fetch_facts([ticker], as_of).facts).height:
        rows.append(facts.row(0, named=True))
        as_of = rows[-1]["published"]
    return rows


def test_info_is_the_newest_publication(yahoo, simulated, library):
    info = library(yahoo)(TICKER).info
    fact = newest(simulated, TICKER, TODAY)[0]
    close = float(yahoo.as_traded(TICKER)["close"][-1])
    assert info["sharesOutstanding"] == fact["shares_outstanding"]
    assert info["trailingEps"] == fact["eps_ttm"]
    assert info["bookValue"] == fact["book_value_per_share"]
    assert info["trailingAnnualDividendRate"] == info["dividendRate"] == fact["dividend_per_share_ttm"]
    assert info["returnOnEquity"] == fact["return_on_equity"]
    assert info["profitMargins"] == fact["profit_margin"]
    assert (info["sector"], info["industry"]) == (fact["sector"], fact["industry"])
    assert (info["currency"], info["financialCurrency"], info["quoteType"]) == ("JPY", "JPY", "EQUITY")
    assert info["marketCap"] == pytest.approx(close * fact["shares_outstanding"], rel=1e-6)
    assert info["exchangeTimezoneName"] == "Asia/Tokyo"
    assert info["mostRecentQuarter"] == 1703980800  # 2023-12-31


def test_quarters_sum_to_the_trailing_figures(yahoo, simulated, library):
    ticker = library(yahoo)(TICKER)
    quarters, years = ticker.quarterly_income_stmt, ticker.income_stmt
    facts = newest(simulated, TICKER, TODAY)
    ends = ["2023-12-31", "2023-09-30", "2023-06-30", "2023-03-31", "2022-12-31"]
    assert list(quarters.columns) == [pd.Timestamp(end) for end in ends]
    assert quarters.loc["Basic EPS"].iloc[:4].sum() == pytest.approx(facts[0]["eps_ttm"])
    assert quarters.loc["Diluted EPS"].iloc[1:5].sum() == pytest.approx(facts[1]["eps_ttm"])
    income = facts[0]["eps_ttm"] * facts[0]["shares_outstanding"]
    assert quarters.loc["Net Income Common Stockholders"].iloc[:4].sum() == pytest.approx(income)
    assert quarters.loc["Total Revenue"].iloc[:4].sum() == pytest.approx(income / facts[0]["profit_margin"])

    assert list(years.columns) == [pd.Timestamp(f"{year}-03-31") for year in (2023, 2022, 2021, 2020)]
    year_2023 = next(fact for fact in facts if fact["published"] < dt.date(2023, 6, 1))
    assert years.loc["Basic EPS"].iloc[0] == pytest.approx(year_2023["eps_ttm"])
    assert list(ticker.ttm_income_stmt.columns) == [pd.Timestamp("2023-12-31")]
    assert ticker.ttm_income_stmt.loc["Net Income"].iloc[0] == pytest.approx(income)

    sheet = ticker.quarterly_balance_sheet
    assert sheet.loc["Ordinary Shares Number"].iloc[0] == facts[0]["shares_outstanding"]
    equity = facts[0]["book_value_per_share"] * facts[0]["shares_outstanding"]
    assert sheet.loc["Stockholders Equity"].iloc[0] == pytest.approx(equity)
    assert sheet.loc["Common Stock Equity"].iloc[0] == pytest.approx(equity)


def test_statement_is_there_from_its_publication_on(yahoo, simulated, library):
    published = newest(simulated, TICKER, TODAY)[0]["published"]
    assert dt.date(2024, 1, 1) < published < TODAY
    for today, end in ((published - dt.timedelta(days=1), "2023-09-30"), (published, "2023-12-31")):
        yahoo.today = today
        assert library(yahoo)(TICKER).quarterly_income_stmt.columns[0] == pd.Timestamp(end)


FACTS = pl.DataFrame(
    [
        {
            "ticker": "7203.T", "published": dt.date(2023, 8, 1), "shares_outstanding": 1e6, "eps_ttm": 120.0,
            "book_value_per_share": 900.0, "dividend_per_share_ttm": 40.0, "return_on_equity": 0.13,
            "profit_margin": 0.1, "sector": "Autos", "industry": None,
        },
        {
            "ticker": "7203.T", "published": dt.date(2023, 11, 1), "shares_outstanding": 1e6, "eps_ttm": 126.0,
            "book_value_per_share": None, "dividend_per_share_ttm": 40.0, "return_on_equity": None,
            "profit_margin": 0.0, "sector": "Autos", "industry": None,
        },
    ],
    schema=FACTS_SCHEMA,
)  # fmt: skip


@pytest.fixture
def split_stock():
    days = trading_calendar("XTKS").between(dt.date(2023, 7, 3), dt.date(2023, 12, 29))
    rows = {"session": days, "close": [2000.0] * len(days)}
    with LocalYahoo(GivenMarket(bars_of("7203.T", rows), FACTS), today=dt.date(2023, 12, 29)) as yahoo:
        yield yahoo


def test_past_statements_stand_on_todays_share_basis_and_share_counts_on_their_own(split_stock, library):
    split_stock.add_split("7203.T", dt.date(2023, 12, 1), 3.0)
    ticker = library(split_stock)("7203.T")
    assert ticker.quarterly_income_stmt.loc["Basic EPS"].to_list() == [pytest.approx(36 / 3), pytest.approx(10)]
    assert ticker.quarterly_balance_sheet.loc["Ordinary Shares Number"].to_list() == [3e6, 3e6]
    assert ticker.quarterly_balance_sheet.loc["Stockholders Equity"].dropna().to_list() == [9e8]
    counts = ticker.get_shares_full(start="2023-01-01")
    assert [stamp.date() for stamp in counts.index] == [
        dt.date(2023, 8, 1), dt.date(2023, 11, 1), dt.date(2023, 12, 1),
    ]  # fmt: skip
    assert counts.to_list() == [1_000_000, 1_000_000, 3_000_000]
    info = ticker.info
    assert (info["trailingEps"], info["sharesOutstanding"]) == (42.0, 3_000_000)
    assert info["trailingAnnualDividendRate"] == pytest.approx(40 / 3)
    assert (info["lastSplitFactor"], info["lastSplitDate"]) == ("3:1", 1701388800)
    assert "bookValue" not in info
    assert "returnOnEquity" not in info


@pytest.mark.parametrize(
    ("ex_date", "counts"),
    [(dt.date(2023, 9, 1), [1_000_000, 2_000_000, 2_000_000]), (dt.date(2023, 11, 1), [1_000_000, 2_000_000])],
)
def test_publication_on_or_after_an_injected_split_is_on_the_basis_after_it(split_stock, library, ex_date, counts):
    split_stock.add_split("7203.T", ex_date, 2.0)
    ticker = library(split_stock)("7203.T")
    assert ticker.info["trailingEps"] == 63.0
    assert ticker.get_shares_full(start="2023-01-01").to_list() == counts
    split_stock.today = dt.date(2023, 8, 31)
    assert library(split_stock)("7203.T").info["trailingEps"] == 120.0


def test_stock_without_facts_has_no_statements(get):
    bars = bars_of("1.T", {"session": [dt.date(2024, 2, 20)], "close": [5.0]})
    with LocalYahoo(GivenMarket(bars), today=TODAY) as yahoo:
        series = "query2.finance.yahoo.com/ws/fundamentals-timeseries/v1/finance/timeseries/1.T"
        assert get(yahoo, series).json() == {"timeseries": {"result": [], "error": None}}
        named = get(yahoo, series, type="annualBasicEPS,trailingPegRatio").json()["timeseries"]["result"]
        assert named == [
            {"meta": {"symbol": ["1.T"], "type": [name]}} for name in ("annualBasicEPS", "trailingPegRatio")
        ]
        summary = "query2.finance.yahoo.com/v10/finance/quoteSummary/"
        known = get(yahoo, summary + "1.T", modules="price,financialData,assetProfile", crumb=yahoo.crumb).json()
        assert list(known["quoteSummary"]["result"][0]) == ["price"]
        none = get(yahoo, summary + "1.T", modules="assetProfile", crumb=yahoo.crumb)
        assert (none.status_code, none.json()["quoteSummary"]["error"]) == (
            404,
            {"code": "Not Found", "description": "No fundamentals data found for any of the summaryTypes=assetProfile"},
        )
        assert get(yahoo, summary + "2.T", modules="price", crumb=yahoo.crumb).status_code == 404
        quote = get(yahoo, "query1.finance.yahoo.com/v7/finance/quote", symbols="2.T,1.T", crumb=yahoo.crumb).json()
        assert [(row["symbol"], row["regularMarketPrice"]) for row in quote["quoteResponse"]["result"]] == [
            ("1.T", 5.0)
        ]


@settings(deadline=None, max_examples=100)
@given(
    first=st.integers(8000, 8100),
    values=st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=24),
)
def test_any_four_quarters_in_a_row_sum_to_the_trailing_figure(first, values):
    trailing = {first + place: float(value) for place, value in enumerate(values) if value is not None}
    flows = quarterly_flows(trailing)
    assert list(flows) == list(trailing)
    for quarter, value in trailing.items():
        if all(quarter - back in trailing for back in range(4)):
            assert sum(flows[quarter - back] for back in range(4)) == pytest.approx(value, abs=1e-9)


def test_quarters_end_on_the_last_day_of_march_june_september_december():
    assert [quarter_end(4 * 2023 + number) for number in range(4)] == [
        dt.date(2023, 3, 31), dt.date(2023, 6, 30), dt.date(2023, 9, 30), dt.date(2023, 12, 31),
    ]  # fmt: skip
