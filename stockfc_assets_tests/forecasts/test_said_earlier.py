"""What earlier forecasts said: which sessions are asked, on which share basis, and what happened."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.said_earlier import EarlierForecast, earlier_sessions, said_earlier

SESSION = dt.date(2026, 2, 6)
WEEKDAYS = [day for back in range(800, -1, -1) if (day := SESSION - dt.timedelta(days=back)).weekday() < 5]
AS_OF = dt.date(2025, 11, 6)


def raw(closes: dict[dt.date, float], splits: dict[dt.date, float] | None = None, ticker: str = "1.T") -> pl.DataFrame:
    days = sorted(closes)
    prices = [closes[day] for day in days]
    return pl.DataFrame(
        {
            "ticker": ticker, "session": days, "open": prices, "high": prices, "low": prices, "close": prices,
            "volume": 1000, "dividend": 0.0, "split_ratio": [(splits or {}).get(day, 1.0) for day in days],
        }
    )  # fmt: skip


def forecasts(price: float, growth: float, as_of: dt.date = AS_OF, ticker: str = "1.T") -> pl.DataFrame:
    """``growth`` a month; an interval of 10 % below to 20 % above the price of the as-of session."""
    rows = [
        {
            "ticker": ticker, "session": as_of, "horizon": horizon, "current_price": price,
            "predicted_price": price * growth**horizon, "lower": price * 0.9, "upper": price * 1.2,
        }
        for horizon in range(12, 0, -1)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_a_split_in_between_moves_what_was_said_to_the_sessions_basis():
    closes = {day: 1000.0 if day < dt.date(2025, 12, 1) else 210.0 for day in WEEKDAYS if day >= AS_OF}
    found = said_earlier(forecasts(1000.0, 1.01), raw(closes, {dt.date(2025, 12, 1): 5.0}), SESSION, {3: AS_OF})
    (earlier,) = found["1.T"]
    assert (earlier.as_of, earlier.months, earlier.end) == (AS_OF, 3, SESSION)
    assert earlier.price == pytest.approx(200.0)
    assert [day for day, _ in earlier.points] == [dt.date(2025, 12, 6), dt.date(2026, 1, 6), SESSION]
    assert [price for _, price in earlier.points] == pytest.approx([202.0, 204.02, 206.0602])
    assert (earlier.lower, earlier.upper) == pytest.approx((180.0, 240.0))
    assert earlier.happened == 210.0
    assert earlier.inside is True


def test_what_lies_after_the_session_changes_nothing():
    closes = {day: 100.0 for day in WEEKDAYS if day >= AS_OF}
    later = {SESSION + dt.timedelta(days=days): 50.0 for days in (3, 4, 5)}
    split = {SESSION + dt.timedelta(days=3): 2.0}
    said = forecasts(100.0, 1.0)
    assert said_earlier(said, raw(closes | later, split), SESSION, {3: AS_OF}) == said_earlier(
        said, raw(closes), SESSION, {3: AS_OF}
    )


def test_what_happened_is_the_newest_close_of_the_last_six_sessions_of_the_horizon():
    every = {day: 100.0 for day in WEEKDAYS if day >= AS_OF}
    other = raw(every, ticker="2.T")
    for missing, happened in ((5, 100.0), (6, None)):
        last = sorted(every)[:-missing]
        halted = pl.concat([raw({day: every[day] for day in last}), other])
        said = said_earlier(forecasts(100.0, 1.0), halted, SESSION, {3: AS_OF})["1.T"][0]
        assert said.happened == happened, missing
        assert said.inside is (None if happened is None else True)


def test_the_oldest_comes_first_and_each_is_compared_at_its_own_horizon():
    chosen = {months: add_months(SESSION, -months) for months in (3, 6, 12)}
    closes = dict.fromkeys(WEEKDAYS, 100.0)
    said = pl.concat([forecasts(100.0, 1.01, as_of) for as_of in chosen.values()])
    found = said_earlier(said, raw(closes), SESSION, chosen)["1.T"]
    assert [(earlier.months, len(earlier.points)) for earlier in found] == [(12, 12), (6, 6), (3, 3)]
    assert [earlier.said for earlier in found] == pytest.approx([100 * 1.01**12, 100 * 1.01**6, 100 * 1.01**3])


def test_a_stock_that_was_not_forecast_then_or_is_not_priced_now_is_left_out():
    closes = {day: 100.0 for day in WEEKDAYS if day >= AS_OF}
    prices = pl.concat([raw(closes), raw(closes, ticker="new.T")])
    said = pl.concat([forecasts(100.0, 1.0), forecasts(100.0, 1.0, ticker="gone.T")])
    assert list(said_earlier(said, prices, SESSION, {3: AS_OF})) == ["1.T"]


def test_an_interval_that_is_not_known_holds_nothing():
    known = EarlierForecast(AS_OF, 3, 100.0, ((SESSION, 101.0),), 90.0, 110.0, 110.0)
    assert known.inside is True
    assert EarlierForecast(AS_OF, 3, 100.0, ((SESSION, 101.0),), 90.0, 110.0, 110.1).inside is False
    assert EarlierForecast(AS_OF, 3, 100.0, ((SESSION, 101.0),), None, None, 100.0).inside is None


def test_sessions_near_the_date_are_asked_at_most_five_older():
    wanted = dt.date(2025, 11, 6)
    near = [day for day in WEEKDAYS if day <= wanted][-7:]
    assert earlier_sessions(near, WEEKDAYS, SESSION) == {3: wanted}
    assert earlier_sessions(near[:-1], WEEKDAYS, SESSION) == {3: near[-2]}
    assert earlier_sessions(near[:2], WEEKDAYS, SESSION) == {3: near[1]}
    assert earlier_sessions(near[:1], WEEKDAYS, SESSION) == {}
    assert earlier_sessions([wanted + dt.timedelta(days=1)], WEEKDAYS, SESSION) == {}


@given(st.sets(st.sampled_from(WEEKDAYS)), st.sampled_from(WEEKDAYS[400:]))
def test_every_chosen_forecast_had_matured_by_the_session(published, session):
    for months, as_of in earlier_sessions(sorted(published), WEEKDAYS, session).items():
        assert as_of in published
        assert add_months(as_of, months) <= session
        assert add_months(session, -months) - as_of <= dt.timedelta(days=9)
