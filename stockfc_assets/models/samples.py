"""Time discipline: which labels of a panel may train, validate or fine-tune a month's model. NumPy only.

A label (as-of session d, horizon h) ends on d + h calendar months, and is known once that date is over. The mask is per
horizon: a recent sample trains the horizons that have matured and no other (Lopez de Prado 2018, chapter 7: purging by
label end, and an embargo).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stockfc_assets.errors import ModelError

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel


@dataclass(frozen=True)
class Samples:
    """n samples (ticker, as-of session) and which of their labels count; by session, then by ticker."""

    ticker_index: np.ndarray
    """int64 [n]"""
    session_index: np.ndarray
    """int64 [n]"""
    labelled: np.ndarray
    """bool [n, 12]; at least one True in each row."""

    def __len__(self) -> int:
        return len(self.ticker_index)

    @property
    def labels(self) -> int:
        """How many labels count."""
        return int(self.labelled.sum())

    def take(self, index: np.ndarray) -> Samples:
        """The samples at ``index`` (int [k]), in that order."""
        return Samples(self.ticker_index[index], self.session_index[index], self.labelled[index])


@dataclass(frozen=True)
class Split:
    """Samples of a full training. No training label's interval [as-of, label end] meets a validation label's."""

    train: Samples
    validation: Samples
    validation_start: np.datetime64
    """First day of the validation period."""


def training_split(panel: Panel, month: dt.date, *, validation_months: int, embargo_sessions: int) -> Split:
    """Training and validation samples of a model of ``month`` (its first day).

    Validation: as-of sessions in the last ``validation_months`` before the month, their labels that end before it.
    Training: labels that end before the session ``embargo_sessions`` sessions before the first validation session.
    Samples without such a label are left out.
    """
    start = months_before(month, validation_months)
    first = int(np.searchsorted(panel.sessions, start))
    known = int(np.searchsorted(panel.sessions, _day(month)))
    cutoff = max(first - embargo_sessions, 0)
    limit = panel.sessions[cutoff] if cutoff < known else start
    train = _samples(panel, sessions=(0, cutoff), ends_before=limit)
    validation = _samples(panel, sessions=(first, known), ends_before=_day(month))
    return Split(train, validation, start)


def newly_matured(panel: Panel, since: dt.date, month: dt.date) -> Samples:
    """Samples with a label that ends in [since, month) (both a month's first day); only those labels count."""
    known = int(np.searchsorted(panel.sessions, _day(month)))
    return _samples(panel, sessions=(0, known), ends_from=_day(since), ends_before=_day(month))


def matured_before(panel: Panel, month: dt.date) -> Samples:
    """Samples with a label that ends before ``month`` (its first day); only those labels count."""
    known = int(np.searchsorted(panel.sessions, _day(month)))
    return _samples(panel, sessions=(0, known), ends_before=_day(month))


def evenly_in_time(samples: Samples, limit: int, *, min_sessions: int = 24) -> Samples:
    """At most ``limit`` of the samples: whole cross-sections of evenly spaced sessions, so that ranks mean something.

    Where fewer than ``min_sessions`` cross-sections fit, that many are taken and thinned out evenly.
    """
    if len(samples) <= limit:
        return samples
    sessions, counts = np.unique(samples.session_index, return_counts=True)
    wanted = min(len(sessions), max(min_sessions, int(limit / counts.mean())))
    chosen = sessions[np.linspace(0, len(sessions) - 1, wanted).astype(np.int64)]
    index = np.flatnonzero(np.isin(samples.session_index, chosen))
    if len(index) > limit:
        index = index[np.linspace(0, len(index) - 1, limit).astype(np.int64)]
    return samples.take(index)


def concatenated(first: Samples, second: Samples) -> Samples:
    """``first``, then ``second``."""
    return Samples(
        np.concatenate([first.ticker_index, second.ticker_index]),
        np.concatenate([first.session_index, second.session_index]),
        np.concatenate([first.labelled, second.labelled]),
    )


def check_panel(panel: Panel, month: dt.date, sector_capacity: int) -> None:
    """Raises ModelError unless the panel can serve a model of ``month`` with that many rows of sector embedding."""
    if month.day != 1:
        raise ModelError(f"month {month}: a model belongs to a month's first day, such as {month.replace(day=1)}")
    if panel.month < month:
        raise ModelError(
            f"model of {month:%Y-%m}: the panel is of {panel.month:%Y-%m} and lacks what was known later; "
            f"materialise training_panel of {month:%Y-%m}"
        )
    for ticker, sector in zip(panel.tickers, panel.sector_id, strict=True):
        if not 0 <= sector < sector_capacity:
            raise ModelError(
                f"{ticker}: sector id {sector} is outside the embedding's 0 to {sector_capacity - 1}; "
                "raise network.sector_capacity in model.yaml and train in full"
            )


def months_before(month: dt.date, count: int) -> np.datetime64:
    """First day of the month ``count`` months before ``month``, as datetime64[D]."""
    return (np.datetime64(month, "M") - count).astype("datetime64[D]")


def _day(date: dt.date) -> np.datetime64:
    return np.datetime64(date, "D")


def _samples(
    panel: Panel,
    *,
    sessions: tuple[int, int],
    ends_before: np.datetime64,
    ends_from: np.datetime64 | None = None,
) -> Samples:
    """Eligible samples with as-of index in [sessions) and a known label that ends in [ends_from, ends_before)."""
    in_time = panel.label_end < ends_before
    if ends_from is not None:
        in_time &= panel.label_end >= ends_from
    rows = np.flatnonzero(in_time.any(axis=1))
    rows = rows[(rows >= sessions[0]) & (rows < sessions[1])]
    labelled = np.isfinite(panel.labels[:, rows]) & in_time[rows] & panel.eligible[:, rows, None]
    row, ticker = np.nonzero(labelled.any(axis=2).T)
    return Samples(ticker.astype(np.int64), rows[row].astype(np.int64), labelled[ticker, row])
