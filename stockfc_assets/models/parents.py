"""Which earlier model a month's training continues from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stockfc_assets.models.guards import guard_failures

if TYPE_CHECKING:
    from stockfc_assets.model_settings import ModelSettings


def find_parent(cards: Mapping[str, Mapping[str, Any]], month: dt.date, settings: ModelSettings) -> str | None:
    """The key in ``cards`` of the newest earlier model that passed its guards; None when ``month`` trains in full.

    ``cards`` are model cards by their month's first day as an ISO date. A month trains in full when there is no such
    model, or when the last full training of its line is ``retrain_every_months`` or more months ago.
    """
    passed = [
        key
        for key, card in cards.items()
        if dt.date.fromisoformat(key) < month and not guard_failures(card["guards"], settings.guards)
    ]
    if not passed:
        return None
    newest = max(passed)
    origin = _last_full_training(cards, newest)
    age = (month.year - origin.year) * 12 + month.month - origin.month
    return None if age >= settings.training.retrain_every_months else newest


def _last_full_training(cards: Mapping[str, Mapping[str, Any]], key: str) -> dt.date:
    """The month in which the line of a model began; that of the oldest known ancestor when one is missing."""
    by_id = {card["model_id"]: ancestor for ancestor, card in cards.items()}
    while (parent := cards[key].get("parent")) in by_id:
        key = by_id[parent]
    return dt.date.fromisoformat(key)
