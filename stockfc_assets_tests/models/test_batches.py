"""Batches: gathering by index against the NumPy reference, the order of an epoch, the loss."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.features.panel import gather
from stockfc_assets.models.batches import PanelTensors, epoch_order, predict
from stockfc_assets.models.fine_tuning import epoch_sizes, mixed_order
from stockfc_assets.models.losses import masked_huber
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.samples import matured_before
from stockfc_assets.settings import FineTuningSettings
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


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 500), st.integers(1, 600), st.integers(0, 10_000))
def test_an_epoch_draws_one_sample_from_each_stretch_of_time(count: int, draw: int, seed: int) -> None:
    order = epoch_order(count, draw, torch.Generator().manual_seed(seed))
    if draw >= count:
        assert sorted(order.tolist()) == list(range(count))
        return
    assert len(set(order.tolist())) == draw
    stretch = (
        np.searchsorted(np.array([i * count // draw for i in range(draw + 1)]), np.sort(order.numpy()), side="right")
        - 1
    )
    np.testing.assert_array_equal(stretch, np.arange(draw))


def test_epochs_follow_from_the_seed_and_differ() -> None:
    first, second = (epoch_order(1000, 200, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    generator = torch.Generator().manual_seed(5)
    assert not torch.equal(epoch_order(1000, 200, generator), epoch_order(1000, 200, generator))
    assert not torch.equal(first, first.sort().values)


@pytest.mark.parametrize(
    ("new", "old", "share", "expected"),
    [
        (10_000, 50_000, 0.33, (700, 345)),
        (300, 50_000, 0.33, (300, 148)),
        (300, 10, 0.33, (300, 10)),
        (5, 9, 0.0, (5, 0)),
    ],
)
def test_an_epoch_of_fine_tuning_mixes_new_and_old(new: int, old: int, share: float, expected: tuple[int, int]) -> None:
    tuning = FineTuningSettings(new_samples=700, replay_share=share)
    assert epoch_sizes(new, old, tuning) == expected
    order = mixed_order(new, old, tuning, torch.Generator().manual_seed(0)).numpy()
    assert ((order < new).sum(), (order >= new).sum()) == expected
    assert len(set(order.tolist())) == sum(expected)
    assert order.max() < new + old
    assert (np.diff((order < new).astype(int)) != 0).any() == (expected[1] > 0)


def test_loss_is_hubers_over_the_labels_that_count() -> None:
    predicted = torch.tensor([[0.5, 0.0, 9.0], [3.0, 1.0, 1.0]])
    target = torch.tensor([[0.0, float("nan"), 9.0], [0.0, 1.0, float("nan")]])
    labelled = torch.tensor([[True, False, False], [True, True, False]])
    predicted.requires_grad_()
    total, count = masked_huber(predicted, target, labelled, delta=1.0)
    assert (total.item(), count.item()) == (0.125 + 2.5 + 0.0, 3)
    assert total.dtype == torch.float64
    total.backward()
    assert torch.equal(predicted.grad, torch.tensor([[0.5, 0.0, 0.0], [1.0, 0.0, 0.0]]))
