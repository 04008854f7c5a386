"""The sessions of an exchange as a small table: what the `exchange_calendars` library says, also where it is not installed.

The library brings pandas and pyarrow, 90 MB of memory; an image that must stay small carries the table instead, made
when the image is built: ``python -m stockfc_assets.market.calendar_table`` writes one file per exchange beside this
module. Where the library is installed, it is asked, and the files are not looked at.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stockfc_assets.errors import ConfigError, DataError

FIRST_DATE = dt.date(2000, 1, 1)
FOLDER = Path(__file__).parent / "calendars"
UNNAMED = "exchange holiday"
REMEDY = "run `python -m stockfc_assets.market.calendar_table` where exchange_calendars is installed (docs/function.md)"


@dataclass(frozen=True)
class CalendarTable:
    """The sessions of one exchange are the weekdays from ``first`` to ``last``, both of them sessions, but the ``closed``."""

    exchange: str
    first: dt.date
    last: dt.date
    closed: Mapping[dt.date, str]
    """Weekday without a session -> the holiday's name."""

    @property
    def sessions(self) -> tuple[dt.date, ...]:
        days = (self.first + dt.timedelta(days=count) for count in range((self.last - self.first).days + 1))
        return tuple(day for day in days if day.weekday() < 5 and day not in self.closed)


def calendar_table(exchange: str, folder: Path = FOLDER) -> CalendarTable:
    """The library's table where it is installed (about 0.5 s), else the one in ``folder``.

    ``exchange``: ISO 10383 code. Raises ConfigError when there is neither.
    """
    try:
        import exchange_calendars  # noqa: F401
    except ModuleNotFoundError:
        return read_table(exchange, folder)
    return library_table(exchange)


def library_table(exchange: str) -> CalendarTable:
    """What the library knows of an exchange, from 2000 to about a year from today."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(exchange, start=FIRST_DATE.isoformat())
    sessions = {stamp.date() for stamp in calendar.sessions}
    first, last = min(sessions), max(sessions)
    if any(day.weekday() >= 5 for day in sessions):
        raise DataError(f"{exchange}: sessions at weekends are not foreseen in a CalendarTable; extend it first")
    named = calendar.regular_holidays.holidays(FIRST_DATE.isoformat(), last.isoformat(), return_name=True)
    # The library marks rules that changed over time: "Marine Day (2022 onwards)".
    names = {stamp.date(): str(name).partition(" (")[0] for stamp, name in named.items()}
    days = (first + dt.timedelta(days=count) for count in range((last - first).days))
    closed = [day for day in days if day.weekday() < 5 and day not in sessions]
    return CalendarTable(exchange, first, last, {day: names.get(day, UNNAMED) for day in closed})


def write_table(table: CalendarTable, folder: Path) -> Path:
    """Writes ``{exchange}.json`` into ``folder`` and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "exchange": table.exchange,
        "first": table.first.isoformat(),
        "last": table.last.isoformat(),
        "closed": {day.isoformat(): name for day, name in sorted(table.closed.items())},
    }
    path = folder / f"{table.exchange}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_table(exchange: str, folder: Path) -> CalendarTable:
    """The table that `write_table` left in ``folder``. Raises ConfigError when it is missing or damaged."""
    path = folder / f"{exchange}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return CalendarTable(
            content["exchange"],
            dt.date.fromisoformat(content["first"]),
            dt.date.fromisoformat(content["last"]),
            {dt.date.fromisoformat(day): str(name) for day, name in content["closed"].items()},
        )
    except FileNotFoundError:
        raise ConfigError(f"{path}: missing, and exchange_calendars is not installed; {REMEDY}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not a calendar table ({error!r}); {REMEDY}") from None


def main(arguments: Sequence[str]) -> None:
    from stockfc_assets.market.calendar import PROFILES

    folder = Path(arguments[0]) if arguments else FOLDER
    for exchange in PROFILES:
        table = library_table(exchange)
        print(f"{write_table(table, folder)}: {len(table.sessions)} sessions, {table.first} to {table.last}")


if __name__ == "__main__":
    main(sys.argv[1:])
