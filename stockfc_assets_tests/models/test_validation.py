"""Scores, ranks and conformal quantiles against scipy, hand-worked numbers and their laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockfc_assets.models.validation import average_ranks, conformal_quantiles, mean_rank_ic, scores, spearman


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


def test_quantile_has_the_finite_sample_correction() -> None:
    """n = 9, level 0.8: the ceil(10 x 0.8) = 8th smallest; n = 3: the 4th of 3 does not exist."""
    residuals = np.arange(1, 10, dtype=float)
    quantiles, counts = conformal_quantiles(np.zeros((9, 12)), wide(list(residuals * 0.5)), np.full((9, 12), 0.5), 0.8)
    assert (quantiles[0], counts[0]) == (8.0, 9)
    assert quantiles[1:] == [None] * 11
    assert counts[1:] == [0] * 11
    quantiles, counts = conformal_quantiles(np.zeros((3, 12)), wide([1, 2, 3]), np.ones((3, 12)), 0.8)
    assert (quantiles[0], counts[0]) == (None, 3)


@settings(deadline=None, max_examples=20)
@given(st.integers(8, 40), st.sampled_from([0.5, 0.8, 0.9]), st.integers(0, 10_000))
def test_quantile_covers_exactly_its_share_of_exchangeable_outcomes(n: int, level: float, seed: int) -> None:
    """Leave each of n + 1 residuals out in turn: ceil((n + 1) level) of them lie within the quantile of the others."""
    residuals = np.random.default_rng(seed).permutation(np.arange(1.0, n + 2))
    covered = 0
    for left_out in range(n + 1):
        rest = np.delete(residuals, left_out)
        (quantile, *_), _ = conformal_quantiles(np.zeros((n, 12)), wide(list(rest)), np.ones((n, 12)), level)
        covered += quantile is None or residuals[left_out] <= quantile
    assert covered == int(np.ceil((n + 1) * level - 1e-9))
