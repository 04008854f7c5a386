"""Weeks, sequences and months against exact dates."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockfc_assets.errors import InputError
from stockfc_assets.features.weeks import (
    add_months,
    months_later,
    position_features,
    sequence_indices,
    sequence_session_dates,
    session_days,
    week_ends,
    week_positions,
)
from stockfc_assets_tests.features.random_market import calendar_sessions, sessions_between


def test_positions_and_ends_over_golden_week() -> None:
    days = session_days(sessions_between(dt.date(2019, 4, 24), dt.date(2019, 5, 13)))
    assert [str(day)[5:] for day in days] == ["04-24", "04-25", "04-26", "05-07", "05-08", "05-09", "05-10", "05-13"]
    assert week_positions(days).tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
    assert week_ends(days).tolist() == [False, False, True, False, False, False, True, True]


def test_sequence_of_a_wednesday_over_golden_week_2019() -> None:
    dates = sequence_session_dates(dt.date(2019, 5, 15), calendar_sessions())
    assert len(dates) == 156
    assert dates[-4:] == [dt.date(2019, 4, 19), dt.date(2019, 4, 26), dt.date(2019, 5, 10), dt.date(2019, 5, 15)]
    # 155 weeks with a session and the one without: 156 weeks before that of 13 May 2019 is the week of 16 May 2016.
    assert dates[0] == dt.date(2016, 5, 20)
    assert dates == sorted(set(dates))


def test_sequence_of_a_week_end_does_not_hold_its_own_week_twice() -> None:
    dates = sequence_session_dates(dt.date(2019, 5, 17), calendar_sessions())
    assert dates[-2:] == [dt.date(2019, 5, 10), dt.date(2019, 5, 17)]
    friday, monday = (sequence_session_dates(dt.date(2019, 5, day), calendar_sessions()) for day in (17, 20))
    assert monday[:-1] == friday[1:]


def test_sequence_indices_say_where_the_calendar_ends() -> None:
    sessions = sessions_between(dt.date(2019, 4, 24), dt.date(2019, 5, 14))
    indices = sequence_indices(session_days(sessions))
    assert indices.dtype == np.int32
    assert indices.shape == (9, 156)
    assert indices[0, -3:].tolist() == [-1, -1, 0]
    assert indices[4, -3:].tolist() == [-1, 2, 4]
    assert indices[8, -4:].tolist() == [-1, 2, 6, 8]
    assert (indices[:, :-3] == -1).all()


@given(st.integers(1200, len(calendar_sessions()) - 1))
def test_indices_and_dates_agree(number: int) -> None:
    sessions = calendar_sessions()
    dates = sequence_session_dates(sessions[number], sessions)
    known = sessions[number - 1100 : number + 1]
    assert dates == [known[i] for i in sequence_indices(session_days(known))[-1]]


def test_sequence_of_a_holiday_is_refused() -> None:
    with pytest.raises(InputError, match="2019-05-01"):
        sequence_session_dates(dt.date(2019, 5, 1), calendar_sessions())


def test_position_features_of_full_and_short_weeks() -> None:
    sessions = sessions_between(dt.date(2019, 4, 26), dt.date(2019, 5, 14))
    position = position_features(sessions, calendar_sessions())
    assert position.dtype == np.float32
    weekday = [4, 1, 2, 3, 4, 0, 1]  # Friday 26 April, Tuesday 7 May to Friday, Monday, Tuesday
    progress = [5 / 5, 1 / 4, 2 / 4, 3 / 4, 4 / 4, 1 / 5, 2 / 5]
    np.testing.assert_array_equal(position[:, 0], np.float32(weekday) / np.float32(4))
    np.testing.assert_array_equal(position[:, 1], np.float32(progress))


@pytest.mark.parametrize(
    ("date", "months", "expected"),
    [
        (dt.date(2023, 8, 31), 6, dt.date(2024, 2, 29)),
        (dt.date(2024, 8, 31), 6, dt.date(2025, 2, 28)),
        (dt.date(2024, 2, 29), 12, dt.date(2025, 2, 28)),
        (dt.date(2024, 12, 31), 1, dt.date(2025, 1, 31)),
        (dt.date(2024, 11, 30), 1, dt.date(2024, 12, 30)),
        (dt.date(2024, 3, 15), 12, dt.date(2025, 3, 15)),
        (dt.date(2024, 3, 31), -1, dt.date(2024, 2, 29)),
    ],
)
def test_month_arithmetic(date: dt.date, months: int, expected: dt.date) -> None:
    assert add_months(date, months) == expected


@given(st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1)), st.integers(0, 24))
def test_months_of_arrays_equal_those_of_dates(date: dt.date, months: int) -> None:
    assert months_later(session_days([date]), months)[0].item() == add_months(date, months)
