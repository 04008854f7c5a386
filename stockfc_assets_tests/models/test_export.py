"""The ONNX file: parity with torch, names, size, metadata, and the same bytes again. The card beside it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.features.names import POSITION_FEATURES, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs, Panel, gather
from stockfc_assets.model_settings import NetworkSettings
from stockfc_assets.models.card import TrainedModel, card_bytes, model_card, plain
from stockfc_assets.models.export import export_onnx, parity
from stockfc_assets.models.network import VOLATILITY_INDEX, ForecastNetwork
from stockfc_assets_tests.models.synthetic import tiny_settings

REPOSITORY = Path(__file__).parents[2]


def wild_inputs(n: int, seed: int = 0, sectors: int = 5) -> ModelInputs:
    """Random numbers with single values, whole rows, whole samples and volatilities missing, and some far too large."""
    generator = np.random.default_rng(seed)
    weekly = generator.normal(0, 2, (n, 156, 23)).astype(np.float32)
    weekly[generator.random(weekly.shape) < 0.1] = np.nan
    weekly[:, 20:25] = np.nan
    weekly[:, :, VOLATILITY_INDEX] = generator.uniform(0.01, 0.6, (n, 156))
    weekly[1::3, -1, VOLATILITY_INDEX] = np.nan
    weekly[2::7] = np.nan
    weekly[3::7, :, 0] = 1e20
    static = generator.normal(0, 1, (n, 6)).astype(np.float32)
    static[generator.random(static.shape) < 0.4] = np.nan
    return ModelInputs(
        tickers=tuple(map(str, range(n))),
        weekly_seq=weekly,
        static_features=static,
        position_features=generator.random((n, 2)).astype(np.float32),
        sector_id=generator.integers(0, sectors, n),
    )


def lively(settings: NetworkSettings, seed: int = 0) -> ForecastNetwork:
    """A network whose every weight and buffer matters."""
    torch.manual_seed(seed)
    network = ForecastNetwork(settings)
    with torch.no_grad():
        network.sector_embedding.weight.normal_()
        network.output.weight.mul_(50)
        network.output.bias.normal_(0, 0.1)
        network.restraint.uniform_(0.7, 1)
        for kind in ("weekly", "static"):
            getattr(network, f"{kind}_median").normal_()
            getattr(network, f"{kind}_scale").uniform_(0.5, 2)
        network.static_median[2] = torch.nan
        network.fallback_volatility.fill_(0.22)
    return network.eval()


@pytest.mark.parametrize(
    ("settings", "bound"),
    [(NetworkSettings(), 1e-5), (tiny_settings().network, 1e-6), (NetworkSettings(hidden=4, layers=1, mlp=(5,)), 1e-6)],
)
def test_parity(settings: NetworkSettings, bound: float) -> None:
    network = lively(settings)
    data = export_onnx(network)
    for count in (1, 2, 31, 70):
        inputs = wild_inputs(count, seed=count)
        assert parity(network, data, inputs) < bound
    with torch.inference_mode():
        spread = network(*(torch.from_numpy(array) for array in list(vars(inputs).values())[1:])).std()
    assert spread > 0.02


def test_parity_notices_another_network() -> None:
    network, other = lively(tiny_settings().network), lively(tiny_settings().network, seed=1)
    assert parity(network, export_onnx(other), wild_inputs(5)) > 1e-3


@pytest.mark.parametrize(
    "name", ["weekly_median", "static_scale", "fallback_volatility", "sector_embedding.weight", "restraint"]
)
def test_parity_notices_each_part(name: str) -> None:
    network = lively(tiny_settings().network)
    data = export_onnx(network)
    with torch.no_grad():
        tensor = network.state_dict()[name]
        tensor.add_(0.5)
    assert parity(network, data, wild_inputs(10)) > 1e-4


def test_file_says_what_it_needs(parent: TrainedModel) -> None:
    data = export_onnx(ForecastNetwork(NetworkSettings()))
    assert len(data) <= 2.8e6
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert {node.name: (node.type, node.shape) for node in session.get_inputs()} == {
        "weekly_seq": ("tensor(float)", ["batch", 156, 23]),
        "static_features": ("tensor(float)", ["batch", 6]),
        "position_features": ("tensor(float)", ["batch", 2]),
        "sector_id": ("tensor(int64)", ["batch"]),
    }
    assert [(node.name, node.type, node.shape) for node in session.get_outputs()] == [
        ("log_returns", "tensor(float)", ["batch", 12])
    ]
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["weekly_features"]) == list(WEEKLY_FEATURES)
    assert json.loads(metadata["static_features"]) == list(STATIC_FEATURES)
    assert json.loads(metadata["position_features"]) == list(POSITION_FEATURES)
    assert json.loads(metadata["horizons"]) == list(range(1, 13))
    model = onnx.load_from_string(data)
    assert all(not node.doc_string for node in model.graph.node)


def test_same_weights_give_the_same_bytes_in_another_process() -> None:
    script = (
        "import hashlib\n"
        "from stockfc_assets_tests.models.test_export import export_onnx, lively, tiny_settings\n"
        "print(hashlib.sha256(export_onnx(lively(tiny_settings().network))).hexdigest())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    assert found.stdout.strip() == hashlib.sha256(export_onnx(lively(tiny_settings().network))).hexdigest()


def test_card_of_a_trained_model(panel: Panel, parent: TrainedModel) -> None:
    data = export_onnx(parent.network)
    ticker, session = np.nonzero(panel.eligible)
    difference = parity(parent.network, data, gather(panel, ticker[-31:], session[-31:]))
    assert difference < 1e-6
    card = model_card(parent, data, difference, {"Foods": 1, "Unknown": 0})
    digest = hashlib.sha256(data).hexdigest()
    assert card["model_id"] == parent.model_id == f"2022-02-{digest[:12]}"
    assert card["onnx"] == {
        "sha256": digest,
        "bytes": len(data),
        "opset": 20,
        "parity_max_abs_difference": difference,
    }
    assert card["sectors"] == {"Foods": 1, "Unknown": 0}
    assert card["parameters"] == parent.network.parameter_count()
    assert set(card) == {
        "model_id", "month", "kind", "parent", "trained_through", "features", "sectors", "sequence_weeks", "horizons",
        "window", "samples", "feature_reference", "history", "validation", "restraint", "guards", "interval", "seed", "precision", "parameters",
        "libraries", "data_versions", "onnx",
    }  # fmt: skip
    assert json.loads(card_bytes(card)) == card
    assert card_bytes(dict(reversed(card.items()))) == card_bytes(card)


def test_card_refuses_another_models_file(parent: TrainedModel) -> None:
    with pytest.raises(ModelError, match=rf"model {parent.model_id}: the ONNX file has the id 2022-02-"):
        model_card(parent, export_onnx(lively(tiny_settings().network)), 0.0, {})


def test_plain_values_are_json() -> None:
    found = plain(
        {"a": np.float32(0.5), 2: (np.int64(3), float("nan")), "c": [np.bool_(True), float("inf"), "x", None]}
    )
    assert found == {"a": 0.5, "2": [3, None], "c": [True, None, "x", None]}
    assert json.loads(card_bytes(found)) == found
