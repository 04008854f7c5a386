"""What the gate judges: forecasts of a month's own model and of the one that served before it, on the same stocks.

They are made on the last session of the month, are never published, and wait for their outcomes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from stockfc_assets.errors import DataError, InputError, ModelError
from stockfc_assets.evaluation.gate import EVIDENCE_MONTHS, weigh
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.features.panel import ModelInputs, Panel, gather
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.inference import OnnxForecaster
from stockfc_assets.forecasts.models import champion_before, model_files
from stockfc_assets.forecasts.predictions import trailing_volatility
from stockfc_assets.models.guards import guard_failures
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import ShadowForecasts

CHAMPIONS = "champion_model"


def candidate(warehouse: Warehouse, settings: Settings, month: dt.date) -> dict[str, Any]:
    """The card of a month's model that may serve.

    Raises InputError naming the months that have a model, when this one has none; ModelError when its file is not the
    one of its card, when it does not fit this configuration, or when it failed its guards.
    """
    key = month.isoformat()
    known = warehouse.partitions("trained_model", suffix=".json")
    if not warehouse.store.exists(f"onnx_model/{key}/model.onnx"):
        there = f"there are models of {known[0][:7]} to {known[-1][:7]}" if known else "there is none at all"
        raise InputError(f"there is no model of {key[:7]} to serve; {there}")
    data, card = model_files(warehouse, month)
    OnnxForecaster(data, card, sectors=settings.sectors)
    if failures := guard_failures(card["guards"], settings.model.guards):
        raise ModelError(f"model {card['model_id']} failed its guards ({'; '.join(failures)}); choose another month")
    return card


def shadow_forecasts(
    warehouse: Warehouse, settings: Settings, panel: Panel, month: dt.date
) -> tuple[pl.DataFrame, str | None]:
    """(tables.ShadowForecasts of the month before ``month``, why there are none).

    The stocks are those of ``panel`` (of ``month``) on its last session. None are made when the month before has no
    session in the panel or no model, when no model served before it, or when one of the two can no longer be run.
    """
    before = add_months(month, -1)
    session = panel.sessions[-1].item()
    if session < before:
        return ShadowForecasts.create_empty(), f"the newest session, {session}, is not in {before:%Y-%m}"
    incumbent = champion_before(warehouse, before)
    if incumbent is None or incumbent["model"] is None:
        return ShadowForecasts.create_empty(), f"no model served before {before:%Y-%m}"
    old = dt.date.fromisoformat(f"{incumbent['model']['month']}-01")
    try:
        models = [_opened(warehouse, settings, made_for) for made_for in (before, old)]
        return paired_forecasts(panel, *models), None
    except (DataError, ModelError) as error:
        return ShadowForecasts.create_empty(), str(error)


def paired_forecasts(
    panel: Panel,
    challenger: tuple[OnnxForecaster, Mapping[str, Any]],
    incumbent: tuple[OnnxForecaster, Mapping[str, Any]],
) -> pl.DataFrame:
    """tables.ShadowForecasts of the panel's last session: its samples whose sector both models (with cards) know."""
    last = len(panel.sessions) - 1
    known = set(challenger[1]["sectors"].values()) & set(incumbent[1]["sectors"].values())
    ticker = np.flatnonzero(panel.eligible[:, last] & np.isin(panel.sector_id, list(known)))
    inputs = gather(panel, ticker, np.full(len(ticker), last))
    columns = {"horizon": np.tile(np.asarray(HORIZONS, dtype=np.int64), len(ticker))}
    for side, (forecaster, _) in (("challenger", challenger), ("incumbent", incumbent)):
        columns[f"{side}_log_return"] = forecaster.predict(inputs).astype(np.float64).ravel()
    return _table(inputs, panel.sessions[last].item(), columns, challenger[0].model_id, incumbent[0].model_id)


def matured_outcomes(panel: Panel, sessions: pl.Series) -> pl.DataFrame:
    """ticker, session, horizon, realised_log_return of ``sessions``: the panel's labels, known when its month began."""
    days = sessions.unique().sort().to_numpy().astype("datetime64[D]")
    index = np.flatnonzero(np.isin(panel.sessions, days))
    ticker, session, column = np.nonzero(np.isfinite(panel.labels[:, index]))
    return pl.DataFrame(
        {
            "ticker": [panel.tickers[i] for i in ticker],
            "session": panel.sessions[index[session]],
            "horizon": np.asarray(HORIZONS, dtype=np.int64)[column],
            "realised_log_return": panel.labels[ticker, index[session], column].astype(np.float64),
        },
        schema={"ticker": pl.String, "session": pl.Date, "horizon": pl.Int64, "realised_log_return": pl.Float64},
    )


def evidence_before(warehouse: Warehouse, panel: Panel, month: dt.date, *, against: str | None) -> dict[str, Any]:
    """`gate.weigh` of the stored shadow forecasts that are not newer than ``month`` nor older than `EVIDENCE_MONTHS`."""
    oldest = add_months(month, -EVIDENCE_MONTHS)
    keys = [key for key in warehouse.partitions(CHAMPIONS) if oldest < dt.date.fromisoformat(key) <= month]
    pairs = warehouse.read_tables(CHAMPIONS, keys)
    pairs = ShadowForecasts.create_empty() if pairs is None else pairs
    return weigh(pairs, matured_outcomes(panel, pairs["session"]), against=against)


def _opened(warehouse: Warehouse, settings: Settings, month: dt.date) -> tuple[OnnxForecaster, dict[str, Any]]:
    data, card = model_files(warehouse, month)
    return OnnxForecaster(data, card, sectors=settings.sectors), card


def _table(
    inputs: ModelInputs, session: dt.date, columns: dict[str, np.ndarray], challenger: str, incumbent: str
) -> pl.DataFrame:
    width, count = len(HORIZONS), len(inputs.tickers)
    volatility = np.repeat(trailing_volatility(inputs), width)
    frame = pl.DataFrame(
        {
            "ticker": np.repeat(np.asarray(inputs.tickers, dtype=object), width).tolist(),
            "session": [session] * (count * width),
            **columns,
            "challenger": [challenger] * (count * width),
            "incumbent": [incumbent] * (count * width),
            "volatility": volatility,
        },
    ).with_columns(pl.col("volatility").fill_nan(None))
    order = list(ShadowForecasts.columns())
    return ShadowForecasts.validate(frame.select(order).sort("ticker", "horizon"), cast=True)
