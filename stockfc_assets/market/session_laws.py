"""The laws of stored sessions: what forbids going on from prices to features, as messages; empty means nothing does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.collect import by_reason
from stockfc_assets.market.configured import known_tickers
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.laws import coverage, price_problems
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import RawOhlcv

RECENT_SESSIONS = 20
"""A member without a trade in so many sessions is taken as not listed, and is not expected."""


def law_problems(warehouse: Warehouse, settings: Settings, keys: Sequence[str]) -> list[str]:
    """Rows of the sessions ``keys`` (ISO dates) that break a law of prices (`laws.price_problems`)."""
    bars = warehouse.read_tables("raw_ohlcv", keys, partition_column="partition")
    return [] if bars is None else price_problems(bars, known_tickers(settings))


def coverage_problems(
    warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, keys: Sequence[str]
) -> list[str]:
    """Sessions of ``keys`` (ISO dates, ascending) with too few of their members; prices of the range are read once."""
    first, last = dt.date.fromisoformat(keys[0]), dt.date.fromisoformat(keys[-1])
    sessions = calendar.between(calendar.before(first, RECENT_SESSIONS), last)
    raw = warehouse.read_tables("raw_ohlcv", [session.isoformat() for session in sessions])
    raw = RawOhlcv.create_empty() if raw is None else raw
    traded = {session: set(names) for session, names in raw.group_by("session").agg("ticker").iter_rows()}
    minimum = settings.environment.min_coverage
    records = warehouse.read_records("raw_ohlcv", keys)
    problems = []
    for key in keys:
        session = dt.date.fromisoformat(key)
        before = calendar.between(calendar.before(session, RECENT_SESSIONS), session)[:-1]
        recent = set().union(*(traded.get(day, ()) for day in before))
        failed = FetchRecord.from_json(records.get(key, {})).failed
        share, missing = coverage(traded.get(session, ()), recent, settings.universe.members(session), failed)
        if share < minimum:
            reasons = by_reason({name: failed.get(name, "no row") for name in missing})
            named = "; ".join(f"{tickers} ({reason})" for reason, tickers in reasons.items())
            problems.append(f"{key}: coverage {share:.1%} is below {minimum:.0%}; no price for {named}")
    return problems
