"""Scores of one panel beside alphalens, pandas, scipy and statsmodels, which compute them independently."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockfc_assets.evaluation.dates import overlap
from stockfc_assets.evaluation.scores import (
    BREAKDOWN,
    MIN_STOCKS,
    TOO_FEW_PERIODS,
    score_forecasts,
    scored_samples,
    scores_by_model,
    scores_by_sector,
    scores_by_year,
)

HORIZON = 3


def panel(
    stocks: int, dates: int = 60, *, horizons: tuple[int, ...] = (HORIZON,), seed: int = 0, ties: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Forecasts and outcomes on the 1st of ``dates`` months: sectors, models, intervals and, with ``ties``, few values."""
    random = np.random.default_rng(seed)
    sessions = [dt.date(2015 + month // 12, month % 12 + 1, 1) for month in range(dates)]
    keys = (
        pl.DataFrame({"session": sessions})
        .join(pl.DataFrame({"horizon": horizons}), how="cross")
        .join(pl.DataFrame({"ticker": [f"{1000 + number}.T" for number in range(stocks)]}), how="cross")
    )
    forecast = random.normal(0.01, 0.05, keys.height)
    if ties:
        forecast = np.round(forecast, 1)
    width = random.uniform(0.05, 0.3, keys.height)
    forecasts = keys.with_columns(
        log_return=forecast,
        current_price=pl.lit(250.0),
        lower=250 * np.exp(forecast - width),
        upper=250 * np.exp(forecast + 2 * width),
        sector=pl.col("ticker").str.slice(3, 1).replace_strict({d: "ABC"[int(d) % 3] for d in "0123456789"}),
        model_id=pl.col("session").dt.year().cast(pl.String) + "-abc",
    )
    outcomes = keys.with_columns(realised_log_return=0.2 * forecast + random.normal(0, 0.1, keys.height))
    return forecasts, outcomes


def per_date(forecasts: pl.DataFrame, outcomes: pl.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).sort("session", "ticker")
    return [
        (day["log_return"].to_numpy(), day["realised_log_return"].to_numpy())
        for _, day in joined.group_by("session", maintain_order=True)
    ]


# --- libraries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_rank_ic_equals_alphalens_on_the_same_panel(ties):
    performance = pytest.importorskip("alphalens.performance", reason="alphalens-reloaded is not installed")
    forecasts, outcomes = panel(30, ties=ties)
    frame = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).to_pandas()
    frame = frame.assign(date=frame["session"].astype("datetime64[ns]").dt.tz_localize("UTC"))
    data = frame.set_index(["date", "ticker"])[["log_return", "realised_log_return"]]
    data.columns = ["factor", "63D"]
    theirs = performance.factor_information_coefficient(data)["63D"]
    ours = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    assert ours["rank_ic"] == pytest.approx(theirs.mean(), abs=1e-9)
    assert ours["icir"] == pytest.approx(theirs.mean() / theirs.std(), abs=1e-9)


@pytest.mark.parametrize(("stocks", "groups"), [(40, 10), (20, 10), (15, 5)])
def test_the_spread_equals_alphalens_where_groups_are_equally_large(stocks, groups):
    performance = pytest.importorskip("alphalens.performance", reason="alphalens-reloaded is not installed")
    utils = pytest.importorskip("alphalens.utils")
    forecasts, outcomes = panel(stocks)
    frame = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).to_pandas()
    frame = frame.assign(date=frame["session"].astype("datetime64[ns]").dt.tz_localize("UTC"))
    data = frame.set_index(["date", "ticker"])[["log_return", "realised_log_return"]]
    data.columns = ["factor", "63D"]
    data["factor_quantile"] = utils.quantize_factor(data, quantiles=groups)
    data.index.names = ["date", "asset"]
    means, _ = performance.mean_return_by_quantile(data, by_date=True, demeaned=False)
    theirs = means.xs(groups, level="factor_quantile") - means.xs(1, level="factor_quantile")
    ours = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    assert ours["groups"] == groups
    assert ours["decile_spread"] == pytest.approx(theirs["63D"].mean(), abs=1e-9)


def test_correlations_equal_pandas_on_the_same_panel():
    pytest.importorskip("pandas")
    forecasts, outcomes = panel(31, ties=True)
    frame = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).to_pandas()
    by_date = frame.groupby("session")[["log_return", "realised_log_return"]]
    ours = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    for name, method in (("ic", "pearson"), ("rank_ic", "spearman")):
        theirs = by_date.corr(method=method).unstack().iloc[:, 1]
        assert ours[name] == pytest.approx(theirs.mean(), abs=1e-9), name


@given(seed=st.integers(0, 10_000), stocks=st.integers(MIN_STOCKS, 45), horizon=st.integers(1, 12), ties=st.booleans())
@settings(deadline=None, max_examples=25)
def test_every_t_equals_statsmodels_on_series_made_with_scipy(seed, stocks, horizon, ties):
    statsmodels = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    forecasts, outcomes = panel(stocks, horizons=(horizon,), seed=seed, ties=ties)
    days = [day for day in per_date(forecasts, outcomes) if len(set(day[0])) > 1]
    series = {
        "ic": [stats.pearsonr(*day).statistic for day in days],
        "rank_ic": [stats.spearmanr(*day).statistic for day in days],
        "skill": [
            np.mean(outcome**2 - (outcome - forecast) ** 2) for forecast, outcome in per_date(forecasts, outcomes)
        ],
    }
    ours = score_forecasts(forecasts, outcomes)["horizons"][horizon - 1]
    for name, values in series.items():
        fit = statsmodels.OLS(values, np.ones(len(values))).fit(
            cov_type="HAC", cov_kwds={"maxlags": horizon, "use_correction": False, "kernel": "bartlett"}
        )
        assert ours[f"{name}_hac_t"] == pytest.approx(float(fit.tvalues[0]), rel=1e-9), name
    assert ours["ic"] == pytest.approx(np.mean(series["ic"]), abs=1e-9)
    assert ours["rank_ic"] == pytest.approx(np.mean(series["rank_ic"]), abs=1e-9)


# --- groups: spread, calibration --------------------------------------------------------------------------------------


def test_groups_worked_by_hand():
    """23 stocks in tenths: by (rank - 1/2) / 23 the ends hold ranks 1, 2 and 22, 23; rank 3 falls into the second."""
    forecasts, outcomes = panel(23, dates=1)
    forecasts = forecasts.with_columns(log_return=pl.int_range(23) / 100)
    outcomes = outcomes.with_columns(realised_log_return=(pl.int_range(23) / 10) ** 2)
    row = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    assert row["decile_spread"] == pytest.approx((2.1**2 + 2.2**2) / 2 - (0 + 0.1**2) / 2)
    assert [group["n"] for group in row["calibration"]] == [2, 3, 2, 2, 2, 3, 2, 2, 3, 2]
    assert row["calibration"][1]["forecast"] == pytest.approx(0.03)
    assert row["calibration"][1]["outcome"] == pytest.approx((0.2**2 + 0.3**2 + 0.4**2) / 3)


@given(seed=st.integers(0, 10_000), stocks=st.integers(1, 45), ties=st.booleans())
@settings(deadline=None, max_examples=25)
def test_inverted_forecasts_have_the_inverted_order_and_groups_hold_everything(seed, stocks, ties):
    forecasts, outcomes = panel(stocks, dates=8, seed=seed, ties=ties)
    inverted = forecasts.with_columns(-pl.col("log_return"))
    row, mirror = (score_forecasts(frame, outcomes)["horizons"][HORIZON - 1] for frame in (forecasts, inverted))
    for name in ("ic", "rank_ic", "decile_spread"):
        assert (row[name] is None) == (mirror[name] is None)
        if row[name] is not None:
            assert row[name] == pytest.approx(-mirror[name], abs=1e-12)
    counts, reversed_counts = ([group["n"] for group in each["calibration"]] for each in (row, mirror))
    assert ties or counts == reversed_counts[::-1]
    assert sum(counts) == row["n"] == 8 * stocks
    means = [group["forecast"] for group in row["calibration"]]
    assert means == sorted(means)


def test_deciles_from_twenty_stocks_on_the_median_date():
    thin, thin_outcomes = panel(4, dates=20)
    forecasts, outcomes = panel(20, dates=60)
    both = pl.concat([forecasts.filter(pl.col("session") >= dt.date(2016, 9, 1)), thin])
    found = score_forecasts(both, pl.concat([outcomes.filter(pl.col("session") >= dt.date(2016, 9, 1)), thin_outcomes]))
    assert found["overall"]["groups"] == 10
    assert score_forecasts(*panel(19, dates=2))["overall"]["groups"] == 5


def test_calibrated_forecasts_lie_on_the_diagonal():
    forecasts, outcomes = panel(40, dates=300)
    truth = forecasts["log_return"].to_numpy()
    noise = np.random.default_rng(1).normal(0, 0.02, len(truth))
    row = score_forecasts(forecasts, outcomes.with_columns(realised_log_return=truth + noise))["horizons"][HORIZON - 1]
    for group in row["calibration"]:
        assert group["outcome"] == pytest.approx(group["forecast"], abs=4 * 0.02 / math.sqrt(group["n"]))


def test_overall_pools_the_groups_of_the_horizons_and_averages_their_dates():
    forecasts, outcomes = panel(22, dates=30, horizons=(1, 4))
    found = score_forecasts(forecasts, outcomes)
    one, four, overall = found["horizons"][0], found["horizons"][3], found["overall"]
    for first, second, pooled in zip(*(row["calibration"] for row in (one, four, overall)), strict=True):
        assert pooled["n"] == first["n"] + second["n"]
        total = first["n"] * first["outcome"] + second["n"] * second["outcome"]
        assert pooled["outcome"] == pytest.approx(total / pooled["n"])
    for name in ("ic", "rank_ic", "decile_spread"):
        assert overall[name] == pytest.approx((one[name] + four[name]) / 2)


# --- intervals, notes -------------------------------------------------------------------------------------------------


def test_width_and_coverage_count_only_forecasts_with_an_interval():
    forecasts, outcomes = panel(12, dates=5)
    known = pl.col("ticker") > "1003.T"
    forecasts = forecasts.with_columns(pl.when(known).then(pl.col(name)) for name in ("lower", "upper"))
    row = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).filter(known)
    lower, upper, outcome = (joined[name].to_numpy() for name in ("lower", "upper", "realised_log_return"))
    price = 250 * np.exp(outcome)
    assert row["width"] == pytest.approx(np.mean(np.log(upper) - np.log(lower)), abs=1e-12)
    assert row["coverage"] == pytest.approx(np.mean((lower <= price) & (price <= upper)), abs=1e-12)


@pytest.mark.parametrize(("dates", "note"), [(9 + 2, TOO_FEW_PERIODS), (9 + 3, None)])
def test_a_small_sample_says_so_and_has_no_t(dates, note):
    """A 3-month label that begins on the 1st of a month holds the three next ones: 12 dates hold 3 that do not overlap."""
    forecasts, outcomes = panel(8, dates=dates)
    row = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    assert overlap(forecasts["session"].unique().sort(), HORIZON) == 3
    assert row["note"] == note
    assert (row["rank_ic_hac_t"] is None) == (row["skill_hac_t"] is None) == (note is not None)


def test_the_error_of_skill_is_that_of_the_mean_saving_over_the_error_of_no_change():
    statsmodels = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    forecasts, outcomes = panel(15, dates=40)
    row = score_forecasts(forecasts, outcomes)["horizons"][HORIZON - 1]
    joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).to_pandas()
    forecast, outcome = joined["log_return"], joined["realised_log_return"]
    saved = (outcome**2 - (outcome - forecast) ** 2).groupby(joined["session"]).mean()
    lag = overlap(forecasts["session"].unique().sort(), HORIZON)
    fit = statsmodels.OLS(saved.to_numpy(), np.ones(len(saved))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False, "kernel": "bartlett"}
    )
    assert row["skill_error"] == pytest.approx(fit.bse[0] / (outcome**2).mean(), rel=1e-9)


# --- breakdowns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (scores_by_sector, "sector", pl.col("sector")),
        (scores_by_year, "year", pl.col("session").dt.year()),
        (scores_by_model, "model_id", pl.col("model_id")),
    ],
)
def test_a_breakdown_scores_each_part_as_if_it_were_alone(table, column, value):
    forecasts, outcomes = panel(24, dates=40, horizons=(1, 2))
    rows = table(scored_samples(forecasts, outcomes))
    parts = forecasts.select(value.alias("part"))["part"].unique().sort()
    assert [row[column] for row in rows] == parts.to_list()
    for row in rows:
        alone = score_forecasts(forecasts.filter(value == row[column]), outcomes)["overall"]
        assert set(row) == {column, *BREAKDOWN}
        for name in BREAKDOWN:
            assert row[name] == pytest.approx(alone[name], abs=1e-12), name
    assert sum(row["n"] for row in rows) == forecasts.height


def test_a_sector_of_a_few_stocks_has_errors_but_no_rank_ic():
    forecasts, outcomes = panel(10, dates=3)  # 4, 3 and 3 of them
    rows = scores_by_sector(scored_samples(forecasts, outcomes))
    assert [row["rank_ic"] for row in rows] == [None, None, None]
    assert all(row["mse"] > 0 for row in rows)


def test_scores_do_not_depend_on_the_order_of_rows_or_on_outcomes_without_a_forecast():
    forecasts, outcomes = panel(21, dates=10, horizons=(1, 12))
    extra = outcomes.with_columns(ticker=pl.lit("x") + pl.col("ticker"))
    shuffled = (pl.concat([outcomes, extra]).sample(fraction=1, shuffle=True, seed=1), forecasts.reverse())
    found, expected = scored_samples(shuffled[1], shuffled[0]), scored_samples(forecasts, outcomes)
    assert found.cast({"ticker": pl.String}).equals(expected.cast({"ticker": pl.String}))
