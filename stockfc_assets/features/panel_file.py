"""The training panel as one Arrow IPC file: uncompressed, so that reading is a memory map and no copy.

One record batch with one row: each array of the panel is a list of its elements in C order, its shape beside it in the
schema's metadata. Booleans are stored as bytes and dates as int64 days since 1970-01-01, because Arrow's own forms of
them (bits, int32) are not NumPy's. The bytes follow from the panel alone.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stockfc_assets.errors import DataError
from stockfc_assets.features.names import HORIZONS, POSITION_FEATURES, SEQUENCE_WEEKS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel
from stockfc_assets.storage import Warehouse

_ARRAYS = {
    "sessions": "datetime64[D]",
    "features": "float32",
    "static": "float32",
    "position": "float32",
    "labels": "float32",
    "label_end": "datetime64[D]",
    "sector_id": "int64",
    "traded": "bool",
    "member": "bool",
    "sequence_sessions": "int32",
    "last_row": "int32",
    "weeks_of_history": "int16",
    "eligible": "bool",
}
_STORED_AS = {"datetime64[D]": "int64", "bool": "uint8"}
_KEY = b"stockfc.training_panel"
_INPUTS = {
    "weekly_features": list(WEEKLY_FEATURES),
    "static_features": list(STATIC_FEATURES),
    "position_features": list(POSITION_FEATURES),
    "sequence_weeks": SEQUENCE_WEEKS,
    "horizons": list(HORIZONS),
}


def panel_bytes(panel: Panel) -> bytes:
    """The panel as an Arrow IPC file; the same panel gives the same bytes."""
    columns: dict[str, pa.Array] = {"tickers": pa.array([panel.tickers], pa.large_list(pa.string()))}
    shapes = {}
    for name, dtype in _ARRAYS.items():
        array = getattr(panel, name)
        shapes[name] = array.shape
        flat = np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(_STORED_AS.get(dtype, dtype))
        offsets = pa.array([0, flat.size], pa.int64())
        columns[name] = pa.LargeListArray.from_arrays(offsets, pa.array(flat))
    description = {"format": 1, "month": panel.month.isoformat(), **_INPUTS, "shapes": shapes}
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    schema = batch.schema.with_metadata({_KEY: json.dumps(description).encode()})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    return sink.getvalue()


def stored_panel(warehouse: Warehouse, month: str) -> Panel:
    """The training_panel of a month (its first day). Raises DataError naming its location when it is missing or wrong."""
    key = f"training_panel/{month}.arrow"
    place = warehouse.store.location(key)
    try:
        # The map holds the file after the context has ended, also where that removes it.
        with warehouse.store.near(key) as path:
            return read_panel(path, place=place)
    except FileNotFoundError:
        raise DataError(f"{place}: missing; run `stockfc monthly --month {month[:7]}`") from None


def read_panel(path: Path, *, place: str | None = None) -> Panel:
    """The panel stored at ``path``; its arrays are read-only views of the memory-mapped file. ``place``: its name in errors.

    Raises DataError when the file is no panel or was built for other features, naming file, key, value and remedy.
    """
    place = place or str(path)
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        description = json.loads((reader.schema.metadata or {})[_KEY])
        batch = reader.get_batch(0)
    except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DataError(
            f"{place}: not a training panel ({error}); materialise training_panel for its month again"
        ) from None
    _check_inputs(place, description)
    arrays: dict[str, Any] = {}
    for name, dtype in _ARRAYS.items():
        flat = batch.column(name).values.to_numpy(zero_copy_only=True)
        arrays[name] = flat.view(dtype).reshape(description["shapes"][name])
    tickers = tuple(batch.column("tickers").values.to_pylist())
    return Panel(month=dt.date.fromisoformat(description["month"]), tickers=tickers, **arrays)


def _check_inputs(place: str, description: dict[str, Any]) -> None:
    for key, expected in _INPUTS.items():
        found = description.get(key)
        if found == expected:
            continue
        shown = f"{found!r}, expected {expected!r}"
        if isinstance(found, list) and isinstance(expected, list):
            missing, unknown = [x for x in expected if x not in found], [x for x in found if x not in expected]
            shown = (
                f"missing {missing}, unknown {unknown}" if missing or unknown else "another order than this version's"
            )
        raise DataError(
            f"{place}: {key}: {shown}; the panel was built by another version: materialise training_panel again"
        )
