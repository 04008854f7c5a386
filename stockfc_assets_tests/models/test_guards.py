"""Collapse guards: figures worked by hand, and the collapses they exist for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stockfc_assets.model_settings import GuardSettings
from stockfc_assets.models.batches import PanelTensors, predict
from stockfc_assets.models.guards import guard_failures, guard_values
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.samples import matured_before
from stockfc_assets.models.training import guards_of, labels_of
from stockfc_assets_tests.models.synthetic import random_panel, tiny_settings

SESSION = np.repeat(np.arange(4), 5)


def values(**changes: object) -> dict[str, float]:
    generator = np.random.default_rng(0)
    healthy = {
        "predicted": generator.normal(0, 0.02, (20, 12)),
        "realised": generator.normal(0, 0.2, (20, 12)),
        "scale": np.full((20, 12), 0.2),
        "encodings": generator.normal(size=(20, 6)),
        "session": SESSION,
        "losses": [0.5, 0.4],
        "weights": [np.ones(3)],
    }
    return guard_values(**(healthy | changes))


def test_healthy_forecasts_pass() -> None:
    found = values()
    assert guard_failures(found, GuardSettings()) == []
    assert found["distinct_share"] == 1.0
    assert found["spread_ratio"] == pytest.approx(0.1, rel=0.2)
    assert abs(found["mean_cosine"]) < 0.3


def test_figures_are_means_over_dates() -> None:
    generator = np.random.default_rng(3)
    predicted, realised = generator.normal(size=(2, 20, 12))
    scale = generator.uniform(0.1, 1, (20, 12))
    encodings = generator.normal(size=(20, 4)) + 1
    realised[:3, 0] = np.nan
    found = values(predicted=predicted, realised=realised, scale=scale, encodings=encodings)
    spreads, outcomes, cosines = [], [], []
    for date in range(4):
        rows = np.flatnonzero(date == SESSION)
        for horizon in range(12):
            known = [i for i in rows if not np.isnan(realised[i, horizon])]
            if len(known) < 3:
                continue
            spreads.append(np.std([predicted[i, horizon] / scale[i, horizon] for i in known]))
            outcomes.append(np.std([realised[i, horizon] / scale[i, horizon] for i in known]))
        pairs = [(a, b) for a in rows for b in rows if a != b]
        cosines.append(np.mean([
            encodings[a] @ encodings[b] / np.linalg.norm(encodings[a]) / np.linalg.norm(encodings[b]) for a, b in pairs
        ]))  # fmt: skip
    assert found["spread_ratio"] == pytest.approx(np.mean(spreads) / np.mean(outcomes))
    assert found["mean_cosine"] == pytest.approx(np.mean(cosines))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"predicted": np.full((20, 12), 0.01)},
            "spread_ratio 0 is below 0.002: forecasts hardly differ across stocks",
        ),
        ({"predicted": np.full((20, 12), 0.01)}, "distinct_share 0.2 is below 0.5: many stocks get the same forecast"),
        ({"encodings": np.ones((20, 6))}, "mean_cosine 1 is above 0.9995: the encoder sees all stocks alike"),
        ({"encodings": np.zeros((20, 6))}, "mean_cosine 1 is above"),
        ({"losses": [0.5, math.nan]}, "finite losses: some are NaN"),
        ({"weights": [np.array([1.0, math.inf])]}, "finite weights: some are NaN"),
        ({"predicted": np.full((20, 12), math.nan)}, "finite outputs: some are NaN"),
    ],
)
def test_each_collapse_is_named(changes: dict[str, object], message: str) -> None:
    assert any(message in failure for failure in guard_failures(values(**changes), GuardSettings()))


def test_a_constant_times_each_stocks_volatility_is_a_collapse() -> None:
    scale = np.random.default_rng(2).uniform(0.1, 0.5, (20, 12))
    failures = guard_failures(values(predicted=0.3 * scale, scale=scale), GuardSettings())
    assert [failure.split()[0] for failure in failures] == ["spread_ratio", "distinct_share"]


def test_one_stock_alone_cannot_be_judged() -> None:
    found = values(session=np.arange(20))
    assert math.isnan(found["spread_ratio"])
    assert guard_failures(found, GuardSettings()) == []
    assert guard_failures(found | {"spread_ratio": None}, GuardSettings()) == []


def test_a_collapsed_network_is_caught() -> None:
    panel = random_panel()
    samples = matured_before(panel, panel.month)
    torch.manual_seed(0)
    network = ForecastNetwork(tiny_settings().network)
    with torch.no_grad():
        network.output.weight.zero_()
        network.output.bias.fill_(0.1)
    predictions = predict(network, PanelTensors(panel, torch.device("cpu")), samples)
    history = [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.5, "best": True}]
    found = guards_of(network, predictions, labels_of(panel, samples), samples, history)
    failures = guard_failures(found, GuardSettings())
    assert [failure.split()[0] for failure in failures] == ["spread_ratio", "distinct_share"]
