"""Small real ONNX models with the inputs and output of the network, and the same arithmetic in NumPy."""

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

        return serialised(nodes, constants, output)


@dataclass(frozen=True)
class AdditiveModel:
    """Sums of functions of single inputs (missing = 0): tanh(4 x) of every week's features x weekly [156 x 23, 12],
    the square of a company fact x static, and the others as in `LinearModel`. No input changes what another one does."""

    weekly: np.ndarray
    linear: LinearModel

    @classmethod
    def from_seed(cls, seed: int = 2) -> "AdditiveModel":
        size = (SEQUENCE_WEEKS * WEEKLY_COUNT, HORIZON_COUNT)
        weekly = np.random.default_rng(seed).normal(0, 0.005, size).astype(np.float32)
        return cls(weekly, LinearModel.from_seed(seed))

    def weekly_terms(self, weekly_seq: np.ndarray) -> np.ndarray:
        """[156, 23, 12] of one stock, float64."""
        activated = np.tanh(4 * np.nan_to_num(weekly_seq.astype(np.float64)))
        return activated[:, :, None] * self.weekly.reshape(SEQUENCE_WEEKS, WEEKLY_COUNT, HORIZON_COUNT)

    def other_terms(self, inputs: ModelInputs, row: int) -> np.ndarray:
        """[3, 12] of one stock: company facts, sector, position."""
        facts = np.nan_to_num(inputs.static_features[row].astype(np.float64)) ** 2 @ self.linear.static
        sector = self.linear.embedding[inputs.sector_id[row]]
        return np.stack([facts, sector, inputs.position_features[row] @ self.linear.position])

    def onnx_bytes(self) -> bytes:
        constants = {
            "weekly": self.weekly,
            **{name: getattr(self.linear, name) for name in ("static", "position", "embedding")},
            "zero": np.zeros((), np.float32),
            "four": np.full((), 4, np.float32),
            "flat": np.array([0, SEQUENCE_WEEKS * WEEKLY_COUNT], np.int64),
        }
        nodes = [
            node("IsNaN", ["weekly_seq"], "no_week"),
            node("Where", ["no_week", "zero", "weekly_seq"], "weeks_filled"),
            node("Mul", ["weeks_filled", "four"], "weeks_scaled"),
            node("Tanh", ["weeks_scaled"], "weeks_bent"),
            node("Reshape", ["weeks_bent", "flat"], "weeks_flat"),
            node("MatMul", ["weeks_flat", "weekly"], "a"),
            node("IsNaN", ["static_features"], "no_static"),
            node("Where", ["no_static", "zero", "static_features"], "static_filled"),
            node("Mul", ["static_filled", "static_filled"], "static_squared"),
            node("MatMul", ["static_squared", "static"], "b"),
            node("MatMul", ["position_features", "position"], "c"),
            node("Gather", ["embedding", "sector_id"], "d"),
            node("Sum", ["a", "b", "c", "d"], "log_returns"),
        ]
        return serialised(nodes, constants)


def product_model() -> bytes:
    """log_returns[h] = horizon h x volatility_13w of the as-of week x log_market_cap x day_of_week."""
    constants = {
        "horizons": np.array([HORIZONS], np.float32),
        "last": np.array(SEQUENCE_WEEKS - 1, np.int64),
        "volatility": np.array([WEEKLY_FEATURES.index("volatility_13w")], np.int64),
        "size": np.array([STATIC_FEATURES.index("log_market_cap")], np.int64),
        "day": np.array([POSITION_FEATURES.index("day_of_week")], np.int64),
    }
    nodes = [
        node("Gather", ["weekly_seq", "last"], "week", axis=1),
        node("Gather", ["week", "volatility"], "a", axis=1),
        node("Gather", ["static_features", "size"], "b", axis=1),
        node("Gather", ["position_features", "day"], "c", axis=1),
        node("Mul", ["a", "b"], "ab"),
        node("Mul", ["ab", "c"], "abc"),
        node("Mul", ["abc", "horizons"], "log_returns"),
    ]
    return serialised(nodes, constants)


def node(kind: str, inputs: list[str], name: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [name], **attributes)


def serialised(nodes: list[Any], constants: dict[str, np.ndarray], output: str = "log_returns") -> bytes:
    """The model with the network's inputs, whether ``nodes`` read them or not."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, ["batch", *shape])

    inputs = [
        tensor("weekly_seq", SEQUENCE_WEEKS, WEEKLY_COUNT),
        tensor("static_features", len(STATIC_FEATURES)),
        tensor("position_features", len(POSITION_FEATURES)),
        tensor("sector_id", kind=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes, "small", inputs, [tensor(output, HORIZON_COUNT)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def card_of(model_bytes: bytes, card: dict[str, Any]) -> dict[str, Any]:
    """``card`` with the hash of ``model_bytes``."""
    return {**card, "onnx": {**card["onnx"], "sha256": hashlib.sha256(model_bytes).hexdigest()}}
