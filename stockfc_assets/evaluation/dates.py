"""Scores across stocks, one date at a time, and the error of their mean over dates that overlap."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.weeks import months_later

MIN_STOCKS = 5
"""A correlation across fewer stocks than this says nothing: such dates are left out of IC, rank IC and spread."""

MIN_INDEPENDENT_HORIZONS = 3
"""Fewer non-overlapping horizons than this give no t statistic: with a lag near the length of the series the Bartlett
estimate of the variance goes to zero and t to infinity (Kiefer and Vogelsang 2005, Econometric Theory 21)."""

DECILES, QUINTILES = 10, 5
STOCKS_FOR_DECILES = 20
"""With fewer stocks on the median date the ends of a ranking are fifths: a tenth would be one stock."""

FORECAST, OUTCOME = pl.col("log_return"), pl.col("realised_log_return")


def _across_stocks(score: pl.Expr) -> pl.Expr:
    """``score`` where a date has enough stocks for it, with forecasts and outcomes that differ; null elsewhere."""
    differ = (FORECAST.min() < FORECAST.max()) & (OUTCOME.min() < OUTCOME.max())
    return pl.when((pl.len() >= MIN_STOCKS) & differ).then(score)


_RANK_IC = _across_stocks(pl.corr(FORECAST.rank("average"), OUTCOME.rank("average")))


def groups_of(samples: pl.DataFrame) -> int:
    """Into how many groups a date's stocks are cut by forecast: 10, or 5 below `STOCKS_FOR_DECILES` stocks."""
    stocks = samples.group_by("horizon", "session").len()["len"].median()
    return DECILES if stocks is not None and stocks >= STOCKS_FOR_DECILES else QUINTILES


def group_by_forecast(groups: int) -> pl.Expr:
    """Which of ``groups`` equal parts of the ranking a row's forecast falls into, 0 = lowest; ties share one."""
    return ((FORECAST.rank("average") - 0.5) * groups / pl.len()).floor().cast(pl.Int64)


def _ends(groups: int) -> tuple[pl.Expr, pl.Expr]:
    """Whether a row's forecast is in the lowest, the highest of ``groups``: mirror images, also with ties."""
    below = FORECAST.rank("average") - 0.5
    return below * groups < pl.len(), (pl.len() - below) * groups < pl.len()


def date_scores(samples: pl.DataFrame, groups: int) -> pl.DataFrame:
    """One row per horizon and date, sorted: ic, rank_ic, decile_spread, gain.

    ``samples`` as `scores.scored_samples` makes them. ic and rank_ic are Pearson's and Spearman's correlation of forecast
    and outcome across stocks (ties at their mean rank), decile_spread the mean outcome of the highest minus that of the
    lowest of ``groups``; null on dates with fewer than `MIN_STOCKS` stocks or with all forecasts or all outcomes equal,
    and a spread where ties leave an end empty. gain is the mean squared error of "no change" minus the forecast's.
    """
    lowest, highest = _ends(groups)
    # One horizon after the other: the ranks of all at once take three times the memory of the samples.
    parts = [
        samples.filter(pl.col("horizon") == horizon)
        .group_by("horizon", "session")
        .agg(
            ic=_across_stocks(pl.corr(FORECAST, OUTCOME)),
            rank_ic=_RANK_IC,
            decile_spread=_across_stocks(OUTCOME.filter(highest).mean() - OUTCOME.filter(lowest).mean()),
            gain=(OUTCOME**2 - (OUTCOME - FORECAST) ** 2).mean(),
        )
        .sort("session")
        for horizon in HORIZONS
    ]
    return pl.concat(parts)


def date_rank_ic(samples: pl.DataFrame, by: str) -> pl.DataFrame:
    """One row per value of ``by``, horizon and date, sorted: rank_ic as in `date_scores`, among the stocks of that value."""
    keys = [by, "horizon", "session"]
    return samples.group_by(keys).agg(rank_ic=_RANK_IC).sort(keys)


def over_horizons(dates: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Means over the horizons of a date (within ``keys``), sorted: they share their stocks, so they are one observation."""
    return dates.drop("horizon").group_by(*keys, "session").mean().sort(*keys, "session")


def hac_t(series: np.ndarray, lag: int) -> float | None:
    """t statistic of the mean of ``series`` [n] with the Newey-West (1987, Econometrica 55) error, Bartlett kernel.

    variance of the mean = (g_0 + 2 sum_{l=1..lag} (1 - l / (lag + 1)) g_l) / n, with g_l the autocovariance (divisor n)
    of the demeaned series; no small-sample factor. None when the series is shorter than `MIN_INDEPENDENT_HORIZONS` x
    (lag + 1) or does not vary.
    """
    count = len(series)
    if too_few_dates(count, lag):
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


def too_few_dates(count: int, lag: int) -> bool:
    """Whether ``count`` dates hold fewer than `MIN_INDEPENDENT_HORIZONS` that do not overlap, or fewer than 2."""
    return count < max(2, MIN_INDEPENDENT_HORIZONS * (lag + 1))


def overlap(sessions: pl.Series, horizon: int) -> int:
    """The largest number of later as-of dates inside one label interval. ``sessions`` are distinct and ascending."""
    starts = sessions.to_numpy()
    last_inside = np.searchsorted(starts, months_later(starts, horizon), side="right") - 1
    return int((last_inside - np.arange(len(starts))).max(initial=0))
