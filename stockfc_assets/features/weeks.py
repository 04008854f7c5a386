"""Calendar weeks and months on an exchange's session grid.

A week runs from Monday to Sunday; a week without any session (Golden Week 2019) is no week. Sessions are dates in the
exchange's time zone. Everything here follows from the calendar alone, never from prices.
"""

from __future__ import annotations

import bisect
import calendar
import datetime as dt
from collections.abc import Sequence

import numpy as np

from stockfc_assets.errors import InputError
from stockfc_assets.features.names import POSITION_FEATURES, SEQUENCE_WEEKS


def session_days(sessions: Sequence[dt.date]) -> np.ndarray:
    """Sessions as datetime64[D], shape [S]."""
    return np.array(sessions, dtype="datetime64[D]")


def week_numbers(days: np.ndarray) -> np.ndarray:
    """Number of the calendar week (Monday to Sunday) of each datetime64[D]; int64, consecutive weeks differ by 1."""
    return (days.astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday


def week_positions(days: np.ndarray) -> np.ndarray:
    """How many sessions of the same calendar week lie before each of ``days`` (ascending [S]); int64 [S]."""
    weeks = week_numbers(days)
    return np.arange(len(days)) - np.searchsorted(weeks, weeks, side="left")


def week_ends(days: np.ndarray) -> np.ndarray:
    """Whether each of ``days`` (ascending [S]) is the last session of its calendar week; bool [S].

    The last of ``days`` counts as an end: hand in a calendar that goes on beyond what is asked.
    """
    weeks = week_numbers(days)
    return np.append(weeks[1:] != weeks[:-1], True) if len(days) else np.zeros(0, dtype=bool)


def sequence_indices(days: np.ndarray) -> np.ndarray:
    """For each session the 156 positions of its sequence within ``days`` (ascending [S]); int32 [S, 156].

    The last session of each of the 155 calendar weeks before, oldest first, then the session itself; -1 where ``days``
    do not reach back so far.
    """
    ends = np.flatnonzero(week_ends(days))
    week_index = np.searchsorted(ends, np.arange(len(days)), side="left")
    earlier = week_index[:, None] + np.arange(-(SEQUENCE_WEEKS - 1), 0)[None, :]
    indices = np.empty((len(days), SEQUENCE_WEEKS), dtype=np.int32)
    indices[:, :-1] = np.where(earlier >= 0, ends[np.maximum(earlier, 0)] if len(ends) else -1, -1)
    indices[:, -1] = np.arange(len(days))
    return indices


def sequence_session_dates(session: dt.date, calendar_sessions: Sequence[dt.date]) -> list[dt.date]:
    """The sessions whose rows make up the sequence of ``session``, oldest first, ending with itself.

    156 dates; fewer only where the calendar does not reach back. Raises InputError when ``session`` is none.
    """
    index = bisect.bisect_left(calendar_sessions, session)
    if index == len(calendar_sessions) or calendar_sessions[index] != session:
        raise InputError(f"session {session} is not in the exchange's calendar; choose a trading session")
    known = calendar_sessions[max(0, index - 7 * SEQUENCE_WEEKS) : index + 1]
    return [known[i] for i in sequence_indices(session_days(known))[-1] if i >= 0]


def position_features(sessions: Sequence[dt.date], calendar_sessions: Sequence[dt.date]) -> np.ndarray:
    """Where in its week each session stands; float32 [S, 2], never missing.

    day_of_week: 0 on Monday to 1 on Friday (weekday / 4). week_progress: sessions of the week up to and including this
    one / sessions that the calendar has in this week, in (0, 1].
    """
    days, calendar_days = session_days(sessions), session_days(calendar_sessions)
    weeks, calendar_weeks = week_numbers(days), week_numbers(calendar_days)
    first = np.searchsorted(calendar_weeks, weeks, side="left")
    last = np.searchsorted(calendar_weeks, weeks, side="right")
    so_far = np.searchsorted(calendar_days, days, side="right") - first
    weekday = (days.astype(np.int64) + 3) % 7
    features = {"day_of_week": weekday / 4, "week_progress": so_far / (last - first)}
    return np.stack([features[name] for name in POSITION_FEATURES], axis=1).astype(np.float32)


def add_months(date: dt.date, months: int) -> dt.date:
    """The same day ``months`` calendar months later, or the last day of that month: 31 August + 6 = end of February."""
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))


def months_later(days: np.ndarray, months: int) -> np.ndarray:
    """`add_months` of an array of datetime64[D]."""
    month = days.astype("datetime64[M]")
    day_of_month = days - month.astype("datetime64[D]")
    target = month + months
    last_day = (target + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    return np.minimum(target.astype("datetime64[D]") + day_of_month, last_day)
