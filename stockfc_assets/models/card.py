"""The model card: what a model was trained on, how it scored, and what belongs to it. Plain JSON values only."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import safetensors
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.features.drift import reference
from stockfc_assets.features.names import (
    HORIZONS,
    POSITION_FEATURES,
    SEQUENCE_WEEKS,
    STATIC_FEATURES,
    WEEKLY_FEATURES,
)
from stockfc_assets.features.weeks import week_ends
from stockfc_assets.models.export import OPSET, export_onnx
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.normalisation import training_rows

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel
    from stockfc_assets.models.samples import Samples

FEATURES = {"weekly": list(WEEKLY_FEATURES), "static": list(STATIC_FEATURES), "position": list(POSITION_FEATURES)}


@dataclass(frozen=True)
class TrainedModel:
    """A trained network (float32, on the CPU, in evaluation mode) and its card."""

    network: ForecastNetwork
    card: dict[str, Any]

    @property
    def model_id(self) -> str:
        return self.card["model_id"]

    @property
    def month(self) -> dt.date:
        """First day of the month that the model may serve from."""
        return dt.date.fromisoformat(self.card["month"] + "-01")


def model_id(month: dt.date, onnx_bytes: bytes) -> str:
    """Month and the first 12 hex digits of the ONNX file's SHA-256, such as 2026-11-0123456789ab."""
    return f"{month:%Y-%m}-{hashlib.sha256(onnx_bytes).hexdigest()[:12]}"


def training_card(network: ForecastNetwork, panel: Panel, month: dt.date, **entries: Any) -> dict[str, Any]:
    """The card of a model fresh from training: ``entries`` beside what follows from network, panel and month."""
    known = int(np.searchsorted(panel.sessions, np.datetime64(month, "D")))
    return plain(
        {
            "model_id": model_id(month, export_onnx(network)),
            "month": f"{month:%Y-%m}",
            "trained_through": str(panel.sessions[known - 1]),
            "features": FEATURES,
            "sequence_weeks": SEQUENCE_WEEKS,
            "horizons": HORIZONS,
            "parameters": network.parameter_count(),
            "libraries": {
                "numpy": np.__version__,
                "onnx": onnx.__version__,
                "safetensors": safetensors.__version__,
                "torch": str(torch.__version__),
            },
            **entries,
        }
    )


def window(panel: Panel, train: Samples, validation: Samples | None = None) -> dict[str, str | None]:
    """First and last as-of session of the samples that trained and, if any judged, of those, as ISO dates."""

    def edges(samples: Samples, prefix: str) -> dict[str, str | None]:
        if not len(samples):
            return {f"{prefix}first_as_of": None, f"{prefix}last_as_of": None}
        first, last = samples.session_index.min(), samples.session_index.max()
        return {f"{prefix}first_as_of": str(panel.sessions[first]), f"{prefix}last_as_of": str(panel.sessions[last])}

    return {**edges(train, ""), **({} if validation is None else edges(validation, "validation_"))}


def sample_counts(train: Samples, validation: Samples | None = None, **others: int) -> dict[str, int]:
    judged = {} if validation is None else {"validation": len(validation), "validation_labels": validation.labels}
    return {"train": len(train), "train_labels": train.labels, **judged, **others}


def feature_reference(panel: Panel, last_session: int, month: dt.date) -> dict[str, Any]:
    """What the full training of ``month`` was shown: distributions of weekly and static features (`drift.reference`).

    Of the rows that normalisation is fitted on (up to session index ``last_session``, inclusive) those of each week's last
    session: sequences hold them for all weeks but the newest. The range of a Monday is not that of a whole week, so rows
    of all days would let every session look shifted. "basis": the month of the full training, which fine-tuned models
    carry on; "sessions": the first and the last of the rows, as ISO dates.
    """
    ends = np.flatnonzero(
        week_ends(panel.sessions)[: last_session + 1] & panel.traded[:, : last_session + 1].any(axis=0)
    )
    weekly, static = training_rows(panel, ends)
    return {
        "basis": f"{month:%Y-%m}",
        "sessions": [str(panel.sessions[ends[0]]), str(panel.sessions[ends[-1]])],
        **reference(np.hstack([weekly, static]), WEEKLY_FEATURES + STATIC_FEATURES),
    }


def model_card(trained: TrainedModel, onnx_bytes: bytes, parity: float, sectors: Mapping[str, int]) -> dict[str, Any]:
    """The published card (model.json): the training's card, the sectors by name, and the ONNX file's own figures.

    Raises ModelError when ``onnx_bytes`` is not the export of ``trained``.
    """
    found = model_id(trained.month, onnx_bytes)
    if found != trained.model_id:
        raise ModelError(
            f"model {trained.model_id}: the ONNX file has the id {found}, so it is another model's or was written by "
            "other library versions; materialise trained_model and onnx_model of this month together"
        )
    exported = {
        "sha256": hashlib.sha256(onnx_bytes).hexdigest(),
        "bytes": len(onnx_bytes),
        "opset": OPSET,
        "parity_max_abs_difference": parity,
    }
    return plain({**trained.card, "sectors": dict(sectors), "onnx": exported})


def card_bytes(card: Mapping[str, Any]) -> bytes:
    """The card as UTF-8 JSON with sorted keys; equal cards give equal bytes."""
    return (json.dumps(plain(card), sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def plain(value: Any) -> Any:
    """The same value in JSON's types: tuples become lists, NumPy numbers Python's, NaN and infinities None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
