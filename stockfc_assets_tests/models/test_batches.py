"""Batches: gathering by index against the NumPy reference, and the network's own predictions."""

from __future__ import annotations

import datetime as dt

import numpy as np
import torch

from stockfc_assets.features.panel import gather
from stockfc_assets.models.batches import PanelTensors, predict
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.samples import matured_before
from stockfc_assets_tests.models.synthetic import random_panel, tiny_settings

PANEL = random_panel()


def test_gathered_batch_is_the_numpy_reference() -> None:
    ticker, session = np.nonzero(PANEL.eligible)
    chosen = np.random.default_rng(0).permutation(len(ticker))[:97]
    expected = gather(PANEL, ticker[chosen], session[chosen])
    tensors = PanelTensors(PANEL, torch.device("cpu"))
    found = tensors.inputs(torch.from_numpy(ticker[chosen]), torch.from_numpy(session[chosen]))
    for name, tensor in found._asdict().items():
        np.testing.assert_array_equal(tensor.numpy(), getattr(expected, name), err_msg=name)
        assert tensor.numpy().dtype == getattr(expected, name).dtype
    labels = tensors.labels(torch.from_numpy(ticker[chosen]), torch.from_numpy(session[chosen]))
    np.testing.assert_array_equal(labels.numpy(), PANEL.labels[ticker[chosen], session[chosen]])


def test_the_panel_is_not_copied_on_the_cpu_and_may_be_read_only() -> None:
    PANEL.features.setflags(write=False)
    tensors = PanelTensors(PANEL, torch.device("cpu"))
    assert tensors._rows.data_ptr() == PANEL.features.ctypes.data


def test_predictions_are_the_networks_own() -> None:
    torch.manual_seed(1)
    network = ForecastNetwork(tiny_settings().network)
    samples = matured_before(PANEL, dt.date(2021, 9, 1))
    found = predict(network, PanelTensors(PANEL, torch.device("cpu")), samples)
    inputs = gather(PANEL, samples.ticker_index, samples.session_index)
    weekly = torch.from_numpy(inputs.weekly_seq)
    with torch.inference_mode():
        expected = network(
            weekly,
            torch.from_numpy(inputs.static_features),
            torch.from_numpy(inputs.position_features),
            torch.from_numpy(inputs.sector_id),
        )
        np.testing.assert_allclose(found.encodings, network.encode(weekly).numpy(), atol=1e-6)
    np.testing.assert_allclose(found.log_returns, expected.numpy(), atol=1e-7)
    assert found.scale.shape == found.log_returns.shape == (len(samples), 12)
