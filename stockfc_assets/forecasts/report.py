"""The report of a session: one HTML page that needs no network, with everything a reader must know to judge it."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stockfc_assets.charts import FanPoint, fan_chart, interval_bar, loss_curve, sparkline
from stockfc_assets.features.weeks import add_months
from stockfc_assets.svg import PAGE, number, percent

SHOWN_HORIZONS = (1, 3, 6, 12)
MAX_CHARTS = 300
"""Fan charts are drawn for the highest and lowest so many stocks; a page of thousands would no longer open."""

History = dict[str, list[tuple[dt.date, float]]]


def render_report(
    document: Mapping[str, Any],
    history: pl.DataFrame,
    card: Mapping[str, Any],
    names: Mapping[str, str],
    *,
    currency: str = "",
) -> str:
    """The report as one self-contained HTML page: no network, readable without JavaScript, light and dark.

    ``document`` is the content of the predictions file (publication.py), ``history`` has columns ticker, session and
    close (split-adjusted to the session; about two years up to it), ``card`` is the model card, ``names`` are company
    names by ticker, ``currency`` is written on the price axes. The same arguments give the same page.
    """
    past = _closes(history)
    ranked = sorted(document["predictions"], key=lambda stock: (-stock["predicted_12m_return"], stock["ticker"]))
    ends = [end for stock in ranked for end in _interval(stock) if end is not None]
    returns = [stock["predicted_12m_return"] for stock in ranked]
    reach = (min(ends + returns, default=0.0), max(ends + returns, default=0.0))
    charted = {
        stock["ticker"] for stock in [*ranked[: MAX_CHARTS // 2], *ranked[MAX_CHARTS // 2 :][-MAX_CHARTS // 2 :]]
    }
    stocks = [
        _stock_view(rank, stock, past.get(stock["ticker"], []), names, reach, currency, stock["ticker"] in charted)
        for rank, stock in enumerate(ranked, start=1)
    ]
    template = _environment().get_template("report.html.j2")
    return template.render(
        css=_asset("report.css"),
        js=_asset("report.js"),
        session=dt.date.fromisoformat(document["session"]),
        source=document["source"],
        model=document["model"],
        level=document.get("interval_level"),
        currency=currency,
        horizons=SHOWN_HORIZONS,
        stocks=stocks,
        sectors=sorted({stock["sector"] for stock in stocks}),
        skipped=[{**entry, "name": names.get(entry["ticker"], entry["ticker"])} for entry in document["skipped"]],
        summary=_summary(ranked, names, document.get("interval_level")),
        record=_record_view(document["track_record"]),
        card=card,
        validation=_validation_view(card),
        losses=Markup(loss_curve(card["history"], palette=PAGE, width=420, height=230)),
    )


# --- what the template shows ------------------------------------------------------------------------------------------


def _stock_view(
    rank: int,
    stock: Mapping[str, Any],
    past: list[tuple[dt.date, float]],
    names: Mapping[str, str],
    reach: tuple[float, float],
    currency: str,
    charted: bool,
) -> dict[str, Any]:
    fan = _fan_points(stock)
    name = names.get(stock["ticker"], stock["ticker"])
    lower, upper = _interval(stock)
    title = f"{name} ({stock['ticker']}): price and forecast"
    chart = fan_chart(past, fan, title=title, unit=currency, palette=PAGE, width=400, height=230) if charted else ""
    months = {entry["month"]: entry for entry in stock["predictions"]}
    return {
        "rank": rank,
        "ticker": stock["ticker"],
        "name": name,
        "sector": stock["sector"],
        "price": stock["current_price"],
        "returns": [(horizon, months[horizon]["return"]) for horizon in SHOWN_HORIZONS],
        "predicted": stock["predicted_12m_price"],
        "lower": lower,
        "upper": upper,
        "months": [{**entry, "date": point.date} for entry, point in zip(stock["predictions"], fan[1:], strict=True)],
        "spark": Markup(sparkline(past, fan)),
        "bar": Markup(interval_bar(stock["predicted_12m_return"], lower, upper, reach)),
        "chart": Markup(chart),
    }


def _fan_points(stock: Mapping[str, Any]) -> list[FanPoint]:
    """The as-of session, where the price is known and the interval has no width, and the 12 months after it."""
    as_of, price = dt.date.fromisoformat(stock["as_of_date"]), stock["current_price"]
    known = any(entry["lower"] is not None for entry in stock["predictions"])
    start = FanPoint(as_of, price, price if known else None, price if known else None)
    return [start] + [
        FanPoint(add_months(as_of, entry["month"]), entry["predicted_price"], entry["lower"], entry["upper"])
        for entry in stock["predictions"]
    ]


def _interval(stock: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The 12-month interval as simple returns."""
    last, now = stock["predictions"][-1], stock["current_price"]
    lower, upper = (None if last[end] is None else last[end] / now - 1 for end in ("lower", "upper"))
    return lower, upper


def _summary(ranked: Sequence[Mapping[str, Any]], names: Mapping[str, str], level: float | None) -> list[str]:
    """What the forecasts say, in plain sentences."""
    if not ranked:
        return ["No stock could be forecast on this session; the reasons are below."]
    returns = [stock["predicted_12m_return"] for stock in ranked]
    rises, falls = sum(value > 0 for value in returns), sum(value < 0 for value in returns)
    highest, lowest = ranked[0], ranked[-1]
    sentences = [
        f"Over the next twelve months the model expects {rises} of {len(ranked)} stocks to rise and {falls} to fall.",
        f"The middle forecast is {percent(statistics.median(returns))}; the highest is "
        f"{names.get(highest['ticker'], highest['ticker'])} ({percent(returns[0])}), the lowest "
        f"{names.get(lowest['ticker'], lowest['ticker'])} ({percent(returns[-1])}).",
    ]
    intervals = [(low, high) for low, high in map(_interval, ranked) if low is not None and high is not None]
    if not intervals or level is None:
        return [*sentences, "No interval is shown: this model has not been calibrated."]
    low, high = (statistics.median(ends) for ends in zip(*intervals, strict=True))
    open_ended = sum(low <= 0 <= high for low, high in intervals)
    sentences.append(
        f"The {_share(level)} interval of a typical stock runs from {percent(low, 0)} to {percent(high, 0)}, and for "
        f"{open_ended} of {len(intervals)} stocks it holds both a rise and a fall."
    )
    return sentences


def _record_view(record: Mapping[str, Any]) -> dict[str, Any]:
    """Matured horizons, those without a score yet, and the verdict on all together."""
    scored = [row for row in record["horizons"] if row["n"]]
    return {
        "matured_before": dt.date.fromisoformat(record["matured_before"]),
        "note": record.get("note"),
        "rows": scored,
        "waiting": [row["horizon"] for row in record["horizons"] if not row["n"]],
        "overall": record["overall"],
        "verdict": _verdict(record["overall"].get("skill")),
    }


def _validation_view(card: Mapping[str, Any]) -> dict[str, Any]:
    overall = card["validation"]["overall"]
    return {
        "overall": overall,
        "rows": card["validation"]["horizons"],
        "verdict": _verdict(overall.get("skill")),
    }


def _verdict(skill: float | None) -> str:
    if skill is None:
        return "not known"
    return f"beats no change by {_share(skill, 1)}" if skill > 0 else "does not beat no change"


def _closes(history: pl.DataFrame) -> History:
    groups = history.sort("ticker", "session").group_by("ticker", maintain_order=True).agg("session", "close")
    return {ticker: list(zip(days, closes, strict=True)) for ticker, days, closes in groups.iter_rows()}


# --- the template -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_or_dash(percent),
        price=_or_dash(number),
        share=_or_dash(_share),
        decimal=_or_dash(lambda value, places=3: f"{value:.{places}f}".replace("-", "\N{MINUS SIGN}")),
        day=lambda date: f"{date.day} {date:%B %Y}",
        anchor=lambda ticker: "stock-" + "".join(sign if sign.isalnum() else "-" for sign in ticker),
    )
    return environment


def _share(value: float, places: int = 0) -> str:
    return f"{value:.{places}%}".replace("%", "\N{NO-BREAK SPACE}%")


def _or_dash(show: Any) -> Any:
    """A filter that shows a number that is not known as a dash."""
    return lambda value, *arguments: "–" if value is None else show(value, *arguments)


def _asset(name: str) -> Markup:
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))
