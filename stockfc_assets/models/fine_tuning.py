"""Fine-tuning: the monthly step from one model to the next, on labels that have just matured and on older ones."""

from __future__ import annotations

import copy
import datetime as dt
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.models.batches import PanelTensors, predict
from stockfc_assets.models.card import TrainedModel, sample_counts, training_card, window
from stockfc_assets.models.cross_sections import CrossSections, Epoch, batched, cross_sections, epoch_order, joined
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.optimise import Clock, OnProgress, Outcome, Plan, optimise
from stockfc_assets.models.runtime import Precision, pick_device, resolve_precision, seeded
from stockfc_assets.models.samples import (
    Samples,
    check_panel,
    concatenated,
    evenly_in_time,
    matured_before,
    newly_matured,
)
from stockfc_assets.models.training import guards_of, labels_of

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel
    from stockfc_assets.model_settings import FineTuningSettings, ModelSettings

GUARD_SAMPLES = 512


def fine_tune(
    panel: Panel,
    parent: TrainedModel,
    settings: ModelSettings,
    month: dt.date,
    *,
    data_versions: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
    device: torch.device | None = None,
    clock: Clock = time.monotonic,
) -> TrainedModel:
    """The model of ``month`` (its first day), continued from ``parent``, an earlier month's; the parent stays as it is.

    New: labels that ended since the parent's month began (the last month; more where months were skipped). Replay:
    labels that ended before. Each epoch draws anew from both, at a fixed share, for a fixed number of epochs: nothing
    is chosen on the months that judge. Normalisation, its rows' distributions, validation scores and interval quantiles are
    the parent's, so those of the full training in which its line began. The parent's errors on the new labels would be no
    honest score: a 12-month label that has just ended shares 11 months with labels of the same stock that the parent was
    trained on. Honest scores come from published forecasts (evaluation/scores.py). Otherwise as `train_full`.
    """
    training = settings.training
    check_panel(panel, month, settings.network.sector_capacity)
    new, old = _new_and_old(panel, parent, month)
    guarded = evenly_in_time(new, GUARD_SAMPLES)
    device = device or pick_device()
    precision = resolve_precision(training.precision, device)
    with seeded(monthly_seed(training.seed, month), training.threads, device):
        tensors = PanelTensors(panel, device)
        network = copy.deepcopy(parent.network).to(device)
        history = _continue(network, tensors, new, old, settings, precision, month, on_progress, clock)
        after = predict(network, tensors, guarded)
        network.cpu().eval()
    factors = network.restrain(after.size(), training.forecast_ceiling)
    pool = concatenated(new, old)
    sections = (cross_sections(part.session_index, training.max_cross_section) for part in (new, old))
    dates = sum(dates_per_epoch(*sections, training.fine_tuning))
    card = training_card(
        network,
        panel,
        month,
        kind="fine_tuned",
        parent=parent.model_id,
        window={**parent.card["window"], **window(panel, pool)},
        samples={**parent.card["samples"], **sample_counts(pool, new=len(new), replay=len(old), dates_per_epoch=dates)},
        feature_reference=parent.card.get("feature_reference"),
        history=history,
        validation=parent.card["validation"],
        restraint=factors.tolist(),
        guards=guards_of(network, after.restrained(factors), labels_of(panel, guarded), guarded, history),
        interval=parent.card["interval"],
        seed=training.seed,
        precision=precision,
        data_versions=dict(data_versions or {}),
    )
    return TrainedModel(network, card)


def monthly_seed(seed: int, month: dt.date) -> int:
    """A seed of its own for each month, from the configured one."""
    return int(np.random.SeedSequence([seed % 2**32, month.year, month.month]).generate_state(1)[0])


def dates_per_epoch(new: CrossSections, old: CrossSections, settings: FineTuningSettings) -> tuple[int, int]:
    """How many dates of an epoch come from the ``new`` and from the ``old`` labels."""
    fresh = new.dates_of(settings.new_samples)
    return fresh, min(len(old), round(fresh * settings.replay_share / (1 - settings.replay_share)))


def mixed_order(
    new: CrossSections, old: CrossSections, settings: FineTuningSettings, generator: torch.Generator
) -> torch.Tensor:
    """Shuffled dates of one epoch, as indices into ``joined(new, old)``, int64; both parts are spread over time."""
    fresh, replayed = dates_per_epoch(new, old, settings)
    both = torch.cat([epoch_order(len(new), fresh, generator), len(new) + epoch_order(len(old), replayed, generator)])
    return both[torch.randperm(len(both), generator=generator)]


def _new_and_old(panel: Panel, parent: TrainedModel, month: dt.date) -> tuple[Samples, Samples]:
    if parent.month >= month:
        raise ModelError(f"model of {month:%Y-%m}: the parent {parent.model_id} is not of an earlier month")
    new = newly_matured(panel, parent.month, month)
    if not len(new):
        raise ModelError(
            f"model of {month:%Y-%m}: no label ended from {parent.month} to before {month}; "
            "materialise raw_ohlcv and weekly_features of those sessions, then training_panel"
        )
    return new, matured_before(panel, parent.month)


def _continue(
    network: ForecastNetwork,
    tensors: PanelTensors,
    new: Samples,
    old: Samples,
    settings: ModelSettings,
    precision: Precision,
    month: dt.date,
    on_progress: OnProgress | None,
    clock: Clock,
) -> list[dict[str, Any]]:
    """Trains ``network`` in place; the history."""
    training, tuning = settings.training, settings.training.fine_tuning
    generator = torch.Generator().manual_seed(monthly_seed(training.seed, month))
    fresh, replay = (cross_sections(part.session_index, training.max_cross_section) for part in (new, old))
    sections = joined(fresh, replay)

    def next_epoch() -> Epoch:
        return batched(sections, mixed_order(fresh, replay, tuning, generator), tuning.batch_size, generator)

    outcome: Outcome[None] = optimise(
        network,
        tensors,
        tensors.samples(concatenated(new, old)),
        next_epoch,
        Plan(
            epochs=tuning.epochs,
            learning_rate=tuning.learning_rate,
            weight_decay=tuning.weight_decay,
            loss=training.loss,
            precision=precision,
        ),
        on_progress=on_progress,
        clock=clock,
    )
    return outcome.history
