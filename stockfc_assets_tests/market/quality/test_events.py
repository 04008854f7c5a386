"""Splits and dividends that are doubted: the edges of each rule, and whom it leaves in peace."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stockfc_assets.market.as_traded import DIVIDENDS_SCHEMA
from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.market.quality.events import (
    doubtful_events,
    drop_duplicate_dividends,
    is_usual_ratio,
    rule_ex_date,
)
from stockfc_assets.market.source import BARS_SCHEMA
from stockfc_assets.settings import QualitySettings

D = dt.date
SETTINGS = QualitySettings()
HALF_YEARS = [
    D(2020, 3, 30),
    D(2020, 9, 29),
    D(2021, 3, 30),
    D(2021, 9, 29),
    D(2022, 3, 30),
    D(2022, 9, 29),
    D(2023, 3, 30),
]


def history(
    dividends: dict[dt.date, float], splits: dict[dt.date, float] | None = None, close: float = 4000.0
) -> pl.DataFrame:
    """As-traded rows of 1.T on the days of its dividends and splits; the price falls with each split."""
    splits = splits or {}
    rows = []
    for day in sorted({*dividends, *splits}):
        close /= splits.get(day, 1.0)
        rows.append(("1.T", day, close, close, close, close, 100, dividends.get(day, 0.0), splits.get(day, 1.0), "JPY"))
    return pl.DataFrame(rows, schema=BARS_SCHEMA, orient="row")


def named(bars: pl.DataFrame, exchange: str = "XTKS") -> list[tuple[dt.date, str]]:
    found = doubtful_events(bars, trading_calendar(exchange), SETTINGS)
    return found.select("session", "defect").rows()


# --- splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ratio",
    [2, 3, 5, 10, 25, 100, 1000, 0.5, 0.2, 0.1, 0.001, 1 / 3, 1.5, 1.2, 1.1, 1.05, 1.02, 4 / 3, 1.333, 2.5, 7 / 6],
)
def test_usual_ratios(ratio: float) -> None:
    assert is_usual_ratio(ratio)
    assert is_usual_ratio(1 / ratio)


@pytest.mark.parametrize("ratio", [1.042, 1.0416, 1.324, 1.281, 1.061, 0.252, 2.037, 1 / 1.042])
def test_odd_ratios(ratio: float) -> None:
    assert not is_usual_ratio(ratio)


def test_an_odd_ratio_is_a_spin_off() -> None:
    day = D(2025, 9, 29)
    found = doubtful_events(history({}, {D(2025, 9, 26): 2.0, day: 1.042}), trading_calendar("XTKS"), SETTINGS)
    assert found.select("session", "defect", "seen").rows() == [(day, "spin_off", "split 1.042:1")]


# --- dividends --------------------------------------------------------------------------------------------------------


def test_growing_dividends_over_a_split_are_not_doubted() -> None:
    amounts = [100, 100, 110, 120, 30, 31, 35]
    assert named(history(dict(zip(HALF_YEARS, amounts, strict=True)), {HALF_YEARS[4]: 4.0})) == []


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ([100, 100, 100, 100, 100, 20, 20], [(HALF_YEARS[4], "dividend_basis")]),  # not divided on the split's own day
        ([100, 100, 500, 100, 20, 20, 20], [(HALF_YEARS[2], "dividend_basis")]),  # not divided, once
        ([100, 100, 20, 100, 20, 20, 20], [(HALF_YEARS[2], "dividend_basis")]),  # divided twice, once
        ([500, 500, 500, 500, 20, 20, 20], [(HALF_YEARS[3], "dividend_basis")]),  # none of them divided
        ([20, 20, 20, 20, 20, 20, 20], [(HALF_YEARS[3], "dividend_basis")]),  # all divided twice
        ([100, 100, 100, 100, 20, 100, 20], [(HALF_YEARS[5], "spin_off")]),  # no split came later
    ],
)
def test_dividends_on_another_basis_than_prices(amounts: list[float], expected: list[tuple]) -> None:
    """A 5:1 split on the fifth of seven half-years: 100 before and 20 from it on if all is well."""
    bars = history(dict(zip(HALF_YEARS, amounts, strict=True)), {HALF_YEARS[4]: 5.0}, close=3000.0)
    assert named(bars) == expected


def test_where_dividends_swing_nothing_stands_out() -> None:
    amounts = [100, 22.5, 100, 20, 20, 20, 20]
    assert named(history(dict(zip(HALF_YEARS, amounts, strict=True)), {HALF_YEARS[4]: 5.0}, close=30_000.0)) == []
    amounts[1] = 100
    assert named(history(dict(zip(HALF_YEARS, amounts, strict=True)), {HALF_YEARS[4]: 5.0}, close=30_000.0)) == [
        (HALF_YEARS[3], "dividend_basis")
    ]


def test_the_newest_dividend_is_compared_with_those_before() -> None:
    amounts = dict(zip(HALF_YEARS[:5], [100, 100, 100, 100, 100], strict=True))
    assert named(history(amounts, {HALF_YEARS[4]: 5.0})) == [(HALF_YEARS[4], "dividend_basis")]
    assert named(history({HALF_YEARS[4]: 100}, {HALF_YEARS[4]: 5.0})) == []


def test_small_splits_are_never_looked_for_in_dividends() -> None:
    amounts = [100, 100, 100, 100, 120, 100, 100]
    assert named(history(dict(zip(HALF_YEARS, amounts, strict=True)), {HALF_YEARS[4]: 1.2})) == []


@pytest.mark.parametrize(("amount", "close", "doubted"), [(301, 4000, True), (299, 4000, False), (301, 11_000, False)])
def test_a_distribution_is_three_times_the_usual_and_three_percent(amount: float, close: float, doubted: bool) -> None:
    amounts = dict(zip(HALF_YEARS[:4], [90, 100, 110, amount], strict=True))
    assert named(history(amounts, close=close)) == ([(HALF_YEARS[3], "spin_off")] if doubted else [])


def test_the_same_amount_within_a_week_is_dropped() -> None:
    rows = [("1.T", D(2020, 12, 30), 77.0), ("1.T", D(2020, 12, 29), 77.0), ("1.T", D(2021, 1, 6), 77.0),
            ("1.T", D(2021, 1, 14), 77.0), ("1.T", D(2020, 12, 30), 5.0), ("2.T", D(2020, 12, 30), 77.0)]  # fmt: skip
    kept, findings = drop_duplicate_dividends(pl.DataFrame(rows, schema=DIVIDENDS_SCHEMA, orient="row"), SETTINGS)
    assert kept.filter(pl.col("amount") == 77).rows() == [
        ("1.T", D(2020, 12, 29), 77.0), ("1.T", D(2021, 1, 14), 77.0), ("2.T", D(2020, 12, 30), 77.0),
    ]  # fmt: skip
    assert kept.height == 4
    assert findings.select("session", "defect", "seen", "expected").rows() == [
        (D(2020, 12, 30), "duplicate_dividend", "77 again", "77 once, on 2020-12-29"),
        (D(2021, 1, 6), "duplicate_dividend", "77 again", "77 once, on 2020-12-30"),
    ]


# --- ex-dates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "rule"),
    [
        (D(2020, 12, 3), D(2020, 12, 29)),  # two settlement days before the year's last session, the 30th
        (D(2023, 3, 1), D(2023, 3, 30)),
        (D(2017, 9, 1), D(2017, 9, 27)),  # three of them before 2019-07-16
        (D(2019, 6, 1), D(2019, 6, 26)),
        (D(2019, 9, 1), D(2019, 9, 27)),
        (D(2019, 12, 1), D(2019, 12, 27)),
    ],
)
def test_tokyos_rule(calendar: TradingCalendar, month: dt.date, rule: dt.date) -> None:
    assert rule_ex_date(month, calendar) == rule


@pytest.mark.parametrize(
    ("day", "doubted"),
    [(D(2020, 12, 28), True), (D(2020, 12, 29), False), (D(2020, 12, 30), True), (D(2020, 12, 25), False)],
)
def test_one_session_beside_the_rule(day: dt.date, doubted: bool) -> None:
    assert named(history({day: 10.0})) == ([(day, "ex_date")] if doubted else [])


def test_exchanges_without_a_rule() -> None:
    assert rule_ex_date(D(2020, 12, 3), trading_calendar("XNYS")) is None
    assert named(history({D(2020, 12, 30): 10.0}), exchange="XNYS") == []


# --- law --------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([0.0, 10.0, 20.0, 50.0, 300.0]), min_size=7, max_size=7),
    st.dictionaries(st.sampled_from(HALF_YEARS), st.sampled_from([2.0, 5.0, 0.1, 1.042]), max_size=3),
    st.randoms(),
)
def test_rows_in_any_order_and_other_tickers_change_nothing(
    amounts: list[float], splits: dict[dt.date, float], random: object
) -> None:
    calendar = trading_calendar("XTKS")
    bars = history(dict(zip(HALF_YEARS, amounts, strict=True)), splits)
    alone = doubtful_events(bars, calendar, SETTINGS)
    order = list(range(2 * bars.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    both = pl.concat([bars, bars.with_columns(ticker=pl.lit("2.T"))])[order]
    together = doubtful_events(both, calendar, SETTINGS)
    assert_frame_equal(together.filter(pl.col("ticker") == "1.T"), alone)
    assert together.height == 2 * alone.height
