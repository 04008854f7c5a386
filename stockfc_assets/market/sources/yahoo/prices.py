"""Prices of one ticker: asked for once, read, and turned back into what was traded."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import finding, findings_frame, in_order
from stockfc_assets.market.quality.delivered import refuse_rows
from stockfc_assets.market.quality.events import doubtful_events, drop_duplicate_dividends
from stockfc_assets.market.source import BARS_SCHEMA
from stockfc_assets.market.sources.yahoo.chart import Chart, parse_chart
from stockfc_assets.market.sources.yahoo.client import ticker
from stockfc_assets.market.sources.yahoo.conversion import as_traded
from stockfc_assets.market.sources.yahoo.session import PoliteSession, ServiceError
from stockfc_assets.settings import QualitySettings

NO_DATA = "Data doesn't exist for startDate"
"""How Yahoo says that a stock has no rows in a range."""


@dataclass(frozen=True)
class History:
    """``bars`` (source.BARS_SCHEMA, of one ticker, sorted) and ``findings`` (findings.FINDINGS_SCHEMA) about them."""

    bars: pl.DataFrame
    findings: pl.DataFrame


NOTHING = History(pl.DataFrame(schema=BARS_SCHEMA), findings_frame())


def ask_chart(name: str, session: PoliteSession, time_zone: str, start: dt.date, today: dt.date) -> Chart | None:
    """Daily rows and events of ``name`` from ``start`` to now: one question, through `yfinance.Ticker.history`.

    Always up to now, because prices are divided by every split up to now. None where Yahoo says that there are no rows.
    Raises ServiceError, or what yfinance makes of an answer of another shape.
    """
    session.answer = None
    failure = None
    try:
        asked = ticker(name, session, time_zone)
        asked.history(start=start, end=today + dt.timedelta(days=1), auto_adjust=False, actions=True, keepna=True)
    except ServiceError as error:
        if NO_DATA in error.reason:
            return None
        raise
    except Exception as error:  # yfinance cannot make a frame of it; whether it holds prices is seen below
        failure = error
    try:
        chart = parse_chart(session.answer, time_zone)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise failure or error from None
    if chart.rows.is_empty() and chart.may_have_rows(start, today):
        raise ServiceError("the answer holds no prices")
    return chart


def read_history(
    name: str, chart: Chart, currency: str, calendar: TradingCalendar, quality: QualitySettings, today: dt.date
) -> History:
    """What was traded, and what is doubted. Raises ServiceError for prices in another currency than ``currency``."""
    if chart.currency not in (None, currency):
        raise ServiceError(f"prices are in {chart.currency}; the universe expects {currency}")
    delivered = chart.rows.select(pl.lit(name).alias("ticker"), "*")
    rows, refused = refuse_rows(delivered, calendar)
    if rows.is_empty():
        return History(NOTHING.bars, refused)
    splits = chart.splits.select(pl.lit(name).alias("ticker"), "*")
    dividends, foreign = _in_currency(chart.dividends.select(pl.lit(name).alias("ticker"), "*"), currency)
    dividends, repeated = drop_duplicate_dividends(dividends, quality)
    bars, events = as_traded(rows, splits, dividends, calendar.profile, today)
    bars = bars.with_columns(currency=pl.lit(currency)).select(BARS_SCHEMA.names()).cast(dict(BARS_SCHEMA))
    doubts = doubtful_events(bars, calendar, quality)
    return History(bars, in_order(pl.concat([refused, foreign, repeated, events, doubts])))


def _in_currency(dividends: pl.DataFrame, currency: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The dividends paid in ``currency``, and a finding dividend_basis for each other: its amount is left out."""
    other = pl.col("currency").fill_null(currency) != currency
    findings = [
        finding(
            row["ticker"],
            row["ex_date"],
            "dividend_basis",
            seen=f"{row['amount']:g} {row['currency']}",
            expected=f"an amount in {currency}; left out",
        )
        for row in dividends.filter(other).iter_rows(named=True)
    ]
    return dividends.filter(~other).drop("currency"), findings_frame(findings)
