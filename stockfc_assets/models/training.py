"""Full training of a month's model, stopped early on a validation period that no training label reaches into."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.features.names import HORIZONS, SEQUENCE_WEEKS, SESSIONS_PER_WEEK
from stockfc_assets.models.batches import PanelTensors, Predictions, predict
from stockfc_assets.models.card import TrainedModel, feature_reference, sample_counts, training_card, window
from stockfc_assets.models.cross_sections import CrossSections, Epoch, batched, cross_sections, epoch_order
from stockfc_assets.models.guards import guard_values
from stockfc_assets.models.losses import LossValues, loss_sums, loss_values
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.normalisation import fit_normalisation
from stockfc_assets.models.optimise import Clock, OnProgress, Outcome, Plan, optimise
from stockfc_assets.models.runtime import Precision, pick_device, resolve_precision, seeded
from stockfc_assets.models.samples import Samples, Split, check_panel, evenly_in_time, training_split
from stockfc_assets.models.validation import interval_quantiles, scores

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel
    from stockfc_assets.model_settings import LossSettings, ModelSettings, TrainingSettings

MIN_SAMPLES = 64
"""Fewer training samples than this are refused: nothing could be learnt from them."""
WEEKS_PER_MONTH = 365.25 / 12 / 7


def train_full(
    panel: Panel,
    settings: ModelSettings,
    month: dt.date,
    *,
    data_versions: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
    device: torch.device | None = None,
    clock: Clock = time.monotonic,
) -> TrainedModel:
    """A model of ``month`` (its first day) trained from scratch on what was known when it began.

    The same panel, settings and library versions give the same model, bit by bit, on the same kind of CPU. device:
    default CUDA when there is one. on_progress: called every few seconds. data_versions: copied into the card.
    card["validation"] holds the scores on the validation period, which chose the epoch; "basis" names the full training
    that they belong to, because fine-tuned models carry them on.
    Raises ModelError when the panel is of an earlier month or has too few samples, or when the loss is not finite.
    """
    training = settings.training
    check_panel(panel, month, settings.network.sector_capacity)
    split = _sufficient_split(panel, training, month)
    validation = evenly_in_time(split.validation, training.full.validation_samples)
    last_trained = int(split.train.session_index.max())
    device = device or pick_device()
    precision = resolve_precision(training.precision, device)
    with seeded(training.seed, training.threads, device):
        network = ForecastNetwork(settings.network)
        network.set_normalisation(fit_normalisation(panel, last_trained))
        network.to(device)
        outcome = _fit(network, panel, split.train, validation, settings, precision, device, on_progress, clock)
        network.cpu().eval()
    factors = network.restrain(outcome.payload.size(), training.forecast_ceiling)
    published = outcome.payload.restrained(factors)
    realised = labels_of(panel, validation)
    return TrainedModel(
        network,
        training_card(
            network,
            panel,
            month,
            kind="full",
            parent=None,
            window=window(panel, split.train, validation),
            samples=sample_counts(
                split.train, validation, dates_per_epoch=_dates(_sections(split.train, training), training)
            ),
            feature_reference=feature_reference(panel, last_trained, month),
            history=outcome.history,
            restraint=factors.tolist(),
            guards=guards_of(network, published, realised, validation, outcome.history),
            seed=training.seed,
            precision=precision,
            data_versions=dict(data_versions or {}),
            **_judgement(published, realised, panel, validation, month),
        ),
    )


def labels_of(panel: Panel, samples: Samples) -> np.ndarray:
    """Realised log returns float32 [n, 12] of the samples; NaN where a label does not count."""
    labels = panel.labels[samples.ticker_index, samples.session_index]
    return np.where(samples.labelled, labels, np.float32(np.nan))


def validation_losses(
    predictions: Predictions, realised: np.ndarray, samples: Samples, settings: LossSettings
) -> LossValues:
    """The training's loss of forecasts of ``samples`` (by session), over whole dates; realised as `labels_of`."""
    sections = cross_sections(samples.session_index, len(samples))
    (everything,) = batched(sections, torch.arange(len(sections)), len(samples)).batches(torch.device("cpu"))
    scale = predictions.scale
    arrays = (predictions.log_returns / scale, realised / scale, scale, samples.labelled)
    grids = (everything.grid(torch.from_numpy(array)) for array in arrays)
    return loss_values(loss_sums(*grids, settings), settings)


def guards_of(
    network: ForecastNetwork,
    predictions: Predictions,
    realised: np.ndarray,
    samples: Samples,
    history: list[dict[str, Any]],
) -> dict[str, float]:
    """`guard_values` of a network (on the CPU) from its predictions of ``samples``."""
    losses = [epoch[key] for epoch in history for key in ("train_loss", "validation_loss") if epoch[key] is not None]
    return guard_values(
        predicted=predictions.log_returns,
        realised=realised,
        scale=predictions.scale,
        encodings=predictions.encodings,
        session=samples.session_index,
        losses=losses,
        weights=[parameter.detach().numpy() for parameter in network.parameters()],
    )


def _judgement(
    predictions: Predictions, realised: np.ndarray, panel: Panel, validation: Samples, month: dt.date
) -> dict[str, Any]:
    """Scores and interval quantiles from the validation samples."""
    as_of, label_end = panel.sessions[validation.session_index], panel.label_end[validation.session_index]
    return {
        "validation": {
            "basis": f"validation period of the full training of {month:%Y-%m}",
            **scores(predictions.log_returns, realised, validation.session_index),
        },
        "interval": interval_quantiles(
            predictions.log_returns, realised, predictions.scale, as_of=as_of, label_end=label_end
        ),
    }


def _sections(train: Samples, training: TrainingSettings) -> CrossSections:
    return cross_sections(train.session_index, training.max_cross_section)


def _dates(sections: CrossSections, training: TrainingSettings) -> int:
    """How many dates an epoch reads."""
    draw = training.full.samples_per_epoch
    return len(sections) if draw is None else sections.dates_of(draw)


def _fit(
    network: ForecastNetwork,
    panel: Panel,
    train: Samples,
    validation: Samples,
    settings: ModelSettings,
    precision: Precision,
    device: torch.device,
    on_progress: OnProgress | None,
    clock: Clock,
) -> Outcome[Predictions]:
    """Trains ``network`` in place; the outcome's payload are its predictions of the validation samples."""
    training, full = settings.training, settings.training.full
    tensors = PanelTensors(panel, device)
    generator = torch.Generator().manual_seed(training.seed)
    sections = _sections(train, training)

    def next_epoch() -> Epoch:
        order = epoch_order(len(sections), _dates(sections, training), generator)
        return batched(sections, order, full.batch_size, generator)

    def validate() -> tuple[LossValues, Predictions]:
        predictions = predict(network, tensors, validation)
        return validation_losses(predictions, labels_of(panel, validation), validation, training.loss), predictions

    return optimise(
        network,
        tensors,
        tensors.samples(train),
        next_epoch,
        Plan(
            epochs=full.epochs,
            learning_rate=full.learning_rate,
            weight_decay=full.weight_decay,
            loss=training.loss,
            precision=precision,
            decay=True,
            patience=full.patience,
        ),
        validate=validate,
        on_progress=on_progress,
        clock=clock,
    )


def _sufficient_split(panel: Panel, training: TrainingSettings, month: dt.date) -> Split:
    """The split, if there is enough to train and to validate on."""
    months, embargo = training.full.validation_months, training.embargo_sessions
    split = training_split(panel, month, validation_months=months, embargo_sessions=embargo)
    found = len(split.train)
    if found >= MIN_SAMPLES and len(split.validation):
        return split
    needed = SEQUENCE_WEEKS + math.ceil((months + HORIZONS[0]) * WEEKS_PER_MONTH + embargo / SESSIONS_PER_WEEK) + 1
    first = panel.sessions[0]
    weeks = int((np.datetime64(month, "D") - first) // np.timedelta64(7, "D"))
    backfill_from = np.datetime64(month, "D") - np.timedelta64(7 * needed, "D")
    raise ModelError(
        f"model of {month:%Y-%m}: {found} training and {len(split.validation)} validation samples, at least "
        f"{MIN_SAMPLES} and 1 are needed. A sample needs {SEQUENCE_WEEKS} weeks of history and a label that ended "
        f"before the {months} validation months: about {needed} weeks before the month; the panel has "
        f"{weeks} (it begins on {first}). Backfill prices from {backfill_from} or earlier, "
        "raise training.history_months, or choose a later month"
    )
