"""Which stored files are old, and removing them: reports and training panels, which can be made again.

Nothing else is ever touched: prices, features, facts, models, forecasts and scores are the record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stockfc_assets.running_settings import RetentionSettings
from stockfc_assets.storage.store import Store

REPORTS = "forecast_report"
PANELS = "training_panel"
SUFFIXES = {REPORTS: ".html", PANELS: ".arrow"}


@dataclass(frozen=True)
class OldFile:
    """A stored file that is no longer kept; ``size`` in bytes."""

    key: str
    size: int


def old_files(store: Store, settings: RetentionSettings, today: dt.date) -> list[OldFile]:
    """Reports of sessions more than ``reports_days`` before ``today`` (a date in the exchange's time zone), and panels of
    months more than ``panels_months`` before its month, sorted by key.

    The newest of each is kept however old it is, and so is every file that is not named as a partition.
    """
    limits = {
        REPORTS: None if settings.reports_days is None else today - dt.timedelta(days=settings.reports_days),
        PANELS: None if settings.panels_months is None else _month_before(today, settings.panels_months),
    }
    found = []
    for folder, limit in sorted(limits.items()):
        if limit is None:
            continue
        sizes = store.sizes(folder)
        partitions = _partitions(sizes, folder)
        found.extend(OldFile(key, sizes[key]) for key, date in partitions[:-1] if date < limit)
    return found


def remove_files(store: Store, files: Iterable[OldFile]) -> None:
    """Removes them, oldest first. One that is gone already is no error, so a removal that was cut short is just repeated."""
    for file in files:
        store.delete(file.key)


def _partitions(keys: Iterable[str], folder: str) -> Sequence[tuple[str, dt.date]]:
    """Key and date of the files that are named ``<folder>/<ISO date><suffix>``, by date."""
    found = []
    for key in keys:
        name = key.removeprefix(f"{folder}/").removesuffix(SUFFIXES[folder])
        try:
            date = dt.date.fromisoformat(name)
        except ValueError:
            continue
        if key == f"{folder}/{date}{SUFFIXES[folder]}":
            found.append((key, date))
    return sorted(found, key=lambda each: each[1])


def _month_before(date: dt.date, months: int) -> dt.date:
    """The first day of the month so many months before that of ``date``; the first date of all where there is none."""
    index = max(date.year * 12 + date.month - 1 - months, 12)
    return dt.date(index // 12, index % 12 + 1, 1)
