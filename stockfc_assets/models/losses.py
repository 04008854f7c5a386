"""The loss: Huber on volatility-scaled returns, rank correlation within each as-of date, and a floor under the spread.

Huber alone is minimal near one constant where returns are mostly noise. The rank term asks which stock does better than
which on the same date, whatever the size; the spread term keeps the sizes from shrinking to nothing. Of what all stocks of
a date did together Huber asks for a part only: a shrinkage towards no change (James and Stein 1961) of the one component
of which history holds few separate cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from stockfc_assets.model_settings import LossSettings

MIN_RANKED = 5
"""Labelled stocks that a date needs before its ranks and its spread count: fewer say too little."""
SMALLEST_SPREAD = 1e-4
"""Added (in squares) to every spread, so that gradients stay finite where all forecasts are equal: about half the spread
of one-month returns that the guards just let pass."""
SMALLEST_NORM = 1e-8


class LossValues(NamedTuple):
    """Means of the terms, unweighted, and their weighted sum; NaN = no date had enough stocks."""

    loss: float
    huber: float
    """Per label."""
    rank: float
    """1 - soft rank correlation, per date and horizon: 0 = right order, 1 = no relation, 2 = reversed."""
    spread: float
    """Per date and horizon: 0 = the floor is kept, 1 = one constant."""

    def named(self, prefix: str) -> dict[str, float]:
        """{prefix_loss, prefix_huber, prefix_rank, prefix_spread}."""
        return {f"{prefix}_{name}": value for name, value in self._asdict().items()}


def loss_sums(
    predicted: torch.Tensor,
    target: torch.Tensor,
    scale: torch.Tensor,
    labelled: torch.Tensor,
    settings: LossSettings,
) -> torch.Tensor:
    """float64 [2, 3]: the sums of the terms huber, rank and spread, and how many labels or cells each is a sum over.

    predicted, target: float [d, k, 12], up to k stocks of d dates, in units of each sample's own ``scale`` (float
    [d, k, 12]); target may be NaN where ``labelled`` (bool [d, k, 12]) is False. Huber and spread are of these units,
    Huber against the target less (1 - level_share) of the mean return of the date's labelled stocks. The ranks are of
    returns (units x scale), because those are published and ranked: where forecasts hardly differ in units, the order of
    returns is the order of volatilities, and a rank of units would not see it.
    A cell is a date and horizon with at least `MIN_RANKED` labelled stocks; the others add nothing to rank and spread.
    """
    known = torch.where(labelled, target, 0.0)
    together = _level(known * scale, labelled) / scale
    asked = torch.where(labelled, target - (1 - settings.level_share) * together, 0.0)
    huber = functional.huber_loss(predicted, asked, reduction="none", delta=settings.huber_delta)
    # Stocks last: a cell's figures are sums over the last axis.
    forecast, outcome, size, valid = (values.transpose(1, 2) for values in (predicted, known, scale, labelled))
    ranked = valid.sum(dim=-1) >= MIN_RANKED
    rank = 1 - soft_rank_correlation(forecast * size, outcome * size, valid, settings.rank_temperature)
    share = _spread(forecast, valid) / _spread(outcome, valid)
    shortfall = functional.relu(1 - share / settings.spread_floor).square()
    terms = ((huber, labelled), (rank, ranked), (shortfall, ranked))
    sums = [torch.where(counted, values, 0.0).sum(dtype=torch.float64) for values, counted in terms]
    return torch.stack([torch.stack(sums), torch.stack([counted.sum(dtype=torch.float64) for _, counted in terms])])


def weighted(sums: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """The loss from `loss_sums`, or from sums of them (float64 [2, 3, ...]): Huber + weights x the other terms."""
    huber, rank, spread = sums[0] / sums[1].clamp(min=1)
    return huber + settings.rank_weight * rank + settings.spread_weight * spread


def loss_values(sums: torch.Tensor, settings: LossSettings) -> LossValues:
    """The same as Python numbers, with each term."""
    sums = sums.detach().cpu()
    return LossValues(float(weighted(sums, settings)), *(sums[0] / sums[1]).tolist())


def soft_rank_correlation(
    forecast: torch.Tensor, outcome: torch.Tensor, valid: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Pearson's correlation of the forecasts' soft ranks and the outcomes' ranks over the last axis; [...].

    forecast, outcome: float [..., k], finite; valid: bool [..., k]. temperature: in standard deviations of the forecasts,
    so that the order counts and not the size. As it goes to 0 this becomes Spearman's correlation. 0 where all forecasts
    or all outcomes are equal.
    """
    standard = forecast / _spread(forecast, valid).unsqueeze(-1)
    soft = _centred(soft_ranks(standard, valid, temperature), valid)
    hard = _centred(hard_ranks(outcome, valid), valid)
    norm = (soft.square().sum(dim=-1) * hard.square().sum(dim=-1) + SMALLEST_NORM).sqrt()
    return (soft * hard).sum(dim=-1) / norm


def soft_ranks(values: torch.Tensor, valid: torch.Tensor, temperature: float) -> torch.Tensor:
    """Differentiable ranks from 1 among the valid values of the last axis, ascending; [..., k].

    1 + sum over the others of sigmoid((own - other) / temperature): the approximated position of Qin, Liu and Li 2010 (A
    general approximation framework for direct optimization of information retrieval measures), ascending. As the
    temperature goes to 0 they become the ranks, ties at their mean. Places that are not ``valid`` (bool [..., k]) hold
    numbers without meaning.
    """
    above = torch.sigmoid((values.unsqueeze(-1) - values.unsqueeze(-2)) / temperature)
    # The value itself is among those compared, and adds sigmoid(0) = 1/2.
    return torch.where(valid.unsqueeze(-2), above, 0.0).sum(dim=-1) + 0.5


def hard_ranks(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Ranks from 1, ties at their mean: the limit of `soft_ranks`; no gradient."""
    half = values.new_tensor(0.5)
    above = torch.heaviside(values.detach().unsqueeze(-1) - values.detach().unsqueeze(-2), half)
    return torch.where(valid.unsqueeze(-2), above, 0.0).sum(dim=-1) + 0.5


def _level(returns: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    """Mean of a date's labelled stocks per horizon, [d, 1, h]; ``returns`` [d, k, h] are 0 where ``labelled`` is False."""
    return returns.sum(dim=1, keepdim=True) / labelled.sum(dim=1, keepdim=True).clamp(min=1)


def _spread(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Standard deviation over the valid places of the last axis, never below `SMALLEST_SPREAD`."""
    count = valid.sum(dim=-1).clamp(min=1)
    return (_centred(values, valid).square().sum(dim=-1) / count + SMALLEST_SPREAD**2).sqrt()


def _centred(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Differences from the mean of the valid places of the last axis; 0 elsewhere."""
    count = valid.sum(dim=-1, keepdim=True).clamp(min=1)
    mean = torch.where(valid, values, 0.0).sum(dim=-1, keepdim=True) / count
    return torch.where(valid, values - mean, 0.0)
