"""weekly_features of sessions from stored prices to stored rows: what the asset and the function both run.

Reads a warehouse (raw_ohlcv) and writes ``weekly_features/{session}.parquet``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from stockfc_assets.features.weekly import LOOKBACK_SESSIONS, weekly_features
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import RawOhlcv

ASSET = "weekly_features"


@dataclass(frozen=True)
class SessionFeatures:
    """One session as written: its data version and rows (tables.WeeklyFeatures)."""

    session: dt.date
    data_version: str
    rows: pl.DataFrame


def write_features(
    warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, sessions: Sequence[dt.date]
) -> Iterator[SessionFeatures]:
    """Computes consecutive ``sessions`` at once, writes them one by one and yields each once it is written.

    A session without a price gets an empty table. Raises InputError when the sessions are not consecutive.
    """
    first = calendar.before(sessions[0], LOOKBACK_SESSIONS)
    keys = [session.isoformat() for session in calendar.between(first, sessions[-1])]
    raw = warehouse.read_tables("raw_ohlcv", keys)
    frame = weekly_features(
        RawOhlcv.create_empty() if raw is None else raw,
        sessions,
        calendar.sessions,
        settings.universe,
        benchmark=settings.benchmark,
    )
    by_session = {key[0]: rows for key, rows in frame.partition_by("session", as_dict=True).items()}
    empty = frame.clear()
    for session in sessions:
        rows = by_session.get(session, empty)
        yield SessionFeatures(session, warehouse.write_table(ASSET, session.isoformat(), rows), rows)
