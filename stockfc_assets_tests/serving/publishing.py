"""A store as it stands after months of publishing: simulated prices, random forecasts, real files around them.

12 stocks; forecasts of the last session of each month since December 2022, and of the five newest sessions.
"""

import datetime as dt
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from stockfc_assets.evaluation.backtest_record import month_backtest, rankings_before
from stockfc_assets.evaluation.outcomes import realised_outcomes
from stockfc_assets.evaluation.record import baselines_before, forecast_scores, published_before
from stockfc_assets.evaluation.scores import track_record
from stockfc_assets.forecasts.predictions import make_predictions
from stockfc_assets.forecasts.publication import predictions_document
from stockfc_assets.forecasts.session_report import session_report
from stockfc_assets.market.as_traded import PRICE_COLUMNS
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources import build_source
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Store, Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets_tests.forecasts.samples import TARGET, sample_card, sample_inputs

FIRST = dt.date(2022, 12, 1)
SPLIT = dt.date(2023, 9, 1)
NEWEST = dt.date(2024, 3, 1)
MONTH = dt.date(2024, 3, 1)
SECRET = b"the secret that nobody may ever read 9f2c"


def publish_everything(store: Store, settings: Settings) -> None:
    """Fills ``store``; the same bytes for the same settings."""
    warehouse = Warehouse(store)
    raw = _prices(settings)
    for (session,), rows in raw.group_by("session", maintain_order=True):
        warehouse.write_table("raw_ohlcv", str(session), rows)
    card = {**sample_card(settings.sectors), "model_id": "2024-03-0123456789ab", "month": "2024-03"}
    model = {"id": card["model_id"], "month": "2024-03", "trained_through": "2024-02-29", "status": "unproven"}
    model["kind"] = "full"
    store.write_bytes(f"onnx_model/{MONTH}/model.json", document_bytes(card))
    gate = {"month": str(MONTH), "model": model, "decision": "installed", "reason": "no other model is there"}
    store.write_bytes(f"champion_model/{MONTH}.json", document_bytes(gate))
    for session in published_sessions(raw):
        publish(warehouse, settings, raw, session, card, model)
    calendar = trading_calendar(settings.universe.exchange)
    published = published_before(warehouse, calendar, MONTH)
    scores = forecast_scores(published, MONTH, baselines_before(warehouse, MONTH))
    store.write_bytes(f"forecast_scores/{MONTH}.json", document_bytes(scores))
    backtest = month_backtest(rankings_before(warehouse, calendar, MONTH), MONTH, settings, source(settings))
    store.write_bytes(f"backtest/{MONTH}.json", document_bytes(backtest))
    page = session_report(warehouse, settings, calendar, NEWEST).page
    store.write_bytes(f"forecast_report/{NEWEST}.html", page)


def plant_secrets(root: Path) -> None:
    """Files beside and among the published ones that no answer may hold."""
    for name in ("secret.txt", "predictions/secret.txt", "dagster/secret.json", "../secret.html", "predictions/a.json"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SECRET)


def published_sessions(raw: pl.DataFrame) -> list[dt.date]:
    days = raw["session"].unique().sort().to_list()
    ends = [day for day, after in pairwise(days) if after.month != day.month]
    return sorted({*ends, *days[-5:]})


def publish(
    warehouse: Warehouse, settings: Settings, raw: pl.DataFrame, session: dt.date, card: dict, model: dict
) -> bytes:
    """Publishes random forecasts of ``session``; returns the document's bytes."""
    closes = dict(raw.filter(pl.col("session") == session).select("ticker", "close").iter_rows())
    stocks = [stock for stock in settings.universe.stocks if stock.ticker in closes]
    random = np.random.default_rng(session.toordinal())
    frame = make_predictions(
        sample_inputs(tuple(stock.ticker for stock in stocks), [settings.sectors[each.sector] for each in stocks]),
        np.cumsum(random.normal(0.002, 0.02, (len(stocks), 12)), axis=1).astype(np.float32),
        session=session,
        closes=closes,
        sectors=settings.sectors,
        card=card,
        volatility=random.uniform(0.1, 0.4, len(stocks)),
        target=TARGET,
    )
    calendar = trading_calendar(settings.universe.exchange)
    month = session.replace(day=1)
    past = published_before(warehouse, calendar, month)
    outcomes = realised_outcomes(past.raw, past.forecasts, month)
    document = predictions_document(
        frame,
        timestamp=dt.datetime.combine(session, dt.time(23)),
        model=model,
        track_record=track_record(past.forecasts, outcomes, known_before=month),
        source=source(settings),
        skipped=[],
        names={stock.ticker: stock.name for stock in settings.universe.stocks},
    )
    data = document_bytes(document)
    warehouse.write_table("daily_predictions", session.isoformat(), frame)
    warehouse.write_file(f"predictions/{session}.json", data)
    warehouse.write_file("predictions/latest.json", data)
    return data


def source(settings: Settings) -> dict:
    made = build_source(settings)
    return {"name": made.name, "label": made.label, "simulated": made.is_simulated}


def _prices(settings: Settings) -> pl.DataFrame:
    """What the simulated market did, but the second stock is halted for a while and the third splits 2:1."""
    bars = build_source(settings).fetch_bars(settings.universe.tickers, FIRST, NEWEST).bars.sort("session", "ticker")
    halted, split = settings.universe.tickers[1:3]
    halt = pl.col("session").is_between(dt.date(2023, 5, 15), dt.date(2023, 8, 10))
    after = (pl.col("ticker") == split) & (pl.col("session") >= SPLIT)
    halves = [pl.when(after).then(pl.col(name) / 2).otherwise(pl.col(name)).alias(name) for name in PRICE_COLUMNS]
    ratio = pl.when(after & (pl.col("session") == SPLIT)).then(2.0).otherwise(pl.col("split_ratio"))
    return bars.filter(~((pl.col("ticker") == halted) & halt)).with_columns(*halves, split_ratio=ratio)
