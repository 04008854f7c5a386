"""Full training: it learns what is there, stops in time, says where it is, and gives the same bytes again."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.panel import Panel
from stockfc_assets.model_settings import LossSettings
from stockfc_assets.models import optimise as optimise_module
from stockfc_assets.models.batches import PanelTensors, predict
from stockfc_assets.models.card import TrainedModel
from stockfc_assets.models.checkpoint import checkpoint_bytes
from stockfc_assets.models.cross_sections import Epoch, batched, cross_sections, epoch_order
from stockfc_assets.models.losses import LossValues
from stockfc_assets.models.network import VOLATILITY_INDEX, ForecastNetwork
from stockfc_assets.models.optimise import Plan, ProgressEvent, optimise
from stockfc_assets.models.runtime import resolve_precision, seeded
from stockfc_assets.models.samples import Samples, evenly_in_time, matured_before, training_split
from stockfc_assets.models.training import labels_of, train_full, validation_losses
from stockfc_assets.models.validation import interval_quantiles, scores
from stockfc_assets_tests.models.conftest import PARENT_MONTH
from stockfc_assets_tests.models.synthetic import random_panel, tiny_settings

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[2]
LEARNING = {"samples_per_epoch": 600, "epochs": 12, "batch_size": 32, "validation_months": 3, "learning_rate": 2e-2}


def plan(**changes: object) -> Plan:
    usual = {"epochs": 3, "learning_rate": 1e-2, "weight_decay": 0.0, "loss": LossSettings(), "precision": "float32"}
    return Plan(**(usual | changes))


def epoch(samples: Samples, batch_size: int, dates: int | None = None, seed: int = 0) -> Epoch:
    sections = cross_sections(samples.session_index, limit=64)
    generator = torch.Generator().manual_seed(seed)
    return batched(sections, epoch_order(len(sections), dates, generator), batch_size, generator)


def test_finds_what_there_is_to_learn(panel: Panel) -> None:
    """Half of the variance follows from the newest excess return, so skill cannot exceed about 0.5."""
    model = train_full(panel, tiny_settings(full=LEARNING), PARENT_MONTH)
    overall = model.card["validation"]["overall"]
    assert 0.25 < overall["skill"] < 0.6
    assert overall["rank_ic"] > 0.4
    assert model.card["guards"]["spread_ratio"] > 0.3


def test_rank_and_level_share_find_between_stocks_what_huber_alone_loses_in_the_market() -> None:
    """A common move of each date, 1.5 times the stocks' own noise and twice the signal: Huber alone gives up."""
    panel = random_panel(n_tickers=12, signal=0.7, seed=3)
    scale = panel.features[..., VOLATILITY_INDEX, None] * np.sqrt(np.array(HORIZONS, dtype=np.float32) / 12)
    market = np.random.default_rng(0).normal(0, 1.5, panel.labels.shape[1:]).astype(np.float32)
    panel = replace(panel, labels=panel.labels + scale * market)
    full = LEARNING | {"samples_per_epoch": 768, "epochs": 6, "batch_size": 48}
    huber_alone = {"level_share": 1, "rank_weight": 0, "spread_weight": 0}
    huber, ranked, shared = (
        train_full(panel, tiny_settings(full=full, loss=huber_alone | loss), PARENT_MONTH).card
        for loss in ({}, {"rank_weight": 0.2, "spread_weight": 0.05}, {"level_share": 0.25})
    )
    for both in (ranked, shared):
        assert both["validation"]["overall"]["rank_ic"] > huber["validation"]["overall"]["rank_ic"] + 0.2
        assert both["validation"]["overall"]["skill"] > huber["validation"]["overall"]["skill"]
        assert both["guards"]["spread_ratio"] > 2 * huber["guards"]["spread_ratio"]


def test_no_forecast_is_bolder_than_the_ceiling(panel: Panel) -> None:
    """The same weights, published at a tenth of what outcomes move; intervals and validation are those of what is published."""
    settings = tiny_settings(full=LEARNING, forecast_ceiling=0.1)
    free, held = (train_full(panel, chosen, PARENT_MONTH) for chosen in (tiny_settings(full=LEARNING), settings))
    split = training_split(panel, PARENT_MONTH, validation_months=3, embargo_sessions=5)
    validation = evenly_in_time(split.validation, settings.training.full.validation_samples)
    raw = predict(held.network, PanelTensors(panel, CPU), validation)
    assert (raw.size()[:10] > 0.5).all()
    published = raw.restrained(np.array(held.card["restraint"])).size()
    np.testing.assert_allclose(published, np.minimum(raw.size(), 0.1), rtol=1e-4)
    np.testing.assert_allclose(held.network.restraint.numpy(), np.array(held.card["restraint"], dtype=np.float32))
    weights = dict(held.network.named_parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in free.network.named_parameters())
    bold, tied = free.card["validation"]["overall"], held.card["validation"]["overall"]
    assert tied["rank_ic"] == pytest.approx(bold["rank_ic"], abs=1e-3)
    assert 0 < tied["skill"] < bold["skill"]


def test_finds_nothing_where_there_is_nothing() -> None:
    model = train_full(random_panel(signal=0.0), tiny_settings(full=LEARNING | {"epochs": 4}), PARENT_MONTH)
    assert model.card["validation"]["overall"]["skill"] < 0.02


def test_can_learn_a_few_samples_by_heart(panel: Panel) -> None:
    samples = matured_before(panel, PARENT_MONTH)
    samples = samples.take(
        np.flatnonzero(np.isin(samples.session_index, np.unique(samples.session_index)[[0, 90, 200]]))
    )
    tensors = PanelTensors(panel, CPU)
    with seeded(0, 1, CPU):
        network = ForecastNetwork(tiny_settings().network)
        outcome = optimise(
            network,
            tensors,
            tensors.samples(samples),
            lambda: epoch(samples, len(samples)),
            plan(epochs=150, learning_rate=3e-2, loss=LossSettings(huber_delta=100.0)),
        )
    first, last = outcome.history[0], outcome.history[-1]
    assert first["samples"] == last["samples"] == len(samples)
    for term in ("loss", "huber", "rank"):
        assert last[f"train_{term}"] < 0.1 * first[f"train_{term}"], term
    assert last["train_spread"] == 0


def test_card_tells_what_was_trained(panel: Panel, parent: TrainedModel) -> None:
    card = parent.card
    split = training_split(panel, PARENT_MONTH, validation_months=3, embargo_sessions=5)
    assert card["samples"] == {
        "train": len(split.train),
        "validation": len(split.validation),
        "train_labels": split.train.labels,
        "validation_labels": split.validation.labels,
        "dates_per_epoch": round(512 / (len(split.train) / len(np.unique(split.train.session_index)))),
    }
    days = panel.sessions
    assert card["window"] == {
        "first_as_of": str(days[split.train.session_index[0]]),
        "last_as_of": str(days[split.train.session_index[-1]]),
        "validation_first_as_of": "2021-11-01",
        "validation_last_as_of": "2021-12-31",
    }
    assert (card["kind"], card["parent"], card["month"]) == ("full", None, "2022-02")
    assert card["trained_through"] == "2022-01-31"
    assert card["validation"]["basis"] == "validation period of the full training of 2022-02"
    assert card["data_versions"] == {"training_panel": "abc"}
    assert [epoch["epoch"] for epoch in card["history"]] == [1, 2]
    assert sum(epoch["best"] for epoch in card["history"]) == 1
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_scores_and_intervals_are_of_the_weights_that_were_kept(panel: Panel, parent: TrainedModel) -> None:
    validation = training_split(panel, PARENT_MONTH, validation_months=3, embargo_sessions=5).validation
    found = predict(parent.network, PanelTensors(panel, CPU), validation)
    realised = labels_of(panel, validation)
    expected = scores(found.log_returns, realised, validation.session_index)
    assert parent.card["validation"]["overall"]["mse"] == pytest.approx(expected["overall"]["mse"], rel=1e-5)
    rows = validation.session_index
    expected = interval_quantiles(found.log_returns, realised, found.scale, panel.sessions[rows], panel.label_end[rows])
    interval = parent.card["interval"]
    assert interval["n"] == expected["n"]
    assert min(interval["n_effective"][:2]) > 4
    for horizon in (0, 1):
        known = [value for value in expected["quantiles"][horizon] if value is not None]
        assert interval["quantiles"][horizon][: len(known)] == pytest.approx(known, rel=1e-4)
    assert interval["quantiles"][2:] == [[None] * len(interval["levels"])] * 10


def test_every_term_is_in_the_history(parent: TrainedModel) -> None:
    for entry in parent.card["history"]:
        for part in ("train", "validation"):
            loss, huber, rank, spread = (entry[f"{part}_{term}"] for term in ("loss", "huber", "rank", "spread"))
            assert loss == pytest.approx(huber + 0.2 * rank + 0.05 * spread, rel=1e-6)
            assert 0 < rank < 2
            assert 0 <= spread <= 1


def test_validation_is_judged_by_the_training_loss_over_whole_dates(panel: Panel, parent: TrainedModel) -> None:
    validation = training_split(panel, PARENT_MONTH, validation_months=3, embargo_sessions=5).validation
    found = predict(parent.network, PanelTensors(panel, CPU), validation)
    losses = validation_losses(found, labels_of(panel, validation), validation, LossSettings())
    best = next(entry for entry in parent.card["history"] if entry["best"])
    for name, value in losses.named("validation").items():
        assert value == pytest.approx(best[name], rel=1e-4), name


def test_early_stopping_keeps_the_best_epoch(panel: Panel) -> None:
    tensors = PanelTensors(panel, CPU)
    samples = matured_before(panel, PARENT_MONTH)
    losses = iter([0.5, 0.4, 0.45, 0.41, 0.3])
    orders = iter(range(5))
    seen: list[dict[str, torch.Tensor]] = []
    with seeded(0, 1, CPU):
        network = ForecastNetwork(tiny_settings().network)

        def validate() -> tuple[LossValues, int]:
            seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
            return LossValues(next(losses), 0.1, 0.9, 0.0), len(seen)

        outcome = optimise(
            network,
            tensors,
            tensors.samples(samples),
            lambda: epoch(samples, 32, dates=11, seed=next(orders)),
            plan(epochs=5, patience=2),
            validate=validate,
        )
    assert [epoch["validation_loss"] for epoch in outcome.history] == [0.5, 0.4, 0.45, 0.41]
    assert {epoch["validation_rank"] for epoch in outcome.history} == {0.9}
    assert [epoch["best"] for epoch in outcome.history] == [False, True, False, False]
    assert outcome.payload == 2
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, seen[1][name]), name
    assert not torch.equal(seen[1]["output.weight"], seen[3]["output.weight"])


def test_progress_is_told_every_few_seconds_and_at_the_end_of_an_epoch(panel: Panel) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    tensors = PanelTensors(panel, CPU)
    samples = matured_before(panel, PARENT_MONTH)
    events: list[ProgressEvent] = []
    with seeded(0, 1, CPU):
        network = ForecastNetwork(tiny_settings().network)
        outcome = optimise(
            network,
            tensors,
            tensors.samples(samples),
            lambda: epoch(samples, 32, dates=54),
            plan(epochs=2),
            on_progress=events.append,
            clock=clock,
        )
    assert [(event.epoch, event.step) for event in events] == [(1, 6), (1, 10), (2, 6), (2, 10)]
    assert {(event.epochs, event.steps) for event in events} == {(2, 10)}
    for event, entry in ((events[1], outcome.history[0]), (events[3], outcome.history[1])):
        assert event.train.named("train").items() <= entry.items()
    assert events[-1].seconds_left == 0
    assert all(event.samples_per_second > 0 for event in events)
    line = r"epoch 1/2 step 10/10 train_loss 0\.\d{4} train_huber 0\.\d{4} train_rank [01]\.\d{4} train_spread 0\.\d{4} \d+ "
    assert re.match(line, str(events[1]))


def test_a_loss_that_is_not_finite_stops_training_by_name(panel: Panel) -> None:
    labels = panel.labels.copy()
    labels[np.isfinite(labels)] = 1e38
    wild = replace(panel, labels=labels)
    with pytest.raises(ModelError, match=r"training loss is (inf|nan) at epoch 1, step 1; lower the learning rate"):
        train_full(wild, tiny_settings(loss={"huber_delta": 1e30}), PARENT_MONTH)


def test_too_little_history_says_how_much_is_needed(panel: Panel) -> None:
    settings = tiny_settings(full={"validation_months": 18})
    with pytest.raises(ModelError) as caught:
        train_full(panel, settings, PARENT_MONTH)
    message = str(caught.value)
    # 156 weeks, 18 + 1 months of 4.348 weeks, one week of embargo, one to begin with.
    assert "model of 2022-02: 0 training and" in message
    assert "about 241 weeks before the month; the panel has 213 (it begins on 2018-01-01)" in message
    assert "Backfill prices from 2017-06-20 or earlier" in message


def test_labels_after_the_month_change_nothing(panel: Panel, parent: TrainedModel) -> None:
    """The panel of 2022-03 with everything of February 2022 made absurd gives the same model of 2022-02."""
    later = panel.sessions >= np.datetime64(PARENT_MONTH)
    labels = np.where((panel.label_end >= np.datetime64(PARENT_MONTH))[None], np.float32(50), panel.labels)
    features, static = panel.features.copy(), panel.static.copy()
    features[:, later] = 1e9
    static[:, later] = -1e9
    changed = replace(panel, labels=labels.astype(np.float32), features=features, static=static)
    again = train_full(changed, tiny_settings(), PARENT_MONTH, data_versions={"training_panel": "abc"})
    assert checkpoint_bytes(again) == checkpoint_bytes(parent)


def test_training_leaves_global_state_alone(panel: Panel) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    threads = torch.get_num_threads()
    torch.manual_seed(11)
    train_full(panel, tiny_settings(full={"epochs": 1, "validation_months": 3, "samples_per_epoch": 64}), PARENT_MONTH)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fresh_processes_give_the_same_bytes(precision: str) -> None:
    script = (
        "import datetime as dt, hashlib, sys\n"
        "from stockfc_assets.models.checkpoint import checkpoint_bytes\n"
        "from stockfc_assets.models.export import export_onnx\n"
        "from stockfc_assets.models.training import train_full\n"
        "from stockfc_assets_tests.models.synthetic import random_panel, tiny_settings\n"
        f"settings = tiny_settings(precision={precision!r}, threads=2,\n"
        "    full={'samples_per_epoch': 200, 'epochs': 2, 'batch_size': 64, 'validation_months': 3})\n"
        "model = train_full(random_panel(signal=1.0), settings, dt.date(2022, 2, 1))\n"
        "for data in (checkpoint_bytes(model), export_onnx(model.network)):\n"
        "    print(hashlib.sha256(data).hexdigest())\n"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
        ).stdout
        for _ in range(2)
    )
    assert len(first.split()) == 2
    assert first == second


def test_another_seed_gives_another_model(panel: Panel, parent: TrainedModel) -> None:
    other = train_full(panel, tiny_settings(seed=8), PARENT_MONTH)
    assert other.model_id != parent.model_id


def test_precision_is_as_asked_and_automatic_where_hardware_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"
    for capabilities, expected in (({"amx_bf16": True}, "bfloat16"), ({"amx_bf16": False}, "float32"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert resolve_precision("auto", CPU) == expected


def test_learning_rate_warms_up_and_decays() -> None:
    factors = [optimise_module._cosine(step, 100) for step in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0
    assert factors == sorted(factors[:5]) + sorted(factors[5:], reverse=True)
    assert factors[52] == pytest.approx(0.05 + 0.95 * (1 + math.cos(math.pi * 47 / 95)) / 2)
    assert 0.05 < factors[-1] < 0.052


def test_month_belongs_to_a_first_day(panel: Panel) -> None:
    with pytest.raises(ModelError, match="first day, such as 2022-02-01"):
        train_full(panel, tiny_settings(), dt.date(2022, 2, 2))
