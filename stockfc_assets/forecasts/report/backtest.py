"""What trading on the forecasts would have brought, after costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.words import luck_words, portfolio_names
from stockfc_assets.record_charts import drawdown_chart, wealth_chart
from stockfc_assets.svg import PAGE
from stockfc_assets.trading_rules import ENOUGH_RANKINGS

EMPHASISED = ("long_only", "long_short")
CHART_NAMES = {"long_short": "high less low", "equal_weighted": "all alike"}
"""Where the name of the table is too long to stand beside a line."""
WIDTH = 460
FIGURES = (
    ("annual_return", "return a year, after costs", "percent", ""),
    ("annual_return_gross", "return a year, before costs", "percent", ""),
    ("total_return", "return in all", "percent", ""),
    ("volatility", "volatility a year", "share", "volatility"),
    ("sharpe", "Sharpe ratio", "ratio", "sharpe"),
    ("sortino", "Sortino ratio", "ratio", "sortino"),
    ("calmar", "Calmar ratio", "ratio", "calmar"),
    ("max_drawdown", "deepest fall, any day (drawdown)", "fall", "drawdown"),
    ("var_95", "bad day: 1 in 20 is worse (VaR)", "percent2", "var"),
    ("cvar_95", "mean of those worst days (CVaR)", "percent2", "var"),
    ("turnover_per_year", "turnover a year", "share", "turnover"),
    ("cost_drag_per_year", "lost to costs a year", "share2", "cost-drag"),
    ("mean_positions", "stocks held, mean", "number", ""),
    ("largest_weight", "largest single weight", "share", ""),
    ("unfilled_share", "orders left unfilled", "share", ""),
)
"""Key of a portfolio's figures, what readers call it, how it is written, and its entry in the glossary."""


def backtest_view(data: ReportData) -> dict[str, Any] | None:
    """Charts, tables and rules of the month's backtest; None where none is stored. Without portfolios, only its note."""
    document = data.backtest
    if document is None:
        return None
    if not document["portfolios"]:
        return {"note": document.get("note") or "nothing could be traded yet", "portfolios": []}
    names = portfolio_names(document)
    return {
        "note": document.get("note"),
        "document": document,
        "rules": document["rules"],
        "sell_tax": document["rules"]["sell_tax_bp"].get(data.exchange, 0.0),
        "portfolios": [{"key": key, "name": name, **document["portfolios"][key]} for key, name in names.items()],
        "figures": FIGURES,
        "years": _years(document, names),
        "charts": _charts(document, names),
        "excess": excess_return(document),
        "excess_luck": trading_luck(document),
    }


def excess_return(document: Mapping[str, Any]) -> float | None:
    """Net return a year of the highest group less that of all stocks alike."""
    top, universe = (document["portfolios"][name]["annual_return"] for name in ("long_only", "equal_weighted"))
    return None if top is None or universe is None else top - universe


def trading_luck(document: Mapping[str, Any]) -> str:
    """What the difference between the highest group and all stocks alike may owe to luck."""
    count = len(document["decisions"])
    if count < ENOUGH_RANKINGS:
        return f"{count} monthly rankings are too few to tell it from luck" if count > 1 else "one ranking says nothing"
    return luck_words(document["portfolios"]["long_only"].get("excess_t"))


def _years(document: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per calendar year: the net return of each portfolio, in the order of ``names``; None where it has none."""
    returns = {
        key: {row["year"]: row["return"] for row in document["portfolios"][key].get("years", [])} for key in names
    }
    years = sorted({year for own in returns.values() for year in own})
    return [{"year": year, "returns": [returns[key].get(year) for key in names]} for year in years]


def _charts(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Markup]:
    names = {**names, **{key: name for key, name in CHART_NAMES.items() if key in names}}
    emphasised = tuple(names[key] for key in EMPHASISED if key in names)
    charts = {}
    for key, title, draw in (
        ("wealth", "What 1 became, after costs", wealth_chart),
        ("drawdown", "How far below its highest value so far, by week", drawdown_chart),
    ):
        points = document.get(key)
        if points:
            dates = [dt.date.fromisoformat(session) for session in points["sessions"]]
            series = {name: points[portfolio] for portfolio, name in names.items()}
            charts[key] = Markup(draw(dates, series, emphasised, title=title, palette=PAGE, width=WIDTH))
    return charts
