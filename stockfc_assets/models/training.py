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
from stockfc_assets.models.batches import PanelTensors, Predictions, epoch_order, predict
from stockfc_assets.models.card import TrainedModel, sample_counts, training_card, window
from stockfc_assets.models.guards import guard_values
from stockfc_assets.models.losses import masked_huber
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.normalisation import fit_normalisation
from stockfc_assets.models.optimise import Clock, OnProgress, Outcome, Plan, optimise
from stockfc_assets.models.runtime import Precision, pick_device, resolve_precision, seeded
from stockfc_assets.models.samples import Samples, Split, check_panel, evenly_in_time, training_split
from stockfc_assets.models.validation import conformal_quantiles, scores

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel
    from stockfc_assets.settings import ModelSettings, TrainingSettings

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
    device = device or pick_device()
    precision = resolve_precision(training.precision, device)
    with seeded(training.seed, training.threads, device):
        network = ForecastNetwork(settings.network)
        network.set_normalisation(fit_normalisation(panel, int(split.train.session_index.max())))
        network.to(device)
        outcome = _fit(network, panel, split.train, validation, settings, precision, device, on_progress, clock)
        network.cpu().eval()
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
            samples=sample_counts(split.train, validation, per_epoch=_per_epoch(split.train, settings)),
            history=outcome.history,
            guards=guards_of(network, outcome.payload, realised, validation, outcome.history),
            seed=training.seed,
            precision=precision,
            data_versions=dict(data_versions or {}),
            **_judgement(outcome.payload, realised, validation, month, settings),
        ),
    )


def labels_of(panel: Panel, samples: Samples) -> np.ndarray:
    """Realised log returns float32 [n, 12] of the samples; NaN where a label does not count."""
    labels = panel.labels[samples.ticker_index, samples.session_index]
    return np.where(samples.labelled, labels, np.float32(np.nan))


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
    predictions: Predictions, realised: np.ndarray, validation: Samples, month: dt.date, settings: ModelSettings
) -> dict[str, Any]:
    """Scores and interval quantiles from the validation samples."""
    quantiles, counts = conformal_quantiles(
        predictions.log_returns, realised, predictions.scale, settings.interval_level
    )
    return {
        "validation": {
            "basis": f"validation period of the full training of {month:%Y-%m}",
            **scores(predictions.log_returns, realised, validation.session_index),
        },
        "interval": {"level": settings.interval_level, "quantile": quantiles, "n": counts},
    }


def _per_epoch(train: Samples, settings: ModelSettings) -> int:
    return min(len(train), settings.training.full.samples_per_epoch or len(train))


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
    realised = torch.from_numpy(labels_of(panel, validation))
    labelled = torch.from_numpy(validation.labelled)

    def validate() -> tuple[float, Predictions]:
        predictions = predict(network, tensors, validation)
        scale = torch.from_numpy(predictions.scale)
        scaled = torch.from_numpy(predictions.log_returns) / scale
        loss, labels = masked_huber(scaled, realised / scale, labelled, training.huber_delta)
        return float(loss / labels), predictions

    return optimise(
        network,
        tensors,
        tensors.samples(train),
        lambda: epoch_order(len(train), full.samples_per_epoch, generator),
        Plan(
            epochs=full.epochs,
            batch_size=full.batch_size,
            learning_rate=full.learning_rate,
            weight_decay=full.weight_decay,
            huber_delta=training.huber_delta,
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
