"""The network: its size, its masks, its scaling, and what it does with missing values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stockfc_assets.features.names import HORIZONS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.model_settings import NetworkSettings
from stockfc_assets.models.network import MIN_VOLATILITY, VOLATILITY_INDEX, ForecastNetwork, NetworkInputs
from stockfc_assets.models.normalisation import fit_normalisation
from stockfc_assets_tests.models.synthetic import random_panel, tiny_settings


def random_inputs(n: int, seed: int = 0) -> NetworkInputs:
    generator = torch.Generator().manual_seed(seed)
    return NetworkInputs(
        weekly_seq=torch.randn(n, 156, 23, generator=generator),
        static_features=torch.randn(n, 6, generator=generator),
        position_features=torch.rand(n, 2, generator=generator),
        sector_id=torch.randint(0, 5, (n,), generator=generator),
    )


@pytest.fixture
def network() -> ForecastNetwork:
    torch.manual_seed(0)
    network = ForecastNetwork(tiny_settings().network)
    with torch.no_grad():
        network.output.weight.copy_(torch.randn(network.output.weight.shape))
    return network.eval()


def test_default_size_is_the_designs() -> None:
    network = ForecastNetwork(NetworkSettings())
    assert network.parameter_count() == 663_068
    assert abs(network.parameter_count() / 664_000 - 1) < 0.02


def test_untrained_network_forecasts_nearly_no_change() -> None:
    torch.manual_seed(3)
    network = ForecastNetwork(NetworkSettings()).eval()
    with torch.inference_mode():
        assert network(*random_inputs(8)).abs().max() < 0.02


@pytest.mark.parametrize("where", ["weekly_seq", "static_features"])
def test_missing_values_reach_the_network_as_zero_and_mask(network: ForecastNetwork, where: str) -> None:
    inputs = random_inputs(2)
    raw = getattr(inputs, where).clone()
    raw[..., 3] = math.nan
    kind = "weekly" if where == "weekly_seq" else "static"
    width = raw.shape[-1]
    getattr(network, f"{kind}_median").fill_(1.0)
    getattr(network, f"{kind}_scale").fill_(0.5)
    seen = []
    layer = network.lstm if kind == "weekly" else network.mlp
    layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    with torch.inference_mode():
        network(**{**inputs._asdict(), where: raw})
    first = 0 if kind == "weekly" else 2 * network.lstm.hidden_size + network.sector_embedding.embedding_dim
    channels = seen[0][..., first : first + 2 * width]
    expected = ((raw - 1.0) / 0.5).clamp(-5, 5)
    expected[..., 3] = 0
    mask = torch.zeros_like(raw)
    mask[..., 3] = 1
    torch.testing.assert_close(channels, torch.cat([expected, mask], dim=-1), rtol=0, atol=0)


def test_missing_is_not_the_median(network: ForecastNetwork) -> None:
    """A mask that the network did not see would make the two forecasts equal."""
    inputs = random_inputs(1)
    at_median, missing = inputs.weekly_seq.clone(), inputs.weekly_seq.clone()
    at_median[:, :, 0], missing[:, :, 0] = 0.0, math.nan
    with torch.inference_mode():
        difference = network(at_median, *inputs[1:]) - network(missing, *inputs[1:])
    assert difference.abs().max() > 1e-4


def test_output_is_finite_whatever_is_missing_or_wild(network: ForecastNetwork) -> None:
    inputs = random_inputs(4)
    inputs.weekly_seq[0] = math.nan
    inputs.static_features[0] = math.nan
    inputs.weekly_seq[1, :, :VOLATILITY_INDEX] = math.inf
    inputs.weekly_seq[2, :, :VOLATILITY_INDEX] = -1e30
    inputs.weekly_seq[3, 5:50] = math.nan
    with torch.inference_mode():
        assert torch.isfinite(network(*inputs)).all()


def test_scale_is_own_volatility_times_root_of_horizon(network: ForecastNetwork) -> None:
    inputs = random_inputs(3)
    inputs.weekly_seq[:, -1, VOLATILITY_INDEX] = torch.tensor([0.4, 0.001, math.nan])
    network.fallback_volatility.fill_(0.25)
    scale = network.scale(inputs.weekly_seq).numpy()
    roots = np.sqrt(np.array(HORIZONS) / 12)
    expected = np.array([0.4, MIN_VOLATILITY, 0.25])[:, None] * roots
    np.testing.assert_allclose(scale, expected, rtol=1e-6)
    with torch.inference_mode():
        ratio = network(*inputs) / network.head(network.encode(inputs.weekly_seq), inputs)
    np.testing.assert_allclose(ratio.numpy(), expected, rtol=1e-5)


def test_restraint_scales_down_what_is_larger_than_the_ceiling_and_nothing_else(network: ForecastNetwork) -> None:
    inputs = random_inputs(4)
    size = np.array([0.05, 0.1, 0.2, 0.4, *[0.0] * 8])
    with torch.inference_mode():
        before = network(*inputs)
        factors = network.restrain(size, ceiling=0.1)
        after = network(*inputs)
        raw = network.head(network.encode(inputs.weekly_seq), inputs)
        torch.testing.assert_close(raw * network.scale(inputs.weekly_seq), before)
    np.testing.assert_allclose(factors, [1, 1, 0.5, 0.25, *[1] * 8])
    np.testing.assert_allclose(after.numpy(), before.numpy() * factors, rtol=1e-6)
    assert "restraint" in network.state_dict()


def test_encoding_reads_the_whole_sequence_in_both_directions(network: ForecastNetwork) -> None:
    """The forward half is the state after the newest week, the backward half the one after the oldest."""
    inputs = random_inputs(1)
    hidden = network.lstm.hidden_size
    with torch.inference_mode():
        base = network.encode(inputs.weekly_seq)
        steps, _ = network.lstm(_lstm_input(inputs))
        torch.testing.assert_close(base, torch.cat([steps[:, -1, :hidden], steps[:, 0, hidden:]], dim=-1))
        for week, half in ((155, slice(None, hidden)), (0, slice(hidden, None))):
            changed = inputs.weekly_seq.clone()
            changed[0, week] += 3
            assert (network.encode(changed) - base)[0, half].abs().max() > 0.01


def test_batch_does_not_matter(network: ForecastNetwork) -> None:
    inputs = random_inputs(7)
    with torch.inference_mode():
        together = network(*inputs)
        alone = torch.cat([network(*(tensor[i : i + 1] for tensor in inputs)) for i in range(7)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_a_sector_without_samples_adds_nothing() -> None:
    network = ForecastNetwork(tiny_settings().network).eval()
    assert network.sector_embedding.weight.abs().max() == 0


def test_normalisation_is_median_and_mad_of_rows_up_to_the_last_training_session() -> None:
    panel = random_panel(n_tickers=3)
    last = 400
    panel.features[:, last + 1 :] = 1e6
    panel.static[:, last + 1 :] = 1e6
    found = fit_normalisation(panel, last)
    for column in range(len(WEEKLY_FEATURES)):
        values = np.array(
            [panel.features[i, s, column] for i in range(3) for s in range(last + 1) if panel.traded[i, s]], np.float64
        )
        values = values[~np.isnan(values)]
        median = np.median(values)
        np.testing.assert_allclose(found.weekly_median[column], median, rtol=1e-6)
        np.testing.assert_allclose(found.weekly_scale[column], 1.4826 * np.median(np.abs(values - median)), rtol=1e-6)
    assert found.fallback_volatility == found.weekly_median[VOLATILITY_INDEX]
    never_seen = len(STATIC_FEATURES) - 1
    assert np.isnan(found.static_median[never_seen])
    assert found.static_scale[never_seen] == 1


def test_constant_and_mostly_constant_features_have_a_usable_scale() -> None:
    panel = random_panel(n_tickers=2, missing=0.0)
    panel.features[..., 0] = 2.0
    panel.features[..., 1] = 0.0
    panel.features[:, ::10, 1] = 1.0
    found = fit_normalisation(panel, 500)
    assert (found.weekly_median[0], found.weekly_scale[0]) == (2.0, 1.0)
    assert found.weekly_median[1] == 0.0
    assert 0.25 < found.weekly_scale[1] < 0.35


def test_a_feature_never_seen_in_training_counts_as_missing(network: ForecastNetwork) -> None:
    network.static_median[5] = math.nan
    inputs = random_inputs(2)
    absent = inputs.static_features.clone()
    absent[:, 5] = math.nan
    with torch.inference_mode():
        torch.testing.assert_close(network(*inputs), network(inputs.weekly_seq, absent, *inputs[2:]), rtol=0, atol=0)


def _lstm_input(inputs: NetworkInputs) -> torch.Tensor:
    """Median 0, scale 1, nothing missing: the clipped features, then a mask of zeros."""
    clipped = inputs.weekly_seq.clamp(-5, 5)
    return torch.cat([clipped, torch.zeros_like(clipped)], dim=-1)
