"""Splits, halts, new listings, locked prices, holidays, and calls that cannot be answered."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from stockfc_assets.errors import InputError
from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.features.weekly import weekly_features
from stockfc_assets_tests.features.random_market import calendar_sessions, random_bars, sessions_between, universe_of

TICKERS = ("1111.T", "2222.T")
UNIVERSE = universe_of(TICKERS, benchmark="equal_weighted")
SESSIONS = sessions_between(dt.date(2018, 3, 1), dt.date(2019, 6, 14))


def features_of(raw: pl.DataFrame, *targets: dt.date) -> pl.DataFrame:
    return weekly_features(raw, list(targets), calendar_sessions(), UNIVERSE)


def nulls(frame: pl.DataFrame) -> set[str]:
    return {name for name in WEEKLY_FEATURES if frame[name].null_count() == frame.height}


@pytest.mark.parametrize("ratio", [2.0, 5.0, 0.1, 3.0])
@pytest.mark.parametrize("age", [0, 1, 4, 5, 30, 64, 200, 264])
def test_a_split_changes_no_feature(ratio: float, age: int) -> None:
    """The same history on another share basis before the split."""
    plain = random_bars(TICKERS, SESSIONS, gap_share=0, split_share=0)
    plain = plain.with_columns(volume=pl.col("volume") * 30)
    day = SESSIONS[-1 - age]
    before = (pl.col("session") < day) & (pl.col("ticker") == TICKERS[0])
    split = plain.with_columns(
        *[
            pl.when(before).then(pl.col(c) * ratio).otherwise(pl.col(c)).alias(c)
            for c in ("open", "high", "low", "close")
        ],
        volume=pl.when(before).then(pl.col("volume") / ratio).otherwise(pl.col("volume")).cast(pl.Int64),
        split_ratio=pl.when((pl.col("session") == day) & (pl.col("ticker") == TICKERS[0])).then(ratio).otherwise(1.0),
    )
    expected, found = features_of(plain, *SESSIONS[-3:]), features_of(split, *SESSIONS[-3:])
    assert found.drop(WEEKLY_FEATURES).equals(expected.drop(WEEKLY_FEATURES))
    for name in WEEKLY_FEATURES:
        np.testing.assert_allclose(
            found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-6, atol=1e-7, err_msg=name
        )


def test_golden_week_2019_is_no_week() -> None:
    """After ten days without a session the gap on 7 May is against 26 April, and the week has four sessions."""
    raw = random_bars(TICKERS, SESSIONS, gap_share=0, split_share=0, locked_share=0)
    before, first, fourth = dt.date(2019, 4, 26), dt.date(2019, 5, 7), dt.date(2019, 5, 10)
    assert SESSIONS[SESSIONS.index(before) + 1] == first
    found = features_of(raw, *sessions_between(first, fourth)).filter(pl.col("ticker") == TICKERS[0])
    bars = {row["session"]: row for row in raw.filter(pl.col("ticker") == TICKERS[0]).iter_rows(named=True)}
    gap = math.log(bars[first]["open"] / bars[before]["close"])
    assert found["open_gap"].to_list() == pytest.approx([gap] * 4, rel=1e-6)
    week = [bars[session] for session in sessions_between(first, fourth)]
    high, low = max(b["high"] for b in week), min(b["low"] for b in week)
    assert found["high_low_range"][-1] == pytest.approx(math.log(high / low), rel=1e-6)
    assert found["high_low_range"][0] == pytest.approx(math.log(week[0]["high"] / week[0]["low"]), rel=1e-6)
    assert found["close_location"][-1] == pytest.approx((week[-1]["close"] - low) / (high - low), rel=1e-6)
    week_before = bars[SESSIONS[SESSIONS.index(fourth) - 5]]
    assert found["log_return_1w"][-1] == pytest.approx(math.log(week[-1]["close"] / week_before["close"]), rel=1e-6)
    assert found["is_week_end"].to_list() == [False, False, False, True]


@pytest.mark.parametrize(("halt", "known"), [(4, True), (5, True), (6, False)])
def test_a_close_stands_in_for_at_most_five_sessions(halt: int, known: bool) -> None:
    """Halted up to and including the session one week ago, for ``halt`` sessions."""
    raw = random_bars(TICKERS, SESSIONS, gap_share=0, split_share=0)
    target = SESSIONS[-1]
    halted = SESSIONS[-6 - halt + 1 : -5]
    assert len(halted) == halt
    raw = raw.filter(~(pl.col("session").is_in(halted) & (pl.col("ticker") == TICKERS[0])))
    row = features_of(raw, target).row(0, named=True)
    close = dict(raw.filter(pl.col("ticker") == TICKERS[0]).select("session", "close").iter_rows())
    expected = math.log(close[target] / close[SESSIONS[-6 - halt]]) if known else None
    assert row["log_return_1w"] == (pytest.approx(expected, rel=1e-5) if known else None)
    assert row["log_return_4w"] is not None


def test_a_session_without_a_trade_has_no_row() -> None:
    raw = random_bars(TICKERS, SESSIONS, gap_share=0)
    target = SESSIONS[-1]
    raw = raw.filter(~((pl.col("session") == target) & (pl.col("ticker") == TICKERS[0])))
    assert features_of(raw, target)["ticker"].to_list() == [TICKERS[1]]
    empty = features_of(raw.filter(pl.col("session") < target), target)
    assert empty.height == 0
    assert empty.schema == features_of(raw, target).schema


def test_a_new_listing_gains_its_features_one_by_one() -> None:
    """80 % of a window must be there; closes a fixed time ago need that time."""
    sessions = SESSIONS[-230:]
    raw = random_bars(TICKERS, sessions, gap_share=0, split_share=0, zero_volume_share=0, locked_share=0)
    first_known = dict.fromkeys(WEEKLY_FEATURES)
    for row in features_of(raw, *sessions).filter(pl.col("ticker") == TICKERS[0]).iter_rows(named=True):
        for name in WEEKLY_FEATURES:
            if first_known[name] is None and row[name] is not None:
                first_known[name] = sessions.index(row["session"]) + 1
    monday = next(j for j, session in enumerate(sessions) if session.weekday() < sessions[max(0, j - 1)].weekday())
    assert first_known == {
        "log_return_1w": 6,
        "log_return_4w": 21,
        "log_return_13w": 66,
        "log_return_26w": 131,
        "log_return_52w": None,
        "open_gap": monday + 1,
        "high_low_range": 1,
        "close_location": 1,
        "price_to_sma_13w": 52,
        "price_to_sma_26w": 104,
        "price_to_sma_52w": 208,
        "distance_to_52w_high": 208,
        "distance_to_52w_low": 208,
        "rsi_14w": 61,  # 12 of 14 weekly changes
        "macd_histogram": 211,  # 29 weekly closes for a line, 15 lines for the signal
        "volatility_4w": 17,
        "volatility_13w": 53,
        "yang_zhang_volatility_4w": 17,
        "log_volume_ratio_13w": 52,
        "amihud_illiquidity_13w": 53,
        "volume_price_correlation_13w": 53,
        "excess_return_1w": 6,
        "beta_52w": 211,  # 42 of 52 weekly returns
    }


def test_what_is_undefined_is_null_and_never_infinite() -> None:
    """One price for ever, without volume: no location in a range of nothing, no log of nothing, no correlation."""
    flat_one = pl.col("ticker") == TICKERS[0]
    prices = [pl.when(flat_one).then(500.0).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close")]
    volume = pl.when(flat_one).then(0).otherwise(pl.col("volume")).alias("volume")
    raw = random_bars(TICKERS, SESSIONS, gap_share=0, split_share=0).with_columns(*prices, volume)
    flat = features_of(raw, SESSIONS[-1]).filter(pl.col("ticker") == TICKERS[0])
    assert nulls(flat) == {
        "close_location",
        "rsi_14w",
        "log_volume_ratio_13w",
        "amihud_illiquidity_13w",
        "volume_price_correlation_13w",
    }
    zero = [
        "log_return_52w",
        "open_gap",
        "high_low_range",
        "price_to_sma_52w",
        "volatility_13w",
        "macd_histogram",
        "beta_52w",
    ]
    np.testing.assert_allclose(flat.select(zero).to_numpy(), 0.0, atol=1e-12)


def test_benchmark_that_did_not_trade_leaves_market_features_null() -> None:
    raw = random_bars(TICKERS, SESSIONS, gap_share=0)
    found = weekly_features(raw, SESSIONS[-1:], calendar_sessions(), universe_of(TICKERS, benchmark="1306.T"))
    assert nulls(found) == {"excess_return_1w", "beta_52w"}
    named = weekly_features(raw, SESSIONS[-1:], calendar_sessions(), UNIVERSE, benchmark=TICKERS[0])
    assert named["ticker"].to_list() == [TICKERS[1]]
    assert nulls(named) == set()


@pytest.mark.parametrize(
    ("targets", "calendar", "message"),
    [
        ([], calendar_sessions(), "no session asked for"),
        ([dt.date(2019, 5, 1)], calendar_sessions(), "2019-05-01"),
        ([SESSIONS[-1], SESSIONS[-2]], calendar_sessions(), "not consecutive"),
        ([SESSIONS[-3], SESSIONS[-1]], calendar_sessions(), "not consecutive"),
        ([SESSIONS[-2]], SESSIONS[:-1], "the calendar ends on 2019-06-13"),
    ],
)
def test_impossible_targets_are_refused(targets: list[dt.date], calendar: tuple[dt.date, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        weekly_features(random_bars(TICKERS, SESSIONS[-5:]), targets, calendar, UNIVERSE)
