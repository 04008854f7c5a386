"""Intervals that learn from their misses: adaptive conformal inference on the published forecasts that have matured.

Gibbs and Candes 2021, "Adaptive conformal inference under distribution shift" (NeurIPS), equation 2: the miss rate at
which the next interval is drawn moves by alpha += step x (1 - level - share missed). Here once per month and horizon,
on the forecasts whose horizon ended in that month. There is no state: the past is folded anew from the stored forecasts
and what happened to them, so that a forecast made again, or backfilled, has the same interval.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from stockfc_assets.features.names import HORIZONS
from stockfc_assets.forecasts.intervals import IntervalTarget
from stockfc_assets.model_settings import IntervalSettings


def interval_target(
    forecasts: pl.DataFrame, outcomes: pl.DataFrame, month: dt.date, settings: IntervalSettings
) -> IntervalTarget:
    """The target of the forecasts of ``month`` (its first day), from those published ones that matured before it.

    ``forecasts`` and ``outcomes`` as in `monthly_misses`, the outcomes as known before ``month``. Forecasts published for
    another level than ``settings.level`` count as if they had been for this one.
    """
    return adapted_target(monthly_misses(forecasts, outcomes), month, settings)


def monthly_misses(forecasts: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """horizon, month, n, missed: per horizon and month in which it ended, the share of outcomes outside the interval.

    ``forecasts`` has ticker, session, horizon, current_price, lower, upper (prices; null = no interval, left out);
    ``outcomes`` has ticker, session, horizon, realised_log_return. ``month`` is that month's first day; sorted.
    """
    outcome = pl.col("current_price") * pl.col("realised_log_return").exp()
    # One horizon after the other, as in `scores.scored_samples`: all at once need several times the memory.
    parts = [
        forecasts.filter(pl.col("horizon") == horizon)
        .select("ticker", "session", "horizon", "current_price", "lower", "upper")
        .join(outcomes.filter(pl.col("horizon") == horizon), on=["ticker", "session", "horizon"])
        .drop_nulls(["lower", "upper", "realised_log_return"])
        .with_columns(month=pl.col("session").dt.truncate("1mo").dt.offset_by(pl.format("{}mo", "horizon")))
        .group_by("horizon", "month")
        .agg(n=pl.len(), missed=(~outcome.is_between("lower", "upper")).mean())
        .sort("month")
        for horizon in HORIZONS
    ]
    return pl.concat(parts)


def adapted_target(misses: pl.DataFrame, month: dt.date, settings: IntervalSettings) -> IntervalTarget:
    """The target of forecasts made in ``month``, after the ``misses`` (as `monthly_misses`) of the months before it.

    alpha starts at 1 - level. Each month moves it by step / (h + 1) x (1 - level - missed), between 1 - highest_level
    and 1 - lowest_level. Misses are h months old when they are seen, and a correction that is not yet seen to work is
    made again: the longer the wait, the smaller each one. (The loop alpha_m = alpha_{m-1} - g alpha_{m-1-h} does not
    swing up to g = h^h / (h + 1)^(h + 1), which is 1 / (e (h + 1)) or a little more.)
    """
    known = misses.filter(pl.col("month") < month).sort("month")
    by_horizon = {horizon: known.filter(pl.col("horizon") == horizon)["missed"].to_list() for horizon in HORIZONS}
    alphas = (_adapted(by_horizon[horizon], settings, settings.step / (horizon + 1)) for horizon in HORIZONS)
    return IntervalTarget(settings.level, tuple(alphas))


def _adapted(missed: list[float], settings: IntervalSettings, gain: float) -> float:
    alpha = 1 - settings.level
    for share in missed:
        alpha += gain * (1 - settings.level - share)
        alpha = min(max(alpha, 1 - settings.highest_level), 1 - settings.lowest_level)
    return alpha
