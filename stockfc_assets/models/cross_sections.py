"""Batches of whole cross-sections: the stocks of one as-of date stay together, so that a rank within it means something.

An epoch is a choice of dates, dealt out to batches; all of it follows from the samples and a generator, on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class CrossSections:
    """The dates of some samples that lie by session: where each begins and how many stocks it has."""

    first: np.ndarray
    """int64 [d]: index of the date's first sample."""
    size: np.ndarray
    """int64 [d], > 0"""
    limit: int
    """An epoch takes at most so many stocks of a date, at random."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def stocks(self) -> float:
        """Mean over dates of how many an epoch takes."""
        return float(np.minimum(self.size, self.limit).mean()) if len(self) else 0.0

    def dates_of(self, samples: int) -> int:
        """How many dates hold about so many samples; at least one, and no more than there are."""
        return min(len(self), max(1, round(samples / self.stocks))) if len(self) else 0


def cross_sections(session: np.ndarray, limit: int) -> CrossSections:
    """The runs of equal ``session`` (int64 [n]), in their order."""
    first = np.flatnonzero(np.diff(session, prepend=-1))
    return CrossSections(first, np.diff(first, append=len(session)), limit)


def joined(first: CrossSections, second: CrossSections) -> CrossSections:
    """``first``, then ``second``, of samples that lie one behind the other; a date of both stays two cross-sections."""
    begins = int(first.size.sum())
    return CrossSections(
        np.concatenate([first.first, begins + second.first]), np.concatenate([first.size, second.size]), first.limit
    )


@dataclass(frozen=True)
class Batch:
    """n samples of d dates, and where each lies in a grid [d, k], k the most stocks of a date."""

    samples: torch.Tensor
    """int64 [n]: indices into the samples."""
    slots: torch.Tensor
    """int64 [n]: date x k + stock."""
    shape: tuple[int, int]
    """(d, k)"""

    def grid(self, values: torch.Tensor) -> torch.Tensor:
        """[n, h] laid out as [d, k, h]; 0 or False where a date has fewer stocks."""
        dates, width = self.shape
        empty = values.new_zeros((dates * width, values.shape[1]))
        return empty.index_copy(0, self.slots, values).view(dates, width, -1)


@dataclass(frozen=True)
class Epoch:
    """The batches of one pass, one behind the other, on the CPU."""

    samples: torch.Tensor
    """int64 [n]"""
    slots: torch.Tensor
    """int64 [n]"""
    sizes: list[int]
    """Samples of each batch."""
    shapes: list[tuple[int, int]]

    def __len__(self) -> int:
        """How many batches."""
        return len(self.sizes)

    def batches(self, device: torch.device) -> Iterator[Batch]:
        """In order, on ``device``, where they are copied in one piece."""
        parts = zip(self.samples.to(device).split(self.sizes), self.slots.to(device).split(self.sizes), strict=True)
        for (samples, slots), shape in zip(parts, self.shapes, strict=True):
            yield Batch(samples, slots, shape)


def epoch_order(count: int, draw: int | None, generator: torch.Generator) -> torch.Tensor:
    """Which of ``count`` dates (ordered by time) an epoch reads, in which order; int64.

    All of them, shuffled; or, where ``draw`` is smaller, one at random out of each of ``draw`` equal stretches of time.
    """
    if draw is None or draw >= count:
        return torch.randperm(count, generator=generator)
    edges = torch.arange(draw + 1) * count // max(draw, 1)
    width = edges[1:] - edges[:-1]
    offset = (torch.rand(draw, generator=generator, dtype=torch.float64) * width).to(torch.int64)
    return (edges[:-1] + offset)[torch.randperm(draw, generator=generator)]


def batched(
    sections: CrossSections, order: torch.Tensor, batch_size: int, generator: torch.Generator | None = None
) -> Epoch:
    """The dates ``order`` (int64 [m], > 0), dealt out evenly to batches of about ``batch_size`` samples.

    The number of batches follows from m and the mean stocks of a date; their numbers of dates differ by one at most, so
    there is no small last batch. A date with more than ``sections.limit`` stocks gives that many, at random.
    """
    count = min(len(order), max(1, round(len(order) * sections.stocks / batch_size)))
    samples, slots, sizes, shapes = [], [], [], []
    for dates in order.tensor_split(count):
        taken = [_stocks(sections, date, generator) for date in dates.tolist()]
        width = max(len(stocks) for stocks in taken)
        samples += taken
        slots += [row * width + torch.arange(len(stocks)) for row, stocks in enumerate(taken)]
        sizes.append(sum(len(stocks) for stocks in taken))
        shapes.append((len(taken), width))
    return Epoch(torch.cat(samples), torch.cat(slots), sizes, shapes)


def _stocks(sections: CrossSections, date: int, generator: torch.Generator | None) -> torch.Tensor:
    first, size = int(sections.first[date]), int(sections.size[date])
    if size <= sections.limit:
        return torch.arange(first, first + size)
    return first + torch.randperm(size, generator=generator)[: sections.limit].sort().values
