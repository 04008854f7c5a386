"""The network as one ONNX file, written node by node: the bytes follow from the weights alone.

Inputs: weekly_seq float32 [batch, 156, 23], static_features float32 [batch, 6], position_features float32 [batch, 2],
sector_id int64 [batch]; output: log_returns float32 [batch, 12]. The names of the features stand in the file's
metadata.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from stockfc_assets.features.names import (
    HORIZONS,
    POSITION_FEATURES,
    SEQUENCE_WEEKS,
    STATIC_FEATURES,
    WEEKLY_FEATURES,
)
from stockfc_assets.models.network import MIN_VOLATILITY, VOLATILITY_INDEX, ForecastNetwork

if TYPE_CHECKING:
    from stockfc_assets.features.panel import ModelInputs

OPSET = 20
IR_VERSION = 9
OUTPUT = "log_returns"


def export_onnx(network: ForecastNetwork) -> bytes:
    """The serialised ONNX model of a float32 network; the same weights give the same bytes in every process."""
    graph = _Graph()
    weekly = _normalised(graph, network, "weekly", "weekly_seq")
    encoding = _lstm(graph, network.lstm, weekly)
    static = _normalised(graph, network, "static", "static_features")
    sector = graph.node("Gather", [graph.constant("sector_embedding", network.sector_embedding.weight), "sector_id"])
    joined = graph.node("Concat", [encoding, sector, static, "position_features"], axis=-1)
    for number, module in enumerate(network.mlp):
        if isinstance(module, nn.Linear):
            joined = _linear(graph, f"mlp.{number}", module, joined)
        elif isinstance(module, nn.GELU):
            joined = graph.node("Gelu", [joined], approximate="none")
    scaled = _linear(graph, "output", network.output, joined)
    graph.node("Mul", [scaled, _scale(graph, network)], output=OUTPUT)
    model = helper.make_model(
        graph.proto(), opset_imports=[helper.make_opsetid("", OPSET)], producer_name="stockfc", ir_version=IR_VERSION
    )
    features = {
        "weekly_features": WEEKLY_FEATURES,
        "static_features": STATIC_FEATURES,
        "position_features": POSITION_FEATURES,
        "horizons": HORIZONS,
    }
    helper.set_model_props(model, {name: json.dumps(values) for name, values in features.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def parity(network: ForecastNetwork, onnx_bytes: bytes, inputs: ModelInputs) -> float:
    """Largest absolute difference between torch and onnxruntime, over ``inputs`` at once and the first one alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    network.eval()
    worst = 0.0
    for count in (len(inputs.sector_id), 1):
        feeds = {
            "weekly_seq": inputs.weekly_seq[:count],
            "static_features": inputs.static_features[:count],
            "position_features": inputs.position_features[:count],
            "sector_id": inputs.sector_id[:count],
        }
        with torch.inference_mode():
            expected = network(**{name: torch.from_numpy(array) for name, array in feeds.items()}).numpy()
        difference = np.abs(session.run([OUTPUT], feeds)[0] - expected)
        worst = max(worst, float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0)))
    return worst


class _Graph:
    """Nodes and weights in the order in which they are added."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def constant(self, name: str, values: torch.Tensor | np.ndarray | list[int]) -> str:
        array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def scalar(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, dtype=np.float32))

    def node(self, operator: str, inputs: list[str], output: str | None = None, **attributes: object) -> str:
        """Adds a node with one output and returns the output's name."""
        name = output or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def lstm(self, inputs: list[str], layer: int, hidden: int) -> tuple[str, str]:
        """(outputs of all steps [T, 2, batch, hidden], final states [2, batch, hidden])."""
        outputs = [f"lstm_{layer}_steps", f"lstm_{layer}_final"]
        node = helper.make_node("LSTM", inputs, outputs, hidden_size=hidden, direction="bidirectional")
        self._nodes.append(node)
        return outputs[0], outputs[1]

    def proto(self) -> onnx.GraphProto:
        inputs = [
            helper.make_tensor_value_info(
                "weekly_seq", TensorProto.FLOAT, ["batch", SEQUENCE_WEEKS, len(WEEKLY_FEATURES)]
            ),
            helper.make_tensor_value_info("static_features", TensorProto.FLOAT, ["batch", len(STATIC_FEATURES)]),
            helper.make_tensor_value_info("position_features", TensorProto.FLOAT, ["batch", len(POSITION_FEATURES)]),
            helper.make_tensor_value_info("sector_id", TensorProto.INT64, ["batch"]),
        ]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(HORIZONS)])]
        return helper.make_graph(self._nodes, "stockfc", inputs, outputs, initializer=self._weights)


def _normalised(graph: _Graph, network: ForecastNetwork, kind: str, raw: str) -> str:
    """The counterpart of the network's own normalisation: clipped deviations, then the mask of the missing."""
    median = graph.constant(f"{kind}_median", getattr(network, f"{kind}_median"))
    scale = graph.constant(f"{kind}_scale", getattr(network, f"{kind}_scale"))
    deviations = graph.node("Div", [graph.node("Sub", [raw, median]), scale])
    missing = graph.node("IsNaN", [deviations])
    limits = [graph.constant(f"{kind}_low", -network.clip), graph.constant(f"{kind}_high", network.clip)]
    clipped = graph.node("Clip", [deviations, *limits])
    values = graph.node("Where", [missing, graph.scalar(f"{kind}_zero", 0.0), clipped])
    mask = graph.node("Cast", [missing], to=TensorProto.FLOAT)
    return graph.node("Concat", [values, mask], axis=-1)


def _lstm(graph: _Graph, lstm: nn.LSTM, sequence: str) -> str:
    """Final states of the top layer's two directions, [batch, 2 x hidden]."""
    hidden = lstm.hidden_size
    steps = graph.node("Transpose", [sequence], perm=[1, 0, 2])
    final = ""
    for layer in range(lstm.num_layers):
        weights = [graph.constant(f"lstm.{layer}.{kind}", _gates(lstm, kind, layer)) for kind in ("W", "R", "B")]
        outputs, final = graph.lstm([steps, *weights], layer, hidden)
        if layer + 1 < lstm.num_layers:
            shape = graph.constant(f"lstm.{layer}.shape", [0, 0, 2 * hidden])
            steps = graph.node("Reshape", [graph.node("Transpose", [outputs], perm=[0, 2, 1, 3]), shape])
    shape = graph.constant("encoding_shape", [0, 2 * hidden])
    return graph.node("Reshape", [graph.node("Transpose", [final], perm=[1, 0, 2]), shape])


def _gates(lstm: nn.LSTM, kind: str, layer: int) -> np.ndarray:
    """One of ONNX's W [2, 4h, in], R [2, 4h, h], B [2, 8h]; gates are i, f, c, o in torch and i, o, f, c in ONNX."""

    def reordered(name: str) -> np.ndarray:
        i, f, c, o = np.split(getattr(lstm, name).detach().cpu().numpy(), 4)
        return np.concatenate([i, o, f, c])

    def direction(suffix: str) -> np.ndarray:
        if kind == "B":
            return np.concatenate([reordered(f"bias_{part}_l{layer}{suffix}") for part in ("ih", "hh")])
        return reordered(f"weight_{'ih' if kind == 'W' else 'hh'}_l{layer}{suffix}")

    return np.stack([direction(""), direction("_reverse")])


def _linear(graph: _Graph, name: str, layer: nn.Linear, inputs: str) -> str:
    weights = [graph.constant(f"{name}.weight", layer.weight), graph.constant(f"{name}.bias", layer.bias)]
    return graph.node("Gemm", [inputs, *weights], transB=1)


def _scale(graph: _Graph, network: ForecastNetwork) -> str:
    """Volatility of the as-of row x sqrt(horizon) x restraint, [batch, 12]."""
    newest = graph.node("Gather", ["weekly_seq", graph.constant("newest_week", np.array(SEQUENCE_WEEKS - 1))], axis=1)
    volatility = graph.node("Gather", [newest, graph.constant("volatility", [VOLATILITY_INDEX])], axis=1)
    fallback = graph.constant("fallback_volatility", network.fallback_volatility)
    known = graph.node("Where", [graph.node("IsNaN", [volatility]), fallback, volatility])
    floored = graph.node("Max", [known, graph.scalar("min_volatility", MIN_VOLATILITY)])
    return graph.node("Mul", [floored, graph.constant("horizon_scale", network.horizon_scale * network.restraint)])
