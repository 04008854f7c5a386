"""The report of one session, from what is stored."""

from __future__ import annotations

import datetime as dt

import polars as pl

from stockfc_assets.errors import DataError
from stockfc_assets.forecasts.models import model_files
from stockfc_assets.forecasts.publication import read_document
from stockfc_assets.forecasts.report import render_report
from stockfc_assets.market.as_traded import adjusted_bars
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse

HISTORY_SESSIONS = 490
"""Two years of closes stand to the left of each fan."""


def session_report(warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, session: dt.date) -> bytes:
    """The page as UTF-8 HTML. Raises DataError when the session has no forecast."""
    key = f"predictions/{session}.json"
    data = warehouse.read_file(key, remedy=f"run `stockfc daily --session {session}` first")
    document = read_document(data, location=warehouse.store.location(key))
    _, card = model_files(warehouse, dt.date.fromisoformat(f"{document['model']['month']}-01"))
    sessions = calendar.between(calendar.before(session, HISTORY_SESSIONS), session)
    raw = warehouse.read_tables("raw_ohlcv", [day.isoformat() for day in sessions])
    if raw is None:
        raise DataError(f"session {session}: no raw_ohlcv; run `stockfc backfill --from {sessions[0]} --to {session}`")
    tickers = [stock["ticker"] for stock in document["predictions"]]
    history = adjusted_bars(raw.filter(pl.col("ticker").is_in(tickers)), session).select("ticker", "session", "close")
    names = {stock.ticker: stock.name for stock in settings.universe.stocks}
    return render_report(document, history, card, names, currency=calendar.profile.currency).encode()
