"""The laws of stored prices, and coverage."""

import datetime as dt
import re

import polars as pl
import pytest

from stockfc_assets.market.laws import coverage, price_problems
from stockfc_assets.market.source import BARS_SCHEMA

DAY = dt.date(2024, 1, 4)


def bars(*tickers: str, close: float = 10.0, **changes: object) -> pl.DataFrame:
    row = {
        "session": DAY, "open": 10.0, "high": 11.0, "low": 9.0, "close": close, "volume": 100, "dividend": 0.0,
        "split_ratio": 1.0, "currency": "JPY", **changes,
    }  # fmt: skip
    return pl.DataFrame([{"ticker": ticker, **row} for ticker in tickers], schema=BARS_SCHEMA)


def stored(frame: pl.DataFrame, partition: str = "2024-01-04") -> pl.DataFrame:
    return frame.with_columns(partition=pl.lit(partition))


def test_lawful_prices_have_no_problems():
    assert price_problems(stored(bars("A", "B")), {"A", "B", "C"}) == []


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (stored(bars("A", low=10.5)), r"1 rows break low_is_lowest; first rows: A 2024-01-04"),
        (stored(bars("A", high=9.5)), r"high_is_highest"),
        (stored(bars("A", low=0.0)), r"1 rows break low\|min"),
        (stored(bars("A", volume=-1)), r"volume\|min"),
        (stored(pl.concat([bars("A"), bars("A")])), r"2 rows break primary_key"),
        (stored(bars("A"), "2024-01-05"), r"2024-01-05: A has a row of 2024-01-04"),
        (stored(bars("X")), r"2024-01-04: X is not in the universe"),
    ],
)
def test_each_law_that_is_broken_is_named(frame, message):
    problems = price_problems(frame, {"A"})
    assert len(problems) >= 1
    assert any(re.search(message, problem) for problem in problems), problems


def test_coverage_expects_members_that_traded_lately():
    share, missing = coverage({"A", "C"}, {"A", "B", "C", "OLD"}, {"A", "B", "C", "NEW"})
    assert (share, missing) == (pytest.approx(2 / 3), ["B"])
    assert coverage({"A"}, set(), {"A"}) == (1.0, [])
    assert coverage({"A"}, set(), {"A", "B"}, failed=["B", "X"]) == (0.5, ["B"])
