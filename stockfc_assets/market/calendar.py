"""Trading sessions of an exchange: which dates they are, when they are over, and why a day has none.

Dates are in the exchange's own time zone. Holidays come from the `exchange_calendars` library.
"""

from __future__ import annotations

import bisect
import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from stockfc_assets.errors import ConfigError, InputError

FIRST_DATE = dt.date(2000, 1, 1)


@dataclass(frozen=True)
class ExchangeProfile:
    """What the platform must know of an exchange beside its holidays.

    ``grid_zone`` is the time zone of the partition grids: its calendar day must end after the close, so that no
    session exists as a partition before it is over (docs/operations.md).
    """

    code: str
    time_zone: str
    grid_zone: str
    currency: str
    ticker_suffix: str


PROFILES = {
    # UTC+14: its day ends at 19:00 in Tokyo, after the close at 15:30 (15:00 until 2024-11-04).
    "XTKS": ExchangeProfile("XTKS", "Asia/Tokyo", "Etc/GMT-14", "JPY", ".T"),
}


def profile_of(exchange: str) -> ExchangeProfile:
    """The profile of an exchange by its ISO 10383 code. Raises ConfigError naming the known ones."""
    try:
        return PROFILES[exchange]
    except KeyError:
        raise ConfigError(f"exchange {exchange!r} is unknown; known: {', '.join(sorted(PROFILES))}") from None


class TradingCalendar:
    """Sessions of one exchange from 2000 to about a year from now.

    ``sessions`` is the sorted tuple of all session dates; `holiday_name` says why a date is none.
    """

    def __init__(self, exchange: str) -> None:
        import exchange_calendars

        self.profile = profile_of(exchange)
        calendar = exchange_calendars.get_calendar(exchange, start=FIRST_DATE.isoformat())
        self.sessions: tuple[dt.date, ...] = tuple(stamp.date() for stamp in calendar.sessions)
        self.last_known = self.sessions[-1]
        holidays = calendar.regular_holidays.holidays(
            FIRST_DATE.isoformat(), self.last_known.isoformat(), return_name=True
        )
        # The library marks rules that changed over time: "Marine Day (2022 onwards)".
        self._holiday_names = {stamp.date(): str(name).partition(" (")[0] for stamp, name in holidays.items()}

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
        return self._holiday_names.get(date, "exchange holiday")

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
    """The calendar of an exchange, built once per process (about 0.5 s the first time)."""
    return TradingCalendar(exchange)
