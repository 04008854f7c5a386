"""Which earlier model a month's training continues from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stockfc_assets.models.guards import guard_failures

if TYPE_CHECKING:
    from stockfc_assets.model_settings import ModelSettings


def find_parent(cards: Mapping[str, Mapping[str, Any]], month: dt.date, settings: ModelSettings) -> str | None:
    """The key in ``cards`` of the newest earlier model that passed its guards; None when ``month`` trains in full.

    ``cards`` are model cards by their month's first day as an ISO date. A month trains in full when there is no such
    model, or when the last full training of its line is ``retrain_every_months`` or more months ago.
    """
    newest = _newest_passed(cards, month, settings)
    if newest is None or _is_due(_last_full_training(cards, newest), month, settings):
        return None
    return newest


def expected_lines(
    cards: Mapping[str, Mapping[str, Any]], months: Sequence[str], settings: ModelSettings
) -> list[list[str]]:
    """Cuts ``months`` (first days as ISO dates, ascending) where a full training is due if all models pass their guards.

    ``cards`` as of `find_parent`; those of ``months`` are not looked at, as they will be made anew. No line needs a
    model of another one, except the first, which may continue from ``cards``.
    """
    first = dt.date.fromisoformat(months[0])
    newest = _newest_passed(cards, first, settings)
    origin = None if newest is None else _last_full_training(cards, newest)
    lines: list[list[str]] = []
    for key in months:
        month = dt.date.fromisoformat(key)
        is_full = origin is None or _is_due(origin, month, settings)
        origin = month if is_full else origin
        if is_full or not lines:
            lines.append([])
        lines[-1].append(key)
    return lines


def _newest_passed(cards: Mapping[str, Mapping[str, Any]], month: dt.date, settings: ModelSettings) -> str | None:
    passed = (
        key
        for key, card in cards.items()
        if dt.date.fromisoformat(key) < month and not guard_failures(card["guards"], settings.guards)
    )
    return max(passed, default=None)


def _is_due(origin: dt.date, month: dt.date, settings: ModelSettings) -> bool:
    """Whether a line that began in ``origin`` is too old to be continued in ``month``."""
    age = (month.year - origin.year) * 12 + month.month - origin.month
    return age >= settings.training.retrain_every_months


def _last_full_training(cards: Mapping[str, Mapping[str, Any]], key: str) -> dt.date:
    """The month in which the line of a model began; that of the oldest known ancestor when one is missing."""
    by_id = {card["model_id"]: ancestor for ancestor, card in cards.items()}
    while (parent := cards[key].get("parent")) in by_id:
        key = by_id[parent]
    return dt.date.fromisoformat(key)
