"""The page put together: views of each section in one template, everything inside the file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stockfc_assets.forecasts.report.answers import answers
from stockfc_assets.forecasts.report.backtest import backtest_view
from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.drift import drift_view
from stockfc_assets.forecasts.report.horizons import RANKED_FIRST, SHOWN_HORIZONS, outlooks
from stockfc_assets.forecasts.report.model import model_view
from stockfc_assets.forecasts.report.record import record_view, validation_view
from stockfc_assets.forecasts.report.stocks import stock_views
from stockfc_assets.forecasts.report.words import FILTERS

HERE = Path(__file__).parent


def render_report(data: ReportData) -> str:
    """The report as one self-contained HTML page: no network, readable without JavaScript, light and dark.

    Every number comes from the documents in ``data``; nothing is scored here. The same data give the same page.
    """
    document = data.document
    ranked = outlooks(data)
    stocks = stock_views(data, ranked)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            css=_asset("page.css"),
            js=_asset("page.js"),
            session=data.session,
            month=f"{data.session:%Y-%m}",
            source=document["source"],
            level=document.get("interval_level"),
            currency=data.currency,
            horizons=SHOWN_HORIZONS,
            ranked_first=RANKED_FIRST,
            answers=answers(data, ranked),
            outlooks=ranked,
            data=data,
            stocks=stocks,
            sectors=sorted({stock["sector"] for stock in stocks}),
            skipped=[{**entry, "name": data.name(entry["ticker"])} for entry in document["skipped"]],
            unexplained=data.unexplained,
            record=record_view(data),
            has_scores=data.scores is not None,
            validation=validation_view(data.card),
            backtest=backtest_view(data),
            model=model_view(data),
            drift=drift_view(data),
            undrifted=data.undrifted,
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _asset(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))
