"""What a naive forecaster would have said: baselines on the same samples as the network, under the same label masks.

A baseline of a month is fitted on every label that had matured when the month began (`models.samples.matured_before`),
and forecasts the sessions of that month from the network's own inputs. Nothing is chosen on a validation period: what
would be chosen is fixed in config/model.yaml.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from stockfc_assets.errors import InputError
from stockfc_assets.evaluation.baselines.boosting import fit_gradient_boosting, why_unavailable
from stockfc_assets.evaluation.baselines.ridge import fit_ridge
from stockfc_assets.evaluation.baselines.rows import Rows, read_rows
from stockfc_assets.evaluation.baselines.rules import Drift, NoChange, fit_cross_sectional, last_month, momentum_12_1
from stockfc_assets.evaluation.outcomes import KEY
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.panel import Panel
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.normalisation import Normalisation, fit_normalisation
from stockfc_assets.models.samples import Samples, evenly_in_time, matured_before
from stockfc_assets.tables import BaselineForecasts

BASELINES = {name: column.description for name, column in BaselineForecasts.columns().items() if not column.primary_key}
"""Name -> what it says, in a few words: the columns of tables.BaselineForecasts, from the simplest on."""


class Fitted(Protocol):
    """A fitted baseline."""

    def predict(self, rows: Rows) -> np.ndarray:
        """Log returns of 12 horizons, float64 [n, 12], finite."""

    def summary(self) -> dict[str, Any]:
        """What was learnt, as JSON values."""


@dataclass(frozen=True)
class Training:
    """What baselines are fitted on."""

    rows: Rows
    labels: np.ndarray
    """float32 [n, 12]: log returns; NaN = does not count."""
    normalisation: Normalisation


def training_rows(panel: Panel, samples: Samples) -> Training:
    """Of ``samples`` only the labels that count; medians and scales of rows up to the newest sample's session."""
    labels = np.where(samples.labelled, panel.labels[samples.ticker_index, samples.session_index], np.float32(np.nan))
    last = int(samples.session_index.max(initial=-1))
    rows = read_rows(panel, samples.ticker_index, samples.session_index)
    return Training(rows, labels, fit_normalisation(panel, last))


def fit(name: str, training: Training, settings: ModelSettings) -> Fitted:
    """The baseline ``name`` of `BASELINES`; seed and threads are those of training. Raises InputError for another name."""
    rows, labels, normalisation = training.rows, training.labels, training.normalisation
    match name:
        case "no_change":
            return NoChange()
        case "drift":
            return Drift()
        case "momentum_12_1":
            return fit_cross_sectional(momentum_12_1, rows, labels)
        case "mean_reversion_1m":
            return fit_cross_sectional(last_month, rows, labels)
        case "ridge":
            return fit_ridge(rows, labels, normalisation, settings.baselines.ridge_penalty)
        case "gradient_boosting":
            fallback, run = float(normalisation.fallback_volatility), settings.training
            return fit_gradient_boosting(rows, labels, fallback, settings.baselines, threads=run.threads, seed=run.seed)
    raise InputError(f"baseline {name!r} is unknown; there are {', '.join(BASELINES)}")


def unavailable() -> dict[str, str]:
    """The baselines that this machine cannot fit, and why."""
    why = why_unavailable()
    return {"gradient_boosting": why} if why else {}


def fit_baselines(panel: Panel, month: dt.date, settings: ModelSettings) -> dict[str, Fitted]:
    """`BASELINES` without those `unavailable`, by name, from the labels that had matured when ``month`` (its first day) began.

    Of many samples whole cross-sections, evenly spaced in time, are taken (``baselines.samples`` in config/model.yaml).
    """
    training = training_rows(panel, evenly_in_time(matured_before(panel, month), settings.baselines.samples))
    left_out = unavailable()
    return {name: fit(name, training, settings) for name in BASELINES if name not in left_out}


def evaluate_baselines(panel: Panel, month: dt.date, fitted: dict[str, Fitted]) -> pl.DataFrame:
    """tables.BaselineForecasts of all samples in the sessions of ``month`` (its first day), by `fit_baselines` of it.

    ``panel`` is of a later month, so that it holds those sessions; without any of them the table is empty. Log returns
    are rounded to float32; a baseline that is not in ``fitted`` is null. Raises InputError when the panel begins no
    later than ``month``.
    """
    if panel.month <= month:
        raise InputError(
            f"baselines of {month:%Y-%m}: the panel of {panel.month:%Y-%m} lacks its sessions; take the month after's"
        )
    in_month = panel.sessions.astype("datetime64[M]") == np.datetime64(month, "M")
    session, ticker = np.nonzero((panel.eligible & in_month).T)
    rows = read_rows(panel, ticker, session)
    columns = {
        "ticker": pl.Series(panel.tickers, dtype=pl.String).gather(np.repeat(ticker, len(HORIZONS))),
        "session": np.repeat(panel.sessions[session], len(HORIZONS)),
        "horizon": np.tile(np.asarray(HORIZONS, dtype=np.int64), len(rows)),
        **dict.fromkeys(BASELINES),
        **{name: model.predict(rows).astype(np.float32).ravel() for name, model in fitted.items()},
    }
    schema = BaselineForecasts.create_empty().schema
    return BaselineForecasts.validate(pl.DataFrame(columns, schema).sort(KEY))


def on_published_samples(baselines: pl.DataFrame, published: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What each baseline (tables.BaselineForecasts) said of just the samples in ``published`` (tables.Predictions).

    By name, ready for `evaluation.scores.score_forecasts`: log_return is the baseline's, lower and upper are null, the
    other columns are the published ones. Samples without it are left out: a baseline that was never fitted is empty.
    """
    without_interval = {name: pl.lit(None, pl.Float64) for name in ("lower", "upper")}
    samples = published.drop("log_return").with_columns(**without_interval).join(baselines, on=KEY).sort(KEY)
    return {
        name: samples.with_columns(log_return=pl.col(name).cast(pl.Float64)).drop(*BASELINES).drop_nulls("log_return")
        for name in BASELINES
    }
