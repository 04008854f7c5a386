"""Scores, ranks and conformal quantiles against scipy, hand-worked numbers and their laws."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.weeks import months_later
from stockfc_assets.models.validation import (
    QUANTILE_LEVELS,
    average_ranks,
    conformal_quantiles,
    interval_quantiles,
    mean_rank_ic,
    scores,
    separate_periods,
    spearman,
)


def wide(column: list[float]) -> np.ndarray:
    """[n, 12] with ``column`` as the first horizon and nothing known of the others."""
    array = np.full((len(column), 12), np.nan)
    array[:, 0] = column
    return array


def test_figures_worked_by_hand() -> None:
    predicted = np.zeros((4, 12))
    predicted[:, 0] = [0.1, -0.1, 0.2, 0.0]
    realised = wide([0.2, 0.1, 0.2, 0.0])
    found = scores(predicted, realised, np.array([5, 5, 5, 5]))
    first = found["horizons"][0]
    assert first["n"] == 4
    assert first["mse"] == pytest.approx((0.01 + 0.04 + 0 + 0) / 4)
    assert first["mse_random_walk"] == pytest.approx((0.04 + 0.01 + 0.04) / 4)
    assert first["skill"] == pytest.approx(1 - 0.05 / 0.09)
    assert first["mae"] == pytest.approx(0.3 / 4)
    assert first["mae_random_walk"] == pytest.approx(0.5 / 4)
    assert first["hit_rate"] == pytest.approx(2 / 3)
    assert first["rank_ic"] == pytest.approx(stats.spearmanr(predicted[:, 0], realised[:, 0]).statistic)
    assert {key: found["overall"][key] for key in ("n", "mse", "skill")} == {
        key: first[key] for key in ("n", "mse", "skill")
    }
    empty = found["horizons"][11]
    assert (empty["horizon"], empty["n"], empty["mse"], empty["skill"], empty["rank_ic"]) == (12, 0, None, None, None)


def test_no_change_has_no_skill_and_no_rank() -> None:
    realised = np.random.default_rng(0).normal(0, 0.1, (30, 12))
    found = scores(np.zeros((30, 12)), realised, np.arange(30) // 10)
    assert found["overall"]["skill"] == 0
    assert found["overall"]["rank_ic"] is None
    assert found["overall"]["n"] == 360


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=20))
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=float).T
    np.testing.assert_array_equal(average_ranks(a), stats.rankdata(a))
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert spearman(a, b) is None
    else:
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_mean_rank_ic_is_per_date_and_ignores_thin_dates() -> None:
    generator = np.random.default_rng(1)
    session = np.array([9] * 6 + [2] * 5 + [4] * 2)
    predicted, realised = generator.normal(size=(2, 13))
    realised[0] = np.nan
    shuffled = generator.permutation(13)
    expected = [
        stats.spearmanr(predicted[date], realised[date]).statistic for date in (np.arange(1, 6), np.arange(6, 11))
    ]
    assert mean_rank_ic(predicted, realised, session) == pytest.approx(np.mean(expected))
    assert mean_rank_ic(predicted[shuffled], realised[shuffled], session[shuffled]) == pytest.approx(np.mean(expected))


# --- quantiles for intervals ------------------------------------------------------------------------------------------


def test_quantile_has_the_finite_sample_correction() -> None:
    """n = 9, level 0.8: the ceil(10 x 0.8) = 8th smallest; n = 3: the 4th of 3 does not exist."""
    residuals = np.random.default_rng(0).permutation(np.arange(1, 10, dtype=float))
    assert conformal_quantiles(residuals, 9, [0.1, 0.5, 0.8, 0.9, 0.91]) == [1.0, 5.0, 8.0, 9.0, None]
    assert conformal_quantiles(residuals[:3], 3, [0.8]) == [None]
    assert conformal_quantiles(np.zeros(0), 0, [0.02, 0.8]) == [None, None]


@settings(deadline=None, max_examples=20)
@given(st.integers(8, 40), st.sampled_from([0.5, 0.8, 0.9]), st.integers(0, 10_000))
def test_quantile_covers_exactly_its_share_of_exchangeable_outcomes(n: int, level: float, seed: int) -> None:
    """Leave each of n + 1 residuals out in turn: ceil((n + 1) level) of them lie within the quantile of the others."""
    residuals = np.random.default_rng(seed).permutation(np.arange(1.0, n + 2))
    covered = 0
    for left_out in range(n + 1):
        (quantile,) = conformal_quantiles(np.delete(residuals, left_out), n, [level])
        covered += quantile is None or residuals[left_out] <= quantile
    assert covered == int(np.ceil((n + 1) * level - 1e-9))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 10_000))
def test_copies_of_a_residual_say_what_one_says(n: int, copies: int, seed: int) -> None:
    residuals = np.random.default_rng(seed).normal(size=n)
    once = conformal_quantiles(residuals, n, QUANTILE_LEVELS)
    assert conformal_quantiles(np.repeat(residuals, copies), n, QUANTILE_LEVELS) == once
    known = [value for value in once if value is not None]
    assert known == sorted(known)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 14), min_size=1, max_size=9, unique=True), st.integers(1, 8))
def test_separate_periods_are_the_most_that_fit(starts: list[int], length: int) -> None:
    """Against every choice of intervals, one by one."""
    begins = np.datetime64("2024-01-01") + np.array(sorted(starts))
    ends = begins + length
    most = max(
        sum(chosen)
        for chosen in product([0, 1], repeat=len(begins))
        if all(b >= a + length for a, b in pairwise(begins[np.array(chosen) == 1]))
    )
    assert separate_periods(begins, ends) == most


def test_the_cards_quantiles_are_those_of_the_residuals_per_horizon() -> None:
    """Weekly as-of dates from January to June 2024, three stocks; labels of the second horizon are known up to April."""
    dates = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-07-01"), 7)
    as_of = np.repeat(dates, 3)
    label_end = np.stack([months_later(as_of, horizon) for horizon in HORIZONS], axis=1)
    generator = np.random.default_rng(2)
    predicted, scale = generator.normal(size=(len(as_of), 12)), generator.uniform(0.5, 2, (len(as_of), 12))
    realised = np.full((len(as_of), 12), np.nan)
    realised[:, 0] = generator.normal(size=len(as_of))
    early = label_end[:, 1] < np.datetime64("2024-05-01")
    realised[early, 1] = 3.0
    shuffled = generator.permutation(len(as_of))
    found = interval_quantiles(*(array[shuffled] for array in (predicted, realised, scale, as_of, label_end)))
    assert found["levels"] == pytest.approx(np.arange(0.02, 0.99, 0.02))
    assert found["n"] == [78, int(early.sum())] + [0] * 10
    # Months from 1 January, 5 February, 11 March, 15 April, 20 May and 24 June; two months from 1 January.
    assert found["n_effective"] == [3 * 6, 3 * 1] + [0] * 10
    residuals = np.abs(realised - predicted)[:, 0] / scale[:, 0]
    assert found["quantiles"][0] == conformal_quantiles(residuals, 18, QUANTILE_LEVELS)
    # Three separate residuals bound three quarters of outcomes: levels up to 0.74.
    assert found["quantiles"][1][37:] == [None] * 12
    assert None not in found["quantiles"][1][:37]
    assert found["quantiles"][2:] == [[None] * 49] * 10
