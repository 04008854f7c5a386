"""One session's forecast from stored inputs to published files: what the daily asset, the CLI and a function all run.

Reads a warehouse (weekly_features, raw_ohlcv, universe_enrichment, champion_model, onnx_model) and writes
``daily_predictions/{session}.parquet``, ``predictions/{session}.json`` and ``predictions/latest.json``. Needs neither
Dagster nor torch.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from stockfc_assets.errors import DataError
from stockfc_assets.features.names import SESSIONS_PER_WEEK
from stockfc_assets.features.panel import ModelInputs, model_inputs
from stockfc_assets.features.weeks import sequence_session_dates
from stockfc_assets.forecasts.drift_record import session_drift
from stockfc_assets.forecasts.explanation import Explainer
from stockfc_assets.forecasts.inference import OnnxForecaster
from stockfc_assets.forecasts.intervals import IntervalTarget, interval_entry
from stockfc_assets.forecasts.models import champion_for, model_files
from stockfc_assets.forecasts.predictions import make_predictions, trailing_volatility
from stockfc_assets.forecasts.publication import (
    LATEST,
    document_problems,
    latest_may_move,
    predictions_document,
)
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import findings_from_json
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.quality.session import QUALITY
from stockfc_assets.market.quality.summary import blocked
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import UniverseEnrichment

PUBLICATION_TIME = dt.time(23, 0)
LONGEST_HALT = 4 * SESSIONS_PER_WEEK
"""A row as many sessions older than the first week of a sequence may still stand in for it."""


@dataclass(frozen=True)
class DailyForecast:
    """What was published for a session: the table, the JSON document, its data version, whether latest.json moved."""

    table: pl.DataFrame
    document: dict[str, Any]
    data_version: str
    is_latest: bool


def session_and_month(document: dict[str, Any]) -> tuple[dt.date, dt.date]:
    """Of a published document: its session, and the month (first day) of the model that made it."""
    return dt.date.fromisoformat(document["session"]), dt.date.fromisoformat(f"{document['model']['month']}-01")


class DailyForecaster:
    """Forecasts sessions one after the other; models and month facts are read once and kept.

    ``source`` is how the prices' source is named in every file: name, label, simulated.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, calendar: TradingCalendar, *, source: dict[str, Any]
    ) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self.calendar = calendar
        self.source = source
        self._model = lru_cache(maxsize=2)(self._read_model)
        self._facts = lru_cache(maxsize=2)(self._read_facts)

    def forecast(self, session: dt.date, *, track_record: dict[str, Any], target: IntervalTarget) -> DailyForecast:
        """Forecasts and publishes ``session``, with intervals drawn for ``target``.

        Raises DataError when inputs or a champion are missing, ModelError when the model's files do not fit, DataError
        listing the problems when the forecast is not fit to publish; nothing is written then.
        """
        champion = champion_for(self.warehouse, session)
        forecaster, card = self._model(dt.date.fromisoformat(f"{champion['model']['month']}-01"))
        closes = self._closes(session)
        inputs, skipped = self._inputs(session)
        table = make_predictions(
            inputs,
            forecaster.predict(inputs),
            session=session,
            closes=closes,
            sectors=self.settings.sectors,
            card=card,
            volatility=trailing_volatility(inputs),
            target=target,
        )
        document = predictions_document(
            table,
            timestamp=dt.datetime.combine(session, PUBLICATION_TIME),
            model=champion["model"],
            track_record=track_record,
            source=self.source,
            skipped=[{"ticker": ticker, "reason": reason} for ticker, reason in sorted(skipped.items())],
            names={stock.ticker: stock.name for stock in self.settings.universe.stocks},
            interval=interval_entry(card["interval"], target),
        )
        problems = document_problems(document, self.settings.universe.members(session))
        if problems:
            raise DataError(f"session {session}: not fit to publish:\n" + "\n".join(problems))
        return self._publish(session, table, document)

    def explainer(self, session: dt.date, month: dt.date) -> Explainer:
        """Explains the forecasts of ``session`` by the model of ``month``. Raises DataError when inputs are missing."""
        forecaster, _ = self._model(month)
        return Explainer(forecaster, self._inputs(session)[0])

    def drift(self, session: dt.date, month: dt.date) -> dict[str, Any] | None:
        """How the inputs of ``session`` lie in the training of the model of ``month`` (`session_drift`), None where that
        model's card does not say. Raises DataError when inputs or the card are missing."""
        _, card = model_files(self.warehouse, month)
        return session_drift(self._inputs(session)[0], card, session)

    def _publish(self, session: dt.date, table: pl.DataFrame, document: dict[str, Any]) -> DailyForecast:
        data = document_bytes(document)
        self.warehouse.write_table("daily_predictions", session.isoformat(), table)
        version = self.warehouse.write_file(f"predictions/{session}.json", data)
        return DailyForecast(table, document, version, self._move_latest(session, data))

    def _move_latest(self, session: dt.date, data: bytes) -> bool:
        """Whether latest.json is this session's now. Of two runs at once, the later session's stays, whoever is last."""
        store = self.warehouse.store
        while True:
            version = store.version(LATEST)
            try:
                current = None if version is None else store.read_bytes(LATEST)
            except FileNotFoundError:
                continue
            if not latest_may_move(current, session):
                return False
            if store.replace_if(LATEST, data, version):
                return True

    def _refused(self, session: dt.date) -> dict[str, str]:
        """Ticker -> reason, where the session's quality record holds an error; none where there is no record."""
        key = f"{QUALITY}/{session}.json"
        if not self.warehouse.store.exists(key):
            return {}
        record = self.warehouse.read_json(key, remedy=f"materialise price_quality for {session} again")
        return blocked(findings_from_json(record["findings"]), session)

    def _inputs(self, session: dt.date) -> tuple[ModelInputs, dict[str, str]]:
        """Inputs of the members that can be forecast; ticker -> reason of the others."""
        facts = self._facts(session.replace(day=1))
        rows = self._sequence_rows(session)
        refused = self._refused(session)
        inputs, skipped = model_inputs(
            rows.filter(~pl.col("ticker").is_in(list(refused))),
            self._raw_since(facts, session),
            facts,
            self.settings.universe,
            self.settings.sectors,
            self.calendar.sessions,
            session,
            benchmark=self.settings.benchmark,
        )
        reasons = {**skipped, **self._not_fetched(session), **refused}
        members = self.settings.universe.members(session)
        return inputs, {ticker: reasons[ticker] for ticker in skipped if ticker in members}

    def _not_fetched(self, session: dt.date) -> dict[str, str]:
        """Ticker -> why the price source has no answer for it on ``session``."""
        key = session.isoformat()
        record = FetchRecord.from_json(self.warehouse.read_records("raw_ohlcv", [key]).get(key, {}))
        return {ticker: f"not fetched: {why}" for ticker, why in record.failed.items()}

    def _sequence_rows(self, session: dt.date) -> pl.DataFrame:
        """The weekly_features that the input sequences may hold: those of the last session of each week, and, for
        tickers that did not trade on some of them, the others of just those weeks (a fifth of all rows, or little more)."""
        dates = sequence_session_dates(session, self.calendar.sessions)
        rows = self.warehouse.read_tables("weekly_features", [day.isoformat() for day in dates])
        if rows is None or session not in rows["session"]:
            raise DataError(
                f"session {session}: no weekly_features; run `stockfc backfill --from {dates[0]} --to {session}`"
            )
        traded = rows.filter(pl.col("session") == session).select("ticker")
        grid = traded.join(pl.DataFrame({"session": dates}), how="cross")
        missing = grid.join(rows.select("ticker", "session"), on=["ticker", "session"], how="anti")
        before = dict(zip(dates, [self.calendar.before(dates[0], LONGEST_HALT), *dates], strict=False))
        others = {day for date in missing["session"].unique() for day in self.calendar.between(before[date], date)}
        keys = [day.isoformat() for day in sorted(others - set(dates))]
        between = self.warehouse.read_tables("weekly_features", keys, tickers=missing["ticker"].unique())
        return rows if between is None else pl.concat([rows, between])

    def _raw_since(self, facts: pl.DataFrame, session: dt.date) -> pl.DataFrame:
        """Prices since the facts' date: splits after it move the facts to the session's share basis.

        Facts that a live service could only be asked for later in the month are not known on an earlier session.
        """
        start = session if facts.is_empty() else min(session, facts["as_of"].min())
        keys = [day.isoformat() for day in self.calendar.between(start, session)]
        raw = self.warehouse.read_tables("raw_ohlcv", keys)
        if raw is None:
            raise DataError(f"session {session}: no raw_ohlcv; run `stockfc backfill --from {start} --to {session}`")
        return raw

    def _closes(self, session: dt.date) -> dict[str, float]:
        raw = self.warehouse.read_table("raw_ohlcv", session.isoformat())
        return dict(zip(raw["ticker"], raw["close"], strict=True))

    def _read_model(self, month: dt.date) -> tuple[OnnxForecaster, dict[str, Any]]:
        data, card = model_files(self.warehouse, month)
        return OnnxForecaster(data, card, sectors=self.settings.sectors), card

    def _read_facts(self, month: dt.date) -> pl.DataFrame:
        """The newest stored facts not later than ``month``; an empty table when there are none."""
        keys = [key for key in self.warehouse.partitions("universe_enrichment") if dt.date.fromisoformat(key) <= month]
        if not keys:
            return UniverseEnrichment.create_empty()
        return self.warehouse.read_table("universe_enrichment", max(keys))
