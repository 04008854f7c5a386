"""Panels made of random numbers, with labels that follow from a feature as strongly as a test asks."""

from __future__ import annotations

import datetime as dt

import numpy as np

from stockfc_assets.features.names import HORIZONS, SEQUENCE_WEEKS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel
from stockfc_assets.features.weeks import months_later, sequence_indices
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.network import VOLATILITY_INDEX

SIGNAL_INDEX = WEEKLY_FEATURES.index("excess_return_1w")


def random_panel(
    *,
    n_tickers: int = 6,
    start: dt.date = dt.date(2018, 1, 1),
    month: dt.date = dt.date(2022, 3, 1),
    signal: float = 0.0,
    missing: float = 0.05,
    seed: int = 0,
) -> Panel:
    """Weekdays as sessions; label = volatility x sqrt(h / 12) x (signal x standardised newest excess return + noise)."""
    generator = np.random.default_rng(seed)
    days = np.arange(np.datetime64(start), np.datetime64(month), dtype="datetime64[D]")
    sessions = days[np.is_busday(days)]
    shape = (n_tickers, len(sessions))
    features = generator.normal(0, 0.02, (*shape, len(WEEKLY_FEATURES))).astype(np.float32)
    features[..., VOLATILITY_INDEX] = generator.uniform(0.15, 0.5, (n_tickers, 1))
    traded = generator.random(shape) < 0.97
    features[~traded] = np.nan
    volatility, driver = features[..., VOLATILITY_INDEX, None], features[..., SIGNAL_INDEX, None] / 0.02
    label_end = np.stack([months_later(sessions, h) for h in HORIZONS], axis=1)
    noise = generator.normal(0, 1, (*shape, len(HORIZONS)))
    labels = volatility * np.sqrt(np.array(HORIZONS) / 12) * (signal * driver + noise)
    labels[:, label_end >= np.datetime64(month)] = np.nan
    gaps = generator.random(features.shape) < missing
    gaps[..., [SIGNAL_INDEX, VOLATILITY_INDEX]] = False
    features[gaps] = np.nan
    static = generator.normal(0, 1, (*shape, len(STATIC_FEATURES))).astype(np.float32)
    static[generator.random(static.shape) < 0.3] = np.nan
    static[..., -1] = np.nan
    sequences = sequence_indices(sessions)
    index = np.where(traded, np.arange(len(sessions), dtype=np.int32), np.int32(-1))
    last_row = np.maximum.accumulate(index, axis=1)
    reached = (sequences >= 0) & (np.where(sequences >= 0, last_row[:, sequences], -1) >= 0)
    weeks = reached.sum(axis=2).astype(np.int16)
    member = np.ones(shape, dtype=bool)
    member[0, : len(sessions) // 10] = False
    return Panel(
        month=month,
        tickers=tuple(f"{1000 + i}.T" for i in range(n_tickers)),
        sessions=sessions,
        features=features,
        static=static,
        position=generator.random((len(sessions), 2)).astype(np.float32),
        labels=labels.astype(np.float32),
        label_end=label_end,
        sector_id=np.arange(n_tickers, dtype=np.int64) % 4,
        traded=traded,
        member=member,
        sequence_sessions=sequences,
        last_row=last_row,
        weeks_of_history=weeks,
        eligible=traded & member & (weeks == SEQUENCE_WEEKS),
    )


def tiny_settings(**training: object) -> ModelSettings:
    """A network of about 3,000 parameters and short epochs; ``training`` overrides keys of the training section."""
    section = {
        "precision": "float32",
        "threads": 1,
        "forecast_ceiling": 10,
        "full": {
            "samples_per_epoch": 512,
            "epochs": 2,
            "batch_size": 64,
            "validation_months": 3,
            "learning_rate": 5e-3,
        },
        "fine_tuning": {"new_samples": 128, "epochs": 2},
    }
    network = {"hidden": 8, "layers": 2, "mlp": [16], "sector_dim": 3, "sector_capacity": 5, "dropout": 0.0}
    return ModelSettings.model_validate({"network": network, "training": section | training})
