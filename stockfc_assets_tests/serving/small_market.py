"""A small market in a folder, ready to be forecast: made without Dagster, served by a small model."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import fields
from pathlib import Path

import polars as pl

from stockfc_assets.evaluation.daily_run import DailyRun
from stockfc_assets.features.weekly import LOOKBACK_SESSIONS, weekly_features
from stockfc_assets.features.weeks import sequence_session_dates
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.collect import PriceCollector
from stockfc_assets.market.configured import fetched_tickers, open_settings, source_identity
from stockfc_assets.market.enrichment import enrich
from stockfc_assets.market.membership import universe_table
from stockfc_assets.market.quality.session import SessionQuality, write_quality
from stockfc_assets.market.sources import build_source
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets_tests.conftest import tiny_config
from stockfc_assets_tests.forecasts.onnx_models import LinearModel, card_of
from stockfc_assets_tests.forecasts.samples import sample_card

CALENDAR = trading_calendar("XTKS")
SESSION = dt.date(2024, 3, 1)
BEFORE = CALENDAR.before(SESSION, 1)
MONTH = dt.date(2024, 1, 1)
"""Of the model, and of the facts."""
MODEL = "2024-01-0123456789ab"
PUBLISHED = CALENDAR.between(dt.date(2024, 1, 24), dt.date(2024, 1, 30))
"""Forecasts whose first horizon had matured by March: the track record is not empty."""
STORED_FROM = CALENDAR.before(SESSION, LOOKBACK_SESSIONS + 30)
"""Older prices are in old features only."""
FIRST = CALENDAR.before(SESSION, 790 + LOOKBACK_SESSIONS)


def store_market(folder: Path, *, tickers: int = 6, model: bytes | None = None, **environment: object) -> Settings:
    """Prices and features up to `BEFORE`, prices of `SESSION`, a champion and `PUBLISHED` forecasts under folder/data.

    ``model``: an ONNX file; without one a small model serves. ``environment`` goes into the environment file.
    """
    config = tiny_config(folder, tickers=tickers, history_start=FIRST.isoformat(), **environment)
    settings = open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(folder / "data")})
    warehouse = Warehouse(LocalStore(settings.data_root))
    source = build_source(settings)
    warehouse.require_source(source_identity(settings))
    names = fetched_tickers(settings, FIRST)
    collector = PriceCollector(warehouse, source, CALENDAR, say=print, warn=print)
    for _ in collector.collect(CALENDAR.between(STORED_FROM, SESSION), names):
        pass
    raw = source.fetch_bars(names, FIRST, SESSION).bars
    warehouse.write_table("universe", "universe", universe_table(settings.universe, settings.sectors, "JPY"))
    _store_features(warehouse, settings, raw)
    judged = [*PUBLISHED, BEFORE]
    for day, rows, findings in SessionQuality(warehouse, CALENDAR, settings.quality).examine(judged):
        write_quality(warehouse, day.isoformat(), findings, checked=rows)
    members = settings.universe.members(MONTH)
    facts = source.fetch_facts(members, MONTH)
    known = enrich(facts.facts, raw, facts.as_of, members)
    warehouse.write_table("universe_enrichment", MONTH.isoformat(), known)
    _store_model(warehouse, settings, model or _small_model())
    run = DailyRun(warehouse, settings, CALENDAR)
    for session in PUBLISHED:
        run.publish(session)
    return settings


def _store_features(warehouse: Warehouse, settings: Settings, raw: pl.DataFrame) -> None:
    """Up to `BEFORE`, of the sessions that a forecast looks at: the ends of old weeks, and every session of late."""
    targets = CALENDAR.between(FIRST, BEFORE)[LOOKBACK_SESSIONS:]
    rows = weekly_features(raw, targets, CALENDAR.sessions, settings.universe, benchmark=settings.benchmark)
    wanted = {*CALENDAR.between(MONTH, BEFORE)}
    for session in (*PUBLISHED, BEFORE, SESSION):
        wanted |= set(sequence_session_dates(session, CALENDAR.sessions))
    for (session,), group in rows.partition_by("session", as_dict=True).items():
        if session in wanted:
            warehouse.write_table("weekly_features", session.isoformat(), group)


def _small_model() -> bytes:
    """Its forecasts are as small as a network's."""
    weights = LinearModel.from_seed()
    return LinearModel(**{field.name: getattr(weights, field.name) / 50 for field in fields(weights)}).onnx_bytes()


def _store_model(warehouse: Warehouse, settings: Settings, data: bytes) -> None:
    """A model with its card and its place as champion."""
    card = card_of(data, sample_card(settings.sectors)) | {"model_id": MODEL, "month": f"{MONTH:%Y-%m}"}
    model = {
        "id": MODEL,
        "month": f"{MONTH:%Y-%m}",
        "trained_through": "2023-12-29",
        "status": "unproven",
        "kind": "full",
    }
    warehouse.write_file(f"onnx_model/{MONTH}/model.onnx", data)
    warehouse.write_file(f"onnx_model/{MONTH}/model.json", document_bytes(card))
    champion = {"month": MONTH.isoformat(), "model": model, "reason": "It is the first model."}
    warehouse.write_file(f"champion_model/{MONTH}.json", document_bytes(champion))


def files(root: Path) -> dict[str, str]:
    """Key -> SHA-256 of every stored file, without those of Dagster."""
    paths = (path for path in root.rglob("*") if path.is_file())
    keys = {path.relative_to(root).as_posix(): path for path in paths}
    return {
        key: hashlib.sha256(path.read_bytes()).hexdigest()
        for key, path in keys.items()
        if not key.startswith((".staging/", "dagster/"))
    }
