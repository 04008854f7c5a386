"""Batches hold whole dates, in an order that follows from the seed, and no small batch is left over."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.model_settings import FineTuningSettings
from stockfc_assets.models.cross_sections import Batch, batched, cross_sections, epoch_order, joined
from stockfc_assets.models.fine_tuning import dates_per_epoch, mixed_order

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sessions_of(sizes: list[int]) -> np.ndarray:
    """Samples by session: ``sizes`` stocks on sessions 0, 3, 6, ..."""
    return np.repeat(3 * np.arange(len(sizes)), sizes)


def test_dates_are_the_runs_of_equal_sessions() -> None:
    sections = cross_sections(np.array([0, 0, 4, 5, 5, 5]), limit=2)
    assert (sections.first.tolist(), sections.size.tolist()) == ([0, 2, 3], [2, 1, 3])
    assert sections.stocks == pytest.approx(5 / 3)
    assert [sections.dates_of(samples) for samples in (1, 3, 4, 99)] == [1, 2, 2, 3]
    both = joined(sections, cross_sections(np.array([5, 9]), limit=2))
    assert (both.first.tolist(), both.size.tolist()) == ([0, 2, 3, 6, 7], [2, 1, 3, 1, 1])
    nothing = cross_sections(np.zeros(0, dtype=np.int64), limit=2)
    assert (len(nothing), nothing.stocks, nothing.dates_of(5)) == (0, 0.0, 0)
    assert len(joined(sections, nothing)) == 3


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(1, 80), st.integers(5, 12), st.integers(0, 99)
)
def test_laws_of_an_epoch(sizes: list[int], batch_size: int, limit: int, seed: int) -> None:
    session = sessions_of(sizes)
    sections = cross_sections(session, limit)
    epoch = batched(sections, epoch_order(len(sections), None, generator(seed)), batch_size, generator(seed))
    seen: list[int] = []
    dates_of_batches = []
    for batch, size in zip(epoch.batches(CPU), epoch.sizes, strict=True):
        index = batch.samples.numpy()
        dates, counts = np.unique(session[index], return_counts=True)
        # Whole dates, or as many of their stocks as the limit allows, each on a row of its own.
        assert counts.tolist() == [min(sizes[date // 3], limit) for date in dates]
        rows = batch.grid(torch.from_numpy(session[index, None]) + 1).squeeze(-1).numpy()
        assert batch.shape == rows.shape == (len(dates), counts.max())
        assert [len(set(row[row > 0])) for row in rows] == [1] * len(dates)
        assert len(index) == size
        dates_of_batches.append(len(dates))
        seen += index.tolist()
    assert len(seen) == len(set(seen)) == sum(min(size, limit) for size in sizes)
    assert max(dates_of_batches) - min(dates_of_batches) <= 1
    assert len(epoch) == len(dates_of_batches)
    wanted = len(seen) / batch_size
    assert len(epoch) in {min(len(sizes), max(1, each)) for each in (math.floor(wanted + 0.5), math.ceil(wanted - 0.5))}


def test_a_grid_holds_each_value_at_its_place_and_passes_gradients() -> None:
    batch = Batch(torch.tensor([7, 8, 2]), torch.tensor([0, 1, 2]), (2, 2))
    values = torch.tensor([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], requires_grad=True)
    found = batch.grid(values)
    assert found.tolist() == [[[1, 4], [2, 5]], [[3, 6], [0, 0]]]
    (found * torch.arange(8.0).view(2, 2, 2)).sum().backward()
    assert values.grad.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert batch.grid(torch.ones(3, 1).bool()).squeeze(-1).tolist() == [[True, True], [True, False]]


def test_of_a_large_date_other_stocks_are_drawn_each_time() -> None:
    sections = cross_sections(sessions_of([1000]), limit=64)
    draw = generator()
    first, second = (batched(sections, torch.tensor([0]), 64, draw).samples.tolist() for _ in range(2))
    assert len(set(first)) == len(set(second)) == 64
    assert len(set(first) & set(second)) < 20


def test_31_stocks_make_batches_of_four_dates() -> None:
    sections = cross_sections(sessions_of([31] * 500), limit=64)
    dates = sections.dates_of(4096)
    epoch = batched(sections, epoch_order(500, dates, generator()), 128, generator())
    assert (dates, len(epoch), sum(epoch.sizes)) == (132, 32, 4092)
    assert set(epoch.sizes) == {4 * 31, 5 * 31}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 500), st.integers(1, 600), st.integers(0, 10_000))
def test_an_epoch_draws_one_date_from_each_stretch_of_time(count: int, draw: int, seed: int) -> None:
    order = epoch_order(count, draw, generator(seed))
    if draw >= count:
        assert sorted(order.tolist()) == list(range(count))
        return
    assert len(set(order.tolist())) == draw
    edges = np.array([i * count // draw for i in range(draw + 1)])
    stretch = np.searchsorted(edges, np.sort(order.numpy()), side="right") - 1
    np.testing.assert_array_equal(stretch, np.arange(draw))


def test_epochs_follow_from_the_seed_and_differ() -> None:
    sections = cross_sections(sessions_of([70] * 1000), limit=64)

    def epoch(draw: torch.Generator) -> torch.Tensor:
        return batched(sections, epoch_order(1000, 20, draw), 128, draw).samples

    assert torch.equal(epoch(generator(5)), epoch(generator(5)))
    going_on = generator(5)
    first, second = epoch(going_on), epoch(going_on)
    assert not torch.equal(first, second)
    assert not torch.equal(first, first.sort().values)


@pytest.mark.parametrize(
    ("new", "old", "share", "expected"),
    [
        (300, 2000, 0.33, (23, 11)),
        (10, 2000, 0.33, (10, 5)),
        (300, 2, 0.33, (23, 2)),
        (5, 9, 0.0, (5, 0)),
    ],
)
def test_an_epoch_of_fine_tuning_mixes_new_and_old(new: int, old: int, share: float, expected: tuple[int, int]) -> None:
    tuning = FineTuningSettings(new_samples=700, replay_share=share)
    fresh, replay = (cross_sections(sessions_of([31] * count), limit=64) for count in (new, old))
    assert dates_per_epoch(fresh, replay, tuning) == expected
    order = mixed_order(fresh, replay, tuning, generator()).numpy()
    assert ((order < new).sum(), (order >= new).sum()) == expected
    assert len(set(order.tolist())) == sum(expected)
    assert order.max() < new + old
    assert (np.diff((order < new).astype(int)) != 0).any() == (expected[1] > 0)
