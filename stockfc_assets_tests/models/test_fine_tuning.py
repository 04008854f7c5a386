"""Fine-tuning: it continues, on labels its parent had not seen, and is judged before it sees them."""

from __future__ import annotations

import copy
import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.features.panel import Panel
from stockfc_assets.models.batches import PanelTensors, predict
from stockfc_assets.models.card import TrainedModel
from stockfc_assets.models.checkpoint import checkpoint_bytes, load_checkpoint
from stockfc_assets.models.fine_tuning import GUARD_SAMPLES, fine_tune, monthly_seed
from stockfc_assets.models.samples import evenly_in_time, matured_before, newly_matured
from stockfc_assets_tests.models.conftest import PARENT_MONTH
from stockfc_assets_tests.models.synthetic import tiny_settings

MONTH = dt.date(2022, 3, 1)


@pytest.fixture(scope="module")
def child(panel: Panel, parent: TrainedModel) -> TrainedModel:
    return fine_tune(panel, parent, tiny_settings(), MONTH, data_versions={"training_panel": "def"})


def test_continues_from_the_parent_and_leaves_it_alone(panel: Panel, parent: TrainedModel, child: TrainedModel) -> None:
    before, after = parent.network.state_dict(), child.network.state_dict()
    buffers = {name for name, _ in parent.network.named_buffers()}
    for name in buffers:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0, equal_nan=True)
    moved = max((after[name] - before[name]).abs().max().item() for name in before.keys() - buffers)
    # 6 steps of AdamW at 1e-4 cannot move a weight further than about 6e-4.
    assert 0 < moved < 1e-3
    again = fine_tune(panel, parent, tiny_settings(), MONTH, data_versions={"training_panel": "def"})
    assert checkpoint_bytes(again) == checkpoint_bytes(child)


def test_card_names_parent_and_samples(panel: Panel, parent: TrainedModel, child: TrainedModel) -> None:
    card = child.card
    new, old = newly_matured(panel, PARENT_MONTH, MONTH), matured_before(panel, PARENT_MONTH)
    dates = round(128 / (len(new) / len(np.unique(new.session_index))))
    assert (card["kind"], card["parent"], card["month"]) == ("fine_tuned", parent.model_id, "2022-03")
    assert card["trained_through"] == "2022-02-28"
    assert card["samples"] == {
        "train": len(new) + len(old),
        "train_labels": new.labels + old.labels,
        "validation": parent.card["samples"]["validation"],
        "validation_labels": parent.card["samples"]["validation_labels"],
        "new": len(new),
        "replay": len(old),
        "dates_per_epoch": dates + round(dates * 0.33 / 0.67),
    }
    assert card["interval"] == parent.card["interval"]
    assert [epoch["best"] for epoch in card["history"]] == [False, True]
    for term in ("loss", "huber", "rank", "spread"):
        assert {epoch[f"validation_{term}"] for epoch in card["history"]} == {None}
        assert all(np.isfinite(epoch[f"train_{term}"]) for epoch in card["history"])


def test_no_score_is_claimed_on_labels_that_overlap_with_what_the_parent_was_trained_on(
    panel: Panel, parent: TrainedModel, child: TrainedModel
) -> None:
    """All but the shortest newly matured labels share most of their interval with labels that trained the parent."""
    new = newly_matured(panel, PARENT_MONTH, MONTH)
    begins = panel.sessions[new.session_index]
    overlapping = new.labelled & (begins < np.datetime64(PARENT_MONTH))[:, None]
    assert overlapping[:, 1:].sum() == new.labelled[:, 1:].sum()
    assert child.card["validation"] == parent.card["validation"]
    assert child.card["validation"]["basis"] == "validation period of the full training of 2022-02"
    for edge in ("validation_first_as_of", "validation_last_as_of"):
        assert child.card["window"][edge] == parent.card["window"][edge]


def test_a_reloaded_parent_gives_the_same_child(panel: Panel, parent: TrainedModel, child: TrainedModel) -> None:
    reloaded = load_checkpoint(checkpoint_bytes(parent), tiny_settings())
    again = fine_tune(panel, reloaded, tiny_settings(), MONTH, data_versions={"training_panel": "def"})
    assert checkpoint_bytes(again) == checkpoint_bytes(child)


def test_new_labels_are_learnt(panel: Panel, parent: TrainedModel) -> None:
    """With a strong rate, the newly matured labels (made one large constant) must pull the forecasts up."""
    new = newly_matured(panel, PARENT_MONTH, MONTH)
    labels = panel.labels.copy()
    row, horizon = np.nonzero(new.labelled)
    labels[new.ticker_index[row], new.session_index[row], horizon] = 1.0
    settings = tiny_settings(fine_tuning={"learning_rate": 1e-2, "epochs": 6, "new_samples": 256})
    child = fine_tune(replace(panel, labels=labels), parent, settings, MONTH)
    tensors = PanelTensors(panel, torch.device("cpu"))
    before, after = (predict(model.network, tensors, new).log_returns.mean() for model in (parent, child))
    assert after > before + 0.05


def test_restraint_is_drawn_anew_and_never_learnt_against(panel: Panel, parent: TrainedModel) -> None:
    """A parent held down continues from its own weights, and the child is held to the ceiling of its own forecasts."""
    held = replace(parent, network=copy.deepcopy(parent.network))
    held.network.restraint.fill_(0.01)
    free = fine_tune(panel, parent, tiny_settings(), MONTH)
    child = fine_tune(panel, held, tiny_settings(forecast_ceiling=1e-3), MONTH)
    for name, tensor in free.network.named_parameters():
        assert torch.equal(tensor, dict(child.network.named_parameters())[name]), name
    assert free.card["restraint"] == [1.0] * 12
    guarded = evenly_in_time(newly_matured(panel, PARENT_MONTH, MONTH), GUARD_SAMPLES)
    size = predict(child.network, PanelTensors(panel, torch.device("cpu")), guarded).size()
    np.testing.assert_allclose(child.card["restraint"], np.minimum(1, 1e-3 / size), atol=1e-6)
    assert min(child.card["restraint"]) < 0.2


def test_a_skipped_month_is_caught_up(panel: Panel, parent: TrainedModel) -> None:
    older = replace(parent, card=parent.card | {"month": "2022-01"})
    child = fine_tune(panel, older, tiny_settings(), MONTH)
    assert child.card["samples"]["new"] == len(newly_matured(panel, dt.date(2022, 1, 1), MONTH))


def test_parents_that_are_not_earlier_are_refused(panel: Panel, parent: TrainedModel) -> None:
    with pytest.raises(ModelError, match=rf"the parent {parent.model_id} is not of an earlier month"):
        fine_tune(panel, parent, tiny_settings(), PARENT_MONTH)


def test_no_new_label_is_said(panel: Panel, parent: TrainedModel) -> None:
    labels = np.where((panel.label_end >= np.datetime64(PARENT_MONTH))[None], np.float32(np.nan), panel.labels)
    with pytest.raises(ModelError, match="no label ended from 2022-02-01 to before 2022-03-01; materialise"):
        fine_tune(replace(panel, labels=labels), parent, tiny_settings(), MONTH)


def test_each_month_has_a_seed_of_its_own() -> None:
    months = [dt.date(year, month, 1) for year in (2024, 2025) for month in range(1, 13)]
    assert len({monthly_seed(seed, month) for seed in (7, 8) for month in months}) == 48
    assert monthly_seed(7, MONTH) == monthly_seed(7, MONTH)
    assert monthly_seed(-1, MONTH) >= 0
