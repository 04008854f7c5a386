"""The table that small images carry says exactly what the library says."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import exchange_calendars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.errors import ConfigError
from stockfc_assets.market.calendar import PROFILES, TradingCalendar, trading_calendar
from stockfc_assets.market.calendar_table import CalendarTable, calendar_table, library_table, read_table, write_table

D = dt.date
REPO = Path(__file__).parents[2]


@pytest.mark.parametrize("exchange", PROFILES)
def test_the_stored_table_is_the_library_s_day_by_day(exchange: str, tmp_path: Path) -> None:
    """Against the library itself: its sessions, and the names of its regular holidays."""
    write_table(library_table(exchange), tmp_path)
    calendar = TradingCalendar(read_table(exchange, tmp_path))
    library = exchange_calendars.get_calendar(exchange, start="2000-01-01")
    sessions = tuple(stamp.date() for stamp in library.sessions)
    assert calendar.sessions == sessions
    assert calendar.last_known == sessions[-1]
    named = library.regular_holidays.holidays("2000-01-01", sessions[-1].isoformat(), return_name=True)
    names = {stamp.date(): name for stamp, name in named.items()}
    closures = calendar.weekday_closures(sessions[0], sessions[-1])
    assert len(closures) > 200
    for day in closures:
        assert (calendar.why_closed(day) or "").startswith(names[day].split(" (")[0] if day in names else "exchange")
    assert all(calendar.why_closed(day) is None for day in sessions)
    assert calendar.why_closed(sessions[-1] + dt.timedelta(days=1)).startswith("outside the")


@given(
    closed=st.dictionaries(
        st.dates(D(2024, 1, 2), D(2024, 3, 28)).filter(lambda day: day.weekday() < 5), st.text(min_size=1)
    ),
)
@settings(deadline=None, max_examples=40)
def test_a_table_comes_back_as_it_was_written(tmp_path_factory, closed) -> None:
    table = CalendarTable("XTKS", D(2024, 1, 1), D(2024, 3, 29), closed)
    folder = tmp_path_factory.mktemp("tables")
    write_table(table, folder)
    assert read_table("XTKS", folder) == table
    days = [D(2024, 1, 1) + dt.timedelta(days=count) for count in range(89)]
    assert list(table.sessions) == [day for day in days if day.isoweekday() <= 5 and day not in closed]


def test_the_library_is_asked_where_it_is_installed(tmp_path: Path) -> None:
    assert calendar_table("XTKS", tmp_path) == library_table("XTKS")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"exchange": "XTKS", "first": "2024-01-04", "last": "never", "closed": {}}']
)
def test_a_missing_or_damaged_table_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    with pytest.raises(
        ConfigError, match=r"XTKS.json: missing, and exchange_calendars is not installed; run `python -m"
    ):
        read_table("XTKS", tmp_path)
    (tmp_path / "XTKS.json").write_text(content)
    with pytest.raises(ConfigError, match=r"XTKS.json: not a calendar table .*; run `python -m"):
        read_table("XTKS", tmp_path)


def test_the_command_writes_a_table_per_exchange(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stockfc_assets.market.calendar_table", str(tmp_path / "calendars")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    assert sorted(path.stem for path in (tmp_path / "calendars").iterdir()) == sorted(PROFILES)
    assert "sessions, 2000-01-04 to" in done.stdout
    content = json.loads((tmp_path / "calendars" / "XTKS.json").read_text())
    assert content["closed"]["2020-10-01"] == "exchange holiday"
    assert content["last"] == trading_calendar("XTKS").last_known.isoformat()
