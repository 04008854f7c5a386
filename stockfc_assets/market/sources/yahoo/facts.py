"""Company facts: today's for the current month, and for past months only what statements had said by then."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from yfinance.data import YfData

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.source import FACTS_SCHEMA, FactsResult
from stockfc_assets.market.sources.yahoo.client import reason_of, ticker
from stockfc_assets.market.sources.yahoo.prices import ask_chart, read_history
from stockfc_assets.market.sources.yahoo.session import PoliteSession, ServiceError
from stockfc_assets.market.sources.yahoo.statements import (
    SERIES,
    Known,
    Split,
    Statement,
    known_at,
    on_todays_basis,
    parse_statements,
)
from stockfc_assets.settings import QualitySettings, YahooSettings

MORNING = dt.time(8)
"""Before the exchange opens, what is known is what was known at midnight: such facts count for the day itself."""
MARKET_CAP_TOLERANCE = 0.2
"""Shares x price may differ so much from Yahoo's own market capitalisation: buy-backs and a stale price explain it."""
PER_SHARE = ("eps_ttm", "book_value_per_share", "dividend_per_share_ttm")
NUMBERS = {
    "shares_outstanding": "sharesOutstanding",
    "eps_ttm": "trailingEps",
    "book_value_per_share": "bookValue",
    "dividend_per_share_ttm": "trailingAnnualDividendRate",
    "return_on_equity": "returnOnEquity",
    "profit_margin": "profitMargins",
}
"""Our name -> Yahoo's. The dividend is what was paid, not what is promised (``dividendRate``)."""
STATEMENTS_URL = "https://query2.finance.yahoo.com/ws/fundamentals-timeseries/v1/finance/timeseries/"
STATEMENTS_SINCE = dt.date(2016, 12, 31)
"""Yahoo has none from before; yfinance asks from here, too."""
YEAR = dt.timedelta(days=365)


@dataclass(frozen=True)
class Company:
    """What past months are told from. ``dividends``: (session, amount as traded), oldest first; None = not known."""

    statements: tuple[Statement, ...]
    splits: tuple[Split, ...]
    dividends: tuple[tuple[dt.date, float], ...] | None


class CompanyFacts:
    """Answers of one run: a company's statements and its events are asked for once, whatever the number of months."""

    def __init__(
        self,
        settings: YahooSettings,
        calendar: TradingCalendar,
        quality: QualitySettings,
        session: PoliteSession,
        currency_of: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._quality = quality
        self._session = session
        self._currency_of = currency_of
        self._companies: dict[str, Company] = {}

    def fetch(self, names: Sequence[str], as_of: dt.date, now: dt.datetime, data: YfData) -> FactsResult:
        """Facts of ``names`` for the month that begins with ``as_of``; ``now`` is in the exchange's time zone."""
        today = now.date()
        past = as_of < today.replace(day=1)
        known_on = as_of if past else max(as_of, today if now.time() < MORNING else today + dt.timedelta(days=1))
        rows, findings, failures = [], [], {}
        for name in names:
            try:
                if past:
                    row, found = past_facts(
                        name, self._company(name, today, data), self._currency_of(name), as_of, self._settings
                    )
                else:
                    row, found = self._todays_facts(name, known_on)
            except Exception as error:  # yfinance reads answers of any shape; one ticker's must not cost the others
                failures[name] = reason_of(error)
                continue
            findings += found
            rows += [row] if row is not None else []
        notes = (self._note(as_of),) if past else ()
        facts = pl.DataFrame(rows, schema=FACTS_SCHEMA).sort("ticker")
        return FactsResult(facts, known_on, failures, findings_frame(findings), notes)

    def _note(self, as_of: dt.date) -> str:
        return (
            f"{as_of:%Y-%m}: today's facts are not written into a past month; statements count from "
            f"{self._settings.quarterly_lag_days} days after a quarter's end, {self._settings.annual_lag_days} after a year's"
        )

    def _todays_facts(self, name: str, known_on: dt.date) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        info = ticker(name, self._session, self._calendar.profile.time_zone).info
        if "quoteType" not in info:
            raise ServiceError("no facts found, symbol may be delisted")
        return todays_facts(name, info, self._currency_of(name), known_on)

    def _company(self, name: str, today: dt.date, data: YfData) -> Company:
        if name not in self._companies:
            query = {
                "symbol": name,
                "type": ",".join(SERIES),
                "period1": _midnight(STATEMENTS_SINCE),
                "period2": _midnight(today + dt.timedelta(days=1)),
            }
            statements = parse_statements(data.get_raw_json(STATEMENTS_URL + name, params=query))
            splits, dividends = self._events(name, today) if statements else ((), None)
            self._companies[name] = Company(tuple(on_todays_basis(statements, splits)), splits, dividends)
        return self._companies[name]

    def _events(self, name: str, today: dt.date) -> tuple[tuple[Split, ...], tuple[tuple[dt.date, float], ...] | None]:
        """Splits and dividends since `STATEMENTS_SINCE`, as prices show them."""
        chart = ask_chart(name, self._session, self._calendar.profile.time_zone, STATEMENTS_SINCE - YEAR, today)
        if chart is None:
            return (), None
        bars = read_history(name, chart, self._currency_of(name), self._calendar, self._quality, today).bars
        splits = bars.filter(pl.col("split_ratio") != 1.0).select("session", "split_ratio")
        dividends = bars.filter(pl.col("dividend") > 0).select("session", "dividend")
        return tuple(Split(*row) for row in splits.iter_rows()), tuple(dividends.iter_rows())


def todays_facts(
    name: str, info: Mapping[str, Any], currency: str, known_on: dt.date
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(row of source.FACTS_SCHEMA, rows of findings) from `yfinance.Ticker.info`.

    Known on ``known_on`` (the findings' session), published the day before. A value that is no finite number, a number
    of shares of 0 or less and a negative dividend are null and a finding facts_implausible. Amounts per share in another
    currency than ``currency`` are null and a finding facts_currency.
    """
    row: dict[str, Any] = {"ticker": name, "published": known_on - dt.timedelta(days=1)}
    findings = []
    for ours, theirs in NUMBERS.items():
        value, problem = _number(info.get(theirs), ours)
        row[ours] = value
        if problem:
            findings.append(
                finding(name, known_on, "facts_implausible", seen=f"{theirs} {info[theirs]}", expected=problem)
            )
    row |= {text: info.get(text) or None for text in ("sector", "industry")}
    row, foreign = _in_listing_currency(row, info.get("financialCurrency"), currency, known_on)
    price, cap = (_number(info.get(key), key)[0] for key in ("currentPrice", "marketCap"))
    shares = row["shares_outstanding"]
    if price and cap and shares and abs(shares * price / cap - 1) > MARKET_CAP_TOLERANCE:
        seen = f"{shares:.10g} shares x {price:.10g} = {shares * price:.4g}"
        findings.append(finding(name, known_on, "facts_basis", seen=seen, expected=f"market capitalisation {cap:.4g}"))
    return row, [*foreign, *findings]


def past_facts(
    name: str, company: Company, currency: str, as_of: dt.date, settings: YahooSettings
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """(row of source.FACTS_SCHEMA, rows of findings) from what was published before ``as_of``; no row for nothing.

    Sector and industry are null: Yahoo tells today's only. The dividend is what went ex within the year up to the
    publication, on the share basis of that date.
    """
    known = known_at(
        company.statements,
        company.splits,
        as_of,
        quarterly_lag=settings.quarterly_lag_days,
        annual_lag=settings.annual_lag_days,
    )
    if known is None:
        return None, []
    row = {
        "ticker": name,
        "published": known.published,
        "shares_outstanding": known.shares,
        "eps_ttm": known.eps_ttm,
        "book_value_per_share": known.book_value_per_share,
        "dividend_per_share_ttm": None,
        "return_on_equity": known.return_on_equity,
        "profit_margin": known.profit_margin,
        "sector": None,
        "industry": None,
    }
    row, findings = _in_listing_currency(row, known.currency, currency, as_of)
    row["dividend_per_share_ttm"] = _dividends(company, known)
    return row, findings


def _dividends(company: Company, known: Known) -> float | None:
    """Dividends that went ex in the year up to ``known.published``, on the share basis of that date."""
    if company.dividends is None:
        return None
    return math.fsum(
        amount / math.prod(split.ratio for split in company.splits if session < split.session <= known.published)
        for session, amount in company.dividends
        if known.published - YEAR < session <= known.published
    )


def _in_listing_currency(
    row: dict[str, Any], reported: str | None, currency: str, known_on: dt.date
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row without amounts per share where the company reports in another currency, and the finding that says so."""
    if reported in (None, "", currency):
        return row, []
    found = finding(
        row["ticker"], known_on, "facts_currency", seen=f"reports in {reported}", expected=f"{currency}, as listed"
    )
    return row | dict.fromkeys(PER_SHARE), [found]


def _number(value: Any, name: str) -> tuple[float | None, str | None]:
    """(the value as a number or None, what was expected instead of it)."""
    if value is None:
        return None, None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        return None, "a number"
    if name == "shares_outstanding" and number <= 0:
        return None, "a number of shares above 0"
    if name == "dividend_per_share_ttm" and number < 0:
        return None, "a dividend of 0 or more"
    return number, None


def _midnight(date: dt.date) -> int:
    return int(dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC).timestamp())
