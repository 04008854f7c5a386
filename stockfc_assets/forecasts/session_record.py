"""What stands beside a session's forecast: the documents of its month, as every view of the forecast reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stockfc_assets.forecasts.models import champion_of, model_card, serving_on
from stockfc_assets.forecasts.publication import read_document
from stockfc_assets.storage import Warehouse


@dataclass(frozen=True)
class SessionRecord:
    """A published forecast and the documents of its month; None where that month's is not stored yet."""

    document: dict[str, Any]
    """predictions/{session}.json."""
    scores: dict[str, Any] | None
    """forecast_scores/{month}.json: how the forecasts turned out that had matured when the month began."""
    backtest: dict[str, Any] | None
    """backtest/{month}.json: what trading on the forecasts published before the month would have brought."""
    gate: dict[str, Any] | None
    """champion_model/{month}.json, with the ``model`` and ``reason`` that stood on the session."""
    card: dict[str, Any]
    """The card of the model that made the forecast, which may be that of an earlier month."""

    @property
    def superseded_by(self) -> str | None:
        return superseded_by(self.document, self.gate)


def session_record(warehouse: Warehouse, session: dt.date) -> SessionRecord:
    """What is stored beside the published forecast of ``session``.

    Raises DataError with the remedy when the session has no forecast, its model no card, or a document is damaged.
    """
    key = f"predictions/{session}.json"
    data = warehouse.read_file(key, remedy=f"run `stockfc daily --session {session}` first")
    document = read_document(data, location=warehouse.store.location(key))
    month = session.replace(day=1)
    judged = champion_of(warehouse, month)
    return SessionRecord(
        document=document,
        scores=_stored(warehouse, "forecast_scores", month),
        backtest=_stored(warehouse, "backtest", month),
        gate=serving_on(judged, session) if judged else None,
        card=model_card(warehouse, dt.date.fromisoformat(f"{document['model']['month']}-01")),
    )


def superseded_by(document: Mapping[str, Any], gate: Mapping[str, Any] | None) -> str | None:
    """The model that serves by now on the session of ``document``, where it is not the one that made it; else None.

    A month that is made again gives a new model, and leaves what the old one published as it was. ``gate``: as in
    `SessionRecord`.
    """
    serving = (gate or {}).get("model")
    return serving["id"] if serving and serving["id"] != document["model"]["id"] else None


def superseded_forecast(warehouse: Warehouse) -> str | None:
    """What to do where the newest forecast is superseded; None where it is not, or there is none."""
    published = [key for key in warehouse.partitions("predictions", ".json") if key != "latest"]
    if not published:
        return None
    session = dt.date.fromisoformat(published[-1])
    record = session_record(warehouse, session)
    if record.superseded_by is None:
        return None
    return (
        f"the forecast of {session} was published by {record.document['model']['id']}, and by now {record.superseded_by} "
        f"serves; run `stockfc daily --session {session}`"
    )


def _stored(warehouse: Warehouse, asset: str, month: dt.date) -> dict[str, Any] | None:
    key = f"{asset}/{month}.json"
    if not warehouse.store.exists(key):
        return None
    return warehouse.read_json(key, remedy=f"materialise {asset} of {month:%Y-%m} again")
