"""Widths of intervals: the card's quantiles between, at and beyond its levels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.forecasts.intervals import IntervalTarget, half_widths, interval_entry, quantiles_at

LEVELS = [0.5, 0.8, 0.9]


def card(quantiles: list[float | None], others: list[float | None] | None = None) -> dict:
    """The first horizon has ``quantiles``, the eleven others ``others``."""
    rest = others or [1.0, 2.0, 3.0]
    return {"levels": LEVELS, "quantiles": [quantiles] + [rest] * 11, "n": [40] * 12, "n_effective": [9] * 12}


def target(alpha: float, level: float = 0.8) -> IntervalTarget:
    return IntervalTarget(level, (alpha,) + (1 - level,) * 11)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(0.2, 1.25), (0.1, 1.75), (0.15, 1.5), (0.05, 1.75), (0.35, 0.875), (0.5, 0.5), (0.7, 0.5)],
)
def test_between_levels_it_is_interpolated_and_beyond_them_it_stays(alpha: float, expected: float) -> None:
    found = quantiles_at(card([0.5, 1.25, 1.75]), target(alpha))
    assert found[0] == pytest.approx(expected, abs=1e-12)
    assert (found[1:] == 2.0).all()


def test_the_nominal_level_gives_the_quantile_itself() -> None:
    assert (quantiles_at(card([0.5, 1.25, 1.75]), IntervalTarget.nominal(0.8)) == [1.25] + [2.0] * 11).all()


def test_too_few_residuals_for_the_level_give_no_interval() -> None:
    """However low the level that past misses ask for; a card without quantiles gives none at all."""
    for alpha in (0.2, 0.5):
        found = quantiles_at(card([0.5, None, None]), target(alpha))
        assert math.isnan(found[0])
        assert (found[1:] == 2.0).all()
    assert quantiles_at(card([0.5, 1.25, None]), target(0.02))[0] == 1.25
    assert np.isnan(quantiles_at({}, IntervalTarget.nominal(0.8))).all()


def test_widths_grow_with_volatility_and_with_the_root_of_time() -> None:
    widths = half_widths(card([0.5, 2.0, 3.0]), IntervalTarget.nominal(0.8), np.array([0.3, np.nan, 0.15]))
    assert widths.shape == (3, 12)
    for horizon in range(1, 13):
        assert widths[0, horizon - 1] == pytest.approx(2.0 * 0.3 * math.sqrt(horizon / 12), rel=1e-12)
        assert widths[2, horizon - 1] == pytest.approx(widths[0, horizon - 1] / 2, rel=1e-12)
    assert np.isnan(widths[1]).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 5), min_size=3, max_size=3), st.floats(0.02, 0.98), st.floats(0.02, 0.98))
def test_fewer_misses_wanted_never_narrow_an_interval(values: list[float], one: float, other: float) -> None:
    quantiles = card(sorted(values))
    less, more = (quantiles_at(quantiles, target(alpha))[0] for alpha in sorted([one, other]))
    assert less >= more


def test_what_a_file_says_of_its_intervals() -> None:
    assert interval_entry(card([0.5, 1.25, 1.75]), target(0.1234567)) == {
        "level": 0.8,
        "alpha_by_horizon": [0.123457] + [0.2] * 11,
        "n": [40] * 12,
        "n_effective": [9] * 12,
    }
