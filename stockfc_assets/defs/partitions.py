"""The two grids of time, and how partitions of one asset map to those of another.

What belongs here: partition definitions and mappings. What does not: what an asset does with its partitions.
Concept: https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets

Sessions: one daily partition per trading session; the grid's time zone ends its day after the exchange's close, so no
session exists as a partition before it is over. Months: the model of a month knows only sessions before its first day;
the current month exists from its first moment (``end_offset=1``).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import dagster as dg

from stockfc_assets.features.names import SEQUENCE_WEEKS, SESSIONS_PER_WEEK
from stockfc_assets.features.weekly import LOOKBACK_SESSIONS
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.quality.stored import LOOKBACK_SESSIONS as QUALITY_LOOKBACK_SESSIONS

FACTS_HISTORY_MONTHS = 12
"""Facts published within a year before a month are moved to its share basis: prices of that year are read."""

REPORT_HISTORY_SESSIONS = 490

REPORT_PAST_SESSIONS = 260
"""A report tells what was said in the year before, by forecasts at most five sessions older."""

CHAMPION_REACH_SESSIONS = 250
"""How far back lineage links a forecast to champions: about a year (an older one still serves if none is newer)."""


@dataclass(frozen=True)
class Grids:
    """Partition definitions of one exchange and history start."""

    sessions: dg.DailyPartitionsDefinition
    months: dg.MonthlyPartitionsDefinition


def build_grids(calendar: TradingCalendar, history_start: dt.date) -> Grids:
    """Both grids from the first session on or after ``history_start``; the first month is the first one after it."""
    zone = calendar.profile.grid_zone
    closures = calendar.weekday_closures(history_start, calendar.last_known)
    weekend = ["0 0 * * 6", "0 0 * * 0"]
    first_month = next_month(history_start)
    return Grids(
        sessions=dg.DailyPartitionsDefinition(
            start_date=history_start.isoformat(),
            timezone=zone,
            exclusions=[*weekend, *(dt.datetime.combine(day, dt.time()) for day in closures)],
        ),
        months=dg.MonthlyPartitionsDefinition(start_date=first_month.isoformat(), timezone=zone, end_offset=1),
    )


def month_of(date: dt.date) -> dt.date:
    return date.replace(day=1)


def next_month(date: dt.date) -> dt.date:
    return add_months(month_of(date), 1)


def _window(start_offset: int, end_offset: int = 0) -> dg.TimeWindowPartitionMapping:
    return dg.TimeWindowPartitionMapping(
        start_offset=start_offset, end_offset=end_offset, allow_nonexistent_upstream_partitions=True
    )


SAME = _window(0)
"""The same partition; from sessions to months, the month that holds the session."""

FEATURE_LOOKBACK = _window(-LOOKBACK_SESSIONS)
"""The session and those that its widest feature window needs."""

SEQUENCE_LOOKBACK = _window(-SEQUENCE_WEEKS * SESSIONS_PER_WEEK)
"""The session and the weeks of its input sequence."""

CHAMPION_REACH = _window(-CHAMPION_REACH_SESSIONS)
"""The champions of the session's month and of about a year before it."""

REPORT_HISTORY = _window(-REPORT_HISTORY_SESSIONS)
"""The session and the two years that its report draws."""

REPORT_PAST = _window(-REPORT_PAST_SESSIONS)
"""The session and the year of earlier forecasts that its report lays beside what happened."""

PREVIOUS = _window(-1, -1)
"""The partition before."""

WITH_PREVIOUS = _window(-1)
"""The partition and the one before."""

QUALITY_LOOKBACK = _window(-QUALITY_LOOKBACK_SESSIONS)
"""The session and those that its quality checks compare it with."""


def history_before(months: int) -> dg.TimeWindowPartitionMapping:
    """Everything in the ``months`` months before the month begins."""
    return _window(-months, -1)


def up_to(months: int) -> dg.TimeWindowPartitionMapping:
    """The month and the ``months`` before it."""
    return _window(-months)


def sessions_before(count: int) -> dg.TimeWindowPartitionMapping:
    """The ``count`` sessions before the session."""
    return _window(-count, -1)
