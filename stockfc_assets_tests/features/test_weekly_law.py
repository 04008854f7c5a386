"""The law of weekly_features: a row depends on nothing outside its own window, to the last bit."""

import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.features.weekly import LOOKBACK_SESSIONS, weekly_features
from stockfc_assets_tests.features.random_market import (
    BENCHMARK,
    RATIOS,
    calendar_sessions,
    random_bars,
    sessions_between,
    universe_of,
)

MANY = tuple(f"{1000 + i}.T" for i in range(40))
SESSIONS = sessions_between(dt.date(2016, 1, 4), dt.date(2019, 6, 14))
BARS = random_bars((*MANY, BENCHMARK), SESSIONS)


@pytest.fixture(scope="module")
def long_run() -> dict[str, pl.DataFrame]:
    """Three and a half years in one range run, by benchmark."""
    return {
        benchmark: weekly_features(BARS, SESSIONS, calendar_sessions(), universe_of(MANY, benchmark=benchmark))
        for benchmark in (BENCHMARK, "equal_weighted")
    }


@given(
    number=st.integers(0, len(SESSIONS) - 1),
    length=st.integers(1, 30),
    workers=st.integers(1, 3),
    benchmark=st.sampled_from([BENCHMARK, "equal_weighted"]),
)
@settings(deadline=None, max_examples=60)
def test_sessions_alone_equal_the_range_run(
    long_run: dict[str, pl.DataFrame], number: int, length: int, workers: int, benchmark: str
) -> None:
    targets = SESSIONS[number : number + length]
    window = SESSIONS[max(0, number - LOOKBACK_SESSIONS) : number + length]
    raw = BARS.filter(pl.col("session").is_in(window)).sample(fraction=1, shuffle=True, seed=number)
    universe = universe_of(MANY[::-1], benchmark=benchmark)
    alone = weekly_features(raw, targets, calendar_sessions(), universe, workers=workers)
    assert_bits_equal(alone, long_run[benchmark].filter(pl.col("session").is_in(targets)))


@given(
    number=st.integers(0, len(SESSIONS) - 1),
    tickers=st.lists(st.sampled_from(MANY), min_size=1, max_size=35, unique=True),
)
@settings(deadline=None, max_examples=40)
def test_other_tickers_change_nothing(long_run: dict[str, pl.DataFrame], number: int, tickers: list[str]) -> None:
    target = SESSIONS[number]
    alone = weekly_features(BARS, [target], calendar_sessions(), universe_of(tickers))
    among_all = long_run[BENCHMARK].filter((pl.col("session") == target) & pl.col("ticker").is_in(tickers))
    assert_bits_equal(alone, among_all)


@given(number=st.integers(LOOKBACK_SESSIONS, len(SESSIONS) - 2), ratio=st.sampled_from([*RATIOS, 1.1, 0.3]))
@settings(deadline=None, max_examples=25)
def test_data_before_the_window_and_after_the_target_change_nothing(
    long_run: dict[str, pl.DataFrame], number: int, ratio: float
) -> None:
    """Splits and prices outside the window are replaced by nonsense."""
    first, target = SESSIONS[number - LOOKBACK_SESSIONS], SESSIONS[number]
    outside = ~pl.col("session").is_between(first, target)
    prices = [
        pl.when(outside).then(pl.col(c) * 7).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close")
    ]
    raw = BARS.with_columns(*prices, split_ratio=pl.when(outside).then(ratio).otherwise(pl.col("split_ratio")))
    found = weekly_features(raw, [target], calendar_sessions(), universe_of(MANY))
    assert_bits_equal(found, long_run[BENCHMARK].filter(pl.col("session") == target))


def test_every_session_of_the_lookback_is_needed() -> None:
    """The oldest session of the window can matter: it stands in for a year-ago close of a halted stock."""
    assert LOOKBACK_SESSIONS == 52 * 5 + 5
    target, oldest = SESSIONS[-1], SESSIONS[-1 - LOOKBACK_SESSIONS]
    bars = random_bars(["1111.T"], SESSIONS, gap_share=0)
    halted = SESSIONS[-LOOKBACK_SESSIONS : -LOOKBACK_SESSIONS + 5]
    raw = bars.filter(~pl.col("session").is_in(halted))
    universe = universe_of(["1111.T"], benchmark="equal_weighted")
    whole = weekly_features(raw, [target], calendar_sessions(), universe)["log_return_52w"].item()
    closes = dict(raw.select("session", pl.col("close") * pl.col("split_ratio").cum_prod()).iter_rows())
    assert whole == pytest.approx(math.log(closes[target] / closes[oldest]), rel=1e-5)
    shorter = weekly_features(raw.filter(pl.col("session") > oldest), [target], calendar_sessions(), universe)
    assert shorter["log_return_52w"].item() is None


def test_members_of_each_session_make_the_equal_weighted_benchmark() -> None:
    """A ticker that is no member yet moves no benchmark, and does so from its first day of membership."""
    joined = SESSIONS[-3]
    members = {MANY[0]: [{"member_from": joined}]}
    universe = universe_of(MANY[:3], benchmark="equal_weighted", members=members)
    without = universe_of(MANY[1:3], benchmark="equal_weighted")
    targets = SESSIONS[-8:]
    others = pl.col("ticker") != MANY[0]
    with_it = weekly_features(BARS, targets, calendar_sessions(), universe).filter(others)
    alone = weekly_features(BARS, targets, calendar_sessions(), without)
    before = pl.col("session") < joined
    assert_bits_equal(with_it.filter(before), alone.filter(before))
    later = with_it.filter(~before)["excess_return_1w"] != alone.filter(~before)["excess_return_1w"]
    assert later.all()


def assert_bits_equal(left: pl.DataFrame, right: pl.DataFrame) -> None:
    assert_frame_equal(left, right, check_exact=True)
    for name in WEEKLY_FEATURES:
        assert left[name].fill_null(0).to_numpy().tobytes() == right[name].fill_null(0).to_numpy().tobytes(), name


def test_a_calendar_that_begins_with_the_data_changes_nothing(long_run: dict[str, pl.DataFrame]) -> None:
    short = calendar_sessions()[calendar_sessions().index(SESSIONS[0]) :]
    for targets in (SESSIONS[:3], SESSIONS[100:104], SESSIONS[263:268]):
        found = weekly_features(BARS, targets, short, universe_of(MANY))
        assert_bits_equal(found, long_run[BENCHMARK].filter(pl.col("session").is_in(targets)))
