"""A small real ONNX model with the inputs and output of the network, and the same arithmetic in NumPy."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from stockfc_assets.features.names import HORIZONS, POSITION_FEATURES, SEQUENCE_WEEKS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs

HORIZON_COUNT, WEEKLY_COUNT = len(HORIZONS), len(WEEKLY_FEATURES)


@dataclass(frozen=True)
class LinearModel:
    """log_returns = last week's features (missing = 0) x weekly + static (missing = 0) x static + position x position +
    embedding[sector]; with ``divide`` also / (position[0] - 1), so that a stock on day_of_week 1 gets infinity."""

    weekly: np.ndarray
    static: np.ndarray
    position: np.ndarray
    embedding: np.ndarray

    @classmethod
    def from_seed(cls, seed: int = 1) -> "LinearModel":
        random = np.random.default_rng(seed)
        sizes = {
            "weekly": WEEKLY_COUNT,
            "static": len(STATIC_FEATURES),
            "position": len(POSITION_FEATURES),
            "embedding": 33,
        }
        return cls(
            **{key: random.normal(0, 0.05, (rows, HORIZON_COUNT)).astype(np.float32) for key, rows in sizes.items()}
        )

    def expected(self, inputs: ModelInputs) -> np.ndarray:
        return (
            np.nan_to_num(inputs.weekly_seq[:, -1]) @ self.weekly
            + np.nan_to_num(inputs.static_features) @ self.static
            + inputs.position_features @ self.position
            + self.embedding[inputs.sector_id]
        )

    def onnx_bytes(self, *, divide: bool = False, output: str = "log_returns") -> bytes:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        def node(kind: str, inputs: list[str], name: str, **attributes: Any) -> Any:
            return helper.make_node(kind, inputs, [name], **attributes)

        constants = {
            **{name: getattr(self, name) for name in ("weekly", "static", "position", "embedding")},
            "zero": np.zeros((), np.float32),
            "one": np.ones((), np.float32),
            "last": np.array(SEQUENCE_WEEKS - 1, np.int64),
            "first": np.array([0], np.int64),
        }
        nodes = [
            node("Gather", ["weekly_seq", "last"], "week", axis=1),
            node("IsNaN", ["week"], "no_week"),
            node("Where", ["no_week", "zero", "week"], "week_filled"),
            node("IsNaN", ["static_features"], "no_static"),
            node("Where", ["no_static", "zero", "static_features"], "static_filled"),
            node("MatMul", ["week_filled", "weekly"], "a"),
            node("MatMul", ["static_filled", "static"], "b"),
            node("MatMul", ["position_features", "position"], "c"),
            node("Gather", ["embedding", "sector_id"], "d"),
            node("Sum", ["a", "b", "c", "d"], "sum"),
            node("Gather", ["position_features", "first"], "day", axis=1),
            node("Sub", ["day", "one"], "day_less_one"),
            node("Div", ["sum", "day_less_one"], output) if divide else node("Identity", ["sum"], output),
        ]

        def tensor(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> Any:
            return helper.make_tensor_value_info(name, kind, ["batch", *shape])

        inputs = [
            tensor("weekly_seq", SEQUENCE_WEEKS, WEEKLY_COUNT),
            tensor("static_features", len(STATIC_FEATURES)),
            tensor("position_features", len(POSITION_FEATURES)),
            tensor("sector_id", kind=TensorProto.INT64),
        ]
        graph = helper.make_graph(
            nodes, "linear", inputs, [tensor(output, HORIZON_COUNT)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def card_of(model_bytes: bytes, card: dict[str, Any]) -> dict[str, Any]:
    """``card`` with the hash of ``model_bytes``."""
    return {**card, "onnx": {**card["onnx"], "sha256": hashlib.sha256(model_bytes).hexdigest()}}
