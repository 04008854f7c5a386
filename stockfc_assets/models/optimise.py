"""The loop that full training and fine-tuning share: epochs, batches by index, progress, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.models.batches import DeviceSamples, PanelTensors
from stockfc_assets.models.losses import masked_huber
from stockfc_assets.models.network import ForecastNetwork
from stockfc_assets.models.runtime import Precision, autocast

MAX_GRADIENT_NORM = 1.0
WARMUP_SHARE = 0.05
FINAL_RATE = 0.05
"""Where the learning rate decays, it ends at this share of its peak."""
PROGRESS_SECONDS = 3.0

Payload = TypeVar("Payload")


@dataclass(frozen=True)
class ProgressEvent:
    """How far training is: ``step`` of ``steps`` in ``epoch`` of ``epochs``, from 1; ``loss``: mean since its start."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    samples_per_second: float
    seconds_left: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}/{self.epochs} step {self.step}/{self.steps} loss {self.loss:.4f} "
            f"{self.samples_per_second:.0f} samples/s {self.seconds_left:.0f} s left"
        )


OnProgress = Callable[[ProgressEvent], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Plan:
    """How to go through the samples."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    huber_delta: float
    precision: Precision
    decay: bool = False
    """Learning rate: short linear warm-up, then half a cosine; else constant."""
    patience: int | None = None
    """Stop after so many epochs without a better validation loss; None = never."""


@dataclass(frozen=True)
class Outcome(Generic[Payload]):
    history: list[dict[str, Any]]
    """One {epoch, train_loss, validation_loss, best} per epoch."""
    payload: Payload | None
    """What `validate` gave beside the loss, for the weights that were kept."""


def optimise(
    network: ForecastNetwork,
    tensors: PanelTensors,
    samples: DeviceSamples,
    order: Callable[[], torch.Tensor],
    plan: Plan,
    *,
    validate: Callable[[], tuple[float, Payload]] | None = None,
    on_progress: OnProgress | None = None,
    clock: Clock = time.monotonic,
) -> Outcome[Payload]:
    """Trains ``network`` in place by AdamW (Loshchilov and Hutter 2019).

    order: gives the indices into ``samples`` of the next epoch, always as many. validate: gives the loss on other
    samples and anything to keep with it; with it, the weights of the best epoch are restored at the end, without it
    the last ones stay. Raises ModelError on a loss that is not finite, naming epoch and step.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    progress = _Progress(plan, on_progress, clock)
    history: list[dict[str, Any]] = []
    best_epoch, best_loss, best_weights, best_payload = 0, math.inf, None, None
    for epoch in range(1, plan.epochs + 1):
        train_loss = _epoch(network, optimizer, tensors, samples, order(), plan, epoch, progress)
        validation_loss, payload = validate() if validate else (None, None)
        history.append({"epoch": epoch, "train_loss": train_loss, "validation_loss": validation_loss, "best": False})
        if validate is None:
            best_epoch = epoch
        elif not math.isfinite(validation_loss):
            raise ModelError(
                f"validation loss is {validation_loss} after epoch {epoch}; lower training.full.learning_rate"
            )
        elif validation_loss < best_loss:
            best_epoch, best_loss, best_payload = epoch, validation_loss, payload
            best_weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        elif plan.patience is not None and epoch - best_epoch >= plan.patience:
            break
    if best_weights is not None:
        network.load_state_dict(best_weights)
    history[best_epoch - 1]["best"] = True
    return Outcome(history, best_payload)


def _epoch(
    network: ForecastNetwork,
    optimizer: torch.optim.Optimizer,
    tensors: PanelTensors,
    samples: DeviceSamples,
    order: torch.Tensor,
    plan: Plan,
    epoch: int,
    progress: _Progress,
) -> float:
    """One pass over ``order``; the mean loss per label."""
    network.train()
    batches = order.to(tensors.device).split(plan.batch_size)
    # Sums stay on the device: reading one would make the host wait for it, so they are looked at once in a while.
    sums = torch.zeros(2, len(batches), dtype=torch.float64, device=tensors.device)
    for step, batch in enumerate(batches):
        if plan.decay:
            rate = _cosine((epoch - 1) * len(batches) + step, plan.epochs * len(batches))
            optimizer.param_groups[0]["lr"] = plan.learning_rate * rate
        ticker, session = samples.ticker_index[batch], samples.session_index[batch]
        inputs = tensors.inputs(ticker, session)
        scale = network.scale(inputs.weekly_seq)
        with autocast(plan.precision, tensors.device):
            predicted = network.head(network.encode(inputs.weekly_seq), inputs)
        target = tensors.labels(ticker, session) / scale
        loss, labels = masked_huber(predicted, target, samples.labelled[batch], plan.huber_delta)
        optimizer.zero_grad(set_to_none=True)
        (loss / labels).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        sums[0, step], sums[1, step] = loss.detach(), labels
        progress.count(len(batch))
        if progress.due() or step + 1 == len(batches):
            mean = _mean_loss(sums[:, : step + 1], epoch)
            progress.report(epoch, step + 1, len(batches), mean)
    return mean


def _mean_loss(sums: torch.Tensor, epoch: int) -> float:
    losses, labels = sums.cpu()
    wrong = torch.nonzero(~torch.isfinite(losses))
    if len(wrong):
        raise ModelError(
            f"the training loss is {losses[wrong[0, 0]].item()} at epoch {epoch}, step {wrong[0, 0].item() + 1}; "
            "lower the learning rate in model.yaml or look for infinite features in training_panel"
        )
    return float(losses.sum() / labels.sum())


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

    def report(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if self._on_progress is None:
            return
        now = self._clock()
        done = ((epoch - 1) * steps + step) / (self._plan.epochs * steps)
        rate = (self._samples - self._samples_at_last) / max(now - self._last, 1e-9)
        left = (now - self._started) * (1 - done) / done
        self._last, self._samples_at_last = now, self._samples
        self._on_progress(ProgressEvent(epoch, self._plan.epochs, step, steps, loss, rate, left))
