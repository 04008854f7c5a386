"""Text for the terminal: how the inputs of a session lie in what its model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STRIP_WIDTH = 21
STRIP_HEAD = f"{'1 %':<{STRIP_WIDTH // 2}}|{'99 %':>{STRIP_WIDTH // 2}}"


NOT_RECORDED = (
    "What this session's model was trained on is not recorded: its line of models began before that was kept. The next "
    "full training records it (training.retrain_every_months in config/model.yaml)."
)


def drift_text(document: Mapping[str, Any] | None) -> str:
    """What `stockfc drift` prints of a drift document: one line per feature, the furthest from training first."""
    if document is None:
        return NOT_RECORDED
    features = document["features"]
    far, shifted, never = (document[key] for key in ("far", "shifted", "never_seen"))
    first, last = document["trained_on"]
    return "\n".join(
        [
            f"Inputs of {document['session']} ({document['stocks']} stocks, the newest {document['weeks']} weeks) against "
            f"the training of model {document['model']}",
            f"Training: prices from {first} to {last}, full training of {document['basis']}",
            f"Of {len(features)} inputs: {far} far from training, {shifted} shifted, "
            f"{len(features) - far - shifted - never} as in training, {never} never seen",
            "",
            f"{'input':<30} {'verdict':<18} {'median':>9}  {STRIP_HEAD}  {'outside':>7} {'missing':>8} {'then':>6} {'PSI':>6}",
            *(_line(row) for row in features),
            "",
            "o: today's median between the ends of training's distribution; the middle is training's own median",
            "outside: today's values beyond training's 1-99 % range, 2 % is normal; then: missing in training",
            *(["never seen: training had no value, so the model reads today's as missing too"] if never else []),
            "An unfamiliar input makes a forecast less sure; it does not say that it is wrong: docs/drift.md",
        ]
    )


def _line(row: Mapping[str, Any]) -> str:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    median = "-" if row["median"] is None else f"{row['median']:.3g}"
    return (
        f"{row['feature']:<30} {row['verdict']:<18} {median:>9}  {_strip(row['median_percentile'])}  "
        f"{share(row['outside']):>7} {share(row['missing']):>8} {share(row['training_missing']):>6} {row['psi']:>6.2f}"
    )


def _strip(percentile: float | None) -> str:
    if percentile is None:
        return " " * STRIP_WIDTH
    at = round(percentile * (STRIP_WIDTH - 1))
    middle = STRIP_WIDTH // 2
    return "".join("o" if place == at else "|" if place == middle else "." for place in range(STRIP_WIDTH))
