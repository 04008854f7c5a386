"""Baselines: each against a second computation, all under the same time discipline."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockfc_assets.errors import InputError
from stockfc_assets.evaluation import baselines as room
from stockfc_assets.evaluation.baselines import (
    BASELINES,
    Training,
    evaluate_baselines,
    fit,
    fit_baselines,
    on_published_samples,
    training_rows,
)
from stockfc_assets.evaluation.baselines.boosting import fit_gradient_boosting
from stockfc_assets.evaluation.baselines.ridge import fit_ridge, standardised
from stockfc_assets.evaluation.baselines.rows import (
    STATISTICS,
    WINDOW_COLUMNS,
    WINDOW_FEATURES,
    WINDOW_WEEKS,
    Rows,
    read_rows,
    target_scale,
    z_scores,
)
from stockfc_assets.evaluation.baselines.rules import Drift, fit_cross_sectional, last_month, momentum_12_1
from stockfc_assets.evaluation.scores import score_forecasts
from stockfc_assets.features.names import HORIZONS, WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel, gather
from stockfc_assets.model_settings import BaselineSettings, ModelSettings
from stockfc_assets.models.samples import matured_before
from stockfc_assets_tests.models.synthetic import random_panel

MONTH = dt.date(2022, 2, 1)
PANEL = random_panel(n_tickers=8, signal=0.8)
"""Of 2022-03: it holds the sessions of `MONTH`."""
SETTINGS = ModelSettings(baselines=BaselineSettings(samples=3_000, trees=15, min_leaf_samples=40))
SAMPLES = matured_before(PANEL, MONTH)
TRAINING = training_rows(PANEL, SAMPLES)


def nan_equal(first: np.ndarray, second: np.ndarray) -> bool:
    return np.array_equal(first, second, equal_nan=True)


def learnt(panel: Panel, month: dt.date = MONTH) -> dict[str, object]:
    """Everything that the baselines of ``month`` have learnt from ``panel``, comparable by ==."""
    fitted = fit_baselines(panel, month, SETTINGS)
    assert list(fitted) == list(BASELINES)
    ridge = fitted["ridge"]
    return {
        "momentum": fitted["momentum_12_1"].beta.tolist(),
        "reversion": fitted["mean_reversion_1m"].beta.tolist(),
        "ridge": ridge.weights.tolist() + ridge.intercept.tolist(),
        "scale": [np.nan_to_num(getattr(ridge.normalisation, f.name)).tolist() for f in fields(ridge.normalisation)],
        "trees": fitted["gradient_boosting"].text(),
    }


# --- what they read ---------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_network_s_inputs():
    chosen = np.random.default_rng(0).choice(len(SAMPLES), 40, replace=False)
    ticker, session = SAMPLES.ticker_index[chosen], SAMPLES.session_index[chosen]
    rows, inputs = read_rows(PANEL, ticker, session), gather(PANEL, ticker, session)
    year = WEEKLY_FEATURES.index("log_return_52w")
    assert nan_equal(rows.last, inputs.weekly_seq[:, 155])
    assert nan_equal(rows.static, inputs.static_features)
    assert nan_equal(rows.yearly, inputs.weekly_seq[:, [155, 103, 51], year])
    assert nan_equal(rows.session, session)


def test_window_statistics_against_the_standard_library():
    ticker, session = SAMPLES.ticker_index[:5], SAMPLES.session_index[:5]
    rows, inputs = read_rows(PANEL, ticker, session), gather(PANEL, ticker, session)
    functions = {"mean": statistics.fmean, "std": statistics.pstdev, "min": min, "max": max}
    assert list(functions) == list(STATISTICS)
    for weeks in WINDOW_WEEKS:
        for feature in WINDOW_FEATURES:
            for name, function in functions.items():
                column = rows.windows[:, WINDOW_COLUMNS.index(f"{feature}_{name}_{weeks}w")]
                for row, value in enumerate(column):
                    sequence = inputs.weekly_seq[row, -weeks:, WEEKLY_FEATURES.index(feature)]
                    expected = function([float(x) for x in sequence if not math.isnan(x)])
                    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_window_without_a_value_is_missing_and_parts_do_not_show(monkeypatch):
    features = PANEL.features.copy()
    features[0, :, WEEKLY_FEATURES.index("volatility_4w")] = np.nan
    panel = replace(PANEL, features=features)
    ticker, session = SAMPLES.ticker_index[:300], SAMPLES.session_index[:300]
    rows = read_rows(panel, ticker, session)
    empty = [i for i, name in enumerate(WINDOW_COLUMNS) if name.startswith("volatility_4w")]
    assert np.isnan(rows.windows[ticker == 0][:, empty]).all()
    assert np.isfinite(rows.windows[ticker != 0][:, empty]).all()
    monkeypatch.setattr(room.rows, "CHUNK", 7)
    again = read_rows(panel, ticker, session)
    assert all(nan_equal(getattr(rows, f.name), getattr(again, f.name)) for f in fields(Rows))


def test_the_training_labels_are_those_that_count_and_no_other():
    assert nan_equal(np.isfinite(TRAINING.labels), SAMPLES.labelled)
    held = PANEL.labels[SAMPLES.ticker_index, SAMPLES.session_index]
    assert np.array_equal(TRAINING.labels[SAMPLES.labelled], held[SAMPLES.labelled])
    assert (~SAMPLES.labelled & np.isfinite(held)).any()


def test_the_target_scale_is_the_network_s():
    volatility = WEEKLY_FEATURES.index("volatility_13w")
    last = np.full((3, 23), np.nan, dtype=np.float32)
    last[:2, volatility] = 0.3, 0.01
    rows = replace(rows_of(3), last=last)
    scale = target_scale(rows, 0.2)
    assert scale[:, 11] == pytest.approx([0.3, 0.05, 0.2])
    assert scale[:, 2] == pytest.approx([0.15, 0.025, 0.1])


# --- rules ------------------------------------------------------------------------------------------------------------


def rows_of(count: int) -> Rows:
    return Rows(
        session=np.zeros(count, dtype=np.int64),
        last=np.full((count, 23), np.nan, dtype=np.float32),
        static=np.full((count, 6), np.nan, dtype=np.float32),
        yearly=np.full((count, 3), np.nan, dtype=np.float32),
        windows=np.full((count, len(WINDOW_COLUMNS)), np.nan, dtype=np.float32),
    )


def test_no_change_is_zero_and_drift_is_the_stock_s_own_mean():
    yearly = np.array([[0.26, 0.13, 0.0], [np.nan, 0.26, np.nan], [np.nan] * 3], dtype=np.float32)
    rows = replace(rows_of(3), yearly=yearly)
    drift = Drift().predict(rows)
    a_month = 245 / 12
    assert drift[:, 0] == pytest.approx([0.39 / 780 * a_month, 0.26 / 260 * a_month, 0], abs=1e-8)
    assert drift[0] == pytest.approx(drift[0, 0] * np.array(HORIZONS))
    assert (fit("no_change", TRAINING, SETTINGS).predict(rows) == 0).all()


def test_signals_are_the_textbook_s():
    last = np.full((1, 23), np.nan, dtype=np.float32)
    last[0, WEEKLY_FEATURES.index("log_return_52w")] = 0.5
    last[0, WEEKLY_FEATURES.index("log_return_4w")] = 0.125
    rows = replace(rows_of(1), last=last)
    assert momentum_12_1(rows).tolist() == [0.375]
    assert last_month(rows).tolist() == [0.125]


def test_z_scores_by_hand():
    session = np.array([1, 1, 1, 2, 2, 3, 4, 4])
    values = np.array([1.0, 2.0, 3.0, 5.0, np.nan, 7.0, 0.1, 0.1])
    root = math.sqrt(1.5)
    assert z_scores(values, session) == pytest.approx([-root, 0, root, 0, 0, 0, 0, 0])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-10, 10))
def test_z_scores_know_neither_unit_nor_level_nor_order(seed, unit, level):
    generator = np.random.default_rng(seed)
    session = generator.integers(0, 4, 40)
    values = np.where(generator.random(40) < 0.2, np.nan, generator.normal(size=40))
    z = z_scores(values, session)
    assert z_scores(values * unit + level, session) == pytest.approx(z, abs=1e-6)
    order = generator.permutation(40)
    assert z_scores(values[order], session[order]) == pytest.approx(z[order], abs=1e-9)
    for one in np.unique(session):
        known = (session == one) & np.isfinite(values)
        if known.sum() > 1:
            assert (z[known].mean(), z[known].std()) == pytest.approx((0, 1), abs=1e-9)
    assert (z[np.isnan(values)] == 0).all()


def test_beta_is_the_slope_through_the_origin():
    model = fit_cross_sectional(momentum_12_1, TRAINING.rows, TRAINING.labels)
    z = z_scores(momentum_12_1(TRAINING.rows), TRAINING.rows.session)
    for column in (0, 5, 11):
        known = np.isfinite(TRAINING.labels[:, column])
        slope = np.linalg.lstsq(z[known, None], TRAINING.labels[known, column].astype(float), rcond=None)[0][0]
        assert model.beta[column] == pytest.approx(slope, rel=1e-9)
    predicted = model.predict(TRAINING.rows)
    assert predicted == pytest.approx(z[:, None] * model.beta)
    assert np.isfinite(predicted).all()


def test_a_planted_beta_is_found_and_its_sign_kept():
    z = z_scores(last_month(TRAINING.rows), TRAINING.rows.session)
    labels = (z[:, None] * -0.01 * np.array(HORIZONS)).astype(np.float32)
    model = fit_cross_sectional(last_month, TRAINING.rows, labels)
    assert model.beta == pytest.approx(-0.01 * np.array(HORIZONS), rel=1e-5)
    unlabelled = fit_cross_sectional(last_month, TRAINING.rows, np.full_like(labels, np.nan))
    assert (unlabelled.beta == 0).all()


# --- ridge and trees --------------------------------------------------------------------------------------------------


def test_ridge_is_least_squares_with_its_penalty_as_further_rows():
    penalty = 0.7
    model = fit_ridge(TRAINING.rows, TRAINING.labels, TRAINING.normalisation, penalty)
    x = standardised(TRAINING.rows, TRAINING.normalisation)
    y = TRAINING.labels / target_scale(TRAINING.rows, TRAINING.normalisation.fallback_volatility)
    for column in (0, 11):
        known = np.isfinite(y[:, column])
        count, width = known.sum(), x.shape[1]
        data, shrinkage = np.hstack([x[known], np.ones((count, 1))]), np.hstack([np.eye(width), np.zeros((width, 1))])
        design = np.vstack([data, shrinkage])
        design[count:] *= math.sqrt(count * penalty)
        target = np.concatenate([y[known, column], np.zeros(width)])
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        assert model.weights[:, column] == pytest.approx(solution[:-1], abs=1e-9)
        assert model.intercept[column] == pytest.approx(solution[-1], abs=1e-9)


def test_ridge_standardises_by_median_and_mad_and_marks_what_is_missing():
    x = standardised(TRAINING.rows, TRAINING.normalisation)
    raw = np.hstack([TRAINING.rows.last, TRAINING.rows.static]).astype(float)
    missing = np.isnan(raw)
    assert x.shape[1] == 58
    assert np.array_equal(x[:, 29:], missing)
    assert (x[:, :29][missing] == 0).all()
    medians = np.nanmedian(raw[:, :23], axis=0)
    spreads = stats.median_abs_deviation(raw[:, :23], axis=0, scale="normal", nan_policy="omit")
    expected = np.clip((raw[:, :23] - medians) / spreads, -5, 5)
    assert (
        np.nanmean(np.abs(x[:, :23] - expected)[~missing[:, :23]]) < 0.05
    )  # medians are those of all rows, not samples


def trees(threads: int, seed: int, labels: np.ndarray = TRAINING.labels):
    return fit_gradient_boosting(TRAINING.rows, labels, 0.3, SETTINGS.baselines, threads=threads, seed=seed)


def test_trees_are_the_same_bytes_whatever_the_threads_and_others_with_another_seed():
    one = trees(1, 7)
    assert one.text() == trees(2, 7).text() != trees(2, 8).text()
    assert one.summary()["most_used"][0] == "excess_return_1w"


def test_a_horizon_without_a_label_is_forecast_as_no_change():
    labels = TRAINING.labels.copy()
    labels[:, 4] = np.nan
    predicted = trees(2, 7, labels).predict(TRAINING.rows)
    assert (predicted[:, 4] == 0).all()
    assert (predicted[:, 3] != 0).all()
    ridge = fit_ridge(TRAINING.rows, labels, TRAINING.normalisation, 1.0).predict(TRAINING.rows)
    assert (ridge[:, 4] == 0).all()


def test_without_any_label_nothing_fails_and_nothing_is_forecast():
    nothing = training_rows(PANEL, SAMPLES.take(np.zeros(0, dtype=np.int64)))
    for name in BASELINES:
        predicted = fit(name, nothing, SETTINGS).predict(TRAINING.rows)
        assert predicted.shape == (len(SAMPLES), 12)
        assert np.isfinite(predicted).all()
        assert name == "drift" or (predicted == 0).all()


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="baseline 'arima' is unknown; there are no_change, drift"):
        fit("arima", Training(TRAINING.rows, TRAINING.labels, TRAINING.normalisation), SETTINGS)


# --- time discipline --------------------------------------------------------------------------------------------------


def scrambled_from(panel: Panel, first: int, seed: int = 1) -> Panel:
    """``panel`` with other numbers from session index ``first`` on, and in every label that ends from that day on."""
    generator = np.random.default_rng(seed)
    changed = {name: getattr(panel, name).copy() for name in ("features", "static", "position", "labels")}
    changed["features"][:, first:] += generator.normal(size=changed["features"][:, first:].shape)
    changed["static"][:, first:] = generator.normal(size=changed["static"][:, first:].shape)
    changed["position"][first:] = 0.5
    late = panel.label_end >= panel.sessions[first]
    changed["labels"][:, late] = generator.normal(size=changed["labels"][:, late].shape)
    eligible = panel.eligible.copy()
    eligible[:, first + 1 :] &= generator.random(eligible[:, first + 1 :].shape) < 0.5
    return replace(panel, eligible=eligible, **{name: array.astype(np.float32) for name, array in changed.items()})


@pytest.mark.parametrize("month", [dt.date(2021, 8, 1), MONTH])
def test_what_is_learnt_does_not_depend_on_what_was_not_known(month):
    begins = int(np.searchsorted(PANEL.sessions, np.datetime64(month)))
    before = learnt(PANEL, month)
    assert learnt(scrambled_from(PANEL, begins), month) == before
    earlier = learnt(scrambled_from(PANEL, begins - 1), month)
    assert all(earlier[name] != before[name] for name in ("momentum", "ridge", "trees"))


def test_a_forecast_does_not_depend_on_later_sessions():
    fitted = fit_baselines(PANEL, MONTH, SETTINGS)
    said = evaluate_baselines(PANEL, MONTH, fitted)
    at = int(np.searchsorted(PANEL.sessions, np.datetime64("2022-02-15")))
    again = evaluate_baselines(scrambled_from(PANEL, at), MONTH, fitted)
    known = pl.col("session") < PANEL.sessions[at].item()
    assert said.filter(known).equals(again.filter(known))
    assert not said.equals(again)


def test_the_same_month_gives_the_same_table():
    first = evaluate_baselines(PANEL, MONTH, fit_baselines(PANEL, MONTH, SETTINGS))
    assert first.equals(evaluate_baselines(PANEL, MONTH, fit_baselines(PANEL, MONTH, SETTINGS)))


# --- what they say ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def said() -> pl.DataFrame:
    return evaluate_baselines(PANEL, MONTH, fit_baselines(PANEL, MONTH, SETTINGS))


def test_they_speak_on_every_sample_of_the_month_and_no_other(said):
    in_month = PANEL.sessions >= np.datetime64(MONTH)
    ticker, session = np.nonzero(PANEL.eligible & in_month)
    expected = [
        (PANEL.tickers[i], PANEL.sessions[s].item(), h) for i, s in zip(ticker, session, strict=True) for h in HORIZONS
    ]
    assert list(said.select("ticker", "session", "horizon").iter_rows()) == expected
    assert len(expected) > 0
    assert list(BASELINES) == [
        "no_change", "drift", "momentum_12_1", "mean_reversion_1m", "ridge", "gradient_boosting",
    ]  # fmt: skip
    for name in BASELINES:
        assert said[name].dtype == pl.Float32
        assert said[name].is_finite().all()


def test_a_row_of_the_table_is_that_sample_s_forecast(said):
    fitted = fit_baselines(PANEL, MONTH, SETTINGS)
    last = len(PANEL.sessions) - 1
    ticker = np.flatnonzero(PANEL.eligible[:, last])
    rows = read_rows(PANEL, ticker, np.full(len(ticker), last))
    newest = said.filter(pl.col("session") == PANEL.sessions[last].item())
    assert newest.height == 12 * len(ticker)
    for name, model in fitted.items():
        predicted = model.predict(rows).astype(np.float32)
        for row, i in enumerate(ticker):
            one = newest.filter(pl.col("ticker") == PANEL.tickers[i])
            assert np.allclose(one[name].to_numpy(), predicted[row], atol=1e-7)


def test_a_month_that_the_panel_does_not_hold():
    fitted = {"no_change": fit("no_change", TRAINING, SETTINGS)}
    with pytest.raises(InputError, match="baselines of 2022-03: the panel of 2022-03 lacks its sessions"):
        evaluate_baselines(PANEL, PANEL.month, fitted)
    assert evaluate_baselines(PANEL, dt.date(2010, 1, 1), fitted).is_empty()


def test_learners_find_what_is_there_and_nothing_where_nothing_is():
    """Rank IC of the month after training, beside the labels that the panel was made from."""
    for strength, found in ((0.8, True), (0.0, False)):
        panel = random_panel(n_tickers=8, month=dt.date(2022, 6, 1), signal=strength, seed=3)
        month = dt.date(2022, 4, 1)
        fitted = fit_baselines(panel, month, SETTINGS)
        at = (panel.sessions >= np.datetime64(month)) & (panel.label_end[:, 0] < np.datetime64(panel.month))
        session, ticker = np.nonzero((panel.eligible & at).T)
        rows, label = read_rows(panel, ticker, session), panel.labels[ticker, session, 0]
        known = np.isfinite(label)
        for name in ("ridge", "gradient_boosting"):
            rank_ic = stats.spearmanr(fitted[name].predict(rows)[known, 0], label[known]).statistic
            assert (rank_ic > 0.3) if found else (abs(rank_ic) < 3 / math.sqrt(known.sum())), (name, rank_ic)


def test_they_are_scored_on_the_published_samples(said):
    published = said.select("ticker", "session", "horizon")
    published = published.filter(pl.col("ticker") != "1003.T").with_columns(
        log_return=pl.lit(0.5), current_price=pl.lit(100.0), lower=pl.lit(90.0), upper=pl.lit(110.0), sector=pl.lit("A")
    )
    outcomes = published.select("ticker", "session", "horizon").with_columns(
        realised_log_return=(pl.col("horizon") * 0.01).cast(pl.Float64)
    )
    forecasts = on_published_samples(said, published)
    assert list(forecasts) == list(BASELINES)
    for name, frame in forecasts.items():
        assert frame.height == published.height
        expected = said.filter(pl.col("ticker") != "1003.T")[name].sum()
        assert frame["log_return"].sum() == pytest.approx(expected, abs=1e-4)
        assert frame["lower"].null_count() == frame.height
    overall = score_forecasts(forecasts["no_change"], outcomes)["overall"]
    assert (overall["n"], overall["skill"], overall["coverage"]) == (published.height, 0, None)
    assert overall["mse"] == overall["mse_random_walk"] > 0


def test_a_machine_without_lightgbm_leaves_it_out_and_says_so(monkeypatch):
    def refuse(name: str) -> None:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(room.boosting.importlib, "import_module", refuse)
    assert "libgomp1" in room.unavailable()["gradient_boosting"]
    fitted = fit_baselines(PANEL, MONTH, SETTINGS)
    assert list(fitted) == [name for name in BASELINES if name != "gradient_boosting"]
    said = evaluate_baselines(PANEL, MONTH, fitted)
    assert said["gradient_boosting"].null_count() == said.height
    assert said["ridge"].null_count() == 0
    published = said.select("ticker", "session", "horizon", log_return=pl.lit(0.0), current_price=pl.lit(1.0))
    scored = on_published_samples(said, published)
    assert scored["gradient_boosting"].is_empty()
    assert scored["ridge"].height == said.height
