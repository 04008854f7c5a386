"""Forecasts from an exported model, by onnxruntime alone: 31 stocks take milliseconds and the process stays small.

A model is used only when its file is the one that its card describes and was trained on the inputs that we make now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from stockfc_assets.errors import InputError, ModelError
from stockfc_assets.features.names import (
    HORIZONS,
    POSITION_FEATURES,
    SEQUENCE_WEEKS,
    STATIC_FEATURES,
    WEEKLY_FEATURES,
)

if TYPE_CHECKING:
    from stockfc_assets.features.panel import ModelInputs

BATCH_SIZE = 64
"""Stocks per call of the runtime: bounds its memory however large the universe. Larger batches are no faster per stock
(0.9 ms on two cores at 31, 64, 128 and 256), but 256 of them take 440 MB against 160 MB for 64."""

INPUT_SHAPES: dict[str, tuple[int, ...]] = {
    "weekly_seq": (SEQUENCE_WEEKS, len(WEEKLY_FEATURES)),
    "static_features": (len(STATIC_FEATURES),),
    "position_features": (len(POSITION_FEATURES),),
    "sector_id": (),
}
"""The model's inputs in order, each with its shape after the batch axis; all float32 but ``sector_id`` (int64)."""

OUTPUT = "log_returns"


class OnnxForecaster:
    """A verified model, ready to forecast.

    ``model_bytes`` is the content of model.onnx and ``card`` that of its model.json. ``sectors`` are the sectors in use
    now (name -> id): ones appended since the training are accepted as long as no input carries them. ``threads`` is the
    number of processor threads.

    Raises ModelError naming the model, what differs and what to do when the file is not the one of the card, or when
    features, their order, horizons, sequence length or sector ids are not those of this code and configuration.
    """

    def __init__(
        self, model_bytes: bytes, card: Mapping[str, Any], *, sectors: Mapping[str, int] | None = None, threads: int = 2
    ) -> None:
        self.model_id = str(card.get("model_id", "(card without model_id)"))
        self._check_file(model_bytes, card)
        self._check_inputs(card)
        self._check_sectors(card, sectors)
        self._sectors_known = frozenset(card["sectors"].values())
        self._session = self._open(model_bytes, threads)

    def predict(self, inputs: ModelInputs) -> np.ndarray:
        """Forecast log returns, float32 [n, 12], in the order of ``inputs.tickers``; column h - 1 is horizon h.

        ``inputs`` are raw features, NaN = missing. Raises InputError when the arrays do not have the shapes of
        `INPUT_SHAPES` or carry a sector that the model never saw, ModelError naming the tickers whose forecast is not
        a finite number.
        """
        self._check_arrays(inputs)
        count = len(inputs.tickers)
        returns = np.empty((count, len(HORIZONS)), dtype=np.float32)
        for start in range(0, count, BATCH_SIZE):
            batch = slice(start, min(start + BATCH_SIZE, count))
            feed = {name: getattr(inputs, name)[batch] for name in INPUT_SHAPES}
            returns[batch] = self._session.run([OUTPUT], feed)[0]
        finite = np.isfinite(returns).all(axis=1)
        if not finite.all():
            raise ModelError(
                f"model {self.model_id}: the forecast is not a finite number for "
                f"{_listed([inputs.tickers[row] for row in np.flatnonzero(~finite)])}; look for infinite values among "
                "their weekly_features, or serve another month's model"
            )
        return returns

    def _check_file(self, model_bytes: bytes, card: Mapping[str, Any]) -> None:
        expected = self._from_card(card, "onnx", "sha256")
        found = hashlib.sha256(model_bytes).hexdigest()
        if found != expected:
            raise ModelError(
                f"model {self.model_id}: model.onnx has SHA-256 {found}, its card says {expected}: "
                "the file was altered or belongs to another card; materialise onnx_model again"
            )

    def _check_inputs(self, card: Mapping[str, Any]) -> None:
        expected = {
            "features.weekly": list(WEEKLY_FEATURES),
            "features.static": list(STATIC_FEATURES),
            "features.position": list(POSITION_FEATURES),
            "horizons": list(HORIZONS),
            "sequence_weeks": SEQUENCE_WEEKS,
        }
        for key, wanted in expected.items():
            found = self._from_card(card, *key.split("."))
            if (list(found) if isinstance(wanted, list) else found) != wanted:
                raise ModelError(
                    f"model {self.model_id}: {key} in its card is not what this version makes: "
                    f"{_difference(found, wanted)}; materialise trained_model and onnx_model with this version"
                )

    def _check_sectors(self, card: Mapping[str, Any], sectors: Mapping[str, int] | None) -> None:
        trained: Mapping[str, int] = self._from_card(card, "sectors")
        for name, number in trained.items():
            now = number if sectors is None else sectors.get(name)
            if now != number:
                what = "is missing from" if now is None else f"has id {now} in"
                raise ModelError(
                    f"model {self.model_id}: sector {name!r} (id {number} when it was trained) {what} "
                    "config/sectors.yaml; restore it: sectors are appended, never renumbered"
                )

    def _check_arrays(self, inputs: ModelInputs) -> None:
        for name, shape in INPUT_SHAPES.items():
            found = getattr(inputs, name).shape
            if found != (len(inputs.tickers), *shape):
                raise InputError(f"{name} has shape {found}; {(len(inputs.tickers), *shape)} is needed")
        known = np.isin(inputs.sector_id, list(self._sectors_known))
        if not known.all():
            row = int(np.flatnonzero(~known)[0])
            tickers = _listed([inputs.tickers[row] for row in np.flatnonzero(~known)])
            raise InputError(
                f"model {self.model_id}: sector_id {inputs.sector_id[row]} of {tickers} was appended after its "
                "training; give these stocks a sector that the model knows until a full training has seen the new one"
            )

    def _from_card(self, card: Mapping[str, Any], *keys: str) -> Any:
        value: Any = card
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                raise ModelError(
                    f"model {self.model_id}: {'.'.join(keys)} is missing from model.json; materialise onnx_model again"
                )
            value = value[key]
        return value

    def _open(self, model_bytes: bytes, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The arena keeps what a batch once needed; without it the process is smaller and as fast.
        options.enable_cpu_mem_arena = False
        # Threads that spin while they wait would starve the neighbours and gain 1 ms.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"model {self.model_id}: onnxruntime cannot load it: {error}; materialise onnx_model again"
            ) from error
        names = [node.name for node in session.get_inputs()], [node.name for node in session.get_outputs()]
        if names != (list(INPUT_SHAPES), [OUTPUT]):
            raise ModelError(
                f"model {self.model_id}: inputs and outputs are {names}, not {(list(INPUT_SHAPES), [OUTPUT])}; "
                "materialise onnx_model again"
            )
        return session


def _difference(found: Any, wanted: Any) -> str:
    """The first place at which two lists (or values) differ."""
    if not isinstance(wanted, list) or not isinstance(found, (list, tuple)):
        return f"{found!r} instead of {wanted!r}"
    for position, (theirs, ours) in enumerate(zip(found, wanted, strict=False), start=1):
        if theirs != ours:
            return f"number {position} is {theirs!r} instead of {ours!r}"
    return f"{len(found)} entries instead of {len(wanted)}"


def _listed(tickers: list[str], most: int = 10) -> str:
    shown = ", ".join(tickers[:most])
    return shown if len(tickers) <= most else f"{shown} and {len(tickers) - most} more"
