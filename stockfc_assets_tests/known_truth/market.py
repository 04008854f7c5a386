"""Simulated markets whose truth is known, and what forecasters trained on their first years were worth in the next three.

Only what a user's run calls is called here: the source, `enrich`, `weekly_features`, `build_panel`, `train_full`, the
baselines, the scores. A leak in any of them shows in the scores of a market in which nothing can be predicted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from stockfc_assets.evaluation.baselines import fit, training_rows
from stockfc_assets.evaluation.baselines.rows import read_rows
from stockfc_assets.evaluation.scores import score_forecasts
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.panel import Panel, build_panel
from stockfc_assets.features.weekly import weekly_features
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.enrichment import enrich
from stockfc_assets.market.sources.simulated import SimulatedSource, simulated_universe
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.samples import Samples, evenly_in_time, matured_before
from stockfc_assets.settings import SimulatedSettings

SECTORS = {name: number for number, name in enumerate(("Unknown", "Energy", "Industrials", "Technology", "Utilities"))}
EPOCH = dt.date(2013, 1, 4)
START = dt.date(2014, 1, 6)
MONTH = dt.date(2020, 1, 1)
"""A forecaster knows what was known when this month began."""
END = dt.date(2023, 1, 1)
"""Its forecasts of the three years between are judged."""
EVERY_SESSIONS = 5
"""From one as-of date that is judged to the next."""
BASELINE_SAMPLES = 6_000

Forecaster = Callable[[Panel, np.ndarray, np.ndarray], np.ndarray]
"""(panel, ticker index [n], session index [n]) -> log returns [n, 12], from what was known when `MONTH` began."""


@lru_cache(maxsize=32)
def simulated_panel(seed: int, predictability: float = 0.0, *, stocks: int = 30) -> Panel:
    """The panel of `END`; 30 invented stocks take 12 MB."""
    calendar = trading_calendar("XTKS")
    universe = simulated_universe(stocks, SECTORS, "XTKS")
    settings = SimulatedSettings(seed=seed, epoch=EPOCH, predictability=predictability)
    source = SimulatedSource(settings, universe, SECTORS, calendar)
    tickers = [stock.ticker for stock in universe.stocks]
    raw = source.fetch_bars([*tickers, universe.benchmark], EPOCH, END).bars
    months = [add_months(START.replace(day=1), months) for months in range(1, 12 * (END.year - START.year))]
    facts = pl.concat([enrich(source.fetch_facts(tickers, month).facts, raw, month, tickers) for month in months])
    sessions = calendar.between(START, END - dt.timedelta(days=1))
    features = weekly_features(raw, sessions, calendar.sessions, universe)
    return build_panel(features, raw, facts, universe, SECTORS, calendar.sessions, START, END)


def network(seed: int) -> Forecaster:
    """The product's network and training, with fewer units and samples: twenty of them train in about a minute."""
    settings = ModelSettings.model_validate(
        {
            "network": {"hidden": 12, "layers": 1, "mlp": [24], "sector_dim": 3, "dropout": 0.0},
            "training": {
                "seed": seed,
                "precision": "float32",
                "threads": 1,
                "full": {
                    "samples_per_epoch": 2400, "epochs": 2, "batch_size": 120, "learning_rate": 5e-3,
                    "validation_months": 6, "validation_samples": 400,
                },
            },
        }
    )  # fmt: skip

    def forecast(panel: Panel, ticker: np.ndarray, session: np.ndarray) -> np.ndarray:
        import torch

        from stockfc_assets.models.batches import PanelTensors, predict
        from stockfc_assets.models.training import train_full

        trained = train_full(panel, settings, MONTH).network
        samples = Samples(ticker, session, np.ones((len(ticker), len(HORIZONS)), dtype=bool))
        raw = predict(trained, PanelTensors(panel, torch.device("cpu")), samples)
        return raw.restrained(trained.restraint.numpy()).log_returns

    return forecast


def baseline(name: str) -> Forecaster:
    """One of `evaluation.baselines.BASELINES`."""

    def forecast(panel: Panel, ticker: np.ndarray, session: np.ndarray) -> np.ndarray:
        known = evenly_in_time(matured_before(panel, MONTH), BASELINE_SAMPLES)
        fitted = fit(name, training_rows(panel, known), ModelSettings())
        return fitted.predict(read_rows(panel, ticker, session))

    return forecast


def out_of_sample_scores(panel: Panel, forecaster: Forecaster) -> dict[str, Any]:
    """`score_forecasts` of every fifth session's forecasts from `MONTH` to `END`."""
    first = int(np.searchsorted(panel.sessions, np.datetime64(MONTH)))
    place, ticker = np.nonzero(panel.eligible[:, first::EVERY_SESSIONS].T)
    session = first + place * EVERY_SESSIONS
    unknown = pl.lit(None, pl.Float64)
    forecasts = _long(panel, ticker, session, forecaster(panel, ticker, session), "log_return")
    outcomes = _long(panel, ticker, session, panel.labels[ticker, session], "realised_log_return")
    return score_forecasts(
        forecasts.with_columns(lower=unknown, upper=unknown, current_price=pl.lit(1.0)),
        outcomes.filter(pl.col("realised_log_return").is_not_nan()),
    )


def over_markets(scores: Sequence[Mapping[str, Any]], name: str, horizon: int) -> tuple[float, float]:
    """(mean over markets, its Student t): markets are independent, whatever happens within each."""
    values = np.array([document["horizons"][horizon - 1][name] for document in scores])
    return float(values.mean()), float(values.mean() / (values.std(ddof=1) / np.sqrt(len(values))))


def _long(panel: Panel, ticker: np.ndarray, session: np.ndarray, values: np.ndarray, name: str) -> pl.DataFrame:
    """ticker, session, horizon and ``name`` of values [n, 12]."""
    count = len(HORIZONS)
    return pl.DataFrame(
        {
            "ticker": np.repeat(np.array(panel.tickers)[ticker], count),
            "session": np.repeat(panel.sessions[session], count),
            "horizon": np.tile(np.array(HORIZONS, dtype=np.int8), len(ticker)),
            name: values.astype(np.float64).ravel(),
        }
    )
