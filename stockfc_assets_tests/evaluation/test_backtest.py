"""The backtest's laws: exact small cases, a naive second implementation, and what must never change a weight."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.errors import InputError
from stockfc_assets.evaluation.backtest import (
    EQUAL_WEIGHTED,
    FIELD_NAMES,
    LONG_ONLY,
    LONG_SHORT,
    Market,
    Path,
    Quotes,
    TradingRules,
    backtest,
    held_index,
    portfolio_weights,
    quantile_weights,
    trade,
)
from stockfc_assets_tests.evaluation.naive_backtest import naive_path

FREE = TradingRules(
    capital=1000.0,
    quantile=0.2,
    cost=0.0,
    impact=0.0,
    max_participation=1.0,
    sell_tax=0.0,
    borrow=0.0,
    write_down_sessions=1000,
    write_down=1.0,
)
DEEP = 1e15
"""A day's turnover that no order feels."""


def market_of(*columns: list[float], dividend: np.ndarray | None = None, turnover: float = DEEP) -> Market:
    close = np.array(columns, dtype=float).T
    paid = np.zeros(close.shape) if dividend is None else dividend
    return Market(close, paid, np.full(close.shape, turnover))


def traded(market: Market, executions: list[int], weights: list[list[float]], rules: TradingRules = FREE) -> Path:
    return trade(Quotes.of(market), np.array(executions), np.array(weights, dtype=float), rules)


def random_market(seed: int, days: int = 60, stocks: int = 11, *, gaps: float = 0.0, deep: bool = True) -> Market:
    generator = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.02, (days, stocks)), axis=0))
    dividend = np.where(generator.random((days, stocks)) < 0.03, generator.uniform(0.1, 3, (days, stocks)), 0.0)
    turnover = np.full(close.shape, DEEP) if deep else generator.lognormal(6, 1, (days, stocks))
    halted = np.zeros(close.shape, dtype=bool)
    for stock in np.flatnonzero(generator.random(stocks) < gaps):
        start = generator.integers(0, days)
        halted[start : start + generator.integers(1, 30), stock] = True
    close[halted] = np.nan
    turnover[(generator.random(close.shape) < gaps / 5) | halted] = 0.0
    return Market(close, dividend, turnover)


def decided(market: Market, seed: int, every: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed + 1)
    rows = np.arange(3, len(market.close), every)
    forecast = generator.normal(size=(len(rows), market.close.shape[1]))
    forecast[generator.random(forecast.shape) < 0.1] = np.nan
    return rows, forecast, generator.random(forecast.shape) < 0.9


# --- weights ----------------------------------------------------------------------------------------------------------


def test_the_top_group_has_floor_n_share_places_of_equal_weight():
    scores = np.array([5, 1, 9, np.nan, 7, 3, 8, 2, 4, 6, 0, 10.0])  # 11 ranked: two places
    assert quantile_weights(scores, 0.2).tolist() == [0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]
    assert quantile_weights(np.array([2.0, 1.0]), 0.2).tolist() == [1, 0]
    assert np.count_nonzero(quantile_weights(np.arange(30.0), 0.1)) == 3  # 30 x 0.1 is 3, not 2.9999
    assert quantile_weights(np.full(4, np.nan), 0.2).tolist() == [0, 0, 0, 0]


def test_ties_divide_the_last_places():
    # Two places: one for the 9, the other shared by three.
    weights = quantile_weights(np.array([9.0, 4, 4, 4, 1, 1, 1, 1, 1, 1]), 0.2)
    assert weights.tolist() == pytest.approx([0.5, 1 / 6, 1 / 6, 1 / 6, 0, 0, 0, 0, 0, 0])


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.1, 0.2, 0.5]))
@settings(deadline=None, max_examples=60)
def test_weights_sum_to_one_and_do_not_depend_on_the_order_of_stocks(seed, count, share):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 6, count).astype(float)
    order = generator.permutation(count)
    weights = quantile_weights(scores, share)
    assert weights.sum() == pytest.approx(1)
    assert weights.max() <= 1 / max(1, math.floor(count * share + 1e-9)) + 1e-12
    np.testing.assert_allclose(quantile_weights(scores[order], share), weights[order], rtol=1e-14)


def test_only_members_with_a_forecast_are_ranked():
    forecast = np.array([[5.0, 4, 3, 2, 1, np.nan]])
    member = np.array([[False, True, True, True, True, True]])
    weights = portfolio_weights(forecast, member, 0.2)
    assert weights[LONG_ONLY].tolist() == [[0, 1, 0, 0, 0, 0]]
    assert weights[LONG_SHORT].tolist() == [[0, 1, 0, 0, -1, 0]]
    assert weights[EQUAL_WEIGHTED].tolist() == [[0, 0.25, 0.25, 0.25, 0.25, 0]]


def test_without_differences_between_forecasts_long_short_does_nothing_and_long_only_is_the_universe():
    market = random_market(3)
    rows, _, member = decided(market, 3)
    costly = dataclasses.replace(FREE, cost=0.001)
    paths = backtest(market, rows, np.full(member.shape, 0.25), member, costly)
    assert not paths[LONG_SHORT].net_return.any()
    assert not paths[LONG_SHORT].turnover.any()
    np.testing.assert_allclose(paths[LONG_ONLY].net_return, paths[EQUAL_WEIGHTED].net_return, atol=1e-15)


# --- exact small cases ------------------------------------------------------------------------------------------------


def test_a_forecast_is_traded_at_the_close_of_the_session_after_it():
    # The forecast of session 1 sees 100; the jump to 200 on session 2 is not its gain, that to 220 is.
    market = market_of([100, 100, 200, 220], [100, 100, 100, 100])
    paths = backtest(market, np.array([1]), np.array([[1.0, 0.0]]), np.ones((1, 2), bool), FREE)
    assert paths[LONG_ONLY].gross_return.tolist() == pytest.approx([0, 0.1])
    assert paths[LONG_SHORT].gross_return.tolist() == pytest.approx([0, 0.1])
    assert paths[EQUAL_WEIGHTED].gross_return.tolist() == pytest.approx([0, 0.05])


def test_weights_drift_between_trades():
    path = traded(market_of([100, 200, 200], [100, 100, 50]), [0], [[0.5, 0.5]])
    # 500 + 500 -> 1000 + 500 -> 1000 + 250
    assert path.gross_return.tolist() == pytest.approx([0, 0.5, -250 / 1500])
    assert path.largest.tolist() == pytest.approx([0.5, 1000 / 1500, 0.8])
    assert path.positions.tolist() == [2, 2, 2]
    assert path.turnover.tolist() == [0.5, 0, 0]


def test_costs_of_a_purchase_and_a_switch():
    rules = dataclasses.replace(FREE, cost=0.001, impact=0.01, sell_tax=0.002)
    market = market_of([100.0, 110.0], [50.0, 50.0], turnover=4000)
    path = traded(market, [0, 1], [[1.0, 0.0], [0.0, 1.0]], rules)
    bought = 1000 * (0.001 + 0.01 * math.sqrt(1000 / 4000))
    assert path.cost_drag[0] == pytest.approx(bought / 1000, rel=1e-14)
    wealth = 1100 - bought
    sold = 1100 * (0.001 + 0.01 * math.sqrt(1100 / 4000) + 0.002)
    into = wealth * (0.001 + 0.01 * math.sqrt(wealth / 4000))
    assert path.cost_drag[1] == pytest.approx((sold + into) / (1000 - bought), rel=1e-12)
    assert path.gross_return[1] == pytest.approx(100 / (1000 - bought), rel=1e-12)
    assert path.turnover[1] == pytest.approx((1100 + wealth) / 2 / (1000 - bought), rel=1e-12)


def test_a_short_position_pays_dividends_and_the_fee_for_borrowed_shares():
    dividend = np.array([[0.0], [5.0], [0.0]])
    rules = dataclasses.replace(FREE, borrow=0.0245)  # 1 bp a session
    path = traded(market_of([100, 100, 100], dividend=dividend), [0], [[-1.0]], rules)
    assert path.gross_return[1] == pytest.approx(-0.05)
    assert path.cost_drag[1] == pytest.approx(1e-4)
    # 10 shares short become 10.5, and the fee is of their value the evening before.
    assert path.cost_drag[2] == pytest.approx(1050 * 1e-4 / (1000 - 50 - 0.1))
    assert path.short[0] == 1


def test_dividends_are_reinvested_at_the_close_of_the_ex_date():
    dividend = np.array([[0.0], [10.0], [0.0]])
    path = traded(market_of([100, 90, 99], dividend=dividend), [0], [[1.0]])
    assert path.gross_return.tolist() == pytest.approx([0, 0, 0.1])  # 10 shares -> 11.11 shares of 90 -> of 99


def test_volume_limits_leave_the_rest_unfilled():
    rules = dataclasses.replace(FREE, max_participation=0.1)
    path = traded(market_of([100, 110], turnover=4000), [0], [[1.0]], rules)
    assert path.ordered[0] == 1
    assert path.unfilled[0] == pytest.approx(0.6)
    assert path.long[0] == pytest.approx(0.4)
    assert path.gross_return[1] == pytest.approx(0.04)


def test_a_halted_stock_keeps_its_price_and_is_sold_when_it_trades_again():
    market = market_of([100, math.nan, math.nan, 80, 40], [50, 50, 50, 50, 50])
    path = traded(market, [0, 1], [[1.0, 0.0], [0.0, 1.0]])
    assert path.gross_return.tolist() == pytest.approx([0, 0, 0, -0.2, 0])  # out at 80; the 40 comes too late
    assert path.unfilled[1] == 1
    assert path.long[1] == 2  # the sale has not happened, the purchase has
    assert path.long[4] == pytest.approx(1000 / 800)
    assert path.positions.tolist() == [1, 2, 2, 1, 1]


def test_after_n_sessions_without_a_trade_a_holding_is_written_down_and_a_short_is_closed_at_the_last_price():
    gone = [100, 90, math.nan, math.nan, math.nan, 500]
    rules = dataclasses.replace(FREE, write_down_sessions=3, write_down=0.75)
    held = traded(market_of(gone), [0], [[1.0]], rules)
    assert held.gross_return.tolist() == pytest.approx([0, -0.1, 0, 0, -0.75, 0])
    assert held.written_down.tolist() == [0, 0, 0, 0, 1, 0]
    short = traded(market_of(gone), [0], [[-1.0]], rules)
    assert short.gross_return.tolist() == pytest.approx([0, 0.1, 0, 0, 0, 0])
    assert short.positions.tolist() == [1, 1, 1, 1, 0, 0]


def test_a_price_without_turnover_marks_but_cannot_be_traded():
    market = market_of([100.0, 100.0, 120.0])
    market.turnover[0] = 0
    path = traded(market, [0], [[1.0]])
    assert path.unfilled[0] == 1
    assert not path.gross_return.any()


def test_ruin_ends_at_minus_one():
    path = traded(market_of([100, 150, 250, 10, 10]), [0, 3], [[-1.0], [-1.0]])
    assert path.net_return.tolist() == pytest.approx([0, -0.5, -1, 0, 0])
    assert path.positions.tolist() == [1, 1, 0, 0, 0]


def test_costs_can_ruin_as_well():
    rules = dataclasses.replace(FREE, cost=0.1)
    path = traded(market_of([100, 195, 195]), [0, 1], [[-1.0], [0.0]], rules)
    assert path.net_return.tolist() == pytest.approx([-0.1, -1, 0])  # 100 spent, 950 lost: 50 are gone before the fee
    path = traded(market_of([100, 185, 185]), [0, 1], [[-1.0], [0.0]], rules)
    assert path.net_return.tolist() == pytest.approx([-0.1, -1, 0])  # 50 are left, and the purchase costs 185


def test_an_index_is_held_without_costs():
    quotes = Quotes.of(market_of([math.nan, 100, math.nan, 110], dividend=np.array([[0], [0], [0], [1.1]])))
    path = held_index(quotes, 1)
    assert path.net_return.tolist() == pytest.approx([0, 0, 0.111])
    assert not path.cost_drag.any()
    with pytest.raises(InputError, match="no price when the backtest begins"):
        held_index(quotes, 0)


# --- laws -------------------------------------------------------------------------------------------------------------

RULES = dataclasses.replace(
    FREE, cost=0.0012, impact=0.01, max_participation=0.1, sell_tax=0.002, borrow=0.05, write_down_sessions=6
)


@given(st.integers(0, 100_000), st.sampled_from([1, 4, 9]), st.sampled_from([0.0, 0.4, 0.9]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_naive_second_implementation_agrees(seed, every, gaps, deep):
    market = random_market(seed, gaps=gaps, deep=deep)
    rows, forecast, member = decided(market, seed, every)
    rows, forecast, member = rows[rows < 59], forecast[rows < 59], member[rows < 59]
    paths = backtest(market, rows, forecast, member, RULES)
    wanted = portfolio_weights(forecast, member, RULES.quantile)
    for name, path in paths.items():
        expected = naive_path(market, (rows + 1).tolist(), wanted[name].tolist(), RULES)
        for column in FIELD_NAMES:
            np.testing.assert_allclose(getattr(path, column), expected[column], atol=1e-9, err_msg=f"{name} {column}")


@given(st.integers(0, 100_000))
@settings(deadline=None, max_examples=20)
def test_a_naive_second_implementation_agrees_on_wild_prices(seed):
    """Prices that multiply: long-short loses all it has on some of these."""
    market = random_market(seed)
    market = dataclasses.replace(market, close=(market.close / 100) ** 12)
    rows, forecast, member = decided(market, seed)
    path = backtest(market, rows, forecast, member, RULES)[LONG_SHORT]
    kept = rows < 59
    wanted = portfolio_weights(forecast[kept], member[kept], RULES.quantile)[LONG_SHORT]
    expected = naive_path(market, (rows[kept] + 1).tolist(), wanted.tolist(), RULES)
    np.testing.assert_allclose(path.net_return, expected["net_return"], atol=1e-7)
    assert (path.net_return >= -1 - 1e-12).all()


@given(st.integers(0, 100_000), st.floats(0, 0.02), st.floats(0, 0.02), st.floats(0, 0.05))
@settings(deadline=None, max_examples=40)
def test_costs_never_raise_wealth_and_net_is_gross_less_costs(seed, cost, sell_tax, impact):
    market = random_market(seed)
    rows, forecast, member = decided(market, seed)
    free = backtest(market, rows, forecast, member, FREE)
    costly = backtest(
        market,
        rows,
        forecast,
        member,
        dataclasses.replace(FREE, cost=cost, sell_tax=sell_tax, impact=impact, borrow=0.1),
    )
    for name, path in costly.items():
        assert (path.cost_drag >= 0).all()
        np.testing.assert_allclose(path.net_return, path.gross_return - path.cost_drag, atol=1e-15)
        assert (np.cumprod(1 + path.net_return) <= np.cumprod(1 + free[name].net_return) + 1e-12).all()


@given(st.integers(0, 100_000), st.floats(1e-3, 1e6))
@settings(deadline=None, max_examples=30)
def test_the_scale_of_money_changes_nothing_without_impact(seed, scale):
    market = random_market(seed, gaps=0.3)
    rows, forecast, member = decided(market, seed)
    rules = dataclasses.replace(RULES, impact=0.0)
    one = backtest(market, rows, forecast, member, rules)
    other = backtest(market, rows, forecast, member, dataclasses.replace(rules, capital=rules.capital * scale))
    for name in one:
        for column in FIELD_NAMES:
            np.testing.assert_allclose(getattr(one[name], column), getattr(other[name], column), atol=1e-9)


def test_with_impact_more_money_pays_more():
    market = random_market(5, deep=False)
    rows, forecast, member = decided(market, 5)
    rules = dataclasses.replace(RULES, capital=10.0, max_participation=1.0)
    small = backtest(market, rows, forecast, member, rules)[LONG_ONLY]
    large = backtest(market, rows, forecast, member, dataclasses.replace(rules, capital=100.0))[LONG_ONLY]
    assert large.cost_drag.sum() > small.cost_drag.sum() > 0


@given(st.integers(0, 100_000), st.integers(5, 58))
@settings(deadline=None, max_examples=40)
def test_nothing_after_a_day_changes_anything_up_to_it(seed, day):
    market = random_market(seed, gaps=0.4, deep=False)
    rows, forecast, member = decided(market, seed)
    generator = np.random.default_rng(seed + 2)
    future = {name: array.copy() for name, array in vars(market).items()}
    for name in future:
        future[name][day + 1 :] *= generator.uniform(0.5, 2, future[name][day + 1 :].shape)
    later = forecast.copy()
    later[rows > day] = generator.normal(size=later[rows > day].shape)
    before = backtest(market, rows, forecast, member, RULES)
    after = backtest(Market(**future), rows, later, member, RULES)
    known = day - (rows[0] + 1) + 1
    for name in before:
        for column in FIELD_NAMES:
            assert np.array_equal(getattr(before[name], column)[:known], getattr(after[name], column)[:known])


def test_a_forecast_of_the_last_session_is_not_traded():
    market = random_market(2)
    rows = np.array([10, 59])
    forecast, member = np.random.default_rng(0).normal(size=(2, 11)), np.ones((2, 11), bool)
    both = backtest(market, rows, forecast, member, RULES)
    first = backtest(market, rows[:1], forecast[:1], member[:1], RULES)
    assert all(np.array_equal(both[name].net_return, first[name].net_return) for name in both)
    with pytest.raises(InputError, match="there is none before the last session"):
        backtest(market, rows[1:], forecast[1:], member[1:], RULES)


def test_shapes_that_do_not_match_are_refused():
    market = random_market(1)
    rows, forecast, member = decided(market, 1)
    with pytest.raises(InputError, match=r"forecast .* and member .* must both be"):
        backtest(market, rows, forecast[:, 1:], member, RULES)
    with pytest.raises(InputError, match="ascending rows"):
        backtest(market, rows[::-1], forecast, member, RULES)
    with pytest.raises(InputError, match="must have the same shape"):
        backtest(dataclasses.replace(market, turnover=market.turnover[1:]), rows, forecast, member, RULES)
