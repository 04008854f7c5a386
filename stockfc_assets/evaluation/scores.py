"""What forecasts were worth: scores of matured forecasts against what happened.

A score without enough data is null, never 0. Errors and skill are in log returns.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl

from stockfc_assets.features.grids import STALE_SESSIONS
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.weeks import months_later
from stockfc_assets.market.as_traded import adjusted_bars

MIN_STOCKS = 5
"""A correlation across fewer stocks than this says nothing: such dates are left out of IC and rank IC."""

MIN_INDEPENDENT_HORIZONS = 3
"""Fewer non-overlapping horizons than this give no t statistic: with a lag near the length of the series the Bartlett
estimate of the variance goes to zero and t to infinity (Kiefer and Vogelsang 2005, Econometric Theory 21)."""

NOTHING_MATURED = "no forecast has matured yet"

DECIMALS = 8
"""Of published scores: beyond the last bits, which may differ between machines."""

KEY = ["ticker", "session", "horizon"]


def realised_outcomes(raw: pl.DataFrame, forecasts: pl.DataFrame, known_before: dt.date) -> pl.DataFrame:
    """What happened to each forecast whose horizon was over before ``known_before``.

    ``raw`` (tables.RawOhlcv) holds every session from the first forecast to the last before ``known_before``, without
    gaps; ``forecasts`` has columns ticker, session, horizon. Returns ticker, session, horizon and realised_log_return,
    sorted: the split-adjusted log return from the session to the last one on or before session + horizon months, or to
    the ticker's newest close at most `STALE_SESSIONS` sessions before it (as the labels of the panel). No row where the
    label ends on or after ``known_before``, or where the ticker has no price at either end.
    """
    bars = adjusted_bars(raw, known_before - dt.timedelta(days=1)).select(
        "ticker", "session", log_close=pl.col("close").log()
    )
    matured = forecasts.select(KEY).join(
        _label_ends(forecasts, bars["session"], known_before), on=["session", "horizon"]
    )
    ended = bars.select("ticker", last_session="session", last_log_close="log_close").sort("last_session")
    return (
        matured.join(bars, on=["ticker", "session"])
        .sort("end")
        .join_asof(ended, left_on="end", right_on="last_session", by="ticker", check_sortedness=False)
        .filter(pl.col("last_session") >= pl.col("oldest"), pl.col("last_session") > pl.col("session"))
        .select(*KEY, realised_log_return=pl.col("last_log_close") - pl.col("log_close"))
        .sort(KEY)
    )


def score_forecasts(forecasts: pl.DataFrame, outcomes: pl.DataFrame) -> dict[str, Any]:
    """Scores per horizon and over all horizons, of the forecasts that have an outcome.

    ``forecasts`` has ticker, session, horizon, log_return, lower, upper, current_price (lower and upper are prices,
    null without interval); ``outcomes`` has ticker, session, horizon, realised_log_return. Returns ``{"overall":
    {...}, "horizons": [{"horizon": 1, ...}, ... 12]}`` with, in each:

    - ``n``, ``n_dates``: forecasts and as-of dates;
    - ``mse``, ``mse_random_walk``, ``mae``, and ``skill`` = 1 - MSE / MSE of "no change";
    - ``ic``, ``rank_ic``: mean over dates of the Pearson and Spearman correlation across stocks. Left out are dates
      with fewer than `MIN_STOCKS` stocks or with all forecasts or all outcomes equal;
    - ``ic_hac_t``, ``rank_ic_hac_t``: their t statistics, see `hac_t`. The lag is the largest number of as-of dates
      inside one label interval, so that it spans the horizon whether forecasts were made daily or monthly;
    - ``hit_rate``: share of forecasts with the sign of the outcome; a forecast or an outcome of exactly 0 takes no side
      and is left out;
    - ``coverage``: share of outcomes inside the interval, among the forecasts that have one.

    Overall pools the rows of all horizons; its correlations are first averaged over the horizons of a date, and the lag
    is that of the longest horizon. Without any forecast, ``n`` is 0 and every score is null.
    """
    scored = forecasts.join(outcomes, on=KEY).drop_nulls(["log_return", "realised_log_return"]).sort(KEY)
    correlations = _correlations(scored)
    horizons = [
        {
            "horizon": horizon,
            **_scores(
                scored.filter(pl.col("horizon") == horizon), correlations.filter(pl.col("horizon") == horizon), horizon
            ),
        }
        for horizon in HORIZONS
    ]
    by_date = correlations.group_by("session").agg(pl.col("ic", "rank_ic").mean()).sort("session")
    longest = scored["horizon"].max() or HORIZONS[-1]
    return {"overall": _scores(scored, by_date, longest), "horizons": horizons}


def track_record(forecasts: pl.DataFrame, raw: pl.DataFrame, *, known_before: dt.date) -> dict[str, Any]:
    """The scores of all forecasts that had matured before ``known_before``, as published beside every forecast.

    ``forecasts`` (tables.Predictions) and ``raw`` (tables.RawOhlcv) as in `realised_outcomes`. Keys: matured_before
    (ISO date: every label ended before it), horizons (12), overall, note (null, or why there are no scores yet).
    """
    scores = score_forecasts(forecasts, realised_outcomes(raw, forecasts, known_before))
    return {
        "matured_before": known_before.isoformat(),
        "horizons": [_rounded(row) for row in scores["horizons"]],
        "overall": _rounded(scores["overall"]),
        "note": NOTHING_MATURED if scores["overall"]["n"] == 0 else None,
    }


def hac_t(series: np.ndarray, lag: int) -> float | None:
    """t statistic of the mean of ``series`` [n] with the Newey-West (1987, Econometrica 55) error, Bartlett kernel.

    variance of the mean = (g_0 + 2 sum_{l=1..lag} (1 - l / (lag + 1)) g_l) / n, with g_l the autocovariance (divisor n)
    of the demeaned series; no small-sample factor. None when the series is shorter than `MIN_INDEPENDENT_HORIZONS` x
    (lag + 1) or does not vary.
    """
    count = len(series)
    if count < max(2, MIN_INDEPENDENT_HORIZONS * (lag + 1)):
        return None
    mean = float(series.mean())
    deviation = series - mean
    if np.ptp(series) <= 1e-12 * max(1.0, abs(mean)):
        return None
    variance = float(deviation @ deviation) / count
    for shift in range(1, lag + 1):
        autocovariance = float(deviation[shift:] @ deviation[:-shift]) / count
        variance += 2 * (1 - shift / (lag + 1)) * autocovariance
    return mean / math.sqrt(variance / count) if variance > 0 else None


def _label_ends(forecasts: pl.DataFrame, sessions: pl.Series, known_before: dt.date) -> pl.DataFrame:
    """session, horizon, end, oldest: when each matured label is over, and the oldest session that may stand in."""
    days = np.unique(sessions.to_numpy())
    pairs = forecasts.select("session", "horizon").unique()
    ends = pl.concat(
        [
            group.with_columns(end=pl.Series(months_later(group["session"].to_numpy(), horizon)))
            for (horizon,), group in pairs.group_by("horizon")
        ]
        or [pairs.with_columns(end=pl.lit(None, pl.Date))]
    ).filter(pl.col("end") < known_before)
    newest = np.searchsorted(days, ends["end"].to_numpy(), side="right") - 1
    oldest = days[np.maximum(newest - STALE_SESSIONS, 0)] if len(days) else ends["end"].to_numpy()
    return ends.with_columns(oldest=pl.Series(oldest, dtype=pl.Date))


def _correlations(scored: pl.DataFrame) -> pl.DataFrame:
    """session, horizon, ic, rank_ic: one row per date and horizon on which a correlation across stocks is defined."""
    forecast, outcome = pl.col("log_return"), pl.col("realised_log_return")
    return (
        scored.group_by("session", "horizon")
        .agg(
            ic=pl.corr(forecast, outcome),
            rank_ic=pl.corr(forecast.rank("average"), outcome.rank("average")),
            stocks=pl.len(),
            varies=(forecast.n_unique() > 1) & (outcome.n_unique() > 1),
        )
        .filter((pl.col("stocks") >= MIN_STOCKS) & pl.col("varies"))
        .select("session", "horizon", "ic", "rank_ic")
        .sort("session", "horizon")
    )


def _scores(scored: pl.DataFrame, correlations: pl.DataFrame, horizon: int) -> dict[str, Any]:
    forecast, outcome = pl.col("log_return"), pl.col("realised_log_return")
    inside = outcome.is_between(
        (pl.col("lower") / pl.col("current_price")).log(), (pl.col("upper") / pl.col("current_price")).log()
    )
    sides = pl.when((forecast != 0) & (outcome != 0)).then(forecast.sign() == outcome.sign())
    row = scored.select(
        n=pl.len(),
        n_dates=pl.col("session").n_unique(),
        mse=((outcome - forecast) ** 2).mean(),
        mse_random_walk=(outcome**2).mean(),
        mae=(outcome - forecast).abs().mean(),
        hit_rate=sides.mean(),
        coverage=inside.mean(),
    ).row(0, named=True)
    lag = _overlap(correlations["session"], horizon)
    return {
        "n": row["n"],
        "n_dates": row["n_dates"],
        "mse": row["mse"],
        "mse_random_walk": row["mse_random_walk"],
        "skill": 1 - row["mse"] / row["mse_random_walk"] if row["mse_random_walk"] else None,
        "mae": row["mae"],
        "ic": correlations["ic"].mean(),
        "ic_hac_t": hac_t(correlations["ic"].to_numpy(), lag),
        "rank_ic": correlations["rank_ic"].mean(),
        "rank_ic_hac_t": hac_t(correlations["rank_ic"].to_numpy(), lag),
        "hit_rate": row["hit_rate"],
        "coverage": row["coverage"],
    }


def _overlap(sessions: pl.Series, horizon: int) -> int:
    """The largest number of later as-of dates inside one label interval. ``sessions`` are distinct and ascending."""
    starts = sessions.to_numpy()
    last_inside = np.searchsorted(starts, months_later(starts, horizon), side="right") - 1
    return int((last_inside - np.arange(len(starts))).max(initial=0))


def _rounded(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, DECIMALS) if isinstance(value, float) else value for key, value in scores.items()}
