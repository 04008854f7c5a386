"""The stochastic model: its known truth, against naive second implementations."""

import datetime as dt

import numpy as np
import pytest

from stockfc_assets.market.sources.simulated_market import (
    LOG_VOLATILITY_SPREAD,
    MAX_REVERSAL,
    MONTH_SESSIONS,
    OVERNIGHT_SHARE,
    REVERSAL_SESSIONS,
    Quotation,
    Shocks,
    autoregression,
    daily_path,
    daily_volatility,
    daily_volume,
    explained_share,
    quoted,
    reversal_level,
    reversal_strength,
    simulate_factor,
    split_ratios,
    stream,
)

EPOCH = dt.date(2010, 1, 4)


def test_streams_are_independent_and_never_change() -> None:
    first = stream(1, EPOCH, "7203.T", "days").standard_normal(3)
    assert first.tolist() == stream(1, EPOCH, "7203.T", "days").standard_normal(5)[:3].tolist()
    others = [
        stream(2, EPOCH, "7203.T", "days"), stream(1, dt.date(2010, 1, 5), "7203.T", "days"),
        stream(1, EPOCH, "7203.U", "days"), stream(1, EPOCH, "7203.T", "halts"),
    ]  # fmt: skip
    drawn = {tuple(first), *(tuple(rng.standard_normal(3)) for rng in others)}
    assert len(drawn) == 5
    assert first == pytest.approx([0.7955287649287557, -1.347192589845953, 0.5945468468002623], abs=1e-12)


def test_without_predictability_the_own_part_is_a_random_walk() -> None:
    assert reversal_strength(0.0) == (0.0, 1.0)
    shocks = np.random.default_rng(0).standard_normal((300, 4))
    np.testing.assert_array_equal(reversal_level(shocks, 0.0), np.cumsum(shocks, axis=0))


def test_own_part_leans_against_its_last_65_returns() -> None:
    """The recursion on returns, as the docstring states it, by hand."""
    shocks = np.random.default_rng(1).standard_normal((200, 3))
    returns = np.zeros_like(shocks)
    for day in range(200):
        returns[day] = -0.04 * returns[max(0, day - REVERSAL_SESSIONS) : day].sum(axis=0) + shocks[day]
    np.testing.assert_allclose(np.diff(reversal_level(shocks, 0.04), axis=0, prepend=0), returns, atol=1e-12)


@pytest.mark.parametrize("predictability", [0.1, 0.3, 0.5, 0.8])
def test_predictability_is_the_explained_share_of_the_month(predictability: float) -> None:
    """Monte Carlo: forecast the next month by running the recursion on without shocks; compare the variances."""
    strength, scale = reversal_strength(predictability)
    shocks = scale * np.random.default_rng(2).standard_normal((600 + MONTH_SESSIONS, 4000))
    level = reversal_level(shocks, strength)
    realised = level[-1] - level[-1 - MONTH_SESSIONS]
    shocks[-MONTH_SESSIONS:] = 0.0
    silent = reversal_level(shocks, strength)
    forecast = silent[-1] - silent[-1 - MONTH_SESSIONS]
    assert 1.0 - np.var(realised - forecast) / np.var(realised) == pytest.approx(predictability, abs=0.03)
    assert np.var(realised) == pytest.approx(MONTH_SESSIONS, rel=0.08)
    past = level[-1 - MONTH_SESSIONS] - level[-1 - MONTH_SESSIONS - REVERSAL_SESSIONS]
    assert np.corrcoef(past, realised)[0, 1] < -0.5 * np.sqrt(predictability)


def test_the_whole_scale_can_be_had() -> None:
    strengths = [reversal_strength(share)[0] for share in (0.0, 0.1, 0.5, 0.89)]
    assert strengths == sorted(set(strengths))
    assert reversal_strength(1.0)[0] == MAX_REVERSAL < 1.0
    assert explained_share(np.array([MAX_REVERSAL]))[0] == pytest.approx(0.9, abs=0.01)


def test_autoregression_is_stationary_with_unit_variance() -> None:
    state = autoregression(np.random.default_rng(3).standard_normal((200, 5000)), 0.98)
    assert state[0].var() == pytest.approx(1.0, abs=0.06)
    assert state[-1].var() == pytest.approx(1.0, abs=0.06)
    assert np.mean(state[100] * state[101]) == pytest.approx(0.98, abs=0.06)
    assert np.mean(state[50] * state[100]) == pytest.approx(0.98**50, abs=0.06)


def test_volatility_clusters_around_its_annual_level() -> None:
    volatility = daily_volatility(np.random.default_rng(4).standard_normal((100, 5000)), 0.3)
    assert np.sqrt(np.mean(volatility**2) * 245) == pytest.approx(0.3, rel=0.03)
    assert np.log(volatility[-1]).std() == pytest.approx(LOG_VOLATILITY_SPREAD, rel=0.05)


def test_a_factor_has_no_drift_and_extends() -> None:
    ends = np.array([simulate_factor(np.random.default_rng(n), 245, 0.18).level[-1] for n in range(800)])
    assert abs(ends.mean()) < 3 * ends.std() / np.sqrt(800)
    assert ends.std() == pytest.approx(0.18, rel=0.1)
    short = simulate_factor(np.random.default_rng(0), 100, 0.18)
    np.testing.assert_array_equal(short.level, simulate_factor(np.random.default_rng(0), 245, 0.18).level[:100])


def random_shocks(days: int, width: int, seed: int) -> Shocks:
    rng = np.random.default_rng(seed)
    normal, reach = rng.standard_normal((4, days, width)), rng.standard_exponential((2, days, width))
    return Shocks(*normal, *reach, rng.random((days, width)))


def test_intraday_extremes_are_those_of_a_brownian_path() -> None:
    """Brute force: walks of 2,000 steps from the open to the close, whose mean maximum the closed form must match."""
    days, width = 2, 20_000
    volatility = np.full((days, width), 0.02)
    shocks = random_shocks(days, width, 5)
    level = np.cumsum(volatility * shocks.own, axis=0)
    opened, high, low, close = daily_path(level, volatility, shocks)
    assert (low <= np.minimum(opened, close)).all()
    assert (high >= np.maximum(opened, close)).all()
    inside, overnight = (close - opened)[1], opened[1] - close[0]
    assert np.var(overnight) == pytest.approx(OVERNIGHT_SHARE * 0.02**2, rel=0.05)
    assert np.corrcoef(overnight, inside)[0, 1] == pytest.approx(0.0, abs=0.03)
    step = 0.02 * np.sqrt((1 - OVERNIGHT_SHARE) / 2000)
    walks = np.cumsum(step * np.random.default_rng(6).standard_normal((3000, 2000)), axis=1)
    brute = np.maximum(walks.max(axis=1), 0.0).mean()
    assert (high - opened)[1].mean() == pytest.approx(brute, rel=0.05)
    assert (opened - low)[1].mean() == pytest.approx(brute, rel=0.05)


def test_quotes_are_to_a_tenth_and_above_zero() -> None:
    prices = quoted(np.log(np.array([[1234.56, 0.001, 2000.0]])), np.array([[1.0, 1.0, 5.0]]), Quotation())
    assert prices.tolist() == [[1234.6, 0.1, 400.0]]


def test_splits_follow_from_the_close_before() -> None:
    level = np.log(np.array([[900.0, 4000.0, 200.0, 4000.0]] * 3 + [[9000.0, 4000.0, 200.0, 4000.0]] * 3))
    ratios = split_ratios(
        level,
        np.array([1, 3, 5]),
        np.array([[True, True, True, False]] * 3),
        above=np.full(4, 3500.0),
        ratio=np.array([3.0, 5.0, 2.0, 2.0]),
    )
    expected = np.ones((6, 4))
    expected[1, 1], expected[1, 2], expected[5, 0] = 5.0, 0.2, 3.0
    np.testing.assert_array_equal(ratios, expected)


def test_volume_rises_with_the_move_and_with_splits() -> None:
    shocks = random_shocks(400, 50, 7)
    volatility = np.full((400, 50), 0.02)
    level = np.cumsum(volatility * shocks.own, axis=0)
    factor = np.ones((400, 50))
    factor[200:] = 5.0
    volume = daily_volume(level, volatility, shocks, np.full(50, 1e6), factor, lot=100)
    assert volume.dtype == np.int64
    assert (volume % 100 == 0).all()
    assert (volume >= 100).all()
    moves = np.abs(np.diff(level, axis=0))
    assert np.corrcoef(moves[:199].ravel(), np.log(volume[1:200]).ravel())[0, 1] > 0.3
    assert np.median(volume[200:]) / np.median(volume[:200]) == pytest.approx(5.0, rel=0.1)
