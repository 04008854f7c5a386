"""What was published of one stock, session by session, beside what happened."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from stockfc_assets.evaluation.outcomes import KEY, realised_outcomes
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.publication import rounded_price


def ticker_history(
    forecasts: pl.DataFrame, raw: pl.DataFrame, sessions: Sequence[dt.date], known_before: dt.date
) -> list[dict[str, Any]]:
    """The forecasts of one ticker with their outcomes, newest first.

    ``forecasts`` (tables.Predictions) and ``raw`` (tables.RawOhlcv) hold that ticker's rows; ``sessions`` are all of the
    exchange from the first forecast to the last one before ``known_before``. Each entry: session, model, current_price,
    sector, and ``forecasts``, per horizon month, end (ISO date), predicted_price, return, lower, upper, and ``outcome``:
    null while the horizon is not over before ``known_before``, or where the stock had no price at its end; else price,
    return and inside (whether the interval held it; null without an interval). Prices are on the share basis of the
    entry's session, returns simple. What happened is defined by `outcomes.realised_outcomes`.
    """
    outcomes = realised_outcomes(raw, forecasts, known_before, sessions=sessions)
    rows = forecasts.join(outcomes, on=KEY, how="left").sort("session", "horizon", descending=[True, False])
    return [_entry(group.to_dicts()) for _, group in rows.group_by("session", maintain_order=True)]


def _entry(rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    return {
        "session": first["session"].isoformat(),
        "model": first["model_id"],
        "sector": first["sector"],
        "current_price": rounded_price(first["current_price"]),
        "forecasts": [_forecast(row) for row in rows],
    }


def _forecast(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "month": row["horizon"],
        "end": add_months(row["session"], row["horizon"]).isoformat(),
        "predicted_price": rounded_price(row["predicted_price"]),
        "return": round(math.expm1(row["log_return"]), 6),
        "lower": rounded_price(row["lower"]),
        "upper": rounded_price(row["upper"]),
        "outcome": None if row["realised_log_return"] is None else _outcome(row),
    }


def _outcome(row: Mapping[str, Any]) -> dict[str, Any]:
    price = row["current_price"] * math.exp(row["realised_log_return"])
    known = row["lower"] is not None and row["upper"] is not None
    return {
        "price": rounded_price(price),
        "return": round(math.expm1(row["realised_log_return"]), 6),
        "inside": row["lower"] <= price <= row["upper"] if known else None,
    }
