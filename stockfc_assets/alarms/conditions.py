"""What must hold for tonight's forecast to be there and to be worth reading, judged from what is stored.

`stockfc status`, the API's readiness and the alarms tell the same: the answer of `conditions`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from stockfc_assets.errors import DataError, StockfcError, StorageError
from stockfc_assets.forecasts.models import champion_for, champion_of, serving_on
from stockfc_assets.forecasts.publication import LATEST, read_document
from stockfc_assets.forecasts.session_record import superseded_by
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.collect import by_reason
from stockfc_assets.market.session_laws import coverage_problems
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse

STORAGE, PUBLISHED, STALE = "storage", "published_forecast", "stale_forecast"
COVERAGE, SUPERSEDED = "coverage", "superseded_forecast"
CHAMPION, CALENDAR = "champion", "calendar"
SHOWN_SESSIONS = 3


@dataclass(frozen=True)
class Condition:
    """One thing that must hold. ``message`` says what was seen and, where it does not hold, what to do.

    ``subject`` tells conditions of one name apart, such as two failed jobs.
    """

    name: str
    ok: bool
    message: str
    subject: str = ""


def conditions(
    warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, now: dt.datetime
) -> list[Condition]:
    """Every condition that can be judged at ``now`` (an aware time), in a fixed order.

    Pure reads: five requests to the store while all is well (the newest forecast, the champions' names and one or two
    records), some more where the forecast is late, to say why. What cannot be read is a condition that does not hold,
    never an error; those that rest on it are left out.
    """
    try:
        document = _latest(warehouse)
    except StorageError as error:
        return [Condition(STORAGE, False, str(error)), _calendar(settings, calendar, now)]
    except DataError as error:
        found = [_reached(warehouse), Condition(PUBLISHED, False, str(error))]
        return [*found, _champion(warehouse, settings, _today(calendar, now)), _calendar(settings, calendar, now)]
    found = [_reached(warehouse), _published(document), _stale(document, warehouse, settings, calendar, now)]
    today = _today(calendar, now)
    if document is not None:
        found += [_coverage(document, settings), _superseded(document, warehouse)]
        # A clock that was set back has not made the champion young, nor gone.
        today = max(today, dt.date.fromisoformat(document["session"]))
    return [*found, _champion(warehouse, settings, today), _calendar(settings, calendar, now)]


def due_session(calendar: TradingCalendar, due: dt.time, now: dt.datetime) -> dt.date:
    """The newest session whose forecast is awaited at ``now``: it is over, and ``due`` (exchange's clock) has passed.

    Raises InputError where ``now`` is before the calendar begins.
    """
    session = calendar.newest_closed(now)
    return session if now >= _due(calendar, due, session) else calendar.before(session, 1)


def _due(calendar: TradingCalendar, due: dt.time, session: dt.date) -> dt.datetime:
    day = session if due > calendar.profile.close else session + dt.timedelta(days=1)
    return dt.datetime.combine(day, due, ZoneInfo(calendar.profile.time_zone))


def _latest(warehouse: Warehouse) -> dict[str, Any] | None:
    try:
        data = warehouse.store.read_bytes(LATEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{warehouse.store.location(LATEST)}: cannot be read ({error.strerror or error}); give the right to read it"
        ) from None
    document = read_document(data, location=warehouse.store.location(LATEST))
    if document.get("session") is None or not isinstance(document.get("model"), dict):
        raise DataError(f"{warehouse.store.location(LATEST)}: session or model is missing; run `stockfc daily`")
    return document


def _reached(warehouse: Warehouse) -> Condition:
    return Condition(STORAGE, True, f"{warehouse.store.location('')} answers")


def _published(document: Mapping[str, Any] | None) -> Condition:
    seen = "none yet" if document is None else f"the newest is of {document['session']}"
    return Condition(PUBLISHED, True, f"published forecasts can be read; {seen}")


def _today(calendar: TradingCalendar, now: dt.datetime) -> dt.date:
    return now.astimezone(ZoneInfo(calendar.profile.time_zone)).date()


# --- the newest forecast ----------------------------------------------------------------------------------------------


def _stale(
    document: Mapping[str, Any] | None,
    warehouse: Warehouse,
    settings: Settings,
    calendar: TradingCalendar,
    now: dt.datetime,
) -> Condition:
    due = settings.environment.alarms.forecast_due
    if due is None:
        return Condition(STALE, True, "no forecast is awaited (alarms.forecast_due is null)")
    try:
        awaited = due_session(calendar, due, now)
    except StockfcError as error:
        return Condition(STALE, False, f"it is {now:%Y-%m-%d %H:%M} by this machine's clock: {error}; set the clock")
    if document is None:
        return Condition(STALE, False, f"no forecast is published yet; run `stockfc daily --session {awaited}`")
    newest = dt.date.fromisoformat(document["session"])
    if newest >= awaited:
        return Condition(STALE, True, f"the newest forecast is of {newest}, as it must be by {due:%H:%M}")
    missing = calendar.between(newest + dt.timedelta(days=1), awaited)
    shown = ", ".join(session.isoformat() for session in missing[:SHOWN_SESSIONS])
    more = f" and {len(missing) - SHOWN_SESSIONS} more sessions" if len(missing) > SHOWN_SESSIONS else ""
    return Condition(
        STALE,
        False,
        f"the newest forecast is of {newest}; by {due:%H:%M} there was none of {shown}{more}"
        f"{_reason(warehouse, settings, calendar, missing[0])}; run `stockfc daily --session {awaited}`",
    )


def _reason(warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, session: dt.date) -> str:
    """Why ``session`` may have no forecast, as far as its prices tell."""
    key = session.isoformat()
    try:
        if not warehouse.store.exists(f"raw_ohlcv/{key}.parquet"):
            return f" (its prices of {key} are not stored)"
        problems = coverage_problems(warehouse, settings, calendar, [key])
    except (StockfcError, OSError) as error:
        return f" ({error})"
    return f" ({problems[0]})" if problems else f" (the prices of {key} are stored and complete)"


def _coverage(document: Mapping[str, Any], settings: Settings) -> Condition:
    """The share of the members that the newest forecast holds."""
    minimum = settings.environment.min_coverage
    forecast, skipped = document["num_predictions"], document.get("skipped", ())
    members = forecast + len(skipped)
    told = f"the forecast of {document['session']} holds {forecast} of {members} members"
    if members and forecast >= minimum * members:
        return Condition(COVERAGE, True, told)
    reasons = by_reason({entry["ticker"]: entry["reason"] for entry in skipped})
    named = "; ".join(f"{tickers} ({reason})" for reason, tickers in reasons.items()) or "the universe has no member"
    return Condition(
        COVERAGE,
        False,
        f"{told}, fewer than min_coverage {minimum:.0%}; without one: {named}; mend the source, then run "
        f"`stockfc backfill --from {document['session']}` and `stockfc daily --session {document['session']}`",
    )


def _superseded(document: Mapping[str, Any], warehouse: Warehouse) -> Condition:
    session = dt.date.fromisoformat(document["session"])
    maker = document["model"]["id"]
    try:
        judged = champion_of(warehouse, session.replace(day=1))
    except (StockfcError, OSError) as error:
        return Condition(SUPERSEDED, False, str(error))
    other = superseded_by(document, serving_on(judged, session) if judged else None)
    if other is None:
        return Condition(SUPERSEDED, True, f"the forecast of {session} is by {maker}, which serves on it")
    return Condition(
        SUPERSEDED,
        False,
        f"the forecast of {session} was published by {maker}, and by now {other} serves; run "
        f"`stockfc daily --session {session}`",
    )


# --- model and calendar -----------------------------------------------------------------------------------------------


def _champion(warehouse: Warehouse, settings: Settings, today: dt.date) -> Condition:
    """How old the model is that serves on ``today``."""
    limit = settings.environment.alarms.champion_months
    try:
        record = champion_for(warehouse, today)
    except (StockfcError, OSError) as error:
        return Condition(CHAMPION, False, str(error))
    model, judged = record["model"], str(record["month"])[:7]
    age = _months(model["month"], f"{today:%Y-%m}")
    told = f"{model['id']} serves, the model of {model['month']}"
    if age <= limit:
        return Condition(CHAMPION, True, told)
    why = f"{told}: {age} months old, more than champion_months {limit}; "
    if judged == f"{today:%Y-%m}":
        return Condition(
            CHAMPION, False, f"{why}newer ones did not pass the gate ({record['reason']}); see `stockfc gate`"
        )
    return Condition(
        CHAMPION, False, f"{why}no model was judged since {judged}; run `stockfc monthly --month {today:%Y-%m}`"
    )


def _months(earlier: str, later: str) -> int:
    """Months from ``earlier`` to ``later`` (``2026-02``)."""
    (year, month), (last_year, last_month) = (map(int, each.split("-")) for each in (earlier, later))
    return (last_year - year) * 12 + last_month - month


def _calendar(settings: Settings, calendar: TradingCalendar, now: dt.datetime) -> Condition:
    left = (calendar.last_known - _today(calendar, now)).days
    told = f"the {calendar.profile.code} calendar is known to {calendar.last_known}, {left} days from today"
    if left >= settings.environment.alarms.calendar_days:
        return Condition(CALENDAR, True, told)
    return Condition(CALENDAR, False, f"{told}; update the exchange_calendars package")
