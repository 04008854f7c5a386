"""Purging and embargo against scikit-learn's and skfolio's splitters, Lopez de Prado's own rule, and the laws."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.panel import Panel
from stockfc_assets.features.weeks import months_later
from stockfc_assets.models.samples import Samples, Split, matured_before, newly_matured, training_split
from stockfc_assets_tests.models.synthetic import random_panel

MONTHLY = np.arange(np.datetime64("2010-01"), np.datetime64("2018-01")).astype("datetime64[D]") + 14
"""One session a month, on the 15th: a label h months long ends on the h-th session after, as fixed gaps suppose."""

DAILY = random_panel(n_tickers=2, start=dt.date(2017, 6, 1), month=dt.date(2022, 3, 1))
MONTHS = [dt.date(2020, 12, 1), dt.date(2021, 2, 1), dt.date(2021, 7, 1), dt.date(2022, 3, 1)]


def monthly_panel(n_tickers: int = 2) -> Panel:
    """All labels known and all samples eligible on `MONTHLY`; features are not looked at."""
    shape = (n_tickers, len(MONTHLY))
    return replace(
        DAILY,
        month=dt.date(2018, 1, 1),
        tickers=DAILY.tickers[:n_tickers],
        sessions=MONTHLY,
        labels=np.zeros((*shape, len(HORIZONS)), np.float32),
        label_end=np.stack([months_later(MONTHLY, horizon) for horizon in HORIZONS], axis=1),
        eligible=np.ones(shape, bool),
    )


def sessions_of(samples: Samples, horizon: int) -> list[int]:
    """Sessions whose label of ``horizon`` counts, the same for every ticker."""
    counts = samples.labelled[:, horizon - 1]
    sessions, times = np.unique(samples.session_index[counts], return_counts=True)
    assert set(times) <= {2}
    return sessions.tolist()


def assert_same(panel: Panel, horizon: int, embargo: int, train: np.ndarray, test: np.ndarray) -> None:
    """Our split of the month after ``test`` trains on ``train``, and validates on what of ``test`` has matured."""
    end = int(test[-1]) + 1
    month = (panel.sessions[end - 1].astype("datetime64[M]") + 1).astype("datetime64[D]").item()
    split = training_split(panel, month, validation_months=len(test), embargo_sessions=embargo)
    assert sessions_of(split.train, horizon) == train.tolist()
    assert sessions_of(split.validation, horizon) == [session for session in test.tolist() if session + horizon < end]


@pytest.mark.parametrize("horizon", [1, 3, 12])
@pytest.mark.parametrize("embargo", [0, 2, 5])
@pytest.mark.parametrize("months", [1, 6, 18])
def test_fixed_gaps_are_those_of_sklearns_time_series_split(horizon: int, embargo: int, months: int) -> None:
    selection = pytest.importorskip("sklearn.model_selection", reason="the oracle scikit-learn is not installed")
    panel = monthly_panel()
    splits = selection.TimeSeriesSplit(n_splits=3, test_size=months, gap=horizon + embargo).split(panel.sessions)
    for train, test in splits:
        assert len(train) > 0
        assert_same(panel, horizon, embargo, train, test)


@pytest.mark.parametrize("horizon", [1, 3, 12])
@pytest.mark.parametrize("embargo", [0, 2, 5])
def test_fixed_gaps_are_those_of_skfolios_walk_forward(horizon: int, embargo: int) -> None:
    selection = pytest.importorskip("skfolio.model_selection", reason="the oracle skfolio is not installed")
    panel = monthly_panel()
    walk = selection.WalkForward(test_size=6, train_size=36, purged_size=horizon + embargo, expand_train=True)
    splits = list(walk.split(panel.sessions[:, None]))
    assert len(splits) >= 7
    for train, test in splits:
        assert_same(panel, horizon, embargo, train, test)


@pytest.mark.parametrize("horizon", [1, 3, 12])
@pytest.mark.parametrize("embargo", [0, 2])
@pytest.mark.parametrize("test_folds", [2, 3])
def test_purging_before_a_test_set_is_that_of_skfolios_combinatorial_purged_cv(
    horizon: int, embargo: int, test_folds: int
) -> None:
    """Of all its combinations, the one that tests on the newest folds and so trains on the past alone."""
    selection = pytest.importorskip("skfolio.model_selection", reason="the oracle skfolio is not installed")
    panel, folds = monthly_panel(), 4
    purged = selection.CombinatorialPurgedCV(n_folds=folds, n_test_folds=test_folds, purged_size=horizon + embargo)
    newest = list(range(folds - test_folds, folds))
    (number,) = (i for i, tested in enumerate(purged.test_set_index) if sorted(tested) == newest)
    train, tests = list(purged.split(panel.sessions[:, None]))[number]
    assert_same(panel, horizon, embargo, train, np.sort(np.concatenate(tests)))


def purged_train_times(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Lopez de Prado 2018, "Advances in Financial Machine Learning", snippet 7.1, on closed intervals; bool [k].

    train: datetime64[D] [k, 2] first and last day of each observation; test: [m, 2]. Kept is what neither begins in,
    ends in, nor envelops a test observation.
    """
    keep = np.ones(len(train), bool)
    for first, last in test:
        begins = (first <= train[:, 0]) & (train[:, 0] <= last)
        ends = (first <= train[:, 1]) & (train[:, 1] <= last)
        envelops = (train[:, 0] <= first) & (last <= train[:, 1])
        keep &= ~(begins | ends | envelops)
    return keep


def intervals(panel: Panel, samples: Samples) -> np.ndarray:
    """[as-of, label end] of all labels that count; datetime64[D] [k, 2]."""
    row, horizon = np.nonzero(samples.labelled)
    session = samples.session_index[row]
    return np.stack([panel.sessions[session], panel.label_end[session, horizon]], axis=1)


@settings(deadline=None, max_examples=12)
@given(st.sampled_from(MONTHS), st.integers(13, 18))
def test_without_embargo_on_real_calendars_it_is_lopez_de_prados_purging(
    month: dt.date, validation_months: int
) -> None:
    """On days of unequal months, against every label of the past; the longest horizon validates, so no month is empty."""
    split = training_split(DAILY, month, validation_months=validation_months, embargo_sessions=0)
    past = before_validation(DAILY, split, month)
    test = np.unique(intervals(DAILY, split.validation), axis=0)
    # The rule purges what meets a sample; ours what meets the period, which begins on the first sample's day.
    assume(test[:, 0].min() == DAILY.sessions[DAILY.sessions >= split.validation_start][0])
    candidates = np.unique(intervals(DAILY, past), axis=0)
    kept = candidates[purged_train_times(candidates, test)]
    assert np.array_equal(kept, np.unique(intervals(DAILY, split.train), axis=0))


def before_validation(panel: Panel, split: Split, month: dt.date) -> Samples:
    """Every label known to ``month`` whose as-of session lies before the validation period."""
    known = matured_before(panel, month)
    return known.take(np.flatnonzero(panel.sessions[known.session_index] < split.validation_start))


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """`DAILY` with sessions, samples and labels taken away at random."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    eligible = DAILY.eligible & (generator.random(DAILY.eligible.shape) < draw(st.sampled_from([0.02, 0.5, 1.0])))
    missing = generator.random(DAILY.labels.shape) < draw(st.sampled_from([0.0, 0.5]))
    kept = np.flatnonzero(generator.random(len(DAILY.sessions)) < draw(st.sampled_from([0.3, 1.0])))
    return replace(
        DAILY,
        sessions=DAILY.sessions[kept],
        label_end=DAILY.label_end[kept],
        eligible=eligible[:, kept],
        labels=np.where(missing, np.float32(np.nan), DAILY.labels)[:, kept],
    )


@settings(deadline=None, max_examples=40)
@given(panels(), st.sampled_from(MONTHS), st.integers(1, 18), st.integers(0, 25))
def test_a_label_trains_exactly_when_the_embargo_lies_between(
    panel: Panel, month: dt.date, validation_months: int, embargo: int
) -> None:
    """Both ways: what trains keeps its distance, and what keeps its distance trains. So nothing is purged in vain."""
    split = training_split(panel, month, validation_months=validation_months, embargo_sessions=embargo)
    validation_sessions = panel.sessions[panel.sessions >= split.validation_start]
    assume(len(validation_sessions) > 0 and validation_sessions[0] < np.datetime64(month))
    begins = validation_sessions[0]

    def keeps_distance(label: tuple[int, int, int]) -> bool:
        end = panel.label_end[label[1], label[2]]
        between = (panel.sessions > end) & (panel.sessions < begins)
        return bool(end < begins and between.sum() >= embargo)

    trains = labels_in(split.train)
    assert all(keeps_distance(label) for label in trains)
    left_out = labels_in(before_validation(panel, split, month)) - trains
    assert not any(keeps_distance(label) for label in left_out)


@settings(deadline=None, max_examples=30)
@given(panels(), st.sampled_from(MONTHS), st.integers(1, 18), st.integers(0, 25))
def test_no_training_interval_meets_a_validation_interval(
    panel: Panel, month: dt.date, validation_months: int, embargo: int
) -> None:
    split = training_split(panel, month, validation_months=validation_months, embargo_sessions=embargo)
    train, validation = (np.unique(intervals(panel, part), axis=0) for part in (split.train, split.validation))
    for first, last in validation:
        assert not ((train[:, 0] <= last) & (first <= train[:, 1])).any()


@settings(deadline=None, max_examples=15)
@given(panels(), st.sampled_from(MONTHS), st.integers(0, 2**32 - 1))
def test_the_months_that_judge_choose_nothing(panel: Panel, month: dt.date, seed: int) -> None:
    """A model of ``month`` is judged on forecasts as of ``month`` and later. Whatever happens from then on, the samples
    that train, validate and fine-tune it stay the same, and so do their labels, to the bit."""
    judged = panel.label_end >= np.datetime64(month)
    noise = np.random.default_rng(seed).normal(size=panel.labels.shape).astype(np.float32)
    later = panel.sessions >= np.datetime64(month)
    other = replace(
        panel,
        labels=np.where(judged, noise, panel.labels),
        eligible=np.where(later, ~panel.eligible, panel.eligible),
    )
    since = (np.datetime64(month, "M") - 1).astype("datetime64[D]").item()
    for samples, again in zip(choices(panel, month, since), choices(other, month, since), strict=True):
        assert labels_in(samples) == labels_in(again)
        for which, of in ((samples, panel), (again, other)):
            ends = intervals(of, which)[:, 1]
            assert (ends < np.datetime64(month)).all()
        values = [
            of.labels[s.ticker_index, s.session_index][s.labelled] for s, of in ((samples, panel), (again, other))
        ]
        assert values[0].tobytes() == values[1].tobytes()


def choices(panel: Panel, month: dt.date, since: dt.date) -> tuple[Samples, ...]:
    """Everything that a full training and a fine-tuning of ``month`` read labels from."""
    split = training_split(panel, month, validation_months=6, embargo_sessions=5)
    return split.train, split.validation, newly_matured(panel, since, month), matured_before(panel, since)


def labels_in(samples: Samples) -> set[tuple[int, int, int]]:
    """(ticker, session, horizon index) of all labels that count."""
    row, horizon = np.nonzero(samples.labelled)
    return set(
        zip(samples.ticker_index[row].tolist(), samples.session_index[row].tolist(), horizon.tolist(), strict=True)
    )
