"""Every weekly feature against the naive second implementation and against values worked out by hand."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.features.weekly import weekly_features
from stockfc_assets.tables import WeeklyFeatures
from stockfc_assets_tests.features.naive import naive_benchmark, naive_features, naive_market
from stockfc_assets_tests.features.random_market import (
    BENCHMARK,
    calendar_sessions,
    random_bars,
    sessions_between,
    universe_of,
)

TICKERS = ("1111.T", "2222.T", "3333.T")
SESSIONS = sessions_between(dt.date(2018, 3, 1), dt.date(2019, 6, 14))


def rows_by_number(raw: pl.DataFrame, ticker: str) -> dict[int, dict]:
    number = {session: j for j, session in enumerate(SESSIONS)}
    return {number[row["session"]]: row for row in raw.filter(pl.col("ticker") == ticker).iter_rows(named=True)}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("benchmark", "gap_share"), [(BENCHMARK, 0.03), ("equal_weighted", 0.03), (BENCHMARK, 0.15)])
def test_every_feature_equals_the_naive_one(benchmark: str, gap_share: float, seed: int) -> None:
    raw = random_bars((*TICKERS, BENCHMARK), SESSIONS, seed=seed, gap_share=gap_share)
    targets = SESSIONS[-7:]
    found = weekly_features(raw, targets, calendar_sessions(), universe_of(TICKERS, benchmark=benchmark))
    last = len(SESSIONS) - 1
    bars = {ticker: rows_by_number(raw, ticker) for ticker in (*TICKERS, BENCHMARK)}
    if benchmark == BENCHMARK:
        market = naive_benchmark(bars[BENCHMARK], last)
    else:
        market = naive_market([bars[ticker] for ticker in TICKERS], last)
    assert found.height == raw.filter(pl.col("session").is_in(targets) & (pl.col("ticker") != BENCHMARK)).height
    present = dict.fromkeys(WEEKLY_FEATURES, 0)
    for row in found.iter_rows(named=True):
        expected = naive_features(bars[row["ticker"]], SESSIONS.index(row["session"]), list(SESSIONS), market)
        assert set(expected) == set(WEEKLY_FEATURES)
        for name in WEEKLY_FEATURES:
            where = f"{name} of {row['ticker']} on {row['session']}"
            if expected[name] is None:
                assert row[name] is None, where
            else:
                assert row[name] is not None, where
                assert math.isclose(row[name], expected[name], rel_tol=2e-6, abs_tol=2e-7), where
                present[name] += 1
    assert gap_share > 0.1 or min(present.values()) >= 8, present


def test_rows_obey_the_table_and_are_sorted() -> None:
    raw = random_bars((*TICKERS, BENCHMARK), SESSIONS)
    found = weekly_features(raw, SESSIONS[-30:], calendar_sessions(), universe_of(TICKERS[::-1]))
    WeeklyFeatures.validate(found)
    assert found.columns == ["ticker", "session", "is_week_end", *WEEKLY_FEATURES]
    assert found.equals(found.sort("session", "ticker"))
    assert not any(found[name].is_nan().any() for name in WEEKLY_FEATURES)
    assert BENCHMARK not in found["ticker"].to_list()


def test_week_ends_follow_the_calendar() -> None:
    raw = random_bars(TICKERS, SESSIONS, gap_share=0)
    found = weekly_features(raw, SESSIONS[-45:], calendar_sessions(), universe_of(TICKERS, benchmark="equal_weighted"))
    ends = found.filter(pl.col("is_week_end"))["session"].unique().sort().to_list()
    assert ends == [
        dt.date(2019, 4, 5),
        dt.date(2019, 4, 12),
        dt.date(2019, 4, 19),
        dt.date(2019, 4, 26),  # no session from 27 April to 6 May
        dt.date(2019, 5, 10),
        dt.date(2019, 5, 17),
        dt.date(2019, 5, 24),
        dt.date(2019, 5, 31),
        dt.date(2019, 6, 7),
        dt.date(2019, 6, 14),
    ]


def test_a_year_worked_out_by_hand() -> None:
    """Closes double every 260 sessions at a constant rate; highs 2 % above, lows 1 % below."""
    sessions = SESSIONS[-270:]
    step = math.log(2) / 260
    close = 100 * np.exp(step * np.arange(270))
    raw = pl.DataFrame(
        {
            "ticker": ["1111.T"] * 270,
            "session": sessions,
            "open": close / math.exp(step),
            "high": close * 1.02,
            "low": close * 0.99,
            "close": close,
            "volume": pl.Series([1000] * 269 + [2000]),
            "split_ratio": [1.0] * 270,
        }
    )
    friday = sessions[-1]
    assert friday == dt.date(2019, 6, 14)
    universe = universe_of(["1111.T"], benchmark="equal_weighted")
    row = weekly_features(raw, [friday], calendar_sessions(), universe).row(0, named=True)
    growth = math.exp(step)
    expected = {
        "log_return_1w": 5 * step,
        "log_return_52w": math.log(2),
        "open_gap": 0.0,
        "high_low_range": math.log(1.02 * growth**4 / 0.99),
        "close_location": (growth**4 - 0.99) / (1.02 * growth**4 - 0.99),
        "price_to_sma_13w": 65 / sum(growth**-k for k in range(65)) - 1,
        "distance_to_52w_high": 1 / 1.02 - 1,
        "distance_to_52w_low": growth**259 / 0.99 - 1,
        "rsi_14w": 100.0,
        "volatility_13w": 0.0,
        "log_volume_ratio_13w": math.log((6000 / 5) / (66_000 / 65)),
        "excess_return_1w": 0.0,
        "beta_52w": None,  # the benchmark's weekly return never varies
        "volume_price_correlation_13w": None,
    }
    for name, value in expected.items():
        assert row[name] == (None if value is None else pytest.approx(value, rel=1e-6, abs=1e-7)), name
    closes = [100 * growth ** (269 - k) for k in range(261)]
    lines = []
    for j in range(18):
        weekly = [closes[5 * (j + i)] for i in range(36)]
        means = [np.average(weekly, weights=[(1 - 2 / (n + 1)) ** i for i in range(36)]) for n in (12, 26)]
        lines.append(means[0] - means[1])
    signal = np.average(lines, weights=[0.8**i for i in range(18)])
    assert row["macd_histogram"] == pytest.approx((lines[0] - signal) / closes[0], rel=1e-5)
