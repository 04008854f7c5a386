"""A realistic published forecast, made from a seed: 30 stocks forecast, one skipped, two years of history."""

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stockfc_assets.configuration import load_settings
from stockfc_assets.features.names import (
    HORIZONS,
    POSITION_FEATURES,
    SEQUENCE_WEEKS,
    STATIC_FEATURES,
    WEEKLY_FEATURES,
)
from stockfc_assets.features.panel import ModelInputs
from stockfc_assets.forecasts.intervals import IntervalTarget, interval_entry
from stockfc_assets.forecasts.predictions import make_predictions
from stockfc_assets.forecasts.publication import predictions_document
from stockfc_assets.settings import Settings

REPOSITORY = Path(__file__).parents[2]
SESSION = dt.date(2026, 2, 6)
SKIPPED = "8729.T"
TARGET = IntervalTarget.nominal(0.8)
SOURCE = {"name": "files", "label": "Prices from files", "simulated": False}
SIMULATED = {"name": "simulated", "label": "Simulated market (seed 20100104)", "simulated": True}


def sample_settings() -> Settings:
    return load_settings({"STOCKFC_CONFIG": str(REPOSITORY / "config")})


def sample_card(sectors: dict[str, int]) -> dict[str, Any]:
    """A model card as models/ writes it; its scores are those of a model that knows next to nothing."""
    horizons = [
        {
            "horizon": horizon,
            "n": 4096 - 300 * (horizon - 1),
            "mse": 0.0051 * horizon * (1.01 if horizon < 9 else 0.995),
            "mse_random_walk": 0.0051 * horizon,
            "skill": -0.01 if horizon < 9 else 0.005,
            "mae": 0.055 * math.sqrt(horizon),
            "rank_ic": 0.031 - 0.002 * horizon,
            "hit_rate": 0.52 + 0.002 * horizon,
        }
        for horizon in HORIZONS
    ]
    return {
        "model_id": "2026-02-0123456789ab",
        "month": "2026-02",
        "kind": "full",
        "parent": None,
        "trained_through": "2026-01-30",
        "features": {
            "weekly": list(WEEKLY_FEATURES),
            "static": list(STATIC_FEATURES),
            "position": list(POSITION_FEATURES),
        },
        "sectors": dict(sectors),
        "sequence_weeks": SEQUENCE_WEEKS,
        "horizons": list(HORIZONS),
        "window": {
            "first_as_of": "2019-02-04",
            "last_as_of": "2024-07-24",
            "validation_first_as_of": "2024-08-01",
            "validation_last_as_of": "2026-01-30",
        },
        "samples": {"train": 36120, "validation": 4096, "train_labels": 401220, "validation_labels": 29804},
        "history": [
            {"epoch": 1, "train_loss": 0.4412, "validation_loss": 0.4297, "best": False},
            {"epoch": 2, "train_loss": 0.4281, "validation_loss": 0.4239, "best": True},
            {"epoch": 3, "train_loss": 0.4225, "validation_loss": 0.4251, "best": False},
            {"epoch": 4, "train_loss": 0.4187, "validation_loss": 0.4268, "best": False},
        ],
        "validation": {
            "basis": "validation period of the full training of 2026-02",
            "overall": {
                "n": 29804, "mse": 0.0334, "mse_random_walk": 0.0331, "skill": -0.0082, "mae": 0.131, "rank_ic": 0.018,
                "hit_rate": 0.531,
            },
            "horizons": horizons,
        },
        "restraint": [round(0.4 - 0.01 * horizon, 2) for horizon in HORIZONS],
        "guards": {"spread_ratio": 0.12, "distinct_share": 1.0, "mean_cosine": 0.71},
        "interval": {
            "levels": [0.6, 0.8, 0.9],
            "quantiles": [[0.8 + 0.01 * horizon, 1.21 + 0.01 * horizon, 1.6 + 0.01 * horizon] for horizon in HORIZONS],
            "n": [4096] * 12,
            "n_effective": [31 * (18 // horizon) for horizon in HORIZONS],
        },
        "seed": 7,
        "precision": "float32",
        "parameters": 663068,
        "libraries": {"torch": "2.13.0"},
        "data_versions": {"training_panel": "0123456789abcdef"},
        "onnx": {"sha256": "0" * 64, "bytes": 2660266, "opset": 17, "parity_max_abs_difference": 2e-7},
    }  # fmt: skip


def sample_inputs(tickers: tuple[str, ...], sector_id: list[int], seed: int = 3) -> ModelInputs:
    """Random features of about the right size; 2 % of them missing."""
    random = np.random.default_rng(seed)
    count = len(tickers)
    weekly = random.normal(0, 0.05, (count, SEQUENCE_WEEKS, len(WEEKLY_FEATURES))).astype(np.float32)
    weekly[random.random(weekly.shape) < 0.02] = np.nan
    weekly[:, -1, WEEKLY_FEATURES.index("volatility_13w")] = random.uniform(0.17, 0.45, count)
    static = random.normal(0, 1, (count, len(STATIC_FEATURES))).astype(np.float32)
    static[:1, 2] = np.nan
    return ModelInputs(
        tickers=tickers,
        weekly_seq=weekly,
        static_features=static,
        position_features=np.tile(np.array([[1.0, 1.0]], dtype=np.float32), (count, 1)),
        sector_id=np.array(sector_id, dtype=np.int64),
    )


def sample_history(tickers: tuple[str, ...], sessions: int = 490, seed: int = 5) -> pl.DataFrame:
    """ticker, session, close (split-adjusted): random walks that end on SESSION."""
    random = np.random.default_rng(seed)
    days = [SESSION - dt.timedelta(days=offset) for offset in range(2 * sessions)]
    days = sorted(day for day in days if day.weekday() < 5)[-sessions:]
    frames = []
    for ticker in tickers:
        steps = random.normal(0.0003, random.uniform(0.009, 0.022), sessions)
        close = random.choice([160.0, 880.0, 2450.0, 4100.0, 31500.0, 62000.0]) * np.exp(np.cumsum(steps))
        frames.append(pl.DataFrame({"ticker": [ticker] * sessions, "session": days, "close": close.round(1)}))
    return pl.concat(frames)


def empty_track_record() -> dict[str, Any]:
    names = (
        "mse",
        "mse_random_walk",
        "skill",
        "mae",
        "ic",
        "ic_hac_t",
        "rank_ic",
        "rank_ic_hac_t",
        "hit_rate",
        "coverage",
    )
    nothing = {"n": 0, "n_dates": 0, **dict.fromkeys(names)}
    return {
        "matured_before": "2026-02-01",
        "horizons": [{"horizon": horizon, **nothing} for horizon in HORIZONS],
        "overall": nothing,
        "note": "no forecast has matured yet",
    }


def matured_track_record() -> dict[str, Any]:
    """Six matured horizons, a shade worse than no change on the short ones."""
    record = empty_track_record()
    for row in record["horizons"][:6]:
        horizon = row["horizon"]
        row |= {
            "n": 31 * 21 * (13 - horizon), "n_dates": 21 * (13 - horizon), "mse": 0.005 * horizon,
            "mse_random_walk": 0.00497 * horizon, "skill": -0.012 + 0.003 * horizon, "mae": 0.052 * math.sqrt(horizon),
            "ic": 0.021, "ic_hac_t": 0.9 if horizon < 4 else None, "rank_ic": 0.024,
            "rank_ic_hac_t": 1.1 if horizon < 4 else None, "hit_rate": 0.517, "coverage": 0.79,
        }  # fmt: skip
    record["overall"] = {**record["horizons"][2], "n": 40362, "n_dates": 252, "skill": -0.0031}
    del record["overall"]["horizon"]
    record["note"] = None
    return record


def sample_forecast(
    *, source: dict[str, Any] = SOURCE, track_record: dict[str, Any] | None = None, names: dict[str, str] | None = None
) -> tuple[dict[str, Any], pl.DataFrame, dict[str, Any], dict[str, str]]:
    """(document, history, card, names) as render_report takes them."""
    settings = sample_settings()
    stocks = [stock for stock in settings.universe.stocks if stock.ticker != SKIPPED]
    tickers = tuple(stock.ticker for stock in stocks)
    card = sample_card(settings.sectors)
    history = sample_history(tickers)
    inputs = sample_inputs(tickers, [settings.sectors[stock.sector] for stock in stocks])
    random = np.random.default_rng(11)
    trend = random.normal(0.03, 0.055, len(tickers))[:, None]
    log_returns = trend * (np.arange(1, 13) / 12) ** 0.8 + random.normal(0, 0.003, (len(tickers), 12))
    volatility = random.uniform(0.17, 0.42, len(tickers))
    frame = make_predictions(
        inputs,
        log_returns.astype(np.float32),
        session=SESSION,
        closes=dict(history.group_by("ticker").agg(pl.col("close").last()).iter_rows()),
        sectors=settings.sectors,
        card=card,
        volatility=volatility,
        target=TARGET,
    )
    names = names or {stock.ticker: stock.name for stock in settings.universe.stocks}
    document = predictions_document(
        frame,
        timestamp=dt.datetime.combine(SESSION, dt.time(23)),
        model={
            "id": card["model_id"],
            "month": "2026-02",
            "trained_through": "2026-01-30",
            "status": "unproven",
            "kind": "full",
        },
        track_record=track_record or empty_track_record(),
        source=source,
        skipped=[{"ticker": SKIPPED, "reason": "19 of 156 weeks of history"}],
        names=names,
        interval=interval_entry(card["interval"], TARGET),
    )
    return document, history, card, names
