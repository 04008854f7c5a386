"""The rows of the ranking and the cards of single stocks."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from stockfc_assets.charts import FanPoint, Said, fan_chart, interval_bar, sparkline
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.horizons import RANKED_FIRST, Outlook
from stockfc_assets.forecasts.report.words import FEATURES, GROUPS, feature_value, months
from stockfc_assets.forecasts.said_earlier import EarlierForecast
from stockfc_assets.record_charts import attribution_bars
from stockfc_assets.svg import PAGE

MAX_CHARTS = 300
"""Charts are drawn for the highest and lowest so many stocks; a page of thousands would no longer open."""
WIDTH = 350
"""Of the charts on a card, in pixels."""
LEAST_MOVED = 0.0005
"""A group that moved a forecast by less shows as 0.0 %."""
TOP_GROUPS = 3
"""Of an explanation, so many groups show the input that is furthest from the typical stock's."""


def charted(outlooks: Sequence[Outlook]) -> set[str]:
    """The tickers that have charts: the highest and the lowest of the horizon that ranks first."""
    if not outlooks:
        return set()
    ranked = outlooks[-1].ranked
    half = MAX_CHARTS // 2
    return {*ranked[:half], *ranked[half:][-half:]}


def stock_views(data: ReportData, outlooks: Sequence[Outlook]) -> list[dict[str, Any]]:
    """One per stock, in the order of the ranking; what only charted stocks have is empty for the others."""
    if not outlooks:
        return []
    stocks = {stock["ticker"]: stock for stock in data.document["predictions"]}
    drawn = charted(outlooks)
    past = _closes(data.history.filter(pl.col("ticker").is_in(list(drawn))))
    ranks = {outlook.horizon: {ticker: rank for rank, ticker in enumerate(outlook.ranked, 1)} for outlook in outlooks}
    reaches = [_reach(outlook) for outlook in outlooks]
    explained = {explanation["ticker"]: explanation for explanation in data.explanations}
    views = []
    for ticker in outlooks[-1].ranked:
        stock = stocks[ticker]
        view = {
            "ticker": ticker,
            "name": data.name(ticker),
            "sector": stock["sector"],
            "price": stock["current_price"],
            "ranks": [ranks[outlook.horizon][ticker] for outlook in outlooks],
            "outlooks": [
                _row_outlook(outlook, ticker, reach if ticker in drawn else None)
                for outlook, reach in zip(outlooks, reaches, strict=True)
            ],
            "charted": ticker in drawn,
        }
        if ticker in drawn:
            view |= _card(data, stock, past.get(ticker, []), explained.get(ticker))
        views.append(view)
    return views


def _row_outlook(outlook: Outlook, ticker: str, reach: tuple[float, float] | None) -> dict[str, Any]:
    """``reach``: the scale of the bar; None for no bar."""
    value, interval = outlook.returns[ticker], outlook.intervals.get(ticker)
    lower, upper = interval or (None, None)
    return {
        "horizon": outlook.horizon,
        "return": value,
        "lower": lower,
        "upper": upper,
        "bar": Markup(interval_bar(value, lower, upper, reach) if reach else ""),
    }


def _reach(outlook: Outlook) -> tuple[float, float]:
    """The lowest and highest number that the bars of a horizon must hold."""
    ends = [*outlook.returns.values(), *(end for interval in outlook.intervals.values() for end in interval)]
    return min(ends), max(ends)


# --- cards ------------------------------------------------------------------------------------------------------------


def _card(
    data: ReportData,
    stock: Mapping[str, Any],
    past: list[tuple[dt.date, float]],
    explanation: Mapping[str, Any] | None,
) -> dict[str, Any]:
    fan, said = fan_points(stock), data.said.get(stock["ticker"], ())
    title = f"{data.name(stock['ticker'])} ({stock['ticker']}): price and forecast"
    chart = fan_chart(
        past,
        fan,
        title=title,
        unit=data.currency,
        said=[_drawn(earlier) for earlier in said],
        palette=PAGE,
        width=WIDTH,
        height=210,
    )
    return {
        "months": [{**entry, "date": point.date} for entry, point in zip(stock["predictions"], fan[1:], strict=True)],
        "spark": Markup(sparkline(past, fan)),
        "chart": Markup(chart),
        "said": [_said_row(earlier) for earlier in reversed(said)],
        "why": None if explanation is None else why_view(explanation),
    }


def fan_points(stock: Mapping[str, Any]) -> list[FanPoint]:
    """The as-of session, where the price is known and the interval has no width, and the 12 months after it."""
    as_of, price = dt.date.fromisoformat(stock["as_of_date"]), stock["current_price"]
    known = any(entry["lower"] is not None for entry in stock["predictions"])
    start = FanPoint(as_of, price, price if known else None, price if known else None)
    return [start] + [
        FanPoint(add_months(as_of, entry["month"]), entry["predicted_price"], entry["lower"], entry["upper"])
        for entry in stock["predictions"]
    ]


def _drawn(earlier: EarlierForecast) -> Said:
    """Without its interval: four of them end at nearly the same date, and the table beside says what they held."""
    return Said(earlier.as_of, [(earlier.as_of, earlier.price), *earlier.points])


def _said_row(earlier: EarlierForecast) -> dict[str, Any]:
    return {
        "as_of": earlier.as_of,
        "months": months(earlier.months),
        "end": earlier.end,
        "said": earlier.said,
        "said_return": earlier.said / earlier.price - 1,
        "happened": earlier.happened,
        "happened_return": None if earlier.happened is None else earlier.happened / earlier.price - 1,
        "inside": {None: "–", True: "yes", False: "no"}[earlier.inside],
    }


def why_view(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """The groups that moved the forecast of the horizon that ranks first, and the inputs that stand out."""
    at = RANKED_FIRST - 1
    groups = sorted(explanation["groups"], key=lambda group: -abs(group["contribution"][at]))
    moved = [group for group in groups if abs(group["contribution"][at]) >= LEAST_MOVED]
    bars = attribution_bars(
        [(GROUPS.get(group["group"], group["group"]), group["contribution"][at]) for group in moved],
        title=f"{explanation['ticker']}: what moved the forecast over {RANKED_FIRST} months",
        palette=PAGE,
        width=WIDTH,
    )
    inputs = (_furthest(group["inputs"]) for group in moved[:TOP_GROUPS])
    return {
        "typical": math.expm1(explanation["baseline"][at]),
        "forecast": math.expm1(explanation["forecast"][at]),
        "stocks": explanation["stocks"],
        "bars": Markup(bars),
        "still": [GROUPS.get(group["group"], group["group"]) for group in groups if group not in moved],
        "inputs": [
            {
                "name": FEATURES.get(entry["name"], entry["name"]),
                "value": feature_value(entry["name"], entry["value"]),
                "typical": feature_value(entry["name"], entry["typical"]),
            }
            for entry in inputs
        ],
    }


def _furthest(inputs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The input that differs most from the typical stock's, measured by |a - b| / (|a| + |b|), which has no unit."""

    def distance(entry: Mapping[str, Any]) -> float:
        value, typical = entry["value"], entry["typical"]
        if value == typical:
            return 0.0
        if value is None or typical is None or isinstance(value, str):
            return 1.0
        return abs(value - typical) / (abs(value) + abs(typical))

    return max(inputs, key=distance)


def _closes(history: pl.DataFrame) -> dict[str, list[tuple[dt.date, float]]]:
    groups = history.sort("ticker", "session").group_by("ticker", maintain_order=True).agg("session", "close")
    return {ticker: list(zip(days, closes, strict=True)) for ticker, days, closes in groups.iter_rows()}
