import csv
import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.calendar import TradingCalendar, profile_of

D = dt.date
TOKYO = ZoneInfo("Asia/Tokyo")


def test_sessions_are_exactly_those_of_tokyo(calendar: TradingCalendar) -> None:
    sessions = calendar.between(D(2010, 1, 4), D(2026, 11, 20))
    assert len(sessions) == 4129
    assert (sessions[0], sessions[-1]) == (D(2010, 1, 4), D(2026, 11, 20))
    assert list(sessions) == sorted(set(sessions))
    assert all(day.weekday() < 5 for day in sessions)


def test_the_day_tokyo_did_not_trade_is_no_session(calendar: TradingCalendar) -> None:
    assert not calendar.is_session(D(2020, 10, 1))
    assert calendar.is_session(D(2020, 9, 30))
    assert calendar.is_session(D(2020, 10, 2))
    assert calendar.why_closed(D(2020, 10, 1)) == "exchange holiday"


def test_weekday_closures_agree_with_the_measured_list(calendar: TradingCalendar, shared_data) -> None:
    with (shared_data / "facts" / "tse_weekday_closures_2000_2026.csv").open(encoding="utf-8") as file:
        expected = [D.fromisoformat(row["date"]) for row in csv.DictReader(file)]
    assert len(expected) > 400
    assert calendar.weekday_closures(D(2000, 1, 4), expected[-1]) == expected


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (dt.datetime(2026, 2, 6, 18, 59, tzinfo=TOKYO), D(2026, 2, 5)),
        (dt.datetime(2026, 2, 6, 19, 0, tzinfo=TOKYO), D(2026, 2, 6)),
        (dt.datetime(2026, 2, 6, 19, 1, tzinfo=TOKYO), D(2026, 2, 6)),
        (dt.datetime(2026, 2, 6, 10, 1, tzinfo=dt.UTC), D(2026, 2, 6)),
        # Friday 2026-09-18; Monday to Wednesday are Respect for the Aged Day, a bridge holiday, Autumnal Equinox Day.
        (dt.datetime(2026, 9, 22, 23, 0, tzinfo=TOKYO), D(2026, 9, 18)),
        (dt.datetime(2026, 9, 24, 18, 59, tzinfo=TOKYO), D(2026, 9, 18)),
        (dt.datetime(2026, 9, 24, 19, 1, tzinfo=TOKYO), D(2026, 9, 24)),
    ],
)
def test_newest_closed_session(calendar: TradingCalendar, now: dt.datetime, newest: D) -> None:
    assert calendar.newest_closed(now) == newest


def test_reasons_for_a_closed_day(calendar: TradingCalendar) -> None:
    assert calendar.why_closed(D(2026, 2, 6)) is None
    assert calendar.why_closed(D(2026, 2, 7)) == "Saturday"
    assert calendar.why_closed(D(2026, 2, 8)) == "Sunday"
    assert calendar.why_closed(D(2026, 7, 20)) == "Marine Day"
    assert "outside the XTKS calendar" in (calendar.why_closed(D(1999, 12, 30)) or "")
    assert "outside the XTKS calendar" in (calendar.why_closed(D(2100, 1, 4)) or "")


def test_steps_between_sessions(calendar: TradingCalendar) -> None:
    assert calendar.before(D(2026, 2, 6), 1) == D(2026, 2, 5)
    assert calendar.before(D(2026, 2, 7), 1) == D(2026, 2, 6)
    assert calendar.before(D(2000, 1, 5), 100) == calendar.sessions[0] == D(2000, 1, 4)
    assert calendar.last_on_or_before(D(2026, 2, 8)) == D(2026, 2, 6)
    with pytest.raises(InputError, match="begins on 2000-01-04"):
        calendar.last_on_or_before(D(1999, 1, 4))


def test_a_closed_session_is_required_by_name(calendar: TradingCalendar) -> None:
    now = dt.datetime(2026, 7, 21, 20, 0, tzinfo=TOKYO)
    assert calendar.require_closed_session(D(2026, 7, 21), now) == D(2026, 7, 21)
    with pytest.raises(
        InputError, match=r"--to 2026-07-20 is not a session of XTKS: Marine Day.*before it is 2026-07-17"
    ):
        calendar.require_closed_session(D(2026, 7, 20), now, what="--to")
    with pytest.raises(InputError, match=r"2026-07-22 is not over yet; the newest finished session is 2026-07-21"):
        calendar.require_closed_session(D(2026, 7, 22), now)
    with pytest.raises(InputError, match="outside the XTKS calendar"):
        calendar.require_closed_session(D(2100, 1, 4), now)


def test_unknown_exchange_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'XNYS' is unknown; known: XTKS"):
        profile_of("XNYS")
