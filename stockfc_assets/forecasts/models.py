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
    """The newest champion record not later than the month of ``session``.

    Raises DataError when no model may serve that session, with the remedy.
    """
    month = session.replace(day=1)
    record = _newest_champion(
        warehouse, [key for key in _champion_keys(warehouse) if dt.date.fromisoformat(key) <= month]
    )
    if record is None or record["model"] is None:
        raise DataError(
            f"session {session}: no champion model of {month:%Y-%m} or earlier; run `stockfc monthly --month {month:%Y-%m}`"
        )
    return record


def model_files(warehouse: Warehouse, month: dt.date) -> tuple[bytes, dict[str, Any]]:
    """The ONNX file and the card of a month's model. Raises DataError naming a missing file."""
    folder = f"onnx_model/{month.isoformat()}"
    remedy = f"run `stockfc monthly --month {month:%Y-%m}`"
    return (
        warehouse.read_file(f"{folder}/model.onnx", remedy=remedy),
        warehouse.read_json(f"{folder}/model.json", remedy=remedy),
    )


def _champion_keys(warehouse: Warehouse) -> list[str]:
    return warehouse.partitions("champion_model", suffix=".json")


def _newest_champion(warehouse: Warehouse, keys: list[str]) -> dict[str, Any] | None:
    if not keys:
        return None
    return warehouse.read_json(f"champion_model/{max(keys)}.json", remedy="materialise champion_model again")
