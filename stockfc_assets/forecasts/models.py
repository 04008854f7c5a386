"""Finding the model that serves: champions by month, and the files of a model."""

from __future__ import annotations

import datetime as dt
from typing import Any

from stockfc_assets.errors import DataError
from stockfc_assets.storage import Warehouse


def champion_before(warehouse: Warehouse, month: dt.date) -> dict[str, Any] | None:
    """The newest champion record of a month earlier than ``month``; None when there is none."""
    return _newest_champion(warehouse, [key for key in _champion_keys(warehouse) if dt.date.fromisoformat(key) < month])


def champion_for(warehouse: Warehouse, session: dt.date) -> dict[str, Any]:
    """The newest champion record not later than the month of ``session``, as it stood on that session.

    Raises DataError when no model may serve that session, with the remedy.
    """
    month = session.replace(day=1)
    record = _newest_champion(
        warehouse, [key for key in _champion_keys(warehouse) if dt.date.fromisoformat(key) <= month]
    )
    record = serving_on(record, session) if record else None
    if record is None or record["model"] is None:
        raise DataError(
            f"session {session}: no champion model of {month:%Y-%m} or earlier; run `stockfc monthly --month {month:%Y-%m}`"
        )
    return record


def serving_on(record: dict[str, Any], session: dt.date) -> dict[str, Any]:
    """A champion record with the ``model`` and ``reason`` that stood on ``session``.

    A roll-back counts from its own date on: sessions of its month that were forecast before it keep their model.
    """
    rollbacks = record.get("rollbacks", [])
    standing = [entry for entry in rollbacks if dt.date.fromisoformat(entry["from"]) <= session]
    if len(standing) == len(rollbacks):
        return record
    return {**record, **(standing[-1] if standing else record["gate"])}


def champion_of(warehouse: Warehouse, month: dt.date) -> dict[str, Any] | None:
    """The champion record of exactly ``month`` (its first day); None when there is none."""
    key = month.isoformat()
    return _newest_champion(warehouse, [key] if key in _champion_keys(warehouse) else [])


def model_files(warehouse: Warehouse, month: dt.date) -> tuple[bytes, dict[str, Any]]:
    """The ONNX file and the card of a month's model. Raises DataError naming a missing file."""
    data = warehouse.read_file(f"onnx_model/{month}/model.onnx", remedy=_remedy(month))
    return data, model_card(warehouse, month)


def model_card(warehouse: Warehouse, month: dt.date) -> dict[str, Any]:
    """The card of a month's exported model. Raises DataError when it is missing."""
    return warehouse.read_json(f"onnx_model/{month}/model.json", remedy=_remedy(month))


def _remedy(month: dt.date) -> str:
    return f"run `stockfc monthly --month {month:%Y-%m}`"


def _champion_keys(warehouse: Warehouse) -> list[str]:
    return warehouse.partitions("champion_model", suffix=".json")


def _newest_champion(warehouse: Warehouse, keys: list[str]) -> dict[str, Any] | None:
    if not keys:
        return None
    return warehouse.read_json(f"champion_model/{max(keys)}.json", remedy="materialise champion_model again")
