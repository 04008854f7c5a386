"""Intervals that learn from their misses: the fold by hand, its laws, and realised coverage on the simulated market."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from stockfc_assets.evaluation.intervals import adapted_target, interval_target, monthly_misses
from stockfc_assets.evaluation.outcomes import realised_outcomes
from stockfc_assets.evaluation.record import Published
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.weeks import add_months, months_later
from stockfc_assets.forecasts.intervals import IntervalTarget
from stockfc_assets.market.as_traded import adjusted_bars
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources.simulated import SimulatedSource, simulated_universe
from stockfc_assets.model_settings import IntervalSettings
from stockfc_assets.settings import SimulatedSettings
from stockfc_assets.tables import Predictions, RawOhlcv
from stockfc_assets_tests.evaluation.interval_walk import Market, market_of, walk

D = dt.date
SETTINGS = IntervalSettings(level=0.8, step=0.2)


def misses(horizon: int, shares: list[float]) -> pl.DataFrame:
    """One month after the other from January 2020."""
    months = [add_months(D(2020, 1, 1), number) for number in range(len(shares))]
    return pl.DataFrame(
        {"horizon": [horizon] * len(shares), "month": months, "missed": shares}, schema_overrides={"missed": pl.Float64}
    )


# --- the fold ---------------------------------------------------------------------------------------------------------


def test_the_fold_worked_by_hand() -> None:
    """h = 1 moves by 0.1 x (0.2 - missed), h = 4 by 0.04 x; the others have seen nothing."""
    seen = pl.concat([misses(1, [0.5, 0.1]), misses(4, [0.7])])
    found = adapted_target(seen, D(2020, 3, 1), SETTINGS)
    assert found.level == 0.8
    assert found.alpha[0] == pytest.approx(0.2 - 0.1 * 0.3 + 0.1 * 0.1, abs=1e-15)
    assert found.alpha[3] == pytest.approx(0.2 - 0.04 * 0.5, abs=1e-15)
    assert {found.alpha[column] for column in range(12) if column not in (0, 3)} == {1 - 0.8}


def test_only_months_that_are_over_count() -> None:
    seen = misses(1, [0.5, 0.1, 1.0])
    assert adapted_target(seen, D(2020, 2, 1), SETTINGS) == adapted_target(seen[:1], D(2020, 9, 1), SETTINGS)
    assert adapted_target(seen, D(2020, 1, 1), SETTINGS) == IntervalTarget.nominal(0.8)


def test_the_order_of_rows_does_not_matter_that_of_months_does() -> None:
    """At a bound the past is forgotten: first all missed, then none, is another alpha than the other way round."""
    bounded = IntervalSettings(level=0.8, step=1.0, highest_level=0.9, lowest_level=0.7)
    late, early = misses(1, [0.0, 0.0, 1.0]), misses(1, [1.0, 0.0, 0.0])
    assert adapted_target(late, D(2021, 1, 1), bounded).alpha[0] == pytest.approx(0.1, abs=1e-12)
    assert adapted_target(early, D(2021, 1, 1), bounded).alpha[0] == pytest.approx(0.3, abs=1e-12)
    assert adapted_target(late.reverse(), D(2021, 1, 1), bounded) == adapted_target(late, D(2021, 1, 1), bounded)


def test_a_step_of_zero_learns_nothing() -> None:
    found = adapted_target(misses(3, [1.0] * 50), D(2030, 1, 1), IntervalSettings(level=0.7, step=0))
    assert found == IntervalTarget.nominal(0.7)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), max_size=60), st.sampled_from(HORIZONS), st.floats(0, 1))
def test_alpha_stays_in_bounds_and_the_misses_are_as_gibbs_and_candes_say(
    shares: list[float], horizon: int, step: float
) -> None:
    """Between bounds the moves add up: alpha - alpha_1 = gain x sum of (target - missed), their proposition 4.1."""
    chosen = IntervalSettings(level=0.8, step=step)
    alpha = adapted_target(misses(horizon, shares), D(2030, 1, 1), chosen).alpha[horizon - 1]
    assert 0.02 - 1e-12 <= alpha <= 0.5
    path = [
        adapted_target(misses(horizon, shares[:count]), D(2030, 1, 1), chosen).alpha[horizon - 1]
        for count in range(len(shares) + 1)
    ]
    if all(0.02 + 1e-9 < value < 0.5 - 1e-9 for value in path):
        assert alpha - (1 - 0.8) == pytest.approx(step / (horizon + 1) * sum(0.2 - share for share in shares), abs=1e-9)


def test_levels_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"level 0\.6 is not between lowest_level 0\.7 and highest_level 0\.98"):
        IntervalSettings(level=0.6, lowest_level=0.7)


# --- from published forecasts -----------------------------------------------------------------------------------------


def forecast(ticker: str, session: D, horizon: int, lower: float | None, upper: float | None) -> dict:
    return {
        "ticker": ticker, "session": session, "horizon": horizon, "current_price": 100.0, "log_return": 0.0,
        "predicted_price": 100.0, "lower": lower, "upper": upper, "volatility": 0.2, "sector": "Foods", "model_id": "m",
    }  # fmt: skip


def test_misses_are_counted_in_the_month_in_which_the_horizon_ends() -> None:
    rows = [
        forecast("A.T", D(2020, 1, 31), 1, 90.0, 110.0),
        forecast("B.T", D(2020, 1, 31), 1, 90.0, 110.0),
        forecast("C.T", D(2020, 1, 31), 1, None, None),
        forecast("A.T", D(2020, 1, 6), 2, 99.0, 101.0),
        forecast("A.T", D(2020, 2, 3), 1, 90.0, 110.0),
        forecast("B.T", D(2020, 2, 3), 1, 90.0, 110.0),
    ]
    returns = [math.log(1.0999), math.log(1.1001), 0.0, math.log(0.98), math.log(0.9), None]
    forecasts = pl.DataFrame(rows, schema=Predictions.create_empty().schema)
    outcomes = forecasts.select("ticker", "session", "horizon").with_columns(realised_log_return=pl.Series(returns))
    assert monthly_misses(forecasts, outcomes).rows() == [
        (1, D(2020, 2, 1), 2, 0.5),
        (1, D(2020, 3, 1), 1, pytest.approx(0.0, abs=1e-12)),
        (2, D(2020, 3, 1), 1, 1.0),
    ]


def published(last: D) -> Published:
    """Weekly forecasts of two stocks, a quarter of a percent wide; one stock stands still, the other rises every day."""
    sessions = list(trading_calendar("XTKS").between(D(2020, 1, 6), last))
    close = {"A.T": [100.0] * len(sessions), "B.T": [100.0 * 1.01**number for number in range(len(sessions))]}
    raw = pl.DataFrame(
        [
            {
                "ticker": ticker, "session": day, "open": price, "high": price, "low": price, "close": price,
                "volume": 100, "dividend": 0.0, "split_ratio": 1.0, "currency": "JPY",
            }
            for ticker, prices in close.items()
            for day, price in zip(sessions, prices, strict=True)
        ],
        schema=RawOhlcv.create_empty().schema,
    )  # fmt: skip
    rows = [
        forecast(ticker, day, horizon, 0.9975 * price, 1.0025 * price) | {"current_price": price}
        for ticker, prices in close.items()
        for day, price in list(zip(sessions, prices, strict=True))[::5]
        for horizon in HORIZONS
    ]
    return Published(pl.DataFrame(rows, schema=Predictions.create_empty().schema), raw)


def test_the_target_of_a_month_is_the_same_whatever_came_later() -> None:
    """Half of all outcomes miss. Of the months before March 2020 only February has seen a horizon end, the first."""
    month = D(2020, 3, 1)
    then, later = published(D(2020, 2, 28)), published(D(2020, 6, 30))

    def target(at: Published) -> IntervalTarget:
        return interval_target(at.forecasts, realised_outcomes(at.raw, at.forecasts, month), month, SETTINGS)

    found = target(then)
    assert found.alpha[0] == pytest.approx(0.2 - 0.1 * 0.3, abs=1e-12)
    assert set(found.alpha[1:]) == {1 - 0.8}
    assert target(later) == found
    empty = Published(Predictions.create_empty(), RawOhlcv.create_empty())
    assert target(empty) == IntervalTarget.nominal(0.8)


# --- realised coverage ------------------------------------------------------------------------------------------------


def simulated_market(seed: int, stocks: int = 32) -> Market:
    """Sixteen years of the simulated market, with a forecast every other week."""
    calendar = trading_calendar("XTKS")
    last, sectors = D(2026, 6, 30), {"Foods": 1, "Banks": 2, "Machinery": 3}
    universe = simulated_universe(stocks, sectors, "XTKS")
    source = SimulatedSource(SimulatedSettings(seed=seed), universe, sectors, calendar)
    bars = adjusted_bars(source.fetch_bars(universe.tickers, D(2010, 1, 4), last).bars, last)
    grid = bars.pivot(on="ticker", index="session", values="close").sort("session").fill_null(strategy="forward")
    close = np.log(grid.drop("session").to_numpy())
    return market_of(
        grid["session"].to_numpy().astype("datetime64[D]"), close[:, np.isfinite(close).all(axis=0)], every=10
    )


def test_on_the_simulated_market_80_percent_intervals_hold_80_percent() -> None:
    """Forecasts of "no change" over 14 years of two markets: within 3 points for all horizons together and for each up
    to half a year; within 5 for the longer ones, of which 14 years hold 14 to 28 separate outcomes."""
    covered = np.concatenate([walk(simulated_market(seed), SETTINGS)[0] for seed in (1, 2)])
    assert np.isfinite(covered).all(axis=1).sum() > 500
    by_horizon = np.nanmean(covered, axis=0)
    assert abs(by_horizon.mean() - 0.8) < 0.03
    assert (abs(by_horizon[:6] - 0.8) < 0.03).all()
    assert (abs(by_horizon - 0.8) < 0.05).all()


def test_on_ten_years_of_core30_prices_they_hold_80_percent_too(shared_data: Path) -> None:
    """Around "no change", all horizons from 2017 on; single years are far off, which no interval could have known."""
    bars = pl.read_parquet(shared_data / "jp_core30" / "core30_daily.parquet")
    grid = bars.pivot(on="ticker", index="date", values="close").sort("date").fill_null(strategy="forward")[5:]
    close = np.log(grid.drop("date").to_numpy())
    market = market_of(
        grid["date"].to_numpy().astype("datetime64[D]"), close[:, np.isfinite(close).all(axis=0)], every=5
    )
    covered, _ = walk(market, SETTINGS)
    assert market.realised.shape[1] == 43
    assert abs(np.nanmean(covered, axis=0) - 0.8).max() < 0.03
    years = market.sessions.astype("datetime64[Y]").astype(int) + 1970
    assert np.nanmean(covered[years == 2023, 11]) < 0.65 < 0.9 < np.nanmean(covered[years == 2021, 11])


def doubling_market() -> Market:
    """Twelve years of independent outcomes of 200 stocks, whose size doubles in 2016; their stated volatility does not."""
    days = np.arange(np.datetime64("2010-01-01"), np.datetime64("2022-01-01"), 7).astype("datetime64[D]")
    ends = np.stack([months_later(days, horizon) for horizon in HORIZONS], axis=1)
    size = 0.2 * np.sqrt(np.array(HORIZONS) / 12) * np.where(ends < np.datetime64("2016-01-01"), 1, 2)[:, None, :]
    realised = np.random.default_rng(4).normal(size=(len(days), 200, 12)) * size
    realised[np.broadcast_to((ends > days[-1])[:, None, :], realised.shape)] = np.nan
    return Market(days, realised, ends, np.full((len(days), 200), 0.2))


def test_after_moves_doubled_unannounced_the_books_are_balanced() -> None:
    """Fixed intervals hold 48 % until the next calibration. Adaptive ones widen within the year, and make up for what
    was missed: from 2015, when the first forecasts met larger moves, to the end, every horizon comes nearer to 80 %."""
    market = doubling_market()
    fixed, _ = walk(market, IntervalSettings(step=0))
    adaptive, width = walk(market, SETTINGS)
    years = market.sessions.astype("datetime64[Y]").astype(int) + 1970
    assert abs(adaptive[years == 2014].mean(axis=0) - 0.8).max() < 0.03
    assert abs(fixed[years == 2016].mean(axis=0) - 0.48).max() < 0.03
    assert adaptive[years == 2016, 0].mean() > fixed[years == 2016, 0].mean() + 0.15
    since = years >= 2015
    miss, fixed_miss = (abs(np.nanmean(covered[since], axis=0) - 0.8) for covered in (adaptive, fixed))
    assert (miss < 0.7 * fixed_miss).all()
    assert (miss[:6] < 0.015).all()
    assert width[years == 2021, 0].mean() == pytest.approx(2 * width[years == 2014, 0].mean(), rel=0.05)
