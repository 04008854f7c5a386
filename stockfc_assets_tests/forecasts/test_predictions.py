"""The table of forecasts: prices and intervals worked out a second time, row by row."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from stockfc_assets.errors import InputError
from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.forecasts.intervals import IntervalTarget
from stockfc_assets.forecasts.predictions import make_predictions, trailing_volatility
from stockfc_assets.tables import Predictions
from stockfc_assets_tests.forecasts.samples import sample_card, sample_inputs

SECTORS = {"Unknown": 0, "Foods": 1, "Banks": 2}
SESSION = dt.date(2026, 2, 6)
TARGET = IntervalTarget.nominal(0.8)
TICKERS = ("9984.T", "2914.T", "8306.T")
CLOSES = {"9984.T": 4000.0, "2914.T": 4250.5, "8306.T": 2900.0, "1306.T": 1.0}


def predictions(
    card: dict | None = None, volatility: tuple[float, ...] = (0.3, 0.2, math.nan)
) -> tuple[pl.DataFrame, np.ndarray]:
    returns = np.random.default_rng(2).normal(0, 0.05, (3, 12)).astype(np.float32)
    frame = make_predictions(
        sample_inputs(TICKERS, [0, 1, 2]),
        returns,
        session=SESSION,
        closes=CLOSES,
        sectors=SECTORS,
        card=card or sample_card(SECTORS),
        volatility=np.array(volatility),
        target=TARGET,
    )
    return frame, returns


def test_rows_equal_a_second_calculation_and_are_sorted():
    frame, returns = predictions()
    card = sample_card(SECTORS)
    assert frame.columns == Predictions.column_names()
    assert frame.select("ticker", "horizon").rows() == [
        (ticker, horizon) for ticker in sorted(TICKERS) for horizon in range(1, 13)
    ]
    for row in frame.iter_rows(named=True):
        place, horizon = TICKERS.index(row["ticker"]), row["horizon"]
        log_return, price = float(returns[place, horizon - 1]), CLOSES[row["ticker"]]
        assert row["log_return"] == log_return
        assert (row["session"], row["current_price"], row["model_id"]) == (SESSION, price, card["model_id"])
        assert row["sector"] == ["Unknown", "Foods", "Banks"][place]
        assert row["predicted_price"] == pytest.approx(price * math.exp(log_return), rel=1e-12)
        if row["ticker"] == "8306.T":
            assert (row["lower"], row["upper"], row["volatility"]) == (None, None, None)
            continue
        width = (1.21 + 0.01 * horizon) * (0.3, 0.2)[place] * math.sqrt(horizon / 12)
        assert row["lower"] == pytest.approx(price * math.exp(log_return - width), rel=1e-12)
        assert row["upper"] == pytest.approx(price * math.exp(log_return + width), rel=1e-12)


def test_a_horizon_without_a_quantile_has_no_interval():
    card = sample_card(SECTORS)
    card["interval"]["quantiles"][11] = [0.9, None, None]
    frame, _ = predictions(card)
    known = frame.filter(pl.col("ticker") == "2914.T").select("lower", "upper", "horizon")
    assert known.filter(pl.col("lower").is_null())["horizon"].to_list() == [12]
    assert known.filter(pl.col("upper").is_null())["horizon"].to_list() == [12]


def test_a_stock_without_a_close_is_named():
    with pytest.raises(InputError, match=r"session 2026-02-06: no close for 8306\.T; materialise raw_ohlcv"):
        make_predictions(
            sample_inputs(TICKERS, [0, 1, 2]),
            np.zeros((3, 12), np.float32),
            session=SESSION,
            closes={"9984.T": 1.0, "2914.T": 2.0},
            sectors=SECTORS,
            card=sample_card(SECTORS),
            volatility=np.full(3, 0.2),
            target=TARGET,
        )


def test_no_stock_gives_an_empty_table():
    frame = make_predictions(
        sample_inputs((), []),
        np.zeros((0, 12), np.float32),
        session=SESSION,
        closes={},
        sectors=SECTORS,
        card=sample_card(SECTORS),
        volatility=np.zeros(0),
        target=TARGET,
    )
    assert frame.is_empty()
    assert frame.columns == Predictions.column_names()


def test_the_volatility_is_that_of_the_as_of_row_and_at_least_five_percent():
    inputs = sample_inputs(TICKERS, [0, 1, 2])
    inputs.weekly_seq[:, -1, WEEKLY_FEATURES.index("volatility_13w")] = [0.25, 0.01, np.nan]
    np.testing.assert_array_equal(trailing_volatility(inputs), [0.25, 0.05, np.nan])
