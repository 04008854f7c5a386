"""The split law: a session fetched before later splits and after them gives the same rows, through Yahoo's own rounding."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stockfc_assets.market.calendar import profile_of, trading_calendar
from stockfc_assets.market.sources.yahoo.conversion import as_traded, divided_by

PROFILE = profile_of("XTKS")
SESSIONS = trading_calendar("XTKS").between(dt.date(2021, 1, 1), dt.date(2021, 12, 31))
RATIOS = [Fraction(n) for n in (2, 3, 4, 5, 10)] + [Fraction(1, 5), Fraction(1, 10), Fraction(3, 2), Fraction(11, 10)]
SPLITS = {"ticker": pl.String, "ex_date": pl.Date, "ratio": pl.Float64}
DIVIDENDS = {"ticker": pl.String, "ex_date": pl.Date, "amount": pl.Float64}


def shown_on(today, traded, splits, dividends, listed_twice=()):
    """What Yahoo shows at the end of ``today``: exact fractions, then float32 prices and whole volumes.

    ``traded``: (session, close in tenths of a yen, lots of 100); ``splits``: {ex_date: Fraction}.
    """

    def later(session):
        product = Fraction(1)
        for ex_date, ratio in splits.items():
            if session < ex_date <= today:
                product *= ratio
        return product

    rows = [
        {
            "ticker": "T",
            "session": session,
            **{
                name: float(np.float32(Fraction(tenths, 10) / later(session)))
                for name in ("open", "high", "low", "close")
            },
            "volume": float(round(100 * lots * later(session))),
        }
        for session, tenths, lots in traded
        if session <= today
    ]
    listed = [("T", ex_date, float(ratio)) for ex_date, ratio in splits.items() if ex_date <= today]
    listed += [("T", date, float(ratio)) for date, ratio in listed_twice if date <= today]
    paid = [
        ("T", session, float(np.float32(Fraction(cents, 100) / later(session))))
        for session, cents in dividends.items()
        if session <= today
    ]
    schema = {"ticker": pl.String, "session": pl.Date} | dict.fromkeys(
        ("open", "high", "low", "close", "volume"), pl.Float64
    )
    return (
        pl.DataFrame(rows, schema=schema),
        pl.DataFrame(listed, schema=SPLITS, orient="row").sort("ex_date"),
        pl.DataFrame(paid, schema=DIVIDENDS, orient="row").sort("ex_date"),
    )


@st.composite
def histories(draw):
    """Months of a stock that is split up to three times, with dividends, some on the day of a split, and days off.

    Prices end between 50 and 500 yen and so begin below 800,000: beyond, a float32 does not hold a tenth of a yen. Reverse
    splits divide by less than 100 in all: beyond, Yahoo's rounding to whole shares hides which lot of 100 it was.
    """
    count = draw(st.integers(30, 60))
    splits = draw(st.dictionaries(st.integers(8, count - 1), st.sampled_from(RATIOS), min_size=1, max_size=3))
    kept = {n for n in splits if not any(0 < n - other < 8 for other in splits)}
    assume(np.prod([float(splits[n]) for n in kept if splits[n] < 1]) > 0.01)
    price, traded = draw(st.integers(1000, 4000)) * float(np.prod([float(splits[n]) for n in kept])), []
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for number in range(count):
        price = price / float(splits[number]) if number in kept else price
        price *= float(np.exp(seed.normal(0, 0.02)))
        if number in kept or number - 1 in kept or seed.random() > 0.05:
            traded.append((SESSIONS[number], round(price), int(seed.integers(1, 100_000))))
    days = draw(st.lists(st.integers(1, count - 1), max_size=4)) + [n for n in kept if draw(st.booleans())]
    dividends = {SESSIONS[n]: draw(st.integers(1, 99_999)) for n in days}
    twice = [(SESSIONS[n] + dt.timedelta(days=2), splits[n]) for n in kept if draw(st.booleans())]
    return traded, {SESSIONS[n]: splits[n] for n in kept}, dividends, twice


def convert(today, *history):
    return as_traded(*shown_on(today, *history), PROFILE, today)


@settings(deadline=None, max_examples=60)
@given(histories(), st.data())
def test_a_session_is_the_same_before_and_after_every_later_split(history, data):
    traded, splits, _, _ = history
    last, sometime = traded[-1][0], traded[data.draw(st.integers(5, len(traded) - 1))][0]
    after, _ = convert(last, *history)
    before, _ = convert(sometime, *history)
    assert before.equals(after.filter(pl.col("session") <= sometime))
    assert after["close"].to_list() == [tenths / 10 for _, tenths, _ in traded]
    assert after["volume"].to_list() == [100 * lots for _, _, lots in traded]
    assert after["split_ratio"].product() == pytest.approx(float(np.prod([float(ratio) for ratio in splits.values()])))


@settings(deadline=None, max_examples=25)
@given(histories())
def test_dividends_come_back_on_the_basis_of_their_own_day(history):
    traded, splits, dividends, _ = history
    bars, _ = convert(traded[-1][0], *history)
    expected = dict.fromkeys((session for session, _, _ in traded), Fraction(0))
    for date, cents in sorted(dividends.items()):
        rows = [session for session in expected if session >= date]
        if rows and date >= traded[0][0]:
            # On a day off it goes to the next row, and so over a split on that row's day.
            split = math.prod(ratio for day, ratio in splits.items() if date < day <= rows[0])
            expected[rows[0]] += Fraction(cents, 100) / split
    shares = dict(zip(bars["session"], bars["dividend"], strict=True))
    for session, amount in expected.items():
        assert shares[session] == pytest.approx(float(amount), rel=1e-5, abs=1e-9)


def simple(ratio, *, today=SESSIONS[39], prices=lambda n: 30_000, lots=lambda n: 7 * n + 11, ex=20):
    """40 sessions with one split of ``ratio`` on the 21st, as shown on ``today``."""
    traded = [(SESSIONS[n], round(prices(n) / (float(ratio) if n >= ex else 1)), lots(n)) for n in range(40)]
    return shown_on(today, traded, {SESSIONS[ex]: Fraction(ratio)}, {})


def test_a_split_listed_twice_is_applied_once_and_named():
    rows, splits, dividends = simple(5)
    again = pl.DataFrame([("T", SESSIONS[22], 5.0)], schema=SPLITS, orient="row")
    bars, findings = as_traded(rows, pl.concat([splits, again]), dividends, PROFILE, SESSIONS[39])
    assert set(bars["close"]) == {3000.0, 600.0}
    assert bars.filter(pl.col("split_ratio") != 1)["session"].to_list() == [SESSIONS[20]]
    assert findings.select("session", "defect").rows() == [(SESSIONS[22], "duplicate_split")]


@pytest.mark.parametrize("ratio", [Fraction(5), Fraction(1, 10), Fraction(3, 2)])
def test_a_split_that_yahoo_lists_before_it_divides_is_read_as_it_is_and_named(ratio):
    traded = [(SESSIONS[n], round(30_000 / (float(ratio) if n >= 20 else 1)), 100 + n) for n in range(40)]
    rows, _, dividends = shown_on(SESSIONS[39], traded, {}, {})
    splits = pl.DataFrame([("T", SESSIONS[20], float(ratio))], schema=SPLITS, orient="row")
    bars, findings = as_traded(rows, splits, dividends, PROFILE, SESSIONS[39])
    expected, _ = as_traded(*shown_on(SESSIONS[39], traded, {SESSIONS[20]: ratio}, {}), PROFILE, SESSIONS[39])
    assert bars.equals(expected)
    assert findings.select("session", "defect", "severity").rows() == [(SESSIONS[20], "half_applied_split", "warning")]


def test_a_split_that_was_worked_in_but_never_happened_is_undone_and_not_applied():
    rows, splits, dividends = simple(5, prices=lambda n: 30_000 if n < 20 else 150_000)
    bars, findings = as_traded(rows, splits, dividends, PROFILE, SESSIONS[39])
    assert set(bars["close"]) == {3000.0}
    assert set(bars["split_ratio"]) == {1.0}
    assert findings.select("session", "defect").rows() == [(SESSIONS[20], "unseen_split")]


@pytest.mark.parametrize("ratio", [Fraction(5), Fraction(2), Fraction(1, 10), Fraction(3, 2)])
def test_without_a_row_after_it_the_lots_tell_whether_a_split_is_worked_in(ratio):
    rows, splits, _ = simple(ratio)
    worked_in = rows.filter(pl.col("session") < SESSIONS[20])
    assert divided_by(worked_in, splits, 100, SESSIONS[20])[0].height == 1
    as_it_was, _, _ = simple(Fraction(1))
    not_yet = as_it_was.filter(pl.col("session") < SESSIONS[20])
    assert divided_by(not_yet, splits, 100, SESSIONS[20])[0].height == 0


def test_where_lots_tell_nothing_a_split_is_worked_in_on_its_day_and_not_before():
    rows, splits, _ = simple(5)
    few = rows.filter(pl.col("session") < SESSIONS[5])
    assert divided_by(few, splits, 100, SESSIONS[20])[0].height == 1
    assert divided_by(few, splits, 100, SESSIONS[19])[0].height == 0


def test_volume_off_its_lots_by_more_than_rounding_is_kept():
    rows, splits, dividends = simple(5)
    odd = rows.with_columns(
        volume=pl.when(pl.col("session") == SESSIONS[3]).then(1234.0 * 5).otherwise(pl.col("volume"))
    )
    bars, _ = as_traded(odd, splits, dividends, PROFILE, SESSIONS[39])
    assert bars["volume"][3] == 1234


def test_volume_rounded_by_a_reverse_split_comes_back_in_whole_lots():
    rows, splits, dividends = simple(Fraction(1, 7))
    bars, _ = as_traded(rows, splits, dividends, PROFILE, SESSIONS[39])
    assert bars["volume"].to_list() == [100 * (7 * n + 11) for n in range(40)]
