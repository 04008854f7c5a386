"""The model behind the forecasts, and why it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from stockfc_assets.charts import loss_curve
from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.svg import PAGE

LOSS_TERMS = ("loss", "huber", "rank", "spread")
SHORT_STATUSES = {"proven_not_worse": "no worse than the one before", "rolled_back": "chosen by a person"}
STATUSES = {
    "unproven": "unproven: not yet compared with outcomes that it has not seen",
    "proven_not_worse": "such monthly updates have not been worse than keeping the old model; that says nothing of how good "
    "either is",
    "rolled_back": "chosen by a person",
}
EVIDENCE = (("mse", "squared error (scaled)"), ("rank_ic", "rank IC"))


def model_view(data: ReportData) -> dict[str, Any]:
    history = data.card["history"]
    return {
        "card": data.card,
        "model": data.document["model"],
        "status": STATUSES.get(data.document["model"]["status"], data.document["model"]["status"]),
        "held": _held_back(data.card.get("restraint")),
        "losses": Markup(loss_curve(history, palette=PAGE, width=420, height=230)),
        "epochs": _epochs(history),
        "gate": None if data.gate is None else _gate(data.gate),
        "short_status": SHORT_STATUSES.get(data.document["model"]["status"], data.document["model"]["status"]),
        "superseded_by": data.superseded_by,
    }


def _held_back(restraint: Sequence[float] | None) -> tuple[float, float] | None:
    """Smallest and largest share of training's forecasts that is published; None where all of it is."""
    return None if restraint is None or min(restraint) == 1 else (min(restraint), max(restraint))


def _epochs(history: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every epoch with the terms of its loss, (training, validation) each; empty where a card records only the sum."""
    if not any("train_huber" in epoch for epoch in history):
        return []
    return [
        {
            "epoch": epoch["epoch"],
            "best": epoch["best"],
            "terms": [(epoch.get(f"train_{term}"), epoch.get(f"validation_{term}")) for term in LOSS_TERMS],
        }
        for epoch in history
    ]


def _gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    evidence = gate.get("evidence") or {}
    compared = evidence.get("horizons") or []
    return {
        "month": gate["month"][:7],
        "decision": gate["decision"],
        "reason": gate["reason"].replace("_", " "),
        "n_dates": evidence.get("n_dates"),
        "window": evidence.get("window"),
        "longest": compared[-1] if compared else None,
        "critical": evidence.get("critical_t"),
        "rows": [
            {"name": label, "difference": evidence[f"{key}_difference"], "t": evidence[f"{key}_t"]}
            for key, label in EVIDENCE
        ]
        if compared
        else [],
    }
