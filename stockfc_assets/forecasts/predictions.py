"""The forecast as a table: prices and intervals from the model's log returns, in the shape of tables.Predictions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from stockfc_assets.errors import InputError
from stockfc_assets.features.names import HORIZONS, MIN_VOLATILITY, VOLATILITY_FEATURE, WEEKLY_FEATURES
from stockfc_assets.forecasts.intervals import IntervalTarget, half_widths
from stockfc_assets.tables import Predictions

if TYPE_CHECKING:
    from stockfc_assets.features.panel import ModelInputs


def trailing_volatility(inputs: ModelInputs) -> np.ndarray:
    """Annualised trailing volatility by which each stock's interval is scaled, float64 [n]; NaN = not known.

    That of the as-of session, at least `MIN_VOLATILITY`: the residuals behind the quantiles were scaled alike.
    """
    volatility = inputs.weekly_seq[:, -1, WEEKLY_FEATURES.index(VOLATILITY_FEATURE)].astype(np.float64)
    return np.maximum(volatility, MIN_VOLATILITY)


def make_predictions(
    inputs: ModelInputs,
    log_returns: np.ndarray,
    *,
    session: dt.date,
    closes: Mapping[str, float],
    sectors: Mapping[str, int],
    card: Mapping[str, Any],
    volatility: np.ndarray,
    target: IntervalTarget,
) -> pl.DataFrame:
    """One row per ticker and horizon in the schema of tables.Predictions, sorted by ticker and horizon.

    ``log_returns`` [n, 12] and ``volatility`` [n] (annualised, NaN = not known) are in the order of ``inputs.tickers``;
    ``closes`` are the as-traded closes of ``session`` by ticker; ``sectors`` maps names to ids. The interval is
    split-conformal with volatility-scaled residuals (Lei et al. 2018, "Distribution-free predictive inference for
    regression", section 5.2): price x exp(r -/+ q_h x volatility x sqrt(h / 12)), where q_h is the model card's quantile
    at level 1 - target.alpha; its ends are null where q_h or the volatility is not known.

    Raises InputError naming the tickers without a close.
    """
    without_close = [ticker for ticker in inputs.tickers if ticker not in closes]
    if without_close:
        raise InputError(
            f"session {session}: no close for {', '.join(without_close[:10])}; materialise raw_ohlcv of {session} again"
        )
    horizons = np.asarray(HORIZONS, dtype=np.int64)
    price = np.array([closes[ticker] for ticker in inputs.tickers], dtype=np.float64)[:, None]
    center = log_returns.astype(np.float64)
    half_width = half_widths(card.get("interval", {}), target, np.asarray(volatility, dtype=np.float64))
    names = {number: name for name, number in sectors.items()}
    count, width = center.shape
    frame = pl.DataFrame(
        {
            "ticker": np.repeat(np.asarray(inputs.tickers, dtype=object), width).tolist(),
            "session": [session] * (count * width),
            "horizon": np.tile(horizons, count),
            "current_price": np.repeat(price[:, 0], width),
            "log_return": center.ravel(),
            "predicted_price": (price * np.exp(center)).ravel(),
            "lower": (price * np.exp(center - half_width)).ravel(),
            "upper": (price * np.exp(center + half_width)).ravel(),
            "volatility": np.repeat(np.asarray(volatility, dtype=np.float64), width),
            "sector": np.repeat([names[int(number)] for number in inputs.sector_id], width).tolist(),
            "model_id": [card["model_id"]] * (count * width),
        },
        schema=Predictions.create_empty().schema,
    )
    missing_to_null = [pl.col(name).fill_nan(None) for name in ("lower", "upper", "volatility")]
    return Predictions.validate(frame.with_columns(missing_to_null).sort("ticker", "horizon"))
