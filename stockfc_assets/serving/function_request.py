"""What a function is asked for: an event of AWS Lambda as a date of the exchange."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.calendar import TradingCalendar

SCHEDULED = ("scheduled-time", "time")
"""Keys under which EventBridge says when the call was due: in an input of one's own, and in its own events."""
KEYS = ("session", *SCHEDULED, "fetch")
EXAMPLE = '{"session": "2026-02-06"}, {"scheduled-time": "2026-02-06T14:15:00Z"} or {}'


@dataclass(frozen=True)
class Request:
    """``session``: the date asked for. ``due``: the aware time of the schedule. Neither: the newest finished session."""

    session: dt.date | None = None
    due: dt.datetime | None = None
    fetch: bool = False
    """Ask the price source first; without it, prices must be stored."""


def read_event(event: Any) -> Request:
    """The request that an event makes.

    EventBridge's own events carry more keys, which say nothing to us. Raises InputError naming a key that is unknown, or
    a value that is none.
    """
    if not isinstance(event, Mapping):
        raise InputError(f"event: {type(event).__name__} is not an object; send {EXAMPLE}")
    if "detail-type" not in event and (unknown := sorted(set(event) - set(KEYS))):
        raise InputError(f"event: unknown key {unknown[0]!r}; known: {', '.join(KEYS)}")
    fetch = event.get("fetch", False)
    if not isinstance(fetch, bool):
        raise InputError(f"event: fetch: {fetch!r} is neither true nor false")
    due = [key for key in SCHEDULED if key in event]
    if "session" in event:
        return Request(session=_date(event["session"]), fetch=fetch)
    return Request(due=_time(due[0], event[due[0]]) if due else None, fetch=fetch)


def requested_date(request: Request, calendar: TradingCalendar, now: dt.datetime) -> dt.date:
    """The date to forecast, a session or not: as asked for, the exchange's day of the schedule, or the newest finished one.

    ``now`` is aware. Raises ConfigError where the calendar has ended: what a day is then, nobody knows.
    """
    zone = ZoneInfo(calendar.profile.time_zone)
    date = request.session or (request.due or now).astimezone(zone).date()
    if date > calendar.last_known:
        raise ConfigError(
            f"{date}: the {calendar.profile.code} calendar of this image ends on {calendar.last_known}; build the image "
            "again with a newer exchange_calendars (docs/function.md)"
        )
    return date if request.session or request.due else calendar.newest_closed(now)


def _date(value: Any) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InputError(f"event: session: {value!r} is not a date such as 2026-02-06") from None


def _time(key: str, value: Any) -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        time = None
    if time is None or time.tzinfo is None:
        raise InputError(f"event: {key}: {value!r} is not a time with a zone such as 2026-02-06T14:15:00Z")
    return time
