"""Trading sessions of an exchange: which dates they are, when they are over, and why a day has none.

Dates are in the exchange's own time zone. Which days are sessions is in calendar_table.py.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from zoneinfo import ZoneInfo

import polars as pl

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.calendar_table import FIRST_DATE, UNNAMED, CalendarTable, calendar_table


@dataclass(frozen=True)
class ExchangeProfile:
    """What the platform must know of an exchange beside its holidays.

    ``grid_zone`` is the time zone of the partition grids. Its calendar day must end after the close, so that no session
    exists as a partition before it is over, and before 23:00 in ``time_zone``, when the daily schedule asks for it: a
    day that ends at New York's own midnight would be an hour late. ``close`` is the end of trading in ``time_zone``.
    ``price_decimals``: prices are quoted with no more, so vendors' binary rounding is undone to so many. ``lot``: every
    traded volume of a common stock is a multiple of it (1 = none known).

    Limits of one session's move, if there are any, are ``limit_steps`` (a base price below the first number may move by
    the second, in the listing currency) or ``limit_share`` (of the base price).

    ``ex_dates``: since each date, how many sessions before a month's last one a stock goes ex for a record date at the
    month's end (the settlement cycle less one day); empty where record dates follow no such rule.
    """

    code: str
    time_zone: str
    grid_zone: str
    close: dt.time
    currency: str
    ticker_suffix: str
    price_decimals: int
    lot: int
    limit_steps: tuple[tuple[float, float], ...] = ()
    limit_share: float | None = None
    ex_dates: tuple[tuple[dt.date, int], ...] = ()

    def price_limit(self, previous_close: float) -> float | None:
        """How far a session's prices may lie from ``previous_close``, in the listing currency; None = no limit.

        ``previous_close`` is on the session's own share basis. The price at the limit is moved to a tick, in Tokyo to the
        one beyond, and the limit is widened after days at it without a trade, for a first listing and for a stock about
        to leave: a price beyond is a reason to doubt it, not to refuse it.
        """
        if self.limit_steps:
            return self.limit_steps[bisect.bisect_right(self.limit_steps, previous_close, key=itemgetter(0))][1]
        return None if self.limit_share is None else self.limit_share * previous_close

    def price_limits(self, previous_close: pl.Expr) -> pl.Expr:
        """`price_limit` of a column: Float64, null where the close is null or the exchange knows no limit."""
        if self.limit_steps:
            bounds, limits = (pl.Series(column, dtype=pl.Float64) for column in zip(*self.limit_steps, strict=True))
            step = pl.lit(bounds).search_sorted(previous_close.fill_null(0.0), side="right")
            return pl.when(previous_close.is_not_null()).then(pl.lit(limits).gather(step))
        return previous_close * pl.lit(self.limit_share, dtype=pl.Float64)


TOKYO_LIMITS = (
    (100, 30), (200, 50), (500, 80), (700, 100), (1_000, 150), (1_500, 300), (2_000, 400), (3_000, 500), (5_000, 700),
    (7_000, 1_000), (10_000, 1_500), (15_000, 3_000), (20_000, 4_000), (30_000, 5_000), (50_000, 7_000),
    (70_000, 10_000), (100_000, 15_000), (150_000, 30_000), (200_000, 40_000), (300_000, 50_000), (500_000, 70_000),
    (700_000, 100_000), (1_000_000, 150_000), (1_500_000, 300_000), (2_000_000, 400_000), (3_000_000, 500_000),
    (5_000_000, 700_000), (7_000_000, 1_000_000), (10_000_000, 1_500_000), (15_000_000, 3_000_000),
    (20_000_000, 4_000_000), (30_000_000, 5_000_000), (50_000_000, 7_000_000), (math.inf, 10_000_000),
)  # fmt: skip
"""Yen, since 2010 (https://www.jpx.co.jp/english/equities/trading/domestic/06.html)."""
TOKYO_EX_DATES = ((FIRST_DATE, 2), (dt.date(2019, 7, 16), 1))
"""Settlement three days after the trade, two since 2019-07-16. All 853 month-end ex-dates of Core30 keep the rule."""

PROFILES = {
    # UTC+14: its day ends at 19:00 in Tokyo, after the close at 15:30 (15:00 until 2024-11-04).
    "XTKS": ExchangeProfile(
        "XTKS", "Asia/Tokyo", "Etc/GMT-14", dt.time(15, 30), "JPY", ".T",
        price_decimals=1, lot=100, limit_steps=TOKYO_LIMITS, ex_dates=TOKYO_EX_DATES,
    ),
    # UTC+2: its day ends at 17:00 in New York, at 18:00 in summer. Stocks above 1 USD are quoted in cents; volumes
    # count odd lots. Pauses stop a trade for minutes, they do not limit a day.
    "XNYS": ExchangeProfile(
        "XNYS", "America/New_York", "Etc/GMT-2", dt.time(16, 0), "USD", "", price_decimals=2, lot=1
    ),
    # UTC+14: its day ends at 19:00 in Seoul, after the close at 15:30 (16:30 on the day of the university entrance
    # examination). The limit was 15 % until 2015-06-14 (KRX, Daily Price Limits).
    "XKRX": ExchangeProfile(
        "XKRX", "Asia/Seoul", "Etc/GMT-14", dt.time(15, 30), "KRW", ".KS", price_decimals=0, lot=1, limit_share=0.3
    ),
}  # fmt: skip


def profile_of(exchange: str) -> ExchangeProfile:
    """The profile of an exchange by its ISO 10383 code. Raises ConfigError naming the known ones."""
    try:
        return PROFILES[exchange]
    except KeyError:
        raise ConfigError(f"exchange {exchange!r} is unknown; known: {', '.join(sorted(PROFILES))}") from None


class TradingCalendar:
    """Sessions of one exchange from 2000 to about a year from now.

    ``sessions`` is the sorted tuple of all session dates; `why_closed` says why a date is none.
    """

    def __init__(self, table: CalendarTable) -> None:
        self.profile = profile_of(table.exchange)
        self.sessions = table.sessions
        self.last_known = table.last
        self._closed = table.closed

    def is_session(self, date: dt.date) -> bool:
        index = bisect.bisect_left(self.sessions, date)
        return index < len(self.sessions) and self.sessions[index] == date

    def between(self, start: dt.date, end: dt.date) -> tuple[dt.date, ...]:
        """Sessions from ``start`` to ``end``, both inclusive."""
        return self.sessions[bisect.bisect_left(self.sessions, start) : bisect.bisect_right(self.sessions, end)]

    def before(self, session: dt.date, count: int) -> dt.date:
        """The session ``count`` sessions before the first session on or after ``session`` (bounded by the calendar)."""
        return self.sessions[max(0, bisect.bisect_left(self.sessions, session) - count)]

    def last_on_or_before(self, date: dt.date) -> dt.date:
        """The newest session on or before ``date``. Raises InputError before the calendar begins."""
        index = bisect.bisect_right(self.sessions, date) - 1
        if index < 0:
            raise InputError(f"{date}: the {self.profile.code} calendar begins on {self.sessions[0]}")
        return self.sessions[index]

    def newest_closed(self, now: dt.datetime) -> dt.date:
        """The newest session that is over at ``now`` (an aware time): the newest day of the grid zone that has ended."""
        today = now.astimezone(ZoneInfo(self.profile.grid_zone)).date()
        return self.last_on_or_before(today - dt.timedelta(days=1))

    def why_closed(self, date: dt.date) -> str | None:
        """None on a session; otherwise the reason, such as ``Saturday`` or ``Marine Day``."""
        if self.is_session(date):
            return None
        if date < self.sessions[0] or date > self.last_known:
            return f"outside the {self.profile.code} calendar ({self.sessions[0]} to {self.last_known})"
        if date.weekday() >= 5:
            return date.strftime("%A")
        return self._closed.get(date, UNNAMED)

    def weekday_closures(self, start: dt.date, end: dt.date) -> list[dt.date]:
        """Weekdays from ``start`` to ``end`` (inclusive) without a session."""
        days = (start + dt.timedelta(days=offset) for offset in range((end - start).days + 1))
        return [day for day in days if day.weekday() < 5 and not self.is_session(day)]

    def require_closed_session(self, date: dt.date, now: dt.datetime, *, what: str = "session") -> dt.date:
        """``date`` if it is a session that is over at ``now``; otherwise InputError with the reason and a remedy."""
        newest = self.newest_closed(now)
        reason = self.why_closed(date)
        if reason is not None:
            which = "the session before it" if date >= self.sessions[0] else "its first session"
            nearest = self.last_on_or_before(min(date, newest)) if date >= self.sessions[0] else self.sessions[0]
            raise InputError(f"{what} {date} is not a session of {self.profile.code}: {reason}; {which} is {nearest}")
        if date > newest:
            raise InputError(f"{what} {date} is not over yet; the newest finished session is {newest}")
        return date


@lru_cache(maxsize=8)
def trading_calendar(exchange: str) -> TradingCalendar:
    """The calendar of an exchange, built once per process. Raises ConfigError for an exchange without a profile."""
    return TradingCalendar(calendar_table(profile_of(exchange).code))
