"""The daily forecast as a function of AWS Lambda: reads what it needs from the store, forecasts, publishes.

Entry point: ``stockfc_assets.serving.lambda_handler.handler`` (docs/function.md). Needs neither Dagster nor torch, pandas
or pyarrow. Whatever goes wrong is raised, so that Lambda's retries and alarms see it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stockfc_assets.configuration import load_settings
from stockfc_assets.evaluation.daily_run import DailyRun
from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.market.configured import with_removed_stocks
from stockfc_assets.market.sources import effective_settings, utc_now
from stockfc_assets.serving.function_chain import DailyChain
from stockfc_assets.serving.function_log import CallLog, count_requests
from stockfc_assets.serving.function_request import Request, read_event, requested_date
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse, open_store


@dataclass
class Environment:
    """What stays the same from call to call of one process; what is stored is read anew each time."""

    settings: Settings
    warehouse: Warehouse
    calendar: TradingCalendar
    requests: Counter[str]
    """By operation, of all calls so far (`count_requests`)."""
    calls: int = 0


def handler(event: Any, context: Any) -> dict[str, Any]:
    """What Lambda calls. ``event``: `read_event`; returns what `forecast` does, and prints one line of JSON.

    Raises whatever went wrong, after a line that names it.
    """
    log = CallLog(getattr(context, "aws_request_id", None))
    facts: dict[str, Any] = {"status": "failed"}
    try:
        request = read_event(event)
        with log.phase("open"):
            environment = _environment()
        facts |= {"cold": environment.calls == 0, "calendar_until": environment.calendar.last_known.isoformat()}
        environment.calls += 1
        before = environment.requests.total()
        answer = forecast(request, environment, now=utc_now(), log=log)
        facts |= answer | {"boto3_requests": environment.requests.total() - before}
    except Exception as error:
        print(log.line(**facts, error=type(error).__name__, message=str(error)), flush=True)
        raise
    print(log.line(**facts), flush=True)
    return answer


def forecast(request: Request, environment: Environment, *, now: dt.datetime, log: CallLog) -> dict[str, Any]:
    """Forecasts and publishes the session asked for; the same call again writes the same bytes.

    Returns status ``published`` with session, model, n (stocks forecast), is_latest and location, or, on a day without a
    session, status ``skipped`` with date and reason. ``now`` is aware. Raises InputError for a session that is not over,
    DataError for missing or unfit data or champion, ModelError for an altered model, StorageError where the store fails.
    """
    warehouse, calendar = environment.warehouse, environment.calendar
    date = requested_date(request, calendar, now)
    if reason := calendar.why_closed(date):
        return {"status": "skipped", "date": date.isoformat(), "reason": reason}
    session = calendar.require_closed_session(date, now)
    settings = with_removed_stocks(environment.settings, warehouse)
    chain = DailyChain(warehouse, settings, calendar)
    lacking = chain.missing(session)
    if request.fetch:
        lacking = lacking or [session]
        with log.phase("fetch"):
            chain.fetch(lacking, now=lambda: now, say=log.said.append)
    with log.phase("prepare"):
        chain.prepare(session, lacking)
    with log.phase("forecast"):
        published = DailyRun(warehouse, settings, calendar).publish(session)
    return {
        "status": "published",
        "session": session.isoformat(),
        "model": published.document["model"]["id"],
        "n": published.document["num_predictions"],
        "is_latest": published.is_latest,
        "location": warehouse.store.location(f"predictions/{session}.json"),
    }


@lru_cache(maxsize=1)
def _environment() -> Environment:
    settings = effective_settings(load_settings())
    warehouse = Warehouse(open_store(settings))
    calendar = trading_calendar(settings.universe.exchange)
    return Environment(settings, warehouse, calendar, count_requests(warehouse.store))
