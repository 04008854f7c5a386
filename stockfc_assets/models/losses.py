"""The masked Huber loss on volatility-scaled returns."""

from __future__ import annotations

import torch
from torch.nn import functional


def masked_huber(
    predicted: torch.Tensor, target: torch.Tensor, labelled: torch.Tensor, delta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum of the Huber losses over the labels that count, how many count); float64 scalars on the inputs' device.

    predicted, target: float32 [n, 12] in units of the sample's own scale; target may be NaN where ``labelled`` (bool
    [n, 12]) is False. Huber (1964): e^2 / 2 up to |e| = delta, delta x (|e| - delta / 2) beyond.
    """
    known = torch.where(labelled, target, 0.0)
    losses = functional.huber_loss(predicted, known, reduction="none", delta=delta)
    return torch.where(labelled, losses, 0.0).sum(dtype=torch.float64), labelled.sum(dtype=torch.float64)
