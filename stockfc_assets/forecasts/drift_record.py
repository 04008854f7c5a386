"""Drift of a session: what its forecasts newly read, laid over what the model was trained on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from stockfc_assets.errors import InputError
from stockfc_assets.features.drift import AS_IN_TRAINING, FAR, NEVER_SEEN, SHIFTED, drift, verdict
from stockfc_assets.features.names import STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs

WEEKS = 13
"""The newest quarter of a year: what the sequences hold beyond those of a quarter before."""
ORDER = (FAR, SHIFTED, AS_IN_TRAINING, NEVER_SEEN)


def session_drift(inputs: ModelInputs, card: Mapping[str, Any], session: dt.date) -> dict[str, Any] | None:
    """The drift document of ``session``, of the stocks in ``inputs``, against the training of the model of ``card``.

    "features": a row of `drift` per weekly feature (the newest 13 weeks of all stocks) and per static one (all stocks) with
    its "kind" (weekly, static) and "verdict"; the furthest from training first, then by stability index. "far", "shifted"
    and "never_seen": how many have that verdict. "basis": the month of the full training; "trained_on": its first and last
    session.
    None when the card has no "feature_reference" (its line of models began before there was one); the next full training
    makes it. Raises InputError when no stock has a forecast.
    """
    reference = card.get("feature_reference")
    if reference is None:
        return None
    if not inputs.tickers:
        raise InputError(f"session {session}: no stock has a forecast, so there is nothing to compare with training")
    newest = inputs.weekly_seq[:, -WEEKS:].reshape(-1, len(WEEKLY_FEATURES))
    rows = [
        *({"kind": "weekly", **row} for row in drift(newest, WEEKLY_FEATURES, reference)),
        *({"kind": "static", **row} for row in drift(inputs.static_features, STATIC_FEATURES, reference)),
    ]
    features = [{**row, "verdict": verdict(row)} for row in rows]
    features.sort(key=lambda row: (ORDER.index(row["verdict"]), -row["psi"]))
    found = [row["verdict"] for row in features]
    return {
        "session": session.isoformat(),
        "model": card["model_id"],
        "basis": reference["basis"],
        "trained_on": reference["sessions"],
        "weeks": WEEKS,
        "stocks": len(inputs.tickers),
        "features": features,
        "shifted": found.count(SHIFTED),
        "far": found.count(FAR),
        "never_seen": found.count(NEVER_SEEN),
    }
