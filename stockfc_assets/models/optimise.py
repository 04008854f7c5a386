"""The loop that full training and fine-tuning share: epochs, batches by index, progress, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.models.batches import DeviceSamples, PanelTensors
from stockfc_assets.models.cross_sections import Epoch
from stockfc_assets.models.losses import LossValues, loss_sums, loss_values, weighted
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.runtime import Precision, autocast

if TYPE_CHECKING:
    from stockfc_assets.model_settings import LossSettings

MAX_GRADIENT_NORM = 1.0
WARMUP_SHARE = 0.05
FINAL_RATE = 0.05
"""Where the learning rate decays, it ends at this share of its peak."""
PROGRESS_SECONDS = 3.0

Payload = TypeVar("Payload")


@dataclass(frozen=True)
class ProgressEvent:
    """How far training is: ``step`` of ``steps`` in ``epoch`` of ``epochs``, from 1; ``train``: means since its start."""

    epoch: int
    epochs: int
    step: int
    steps: int
    train: LossValues
    samples_per_second: float
    seconds_left: float

    def __str__(self) -> str:
        terms = " ".join(f"{name} {value:.4f}" for name, value in self.train.named("train").items())
        return (
            f"epoch {self.epoch}/{self.epochs} step {self.step}/{self.steps} {terms} "
            f"{self.samples_per_second:.0f} samples/s {self.seconds_left:.0f} s left"
        )


OnProgress = Callable[[ProgressEvent], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Plan:
    """How to go through the samples."""

    epochs: int
    learning_rate: float
    weight_decay: float
    loss: LossSettings
    precision: Precision
    decay: bool = False
    """Learning rate: short linear warm-up, then half a cosine; else constant."""
    patience: int | None = None
    """Stop after so many epochs without a better validation loss; None = never."""


@dataclass(frozen=True)
class Outcome(Generic[Payload]):
    history: list[dict[str, Any]]
    """One per epoch: {epoch, samples, train_loss, train_huber, train_rank, train_spread, the same with validation_, best}.

    Losses without validation: None.
    """
    payload: Payload | None
    """What `validate` gave beside the loss, for the weights that were kept."""


def optimise(
    network: ForecastNetwork,
    tensors: PanelTensors,
    samples: DeviceSamples,
    next_epoch: Callable[[], Epoch],
    plan: Plan,
    *,
    validate: Callable[[], tuple[LossValues, Payload]] | None = None,
    on_progress: OnProgress | None = None,
    clock: Clock = time.monotonic,
) -> Outcome[Payload]:
    """Trains ``network`` in place by AdamW (Loshchilov and Hutter 2019).

    next_epoch: gives the batches of the next epoch, always as many. validate: gives the losses on other samples and
    anything to keep with them; with it, the weights of the best epoch are restored at the end, without it the last
    ones stay. Raises ModelError on a loss that is not finite, naming epoch and step.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    progress = _Progress(plan, on_progress, clock)
    history: list[dict[str, Any]] = []
    best_epoch, best_loss, best_weights, best_payload = 0, math.inf, None, None
    for epoch in range(1, plan.epochs + 1):
        batches = next_epoch()
        train = _epoch(network, optimizer, tensors, samples, batches, plan, epoch, progress)
        judged, payload = validate() if validate else (None, None)
        history.append(_entry(epoch, len(batches.samples), train, judged))
        if judged is None:
            best_epoch = epoch
        elif not math.isfinite(judged.loss):
            raise ModelError(f"validation loss is {judged.loss} after epoch {epoch}; lower training.full.learning_rate")
        elif judged.loss < best_loss:
            best_epoch, best_loss, best_payload = epoch, judged.loss, payload
            best_weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        elif plan.patience is not None and epoch - best_epoch >= plan.patience:
            break
    if best_weights is not None:
        network.load_state_dict(best_weights)
    history[best_epoch - 1]["best"] = True
    return Outcome(history, best_payload)


def _entry(epoch: int, samples: int, train: LossValues, judged: LossValues | None) -> dict[str, Any]:
    """What the history keeps of an epoch."""
    validation = {f"validation_{name}": None for name in LossValues._fields}
    if judged is not None:
        validation = judged.named("validation")
    return {"epoch": epoch, "samples": samples, **train.named("train"), **validation, "best": False}


def _epoch(
    network: ForecastNetwork,
    optimizer: torch.optim.Optimizer,
    tensors: PanelTensors,
    samples: DeviceSamples,
    batches: Epoch,
    plan: Plan,
    epoch: int,
    progress: _Progress,
) -> LossValues:
    """One pass over ``batches``; the mean losses."""
    network.train()
    # Sums stay on the device: reading one would make the host wait for it, so they are looked at once in a while.
    sums = torch.zeros(2, 3, len(batches), dtype=torch.float64, device=tensors.device)
    for step, batch in enumerate(batches.batches(tensors.device)):
        if plan.decay:
            rate = _cosine((epoch - 1) * len(batches) + step, plan.epochs * len(batches))
            optimizer.param_groups[0]["lr"] = plan.learning_rate * rate
        ticker, session = samples.ticker_index[batch.samples], samples.session_index[batch.samples]
        inputs = tensors.inputs(ticker, session)
        scale = network.scale(inputs.weekly_seq)
        with autocast(plan.precision, tensors.device):
            predicted = network.head(network.encode(inputs.weekly_seq), inputs)
        target = tensors.labels(ticker, session) / scale
        grids = (batch.grid(values) for values in (predicted, target, scale, samples.labelled[batch.samples]))
        terms = loss_sums(*grids, plan.loss)
        optimizer.zero_grad(set_to_none=True)
        weighted(terms, plan.loss).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        sums[..., step] = terms.detach()
        progress.count(len(batch.samples))
        if progress.due() or step + 1 == len(batches):
            means = _mean_losses(sums[..., : step + 1], plan.loss, epoch)
            progress.report(epoch, step + 1, len(batches), means)
    return means


def _mean_losses(sums: torch.Tensor, settings: LossSettings, epoch: int) -> LossValues:
    sums = sums.cpu()
    losses = weighted(sums, settings)
    wrong = torch.nonzero(~torch.isfinite(losses))
    if len(wrong):
        raise ModelError(
            f"the training loss is {losses[wrong[0, 0]].item()} at epoch {epoch}, step {wrong[0, 0].item() + 1}; "
            "lower the learning rate in model.yaml or look for infinite features in training_panel"
        )
    return loss_values(sums.sum(dim=-1), settings)


def _cosine(step: int, steps: int) -> float:
    """Factor of the learning rate: linear over the first 5 % of the steps, then half a cosine down to `FINAL_RATE`."""
    warmup = max(1, round(WARMUP_SHARE * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * done)) / 2


class _Progress:
    """Says every few seconds, and at the end of each epoch, how far training is."""

    def __init__(self, plan: Plan, on_progress: OnProgress | None, clock: Clock) -> None:
        self._plan, self._on_progress, self._clock = plan, on_progress, clock
        self._started = self._last = clock()
        self._samples = self._samples_at_last = 0

    def count(self, samples: int) -> None:
        self._samples += samples

    def due(self) -> bool:
        return self._on_progress is not None and self._clock() - self._last >= PROGRESS_SECONDS

    def report(self, epoch: int, step: int, steps: int, train: LossValues) -> None:
        if self._on_progress is None:
            return
        now = self._clock()
        done = ((epoch - 1) * steps + step) / (self._plan.epochs * steps)
        rate = (self._samples - self._samples_at_last) / max(now - self._last, 1e-9)
        left = (now - self._started) * (1 - done) / done
        self._last, self._samples_at_last = now, self._samples
        self._on_progress(ProgressEvent(epoch, self._plan.epochs, step, steps, train, rate, left))
