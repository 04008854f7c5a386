"""What forecasts were worth: scores of matured forecasts against what happened.

A score without enough data is null, never 0. Errors, spreads and widths are in log returns.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from stockfc_assets.evaluation.dates import (
    FORECAST,
    MIN_INDEPENDENT_HORIZONS,
    MIN_STOCKS,
    OUTCOME,
    date_rank_ic,
    date_scores,
    group_by_forecast,
    groups_of,
    hac_t,
    over_horizons,
    overlap,
    too_few_dates,
)
from stockfc_assets.evaluation.outcomes import KEY, realised_outcomes
from stockfc_assets.features.names import HORIZONS

__all__ = [
    "DECIMALS",
    "KEY",
    "MIN_INDEPENDENT_HORIZONS",
    "MIN_STOCKS",
    "NOTHING_MATURED",
    "TOO_FEW_PERIODS",
    "hac_t",
    "realised_outcomes",
    "rounded",
    "score_forecasts",
    "score_samples",
    "scored_samples",
    "scores_by_model",
    "scores_by_sector",
    "scores_by_year",
    "track_record",
]

NOTHING_MATURED = "no forecast has matured yet"
TOO_FEW_PERIODS = "too few independent periods"

DECIMALS = 8
"""Of published scores: beyond the last bits, which may differ between machines."""

BREAKDOWN = ("n", "n_dates", "mse", "skill", "rank_ic", "hit_rate")

_INSIDE = OUTCOME.is_between(
    (pl.col("lower") / pl.col("current_price")).log(), (pl.col("upper") / pl.col("current_price")).log()
)
_RIGHT_SIDE = pl.when((FORECAST != 0) & (OUTCOME != 0)).then(FORECAST.sign() == OUTCOME.sign())
_TOTALS = {
    "n": pl.len(),
    "squared_error": ((OUTCOME - FORECAST) ** 2).sum(),
    "squared_outcome": (OUTCOME**2).sum(),
    "absolute_error": (OUTCOME - FORECAST).abs().sum(),
    "sides": _RIGHT_SIDE.count(),
    "right_sides": _RIGHT_SIDE.sum(),
    "intervals": _INSIDE.count(),
    "inside": _INSIDE.sum(),
    "width": (pl.col("upper") / pl.col("lower")).log().sum(),
}
"""Sums from which every pooled score follows, so that those of all horizons are sums of theirs."""


SCORED = [*KEY, "current_price", "log_return", "lower", "upper"]
"""What the scores of forecasts need of them."""


def scored_samples(forecasts: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """The forecasts that have an outcome, with it: what all scores are computed from, sorted by horizon, session, ticker.

    ``forecasts`` has ticker, session, horizon, log_return, lower, upper, current_price (lower and upper are prices,
    null without interval) and any other columns, which are kept; ``outcomes`` has ticker, session, horizon and
    realised_log_return. Tickers become an Enum. Rows with a null forecast or outcome are left out; the order of rows
    does not matter.
    """
    tickers = pl.Enum(pl.concat([forecasts["ticker"], outcomes["ticker"]]).unique().sort())
    ticker = pl.col("ticker").cast(tickers)
    # One horizon after the other: a join of all at once needs several times the memory and twice the time.
    parts = [
        forecasts.filter(pl.col("horizon") == horizon)
        .with_columns(ticker)
        .join(outcomes.filter(pl.col("horizon") == horizon).with_columns(ticker), on=KEY)
        .drop_nulls(["log_return", "realised_log_return"])
        .sort("session", "ticker")
        for horizon in HORIZONS
    ]
    return pl.concat(parts)


def score_forecasts(forecasts: pl.DataFrame, outcomes: pl.DataFrame) -> dict[str, Any]:
    """`score_samples` of the forecasts that have an outcome; frames as in `scored_samples`."""
    return score_samples(scored_samples(forecasts, outcomes))


def score_samples(samples: pl.DataFrame) -> dict[str, Any]:
    """Scores per horizon and over all horizons. Returns ``{"overall": {...}, "horizons": [{"horizon": 1, ...}, ... 12]}``.

    ``samples`` as `scored_samples` makes them. In each:

    - ``n``, ``n_dates``: forecasts and as-of dates;
    - ``mse``, ``mse_random_walk``, ``mae``, and ``skill`` = 1 - MSE / MSE of "no change";
    - ``skill_hac_t``: t of the mean over dates of the squared error that the forecast saves (Diebold and Mariano 1995,
      Journal of Business & Economic Statistics 13), and ``skill_error``: the standard error of that mean over
      mse_random_walk;
    - ``ic``, ``rank_ic``, ``decile_spread``: means over dates of `dates.date_scores`; ``groups`` says how many groups
      the spread and the calibration cut the stocks into (10, or 5 where the median date has fewer than 20 stocks);
    - ``ic_hac_t``, ``rank_ic_hac_t``, ``decile_spread_hac_t``: their t statistics, see `dates.hac_t`. The lag is the
      largest number of as-of dates inside one label interval, so that it spans the horizon whether forecasts were made
      daily or monthly;
    - ``icir``: mean / standard deviation (n - 1) of the rank IC per date. Per as-of date, not annualised, and blind to
      overlap: compare it between models on the same dates only;
    - ``hit_rate``: share of forecasts with the sign of the outcome; a forecast or an outcome of exactly 0 takes no side
      and is left out;
    - ``coverage``, ``width``: share of outcomes inside the interval and its mean log width, log(upper / lower), among
      the forecasts that have one;
    - ``calibration``: by group of forecast, lowest first, over all dates: group (from 1), n, forecast and outcome (means);
    - ``note``: null, or why the sample says little.

    Overall pools the rows of all horizons (its calibration pools group k of each horizon); what is per date is first
    averaged over the horizons of a date, and the lag is that of the longest horizon. Without any forecast, ``n`` is 0
    and every score is null.
    """
    groups = groups_of(samples)
    dates = date_scores(samples, groups)
    totals = samples.group_by("horizon").agg(**_TOTALS).sort("horizon")
    calibration = _calibration(samples, groups)
    horizons = []
    for horizon in HORIZONS:
        own = pl.col("horizon") == horizon
        scores = _scores(totals.filter(own), dates.filter(own), calibration.filter(own), horizon)
        horizons.append({"horizon": horizon, "groups": groups, **scores})
    longest = samples["horizon"].max() or HORIZONS[-1]
    overall = _scores(totals, over_horizons(dates), calibration, longest)
    return {"overall": {"groups": groups, **overall}, "horizons": horizons}


def scores_by_sector(samples: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per ``sector``, sorted: sector and `BREAKDOWN`, over all horizons.

    ``samples`` as `scored_samples` makes them. rank_ic compares the stocks of a sector with each other, and is null
    where no date has `dates.MIN_STOCKS` of them.
    """
    return _breakdown(samples, "sector")


def scores_by_year(samples: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per calendar year of the as-of session, sorted: year and `BREAKDOWN`, over all horizons."""
    return _breakdown(samples.with_columns(year=pl.col("session").dt.year()), "year")


def scores_by_model(samples: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per ``model_id``, sorted: model_id and `BREAKDOWN`, over all horizons."""
    return _breakdown(samples, "model_id")


def track_record(forecasts: pl.DataFrame, outcomes: pl.DataFrame, *, known_before: dt.date) -> dict[str, Any]:
    """The scores of all forecasts that had matured before ``known_before``, as published beside every forecast.

    ``forecasts`` and ``outcomes`` as in `scored_samples`, the outcomes as known before ``known_before``
    (`realised_outcomes`). Keys: matured_before (ISO date: every label ended before it), horizons (12), overall, note
    (null, or why there are no scores yet). The scores are those of `score_samples` without the calibration, which
    `record.forecast_scores` publishes.
    """
    scores = score_forecasts(forecasts, outcomes)
    for row in (scores["overall"], *scores["horizons"]):
        del row["calibration"]
    return {
        "matured_before": known_before.isoformat(),
        **rounded(scores),
        "note": NOTHING_MATURED if scores["overall"]["n"] == 0 else None,
    }


def rounded(scores: Any) -> Any:
    """Scores, however nested, with floats rounded to `DECIMALS`."""
    if isinstance(scores, Mapping):
        return {key: rounded(value) for key, value in scores.items()}
    if isinstance(scores, list):
        return [rounded(value) for value in scores]
    return round(scores, DECIMALS) if isinstance(scores, float) else scores


def _scores(totals: pl.DataFrame, dates: pl.DataFrame, calibration: pl.DataFrame, horizon: int) -> dict[str, Any]:
    """Of one horizon, or of several whose ``totals`` and ``calibration`` are added up; ``dates`` has one row per date."""
    lag = overlap(dates["session"], horizon)
    note = NOTHING_MATURED if dates.is_empty() else TOO_FEW_PERIODS if too_few_dates(dates.height, lag) else None
    deviation = dates["rank_ic"].std()
    pooled, gain, gain_t = _pooled(totals), dates["gain"].mean(), _t(dates, "gain", horizon)
    return {
        **pooled,
        "n_dates": dates.height,
        "skill_hac_t": gain_t,
        "skill_error": abs(gain / gain_t) / pooled["mse_random_walk"] if gain_t and pooled["mse_random_walk"] else None,
        **{name: dates[name].mean() for name in ("ic", "rank_ic", "decile_spread")},
        **{f"{name}_hac_t": _t(dates, name, horizon) for name in ("ic", "rank_ic", "decile_spread")},
        "icir": dates["rank_ic"].mean() / deviation if deviation else None,
        "calibration": calibration.group_by("group")
        .agg(
            pl.col("n").sum(),
            forecast=pl.col("forecast_sum").sum() / pl.col("n").sum(),
            outcome=pl.col("outcome_sum").sum() / pl.col("n").sum(),
        )
        .sort("group")
        .to_dicts(),
        "note": note,
    }


def _pooled(totals: pl.DataFrame) -> dict[str, Any]:
    """Scores that follow from sums (`_TOTALS`) over rows; several rows of ``totals`` are added up."""
    sums = totals.select(pl.col(*_TOTALS).sum()).row(0, named=True)

    def share(part: str, whole: str) -> float | None:
        return sums[part] / sums[whole] if sums[whole] else None

    unexplained = share("squared_error", "squared_outcome")
    return {
        "n": sums["n"],
        "mse": share("squared_error", "n"),
        "mse_random_walk": share("squared_outcome", "n"),
        "skill": None if unexplained is None else 1 - unexplained,
        "mae": share("absolute_error", "n"),
        "hit_rate": share("right_sides", "sides"),
        "coverage": share("inside", "intervals"),
        "width": share("width", "intervals"),
    }


def _t(dates: pl.DataFrame, name: str, horizon: int) -> float | None:
    known = dates.drop_nulls(name)
    return hac_t(known[name].to_numpy(), overlap(known["session"], horizon))


def _calibration(samples: pl.DataFrame, groups: int) -> pl.DataFrame:
    """horizon, group (from 1), n, forecast_sum, outcome_sum: groups of equal size over all dates of a horizon."""
    keys = ["horizon", "group"]
    return (
        samples.select(
            "horizon", "log_return", "realised_log_return", group=group_by_forecast(groups).over("horizon") + 1
        )
        .group_by(keys, maintain_order=True)
        .agg(n=pl.len(), forecast_sum=FORECAST.sum(), outcome_sum=OUTCOME.sum())
        .sort(keys)
    )


def _breakdown(samples: pl.DataFrame, by: str) -> list[dict[str, Any]]:
    totals = samples.group_by(by).agg(**_TOTALS).sort(by)
    dates = over_horizons(date_rank_ic(samples, by), by)
    rows = []
    for value in totals[by]:
        own = dates.filter(pl.col(by) == value)
        ranked = {"n_dates": own.height, "rank_ic": own["rank_ic"].mean()}
        scores = _pooled(totals.filter(pl.col(by) == value)) | ranked
        rows.append({by: value, **{name: scores[name] for name in BREAKDOWN}})
    return rows
