"""Which model serves from a month on, and why: a record that a person can read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

UNPROVEN = "unproven"


def decide(
    month: dt.date,
    challenger: Mapping[str, Any],
    challenger_failures: list[str],
    champion: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The gate's decision for ``month``.

    ``challenger`` is the model card of the month's own model, ``challenger_failures`` what its guards found (empty =
    passed), ``champion`` the newest earlier champion record or None. A challenger that passed its guards serves, and is
    `unproven`: no forecast of it has been compared with what happened yet. One that failed leaves the champion standing.

    Returns ``month``, ``decision`` (installed | promoted | kept | none), ``model`` (id, month, kind, trained_through,
    status; None when nothing can serve), ``reason`` and both sides' validation scores.
    """
    incumbent = champion["model"] if champion else None
    challenger_id = challenger["model_id"]
    if challenger_failures:
        decision = "kept" if incumbent else "none"
        standing = f"{incumbent['id']} goes on serving" if incumbent else "no model can serve yet"
        reason = f"{challenger_id} failed its guards ({'; '.join(challenger_failures)}); {standing}."
        model = incumbent
    else:
        decision = "promoted" if incumbent else "installed"
        model = {
            "id": challenger_id,
            "month": challenger["month"],
            "kind": challenger["kind"],
            "trained_through": challenger["trained_through"],
            "status": UNPROVEN,
        }
        before = f"It follows {incumbent['id']}." if incumbent else "It is the first model."
        reason = (
            f"{challenger_id} passed its guards. {before} Status {UNPROVEN}: its forecasts have not been compared with "
            "outcomes on months that neither side has seen."
        )
    return {
        "month": month.isoformat(),
        "decision": decision,
        "model": model,
        "reason": reason,
        "challenger": {"id": challenger_id, "validation": challenger.get("validation")},
        "champion": {"id": incumbent["id"], "validation": champion.get("challenger", {}).get("validation")}
        if champion and incumbent
        else None,
    }
