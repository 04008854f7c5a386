"""What statements said by a date, on the share basis of that date, whichever basis Yahoo shows them on."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.market.sources.yahoo.statements import Split, Statement, known_at, on_todays_basis, parse_statements

LAGS = {"quarterly_lag": 45, "annual_lag": 60}
QUARTERS = [
    dt.date(2022, 6, 30),
    dt.date(2022, 9, 30),
    dt.date(2022, 12, 31),
    dt.date(2023, 3, 31),
    dt.date(2023, 6, 30),
]


def annual(year, **values):
    return Statement(dt.date(year, 3, 31), True, "JPY", **values)


def quarter(end, **values):
    return Statement(end, False, "JPY", **values)


def series(name, *points, currency="JPY"):
    values = [{"asOfDate": date, "currencyCode": currency, "reportedValue": {"raw": raw}} for date, raw in points]
    return {"meta": {"type": [name]}, name: values}


def test_series_become_statements_by_period_and_the_better_item_counts():
    answer = {
        "timeseries": {
            "result": [
                series("annualNetIncome", ("2023-03-31", 90)),
                series("annualNetIncomeCommonStockholders", ("2023-03-31", 80), ("2022-03-31", 70)),
                series("annualOrdinarySharesNumber", ("2023-03-31", 10)),
                series("annualDilutedEPS", ("2023-03-31", 7.9)),
                {"meta": {"type": ["annualTotalRevenue"]}},
                series("quarterlyTotalRevenue", ("2023-03-31", 300)) | {"quarterlyBasicEPS": [None]},
            ]
        }
    }
    assert parse_statements(answer) == [
        Statement(dt.date(2022, 3, 31), True, "JPY", net_income=70.0),
        Statement(dt.date(2023, 3, 31), False, "JPY", revenue=300.0),
        Statement(dt.date(2023, 3, 31), True, "JPY", net_income=80.0, shares=10.0, eps=7.9),
    ]
    assert parse_statements({"timeseries": {"result": []}}) == []
    with pytest.raises(KeyError):
        parse_statements({"finance": {}})


def test_nothing_is_known_before_its_lag_has_passed():
    year = annual(2023, eps=10.0, net_income=1000.0, revenue=5000.0, equity=4000.0, shares=100.0)
    assert known_at([year], [], dt.date(2023, 5, 30), **LAGS) is None
    known = known_at([year], [], dt.date(2023, 5, 31), **LAGS)
    assert known.published == dt.date(2023, 5, 30)
    assert (known.eps_ttm, known.shares, known.book_value_per_share) == (10.0, 100.0, 40.0)
    assert (known.return_on_equity, known.profit_margin) == (0.25, 0.2)


def test_four_quarters_in_a_row_make_a_year_and_the_newer_one_counts():
    quarters = [quarter(end, eps=1.0 + n, net_income=10.0, revenue=100.0) for n, end in enumerate(QUARTERS)]
    year = annual(2023, eps=9.5, net_income=44.0, revenue=400.0)
    told = sorted([*quarters, year], key=lambda each: (each.period_end, each.annual))

    def at(*date):
        return known_at(told, [], dt.date(*date), **LAGS)

    assert at(2023, 5, 30) is None
    assert at(2023, 6, 1).eps_ttm == 9.5  # the annual statement, not 1 + 2 + 3 + 4
    assert at(2023, 8, 15).eps_ttm == 2.0 + 3.0 + 4.0 + 5.0
    assert at(2023, 8, 15).profit_margin == 0.1
    gap = [each for each in told if each.period_end != dt.date(2022, 12, 31)]
    assert known_at(gap, [], dt.date(2023, 8, 15), **LAGS).eps_ttm == 9.5
    unknown = [each if each.period_end != QUARTERS[2] else quarter(QUARTERS[2], net_income=10.0) for each in told]
    assert known_at(unknown, [], dt.date(2023, 8, 15), **LAGS).eps_ttm is None


def test_the_last_quarter_of_a_year_is_published_with_the_year():
    quarters = [quarter(end, eps=1.0) for end in QUARTERS[:4]]
    assert known_at([*quarters, annual(2023, revenue=1.0)], [], dt.date(2023, 5, 20), **LAGS) is None
    assert known_at(quarters, [], dt.date(2023, 5, 20), **LAGS).eps_ttm == 4.0


def test_negative_equity_has_no_return_and_no_revenue_no_margin():
    year = annual(2023, eps=1.0, net_income=10.0, revenue=0.0, equity=-50.0, shares=10.0)
    known = known_at([year], [], dt.date(2023, 7, 1), **LAGS)
    assert (known.return_on_equity, known.profit_margin, known.book_value_per_share) == (None, None, -5.0)


SPLITS = [Split(dt.date(2021, 10, 1), 5.0), Split(dt.date(2022, 10, 1), 1 / 10), Split(dt.date(2023, 10, 2), 3.0)]


def ratio_after(date, splits):
    return math.prod(split.ratio for split in splits if split.session > date)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(SPLITS), unique=True).map(lambda chosen: sorted(chosen, key=lambda split: split.session)),
    st.sampled_from(["both restated", "shares as reported", "both as reported"]),
    st.lists(st.floats(0.9, 1.1), min_size=5, max_size=5),
    st.integers(0, 48),
)
def test_every_share_basis_gives_the_same_facts(splits, shown, buybacks, month):
    """Truth: shares and earnings per share as of each date. The three ways to show them must lead back to it."""
    newest_after_all = shown == "both as reported"
    years = range(2020, 2025 if newest_after_all else 2024)
    told, true_shares = [], {}
    for year, drift in zip(years, buybacks, strict=False):
        end = dt.date(year, 3, 31)
        ratio = ratio_after(end, splits)
        today = 1_000_000.0 * drift
        true_shares[end] = today
        income = today * (100.0 + year)
        shares_factor = 1.0 if shown == "both restated" else ratio
        eps_factor = ratio if shown == "both as reported" else 1.0
        told.append(annual(year, net_income=income, revenue=income * 10, equity=income * 5, shares=today / shares_factor,
                           eps=(100.0 + year) * eps_factor))  # fmt: skip
    as_of = dt.date(2020 + month // 12, month % 12 + 1, 1)
    known = known_at(on_todays_basis(told, splits), splits, as_of, **LAGS)
    published = [end for end in true_shares if end + dt.timedelta(days=60) < as_of]
    if not published:
        assert known is None
        return
    end = published[-1]
    later = ratio_after(end + dt.timedelta(days=60), splits)
    assert known.shares == pytest.approx(true_shares[end] / later)
    assert known.eps_ttm == pytest.approx((100.0 + end.year) * later)
    assert known.book_value_per_share == pytest.approx((100.0 + end.year) * 5 * later)
    assert known.return_on_equity == pytest.approx(0.2)


def test_without_earnings_a_number_of_shares_counts_as_reported():
    told = [annual(2023, equity=100.0, shares=10.0)]
    split = [Split(dt.date(2023, 10, 2), 3.0)]
    assert on_todays_basis(told, split)[0].shares == 30.0
    assert known_at(on_todays_basis(told, split), split, dt.date(2023, 8, 1), **LAGS).shares == 10.0
    assert on_todays_basis([annual(2023, equity=1.0)], split) == [annual(2023, equity=1.0)]
