"""What a company's statements said by a past date: the only facts of a past month that Yahoo can tell.

Yahoo shows 4 years and 5 quarters of statements with the end of their period, not the date of their publication. So a
statement counts as published a fixed lag after the end of its period.

Share basis: Yahoo's earnings per share are adjusted for splits up to today; numbers of shares are sometimes those of the
report, sometimes restated. Both are put on today's basis by comparison (`on_todays_basis`), then on that of the date in
question.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median
from typing import Any

ITEMS: Mapping[str, tuple[str, ...]] = {
    "net_income": ("NetIncomeCommonStockholders", "NetIncome"),
    "revenue": ("TotalRevenue", "OperatingRevenue"),
    "equity": ("CommonStockEquity", "StockholdersEquity"),
    "shares": ("OrdinarySharesNumber",),
    "eps": ("BasicEPS", "DilutedEPS"),
}
"""Our name -> Yahoo's, the better one first. ``shares`` are those outstanding, without treasury stock."""
FREQUENCIES = {"annual": True, "quarterly": False}
SERIES = tuple(f"{frequency}{item}" for frequency in FREQUENCIES for items in ITEMS.values() for item in items)
"""The ``type`` of the question to fundamentals-timeseries."""
QUARTER_DAYS = (80, 100)
"""Ends of neighbouring quarters lie so many days apart."""


@dataclass(frozen=True)
class Split:
    session: dt.date
    ratio: float


@dataclass(frozen=True)
class Statement:
    """One period of a company, in ``currency`` units and shares; what the statement does not say is None."""

    period_end: dt.date
    annual: bool
    currency: str | None = None
    net_income: float | None = None
    revenue: float | None = None
    equity: float | None = None
    shares: float | None = None
    eps: float | None = None

    @property
    def implied_shares(self) -> float | None:
        """Net income / earnings per share: average shares, on the basis of the latter."""
        if not self.net_income or not self.eps or self.net_income * self.eps < 0:
            return None
        return self.net_income / self.eps


@dataclass(frozen=True)
class Known:
    """What statements said by a date. Values per share, and shares, are on the share basis of ``published``."""

    published: dt.date
    currency: str | None
    shares: float | None
    eps_ttm: float | None
    book_value_per_share: float | None
    return_on_equity: float | None
    profit_margin: float | None


@dataclass(frozen=True)
class _Year:
    """Twelve months, from one annual statement or four quarters in a row."""

    period_end: dt.date
    published: dt.date
    net_income: float | None
    revenue: float | None
    eps: float | None


def parse_statements(answer: Mapping[str, Any]) -> list[Statement]:
    """The statements of a fundamentals-timeseries answer, sorted by period end, quarters before years.

    Raises KeyError, TypeError or ValueError where the answer has another shape.
    """
    values: dict[tuple[dt.date, bool], dict[str, tuple[float, str | None]]] = {}
    for series in answer["timeseries"]["result"] or []:
        for name in SERIES:
            frequency = "annual" if name.startswith("annual") else "quarterly"
            for point in series.get(name) or []:
                raw = (point or {}).get("reportedValue", {}).get("raw")
                if isinstance(raw, int | float) and math.isfinite(raw):
                    key = dt.date.fromisoformat(point["asOfDate"]), FREQUENCIES[frequency]
                    item = name.removeprefix(frequency)
                    values.setdefault(key, {})[item] = float(raw), point.get("currencyCode")
    return [_statement(*key, values[key]) for key in sorted(values)]


def _statement(period_end: dt.date, annual: bool, values: Mapping[str, tuple[float, str | None]]) -> Statement:
    told = {ours: next((values[name][0] for name in theirs if name in values), None) for ours, theirs in ITEMS.items()}
    money = [values[name][1] for name in values if name != "OrdinarySharesNumber" and values[name][1]]
    return Statement(period_end, annual, money[0] if money else None, **told)


def on_todays_basis(statements: Sequence[Statement], splits: Sequence[Split]) -> list[Statement]:
    """``statements`` with ``shares`` and ``eps`` on the share basis after all ``splits``; order is kept.

    What lies before the same splits is judged together: of the two explanations "restated" and "as reported" the one
    counts that brings the number of shares (for earnings per share: net income / eps) nearer to a known one. That is
    the number in the newest statement after all splits; without one, net income / eps of the newest year, because
    Yahoo's earnings per share are adjusted; without that, the newest number of shares as if it were as reported.
    """

    def later(statement: Statement) -> float:
        return math.prod(split.ratio for split in splits if split.session > statement.period_end)

    known = _known_shares(statements, later)
    if known is None:
        return list(statements)
    adjusted = []
    for ratio, group in groupby(statements, key=later):
        members = list(group)
        shares_factor = _factor([each.shares for each in members], ratio, known)
        eps_factor = _factor([each.implied_shares for each in members], ratio, known, default=1.0)
        adjusted += [
            replace(
                each,
                shares=None if each.shares is None else each.shares * shares_factor,
                eps=None if each.eps is None else each.eps / eps_factor,
            )
            for each in members
        ]
    return adjusted


def _known_shares(statements: Sequence[Statement], later: Callable[[Statement], float]) -> float | None:
    newest_first = list(reversed(statements))
    exact = [each.shares for each in newest_first if each.shares and later(each) == 1.0]
    implied = [each.implied_shares for each in newest_first if each.annual and each.implied_shares]
    reported = [each.shares * later(each) for each in newest_first if each.shares]
    return next(iter([*exact, *implied, *reported]), None)


def _factor(shares: Sequence[float | None], ratio: float, known: float, default: float | None = None) -> float:
    """1 or ``ratio``: what brings the middle one of ``shares`` nearer to ``known`` by ratio."""
    told = [math.log(each / known) for each in shares if each]
    if not told:
        return ratio if default is None else default
    off = median(told)
    return 1.0 if abs(off) <= abs(off + math.log(ratio)) else ratio


def known_at(
    statements: Sequence[Statement], splits: Sequence[Split], as_of: dt.date, *, quarterly_lag: int, annual_lag: int
) -> Known | None:
    """What was published before ``as_of``; None where nothing was.

    ``statements`` stand on today's basis. Earnings are those of the newest twelve months, an annual statement or four
    quarters in a row; equity and shares come from the newest statement that tells them. A quarter that ends a year is
    published with the year's statement. Return on equity is net income / equity, and null for equity of 0 or less.
    """
    ends_of_years = {each.period_end for each in statements if each.annual}

    def published(statement: Statement) -> dt.date:
        lag = annual_lag if statement.period_end in ends_of_years else quarterly_lag
        return statement.period_end + dt.timedelta(days=lag)

    told = [each for each in statements if published(each) < as_of]
    year = max(_years(told, published), key=lambda each: each.period_end, default=None)
    balances = [each for each in told if each.equity is not None or each.shares is not None]
    balance = balances[-1] if balances else None
    if year is None and balance is None:
        return None
    since = max(published(balance) if balance else dt.date.min, year.published if year else dt.date.min)
    later = math.prod(split.ratio for split in splits if split.session > since)
    shares = balance.shares / later if balance and balance.shares else None
    equity = balance.equity if balance else None
    income = year.net_income if year else None
    return Known(
        since,
        told[-1].currency,
        shares,
        year.eps * later if year and year.eps is not None else None,
        equity / shares if equity is not None and shares else None,
        income / equity if income is not None and equity and equity > 0 else None,
        income / year.revenue if year and income is not None and year.revenue and year.revenue > 0 else None,
    )


def _years(told: Sequence[Statement], published: Callable[[Statement], dt.date]) -> list[_Year]:
    """Of the same end the annual statement comes first."""
    years = [
        _Year(each.period_end, published(each), each.net_income, each.revenue, each.eps)
        for each in told
        if each.annual and (each.eps is not None or each.net_income is not None)
    ]
    quarters = [each for each in told if not each.annual]
    for four in (quarters[i : i + 4] for i in range(len(quarters) - 3)):
        shortest, longest = QUARTER_DAYS
        if all(shortest <= (b.period_end - a.period_end).days <= longest for a, b in pairwise(four)):
            sums = [_sum([getattr(each, item) for each in four]) for item in ("net_income", "revenue", "eps")]
            if sums[2] is not None or sums[0] is not None:
                years.append(_Year(four[-1].period_end, max(map(published, four)), *sums))
    return years


def _sum(values: Sequence[float | None]) -> float | None:
    return None if None in values else math.fsum(value for value in values if value is not None)
