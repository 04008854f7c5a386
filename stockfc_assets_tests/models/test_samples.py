"""Time discipline, checked label by label against a naive second reading of the rules."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.errors import ModelError
from stockfc_assets.features.panel import Panel
from stockfc_assets.models.samples import (
    Samples,
    check_panel,
    evenly_in_time,
    matured_before,
    months_before,
    newly_matured,
    training_split,
)
from stockfc_assets_tests.models.synthetic import random_panel

PANEL = random_panel(n_tickers=3, start=dt.date(2017, 6, 1), month=dt.date(2022, 3, 1))
MONTHS = [dt.date(2020, 9, 1), dt.date(2020, 12, 1), dt.date(2021, 2, 1), dt.date(2021, 7, 1), dt.date(2022, 3, 1)]


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """`PANEL` with a random share of samples and labels taken away."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    eligible = PANEL.eligible & (generator.random(PANEL.eligible.shape) < draw(st.sampled_from([0.05, 0.5, 1.0])))
    labels = np.where(generator.random(PANEL.labels.shape) < draw(st.sampled_from([0.0, 0.4])), np.nan, PANEL.labels)
    return replace(PANEL, eligible=eligible, labels=labels.astype(np.float32))


def used(samples: Samples) -> set[tuple[int, int, int]]:
    """(ticker, session, horizon index) of all labels that count."""
    row, horizon = np.nonzero(samples.labelled)
    return set(
        zip(samples.ticker_index[row].tolist(), samples.session_index[row].tolist(), horizon.tolist(), strict=True)
    )


def naive(panel: Panel, accepted: np.ndarray) -> set[tuple[int, int, int]]:
    """All known labels of eligible samples for which ``accepted`` (bool [S, 12]) holds."""
    n_tickers, n_sessions = panel.eligible.shape
    return {
        (i, s, h)
        for s, h in product(range(n_sessions), range(12))
        if accepted[s, h]
        for i in range(n_tickers)
        if panel.eligible[i, s] and not np.isnan(panel.labels[i, s, h])
    }


@settings(deadline=None, max_examples=25)
@given(panels(), st.sampled_from(MONTHS), st.integers(1, 14), st.integers(0, 25))
def test_split_is_what_the_rules_say(panel: Panel, month: dt.date, validation_months: int, embargo: int) -> None:
    split = training_split(panel, month, validation_months=validation_months, embargo_sessions=embargo)
    began = np.datetime64(month)
    start = np.datetime64(month, "M") - validation_months
    day = panel.sessions[:, None]
    validates = (day >= start.astype("datetime64[D]")) & (day < began) & (panel.label_end < began)
    first = int((panel.sessions < start.astype("datetime64[D]")).sum())
    trains = np.zeros_like(validates)
    if first - embargo > 0:
        barrier = panel.sessions[first - embargo]
        trains = (day < barrier) & (panel.label_end < barrier)
    assert used(split.validation) == naive(panel, validates)
    assert used(split.train) == naive(panel, trains)
    assert split.validation_start == start.astype("datetime64[D]")


@settings(deadline=None, max_examples=25)
@given(panels(), st.sampled_from(MONTHS), st.integers(1, 14), st.integers(0, 25))
def test_laws_of_the_split(panel: Panel, month: dt.date, validation_months: int, embargo: int) -> None:
    split = training_split(panel, month, validation_months=validation_months, embargo_sessions=embargo)
    for samples in (split.train, split.validation):
        assert samples.labelled.any(axis=1).all()
        assert (panel.sessions[samples.session_index] < np.datetime64(month)).all()
        ends = panel.label_end[samples.session_index][samples.labelled]
        assert (ends < np.datetime64(month)).all()
        assert np.isfinite(panel.labels[samples.ticker_index, samples.session_index][samples.labelled]).all()
    if not len(split.train) or not len(split.validation):
        return
    row, horizon = np.nonzero(split.train.labelled)
    last_known = panel.label_end[split.train.session_index[row], horizon].max()
    first_judged = panel.sessions[split.validation.session_index.min()]
    # Intervals [as-of, label end] that all end before the first of the others begins cannot meet.
    assert last_known < first_judged
    between = (panel.sessions >= last_known) & (panel.sessions < first_judged)
    assert between.sum() >= embargo


@settings(deadline=None, max_examples=20)
@given(panels(), st.sampled_from(MONTHS), st.integers(1, 3))
def test_new_and_old_labels_of_fine_tuning(panel: Panel, month: dt.date, months: int) -> None:
    since = months_before(month, months).astype(dt.date)
    new, old = newly_matured(panel, since, month), matured_before(panel, since)
    ends = panel.label_end
    assert used(new) == naive(panel, (ends >= np.datetime64(since)) & (ends < np.datetime64(month)))
    assert used(old) == naive(panel, ends < np.datetime64(since))
    assert not used(new) & used(old)


def test_a_recent_sample_trains_only_the_horizons_that_have_matured() -> None:
    """As-of 2021-08-31: 6 months later is 28 February 2022, before the month; 7 months later is not."""
    session = int(np.searchsorted(PANEL.sessions, np.datetime64("2021-08-31")))
    for month, matured in ((dt.date(2022, 3, 1), 6), (dt.date(2022, 2, 1), 5)):
        samples = matured_before(PANEL, month)
        rows = samples.labelled[samples.session_index == session]
        assert len(rows)
        assert (rows == (np.arange(12) < matured)).all()


def test_samples_are_ordered_by_session_then_ticker() -> None:
    samples = matured_before(PANEL, dt.date(2022, 3, 1))
    keys = list(zip(samples.session_index.tolist(), samples.ticker_index.tolist(), strict=True))
    assert keys == sorted(set(keys))


def test_evenly_in_time_keeps_whole_cross_sections_from_first_to_last() -> None:
    samples = matured_before(PANEL, dt.date(2022, 3, 1))
    chosen = evenly_in_time(samples, 300)
    assert 250 < len(chosen) <= 300
    sessions = np.unique(chosen.session_index)
    for session in sessions:
        assert (chosen.session_index == session).sum() == (samples.session_index == session).sum()
    assert (sessions[0], sessions[-1]) == (samples.session_index[0], samples.session_index[-1])
    assert evenly_in_time(samples, len(samples)) is samples


def test_evenly_in_time_thins_out_wide_cross_sections() -> None:
    samples = matured_before(random_panel(n_tickers=40), dt.date(2022, 3, 1))
    chosen = evenly_in_time(samples, 240)
    assert len(chosen) == 240
    assert len(np.unique(chosen.session_index)) == 24


def test_panels_that_cannot_serve_are_refused() -> None:
    check_panel(PANEL, dt.date(2022, 3, 1), sector_capacity=3)
    with pytest.raises(ModelError, match=r"1002\.T: sector id 2 is outside the embedding's 0 to 1"):
        check_panel(PANEL, dt.date(2022, 3, 1), sector_capacity=2)
    with pytest.raises(ModelError, match="the panel is of 2022-03"):
        check_panel(PANEL, dt.date(2022, 4, 1), sector_capacity=3)
    with pytest.raises(ModelError, match="first day, such as 2022-03-01"):
        check_panel(PANEL, dt.date(2022, 3, 2), sector_capacity=3)
