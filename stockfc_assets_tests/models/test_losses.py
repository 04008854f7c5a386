"""The loss: each term against a second implementation, its gradients, and what it does to a training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional

from stockfc_assets.model_settings import LossSettings
from stockfc_assets.models.losses import (
    MIN_RANKED,
    hard_ranks,
    loss_sums,
    loss_values,
    soft_rank_correlation,
    soft_ranks,
    weighted,
)

LOSS = LossSettings()
everywhere = torch.ones_like


def grids(seed: int, *, dates: int = 3, stocks: int = 9, missing: float = 0.2) -> tuple[torch.Tensor, ...]:
    """predicted, target, scale float64 and labelled bool, [dates, stocks, 12]; the target is NaN where not labelled."""
    generator = torch.Generator().manual_seed(seed)
    shape = (dates, stocks, 12)
    predicted = 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    scale = 0.1 + torch.rand(shape, generator=generator, dtype=torch.float64)
    labelled = torch.rand(shape, generator=generator) >= missing
    return predicted, torch.where(labelled, target, torch.nan), scale, labelled


def values(numbers: list[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


whole = st.lists(st.integers(-50, 50).map(float), min_size=5, max_size=40)


@settings(deadline=None, max_examples=100)
@given(whole, st.integers(0, 2**31))
def test_in_the_limit_it_is_spearmans_correlation_ties_included(numbers: list[float], seed: int) -> None:
    outcome = np.random.default_rng(seed).integers(-9, 10, len(numbers)).astype(float)
    found = soft_rank_correlation(values(numbers), values(outcome.tolist()), torch.ones(len(numbers)).bool(), 1e-5)
    if len(set(numbers)) == 1 or len(set(outcome)) == 1:
        assert found == 0
    else:
        assert found.item() == pytest.approx(stats.spearmanr(numbers, outcome).statistic, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(whole)
def test_in_the_limit_soft_ranks_are_ranks(numbers: list[float]) -> None:
    valid = torch.ones(len(numbers)).bool()
    expected = stats.rankdata(numbers)
    np.testing.assert_allclose(soft_ranks(values(numbers), valid, 1e-4).numpy(), expected, atol=1e-9)
    np.testing.assert_array_equal(hard_ranks(values(numbers), valid).numpy(), expected)


@settings(deadline=None, max_examples=50)
@given(whole, st.floats(0.05, 5))
def test_laws_of_soft_ranks(numbers: list[float], temperature: float) -> None:
    given_values = values(numbers)
    valid = torch.ones(len(numbers)).bool()
    ranks = soft_ranks(given_values, valid, temperature)
    count = len(numbers)
    assert ranks.sum().item() == pytest.approx(count * (count + 1) / 2)
    assert ((ranks >= 1 - 1e-9) & (ranks <= count + 1e-9)).all()
    order = given_values.argsort()
    assert (ranks[order].diff() >= -1e-9).all()
    torch.testing.assert_close(soft_ranks(given_values + 7, valid, temperature), ranks)
    torch.testing.assert_close(soft_ranks(-given_values, valid, temperature), count + 1 - ranks)


def test_a_soft_rank_by_hand() -> None:
    """Distances of one and three temperatures: 1 + sigmoid(-1) + sigmoid(-3) below, and so on."""
    sigmoid = [1 / (1 + math.exp(-x)) for x in (-3, -2, -1, 1, 2, 3)]
    found = soft_ranks(values([0.0, 0.5, 1.5]), torch.ones(3).bool(), 0.5)
    expected = [1 + sigmoid[2] + sigmoid[0], 1 + sigmoid[3] + sigmoid[1], 1 + sigmoid[5] + sigmoid[4]]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_size_of_forecasts_does_not_change_their_rank_correlation() -> None:
    forecast, outcome, _, _ = grids(0, dates=4, missing=0)
    valid = everywhere(forecast).bool()
    once, tenfold = (soft_rank_correlation(factor * forecast, outcome, valid, 0.3) for factor in (1, 10))
    torch.testing.assert_close(once, tenfold, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    predicted, target, scale, labelled = grids(seed, dates=2, stocks=7)
    loss = LossSettings(rank_weight=1, spread_weight=1, spread_floor=0.5)

    def total(forecast: torch.Tensor) -> torch.Tensor:
        return weighted(loss_sums(forecast, target, scale, labelled, loss), loss)

    assert torch.autograd.gradcheck(total, (predicted.requires_grad_(),))


def naive_terms(grid: tuple[torch.Tensor, ...], loss: LossSettings) -> tuple[float, float, float]:
    """Cell by cell, in NumPy and plain Python."""
    predicted, target, scale, labelled = (tensor.numpy() for tensor in grid)
    huber, rank, spread = [], [], []
    for date in range(predicted.shape[0]):
        for horizon in range(predicted.shape[2]):
            known = labelled[date, :, horizon]
            x, y, size = (array[date, known, horizon] for array in (predicted, target, scale))
            together = np.mean(y * size) if len(y) else 0.0
            error = np.abs(x - (y - (1 - loss.level_share) * together / size))
            huber += np.where(error <= loss.huber_delta, error**2 / 2, loss.huber_delta * (error - 0.5)).tolist()
            if len(x) < 5:
                continue
            returns = x * size / (x * size).std()
            soft = [
                1 + sum(1 / (1 + math.exp((b - a) / loss.rank_temperature)) for j, b in enumerate(returns) if j != i)
                for i, a in enumerate(returns)
            ]
            rank.append(1 - np.corrcoef(soft, stats.rankdata(y * size))[0, 1])
            spread.append(max(0.0, 1 - x.std() / y.std() / loss.spread_floor) ** 2)
    return tuple(float(np.mean(term)) for term in (huber, rank, spread))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.5]), st.sampled_from([0.0, 0.25, 1.0]))
def test_terms_are_what_a_naive_reading_gives(seed: int, missing: float, share: float) -> None:
    grid = grids(seed, missing=missing)
    loss = LossSettings(level_share=share, spread_floor=0.12, rank_weight=0.7, spread_weight=0.3)
    found = loss_values(loss_sums(*grid, loss), loss)
    huber, rank, spread = naive_terms(grid, loss)
    assert found[1:] == pytest.approx((huber, rank, spread), rel=1e-4, abs=1e-6)
    assert found.loss == pytest.approx(huber + 0.7 * rank + 0.3 * spread, rel=1e-4)


def test_huber_is_torchs_over_the_labels_that_count() -> None:
    predicted, target, scale, labelled = grids(5)
    loss = LossSettings(level_share=1, huber_delta=0.7, rank_weight=0, spread_weight=0)
    predicted.requires_grad_()
    sums = loss_sums(predicted, target, scale, labelled, loss)
    assert sums.dtype == torch.float64
    assert sums[1, 0] == labelled.sum()
    expected = functional.huber_loss(predicted[labelled], target[labelled], delta=0.7)
    assert weighted(sums, loss).item() == pytest.approx(expected.item(), rel=1e-12)
    weighted(sums, loss).backward()
    assert (predicted.grad[~labelled] == 0).all()
    assert (predicted.grad[labelled] != 0).all()


def test_of_what_all_stocks_did_together_a_share_is_asked_for_and_of_the_rest_all() -> None:
    _, target, scale, labelled = grids(6, missing=0.3)
    returns = torch.where(labelled, target * scale, 0.0)
    level = returns.sum(1, keepdim=True) / labelled.sum(1, keepdim=True)
    exact = ((returns - 0.75 * level) / scale).requires_grad_()
    loss = LossSettings(level_share=0.25, rank_weight=0, spread_weight=0)
    sums = loss_sums(exact, target, torch.where(labelled, scale, 0.0), labelled, loss)
    assert weighted(sums, loss).item() == pytest.approx(0, abs=1e-20)
    weighted(sums, loss).backward()
    assert torch.isfinite(exact.grad).all()
    risen = loss_sums(exact, target + 1 / scale, scale, labelled, loss)
    assert (risen[0, 0] / risen[1, 0]).item() == pytest.approx(
        functional.huber_loss(torch.zeros_like(scale)[labelled], (0.25 / scale)[labelled]).item()
    )


def test_dates_with_too_few_labelled_stocks_have_no_rank_and_no_spread() -> None:
    predicted, target, scale, labelled = grids(1, dates=2, missing=0)
    labelled[0, MIN_RANKED - 1 :] = False
    labelled[1, MIN_RANKED:] = False
    sums = loss_sums(predicted.requires_grad_(), target, scale, labelled, LOSS)
    assert sums[1].tolist() == [12 * (MIN_RANKED - 1) + 12 * MIN_RANKED, 12, 12]
    sums[0, 1].backward()
    assert (predicted.grad[0] == 0).all()
    assert (predicted.grad[1, :MIN_RANKED] != 0).all()
    few = loss_values(loss_sums(predicted[:1], target[:1], scale[:1], labelled[:1], LOSS), LOSS)
    assert math.isnan(few.rank)
    assert math.isnan(few.spread)
    assert few.loss == few.huber


def test_right_order_costs_nothing_and_reversed_order_two() -> None:
    _, target, scale, labelled = grids(2, missing=0)
    sharp = LossSettings(level_share=1, rank_temperature=1e-3)
    right, wrong = (loss_values(loss_sums(sign * target, target, scale, labelled, sharp), sharp) for sign in (1, -1))
    assert (right.rank, wrong.rank) == pytest.approx((0, 2), abs=1e-2)
    assert (right.huber, right.spread, wrong.spread) == (0, 0, 0)


def test_spread_costs_one_for_a_constant_and_nothing_above_the_floor() -> None:
    _, target, scale, labelled = grids(3, missing=0)
    floor = LOSS.spread_floor
    cost = [
        loss_values(loss_sums(ratio * target + 0.3, target, scale, labelled, LOSS), LOSS).spread
        for ratio in (0, floor / 2, floor * 1.001, 1)
    ]
    assert cost == pytest.approx([1, 0.25, 0, 0], abs=0.01)


@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-6, 1e4])
def test_gradients_stay_finite_in_float32_even_of_equal_forecasts(spread: float) -> None:
    predicted, target, scale, labelled = (
        tensor.float() if tensor.is_floating_point() else tensor for tensor in grids(4)
    )
    predicted = (spread * predicted).requires_grad_()
    loss = weighted(loss_sums(predicted, target, scale, labelled, LOSS), LOSS)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(predicted.grad).all()


def test_descending_the_rank_term_sorts_forecasts() -> None:
    _, target, scale, labelled = grids(6, dates=1, stocks=12, missing=0)
    predicted = (
        1e-3 * torch.randn(target.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    optimizer = torch.optim.Adam([predicted], lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss_sums(predicted, target, scale, labelled, LOSS)[0, 1].backward()
        optimizer.step()
    for horizon in range(12):
        forecast, outcome = ((x * scale)[0, :, horizon].detach().numpy() for x in (predicted, target))
        assert stats.spearmanr(forecast, outcome).statistic > 0.95
