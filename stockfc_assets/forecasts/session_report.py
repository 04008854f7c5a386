"""The report of one session, from what is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stockfc_assets.errors import DataError, InputError
from stockfc_assets.forecasts.daily import DailyForecaster
from stockfc_assets.forecasts.drift_record import session_drift
from stockfc_assets.forecasts.explanation import Explainer, explanation_document
from stockfc_assets.forecasts.report import ReportData, headlines, outlooks, render_report
from stockfc_assets.forecasts.said_earlier import EarlierForecast, earlier_sessions, said_earlier
from stockfc_assets.forecasts.session_record import session_record
from stockfc_assets.market.as_traded import adjusted_bars
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse

HISTORY_SESSIONS = 490
"""Two years of closes stand to the left of each fan."""
EXPLAINED = 3
"""So many of the highest and of the lowest 12-month forecasts are explained."""


@dataclass(frozen=True)
class SessionReport:
    page: bytes
    """UTF-8 HTML."""
    headlines: tuple[str, ...]
    """The answers of the page's opening, one line each."""


def session_report(
    warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, session: dt.date
) -> SessionReport:
    """The page of a published session.

    Raises DataError when the session has no forecast, its model no card, or no price is stored; whatever else is missing
    is said on the page.
    """
    data = report_data(warehouse, settings, calendar, session)
    return SessionReport(render_report(data).encode(), tuple(headlines(data, outlooks(data))))


def report_data(warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, session: dt.date) -> ReportData:
    """What `session_report` shows; raises as it does."""
    record = session_record(warehouse, session)
    document = record.document
    sessions = calendar.between(calendar.before(session, HISTORY_SESSIONS), session)
    tickers = [stock["ticker"] for stock in document["predictions"]]
    raw = warehouse.read_tables("raw_ohlcv", [day.isoformat() for day in sessions], tickers=tickers)
    if raw is None:
        raise DataError(f"session {session}: no raw_ohlcv; run `stockfc backfill --from {sessions[0]} --to {session}`")
    return ReportData(
        document=document,
        history=adjusted_bars(raw, session).select("ticker", "session", "close"),
        card=record.card,
        names={stock.ticker: stock.name for stock in settings.universe.stocks},
        currency=calendar.profile.currency,
        exchange=settings.universe.exchange,
        said=_said(warehouse, raw, sessions, session),
        scores=record.scores,
        backtest=record.backtest,
        gate=record.gate,
        **_inside(warehouse, settings, calendar, document, record.card),
    )


def _said(
    warehouse: Warehouse, raw: pl.DataFrame, sessions: Sequence[dt.date], session: dt.date
) -> dict[str, tuple[EarlierForecast, ...]]:
    published = [dt.date.fromisoformat(key) for key in warehouse.partitions("daily_predictions")]
    chosen = earlier_sessions(published, sessions, session)
    forecasts = warehouse.read_tables("daily_predictions", [day.isoformat() for day in chosen.values()])
    return {} if forecasts is None else said_earlier(forecasts, raw, session, chosen)


def _inside(
    warehouse: Warehouse,
    settings: Settings,
    calendar: TradingCalendar,
    document: Mapping[str, Any],
    card: Mapping[str, Any],
) -> dict[str, Any]:
    """Explanations and drift, which need the inputs of the session; why there are none, where they are gone or changed."""
    session = dt.date.fromisoformat(document["session"])
    month = dt.date.fromisoformat(f"{document['model']['month']}-01")
    forecaster = DailyForecaster(warehouse, settings, calendar, source=document["source"])
    try:
        explainer = forecaster.explainer(session, month)
    except (DataError, InputError) as error:
        why = _without_root(warehouse, error)
        return {"unexplained": why, "undrifted": why}
    drift = session_drift(explainer.inputs, card, session)
    found: dict[str, Any] = {"drift": drift}
    if drift is None:
        found["undrifted"] = "this model’s training did not record its inputs; the next full training does."
    try:
        found["explanations"] = _explanations(explainer, document, settings)
    except DataError as error:
        found["unexplained"] = _without_root(warehouse, error)
    return found


def _without_root(warehouse: Warehouse, error: Exception) -> str:
    """The message without the data root: a page says the same wherever it is written."""
    return str(error).replace(warehouse.store.location("x").removesuffix("x"), "")


def _explanations(explainer: Explainer, document: Mapping[str, Any], settings: Settings) -> list[dict[str, Any]]:
    ranked = sorted(document["predictions"], key=lambda stock: (-stock["predicted_12m_return"], stock["ticker"]))
    chosen = dict.fromkeys(stock["ticker"] for stock in [*ranked[:EXPLAINED], *ranked[-EXPLAINED:]])
    return [explanation_document(explainer.explain(ticker), document, settings.sectors) for ticker in chosen]
