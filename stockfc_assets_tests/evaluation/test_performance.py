"""Figures of return series: hand-computed cases, and empyrical-reloaded as a second opinion with our 245 sessions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.evaluation import performance

EXACT = np.array([0.10, -0.20, 0.05, 0.30, -0.10])
"""Wealth 1.1, 0.88, 0.924, 1.2012, 1.08108."""


def test_exact_values():
    assert performance.total_return(EXACT) == pytest.approx(0.08108, rel=1e-12)
    assert performance.annual_return(EXACT) == pytest.approx(1.08108**49 - 1, rel=1e-12)
    variance = sum((r - 0.03) ** 2 for r in EXACT) / 4
    assert performance.volatility(EXACT) == pytest.approx(math.sqrt(variance * 245), rel=1e-12)
    assert performance.sharpe(EXACT) == pytest.approx(0.03 / math.sqrt(variance) * math.sqrt(245), rel=1e-12)
    assert performance.sortino(EXACT) == pytest.approx(0.03 / math.sqrt((0.04 + 0.01) / 5) * math.sqrt(245), rel=1e-12)
    assert performance.value_at_risk(EXACT) == pytest.approx(-0.2 + 0.2 * 0.1, rel=1e-12)  # 0.05 x 4 = 0.2 of the way
    assert performance.conditional_value_at_risk(EXACT) == pytest.approx(-0.2)
    assert performance.per_year(EXACT) == pytest.approx(0.03 * 245)
    assert performance.t_statistic(EXACT) == pytest.approx(0.03 / math.sqrt(variance / 5), rel=1e-12)
    daily = 0.03 / math.sqrt(variance)
    assert performance.sharpe_error(EXACT) == pytest.approx(math.sqrt((1 + daily**2 / 2) / 5 * 245), rel=1e-12)


def test_the_deepest_drawdown_and_its_days():
    fall = performance.max_drawdown(EXACT)
    assert fall.depth == pytest.approx(-0.2)
    assert (fall.peak, fall.trough, fall.recovered) == (0, 1, 3)
    assert performance.calmar(EXACT) == pytest.approx((1.08108**49 - 1) / 0.2, rel=1e-12)
    from_the_start = performance.max_drawdown(np.array([-0.5, 0.2, -0.1]))
    assert (from_the_start.peak, from_the_start.trough, from_the_start.recovered) == (-1, 0, None)
    later_peak = performance.max_drawdown(np.array([0.1, 0.0, -0.1]))
    assert (later_peak.peak, later_peak.trough) == (1, 2)  # the last day at the peak


def test_below_the_peak_day_by_day():
    below = performance.below_peak(EXACT)
    assert below == pytest.approx([0, 1 - 0.88 / 1.1, 1 - 0.924 / 1.1, 0, 0.1], abs=1e-12)
    assert performance.below_peak(np.array([-0.5, 0.2, -1.0, 0.0])) == pytest.approx([0.5, 0.4, 1, 1], abs=1e-12)
    assert performance.below_peak(np.zeros(0)).shape == (0,)


def test_what_the_data_do_not_give_is_none():
    flat, nothing = np.zeros(10), np.zeros(0)
    for figure in (performance.sharpe, performance.sharpe_error, performance.sortino, performance.t_statistic):
        assert figure(flat) is None
        assert figure(nothing) is None
    assert performance.calmar(flat) is None
    assert performance.max_drawdown(flat).depth == 0
    assert performance.sortino(np.full(5, 0.01)) is None
    assert performance.volatility(np.array([0.1])) is None
    for figure in (performance.annual_return, performance.max_drawdown, performance.calmar, performance.per_year):
        assert figure(nothing) is None
    assert performance.value_at_risk(nothing) is performance.conditional_value_at_risk(nothing) is None
    assert performance.annual_return(np.array([0.1, -1.0, 0.0])) == -1


def plain_sortino(returns: list[float]) -> float:
    losses = [r * r for r in returns if r < 0]
    mean = sum(returns) / len(returns)
    return mean * 245 / math.sqrt(sum(losses) / len(returns) * 245) if losses else math.nan


@pytest.fixture(scope="module")
def empyrical():
    return pytest.importorskip("empyrical", reason="empyrical-reloaded is not installed")


@given(st.integers(0, 100_000), st.integers(2, 600), st.floats(0.001, 0.05))
@settings(deadline=None, max_examples=60)
def test_empyrical_agrees(empyrical, seed, days, scale):
    returns = np.random.default_rng(seed).standard_t(4, days) * scale
    returns = np.maximum(returns, -0.9)
    year = {"annualization": 245}
    expected = {
        performance.total_return: empyrical.cum_returns_final(returns),
        performance.annual_return: empyrical.annual_return(returns, **year),
        performance.volatility: empyrical.annual_volatility(returns, **year),
        performance.sharpe: empyrical.sharpe_ratio(returns, **year),
        performance.sortino: plain_sortino(returns.tolist()),  # empyrical 0.5.9's own asks NumPy 2 for a name it lost
        performance.calmar: empyrical.calmar_ratio(returns, **year),
        performance.value_at_risk: empyrical.value_at_risk(returns),
        performance.conditional_value_at_risk: empyrical.conditional_value_at_risk(returns),
    }
    for figure, value in expected.items():
        ours = figure(returns)
        if ours is None:
            assert not np.isfinite(value), figure.__name__
        else:
            assert ours == pytest.approx(value, rel=1e-9, abs=1e-12), figure.__name__
    assert performance.max_drawdown(returns).depth == pytest.approx(empyrical.max_drawdown(returns), abs=1e-12)


@given(st.integers(0, 100_000), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_a_drawdown_by_trying_every_pair_of_days(seed, days):
    returns = np.random.default_rng(seed).normal(0, 0.05, days)
    wealth = [1.0]
    for value in returns:
        wealth.append(wealth[-1] * (1 + value))
    pairs = [(wealth[j] / wealth[i] - 1, i, j) for j in range(days + 1) for i in range(j + 1)]
    fall = performance.max_drawdown(returns)
    assert fall.depth == pytest.approx(min(pairs)[0], abs=1e-12)
    if fall.depth < 0:
        assert wealth[fall.trough + 1] / wealth[fall.peak + 1] - 1 == pytest.approx(fall.depth, abs=1e-12)
        after = [d for d in range(fall.trough + 1, days) if wealth[d + 1] >= wealth[fall.peak + 1]]
        assert fall.recovered == (after[0] if after else None)
    assert performance.below_peak(returns).max() == -fall.depth
