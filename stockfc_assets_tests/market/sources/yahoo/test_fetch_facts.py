"""Company facts through the real client: today's for this month, statements for the past, and nothing from later."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.source import FACTS_SCHEMA
from stockfc_assets.market.sources.yahoo import YahooSource
from stockfc_assets.market.sources.yahoo.facts import todays_facts
from stockfc_assets.settings import QualitySettings, YahooSettings
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of
from stockfc_assets_tests.market.sources.yahoo.conftest import TODAY

NAMES = [f"S{number:05d}.T" for number in range(1, 7)]
MARCH = dt.date(2024, 3, 1)
FAST = {"requests_per_minute": 1e6}
NUMBERS = [name for name, dtype in FACTS_SCHEMA.items() if dtype == pl.Float64]


def tokyo(*when):
    return dt.datetime(*when, tzinfo=dt.timezone(dt.timedelta(hours=9)))


@pytest.mark.parametrize(
    ("now", "asked", "as_of"),
    [
        (tokyo(2024, 3, 1, 0, 5), MARCH, dt.date(2024, 3, 1)),
        (tokyo(2024, 3, 1, 7, 59), MARCH, dt.date(2024, 3, 1)),
        (tokyo(2024, 3, 1, 8, 0), MARCH, dt.date(2024, 3, 2)),
        (tokyo(2024, 3, 20, 23, 0), MARCH, dt.date(2024, 3, 21)),
        (tokyo(2024, 2, 29, 12, 0), MARCH, dt.date(2024, 3, 1)),
        (tokyo(2024, 2, 20, 12, 0), MARCH, dt.date(2024, 3, 1)),
    ],
)
def test_todays_facts_carry_the_date_on_which_they_are_known(source, now, asked, as_of):
    result = source(now=now, **FAST).fetch_facts(NAMES[:1], asked)
    assert result.as_of == as_of
    assert result.facts["published"].to_list() == [as_of - dt.timedelta(days=1)]
    assert result.notes == ()


def test_todays_facts_are_the_newest_published(source, simulated, yahoo):
    result = source(**FAST).fetch_facts(NAMES, MARCH)
    expected = simulated.fetch_facts(NAMES, dt.date(2024, 3, 2)).facts
    assert result.facts.schema == FACTS_SCHEMA
    assert result.facts["ticker"].to_list() == expected["ticker"].to_list()
    for name in NUMBERS:
        assert result.facts[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-9), name
    assert result.facts["sector"].to_list() == expected["sector"].to_list()
    assert (result.failures, result.findings.height) == ({}, 0)
    assert [yahoo.count(kind) for kind in ("quoteSummary", "quote", "cookie", "crumb")] == [6, 6, 1, 1]


def test_a_past_month_knows_only_statements_of_its_time(source, simulated, yahoo):
    asked = source(**FAST)
    for month in (dt.date(2023, 7, 1), dt.date(2022, 7, 1)):
        result = asked.fetch_facts(NAMES, month)
        # With lags of 60 days and up to 50 in truth, July knows the year to March from both.
        expected = simulated.fetch_facts(NAMES, month).facts
        assert result.facts["published"].to_list() == [dt.date(month.year, 5, 30)] * 6
        assert result.as_of == month
        for name in ("shares_outstanding", "eps_ttm", "book_value_per_share"):
            assert result.facts[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-6), name
        for name in ("return_on_equity", "profit_margin"):
            assert result.facts[name].to_list() == pytest.approx(expected[name].to_list(), abs=1e-3), name
        assert result.facts["sector"].null_count() == result.facts["industry"].null_count() == 6
        assert "today's facts are not written into a past month" in result.notes[0]
        assert f"{month:%Y-%m}" in result.notes[0]
    assert yahoo.count("quoteSummary") == 0
    assert (yahoo.count("timeseries"), yahoo.count("chart")) == (6, 6)  # once, for both months


def test_dividends_of_a_past_year_are_those_that_prices_show(source, simulated):
    result = source(**FAST).fetch_facts(NAMES, dt.date(2023, 7, 1))
    paid = simulated.fetch_bars(NAMES, dt.date(2022, 5, 31), dt.date(2023, 5, 30)).bars
    assert (paid["split_ratio"] == 1).all()
    expected = paid.group_by("ticker").agg(pl.col("dividend").sum()).sort("ticker")["dividend"].to_list()
    assert result.facts["dividend_per_share_ttm"].to_list() == pytest.approx(expected)
    assert max(expected) > 0


def test_a_month_before_all_statements_has_no_rows(source):
    result = source(**FAST).fetch_facts(NAMES, dt.date(2018, 1, 1))
    assert (result.facts.height, result.failures) == (0, {})
    assert result.facts.schema == FACTS_SCHEMA


def test_nothing_published_later_changes_a_past_month(source, yahoo):
    yahoo.today = dt.date(2023, 9, 1)
    month = dt.date(2023, 8, 1)
    then = source(now=tokyo(2023, 9, 1, 12), **FAST).fetch_facts(NAMES[:3], month).facts
    yahoo.today = TODAY
    yahoo.add_split("S00001.T", dt.date(2024, 2, 1), 5.0)
    now = source(**FAST).fetch_facts(NAMES[:3], month).facts
    for name in NUMBERS:
        assert now[name].to_list() == pytest.approx(then[name].to_list(), rel=1e-6), name


def test_failures_keep_their_reason_and_the_others_are_told(source, yahoo):
    yahoo.faults.add(404, kind="quoteSummary", ticker="S00002.T")
    yahoo.faults.add(500, kind="quoteSummary", ticker="S00004.T")
    result = source(**FAST).fetch_facts([*NAMES, "9999.T"], MARCH)
    assert set(result.failures) == {"S00002.T", "S00004.T", "9999.T"}
    assert result.failures["S00002.T"].startswith("404 Not Found: Quote not found")
    assert result.failures["S00004.T"].startswith("500 Internal Server Error")
    assert result.facts["ticker"].to_list() == ["S00001.T", "S00003.T", "S00005.T", "S00006.T"]


def test_a_crumb_that_expired_is_renewed(source, yahoo):
    asked = source(**FAST)
    asked.fetch_facts(NAMES[:1], MARCH)
    yahoo.crumb = "another"
    result = asked.fetch_facts(NAMES[:2], MARCH)
    assert (result.failures, result.facts.height) == ({}, 2)


@pytest.mark.parametrize("fault", ["cut", "half", "malformed", 503, 429])
def test_statements_survive_a_fault_that_passes(source, yahoo, fault):
    whole = source(**FAST).fetch_facts(NAMES[:2], dt.date(2023, 7, 1)).facts
    yahoo.faults.add(fault, kind="timeseries", times=2)
    assert source(**FAST).fetch_facts(NAMES[:2], dt.date(2023, 7, 1)).facts.equals(whole)


def test_a_company_without_facts_in_yahoo_is_no_failure(source):
    rows = {"session": [dt.date(2024, 2, 29), TODAY], "close": [10.0, 11.0]}
    with LocalYahoo(GivenMarket(bars_of("NEW.T", rows)), today=TODAY) as server:
        result = source(server=server, **FAST).fetch_facts(["NEW.T"], MARCH)
        past = source(server=server, **FAST).fetch_facts(["NEW.T"], dt.date(2023, 7, 1))
    assert result.facts["eps_ttm"].to_list() == [None]
    assert (past.facts.height, past.failures) == (0, {})


# --- reading one answer -----------------------------------------------------------------------------------------------

INFO = {
    "sharesOutstanding": 1000, "trailingEps": 5.0, "bookValue": 50.0, "trailingAnnualDividendRate": 2.0, "dividendRate": 3.0,
    "returnOnEquity": 0.1, "profitMargins": 0.2, "sector": "Technology", "industry": "Software",
    "financialCurrency": "JPY", "currentPrice": 100.0, "marketCap": 100_000,
}  # fmt: skip


def read(**changes):
    row, findings = todays_facts("7203.T", INFO | changes, "JPY", MARCH)
    return row, [(found["session"], found["defect"], found["seen"]) for found in findings]


def test_the_trailing_dividend_counts_not_the_promised_one():
    row, findings = read()
    assert (row["dividend_per_share_ttm"], row["published"], findings) == (2.0, dt.date(2024, 2, 29), [])


def test_amounts_in_another_currency_are_left_out_and_ratios_kept():
    row, findings = read(financialCurrency="USD")
    assert [row[name] for name in ("eps_ttm", "book_value_per_share", "dividend_per_share_ttm")] == [None] * 3
    assert (row["return_on_equity"], row["shares_outstanding"], row["sector"]) == (0.1, 1000.0, "Technology")
    assert findings == [(MARCH, "facts_currency", "reports in USD")]


@pytest.mark.parametrize(
    ("cap", "doubted"), [(100_000, False), (84_000, False), (83_000, True), (200_000, True), (None, False)]
)
def test_a_number_of_shares_on_another_basis_is_doubted(cap, doubted):
    row, findings = read(marketCap=cap)
    assert row["shares_outstanding"] == 1000.0
    assert [found[1] for found in findings] == ["facts_basis"] * doubted


@pytest.mark.parametrize(
    ("key", "value", "ours"),
    [
        ("trailingEps", "Infinity", "eps_ttm"),
        ("bookValue", "text", "book_value_per_share"),
        ("sharesOutstanding", 0, "shares_outstanding"),
        ("trailingAnnualDividendRate", -1, "dividend_per_share_ttm"),
        ("profitMargins", float("nan"), "profit_margin"),
    ],
)
def test_what_is_no_number_is_null_and_named(key, value, ours):
    row, findings = read(**{key: value})
    assert row[ours] is None
    assert findings == [(MARCH, "facts_implausible", f"{key} {value}")]


def test_what_is_missing_is_null_in_silence():
    row, findings = todays_facts("7203.T", {}, "JPY", MARCH)
    assert findings == []
    assert set(row.values()) == {"7203.T", dt.date(2024, 2, 29), None}


def test_the_recorded_answer_for_apple(shared_data, universe):
    calendar = trading_calendar("XNYS")
    with LocalYahoo(None, today=dt.date(2025, 2, 24), exchange="XNYS", recorded=shared_data / "yahoo") as server:
        settings = YahooSettings(endpoint=server.url, requests_per_minute=1e6, jitter_seconds=0)
        now = dt.datetime(2025, 2, 24, 12, 0, tzinfo=dt.UTC)
        source = YahooSource(settings, universe, calendar, QualitySettings(), now=lambda: now)
        result = source.fetch_facts(["AAPL"], dt.date(2025, 2, 1))
    assert result.failures == {}
    assert result.as_of == dt.date(2025, 2, 24)
    assert result.facts.row(0, named=True) == {
        "ticker": "AAPL",
        "published": dt.date(2025, 2, 23),
        "shares_outstanding": 15022100480.0,
        "eps_ttm": 6.31,
        "book_value_per_share": 4.438,
        "dividend_per_share_ttm": 0.99,
        "return_on_equity": 1.3652,
        "profit_margin": 0.24295,
        "sector": "Technology",
        "industry": "Consumer Electronics",
    }
    assert result.findings.height == 0
