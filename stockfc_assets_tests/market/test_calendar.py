import csv
import datetime as dt
from zoneinfo import ZoneInfo

import exchange_calendars
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.as_traded import to_as_traded
from stockfc_assets.market.calendar import PROFILES, TradingCalendar, profile_of, trading_calendar

D = dt.date
TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = ZoneInfo("America/New_York")
SEOUL = ZoneInfo("Asia/Seoul")


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
    with pytest.raises(ConfigError, match="'XLON' is unknown; known: XKRX, XNYS, XTKS"):
        profile_of("XLON")


# --- other exchanges --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", PROFILES)
def test_a_session_is_never_closed_before_its_last_trade_and_always_at_23_00(exchange: str) -> None:
    """On every session of twelve years, against the library's own closing times (half days and summer time included)."""
    profile, sessions = profile_of(exchange), trading_calendar(exchange).between(D(2015, 1, 1), D(2026, 12, 31))
    closes = exchange_calendars.get_calendar(exchange, start="2015-01-01").closes
    assert len(sessions) > 2900
    for session in sessions:
        last_trade = closes.loc[session.isoformat()].to_pydatetime()
        evening = dt.datetime.combine(session, dt.time(23), tzinfo=ZoneInfo(profile.time_zone))
        calendar = trading_calendar(exchange)
        assert calendar.newest_closed(last_trade) < session
        assert calendar.newest_closed(evening) == session


@pytest.mark.parametrize(("exchange", "close"), [("XTKS", (15, 30)), ("XNYS", (16, 0)), ("XKRX", (15, 30))])
def test_the_profile_s_close_is_the_library_s(exchange: str, close: tuple[int, int]) -> None:
    profile = profile_of(exchange)
    usual = exchange_calendars.get_calendar(exchange, start="2025-01-01").closes["2026-11-20"]
    assert usual.tz_convert(profile.time_zone).time() == profile.close == dt.time(*close)


@pytest.mark.parametrize(
    ("exchange", "now", "newest"),
    [
        ("XNYS", dt.datetime(2026, 11, 20, 16, 59, tzinfo=NEW_YORK), D(2026, 11, 19)),
        ("XNYS", dt.datetime(2026, 11, 20, 17, 0, tzinfo=NEW_YORK), D(2026, 11, 20)),
        ("XNYS", dt.datetime(2026, 7, 2, 17, 59, tzinfo=NEW_YORK), D(2026, 7, 1)),
        ("XNYS", dt.datetime(2026, 7, 2, 18, 0, tzinfo=NEW_YORK), D(2026, 7, 2)),
        # Thanksgiving, and the half day after it.
        ("XNYS", dt.datetime(2026, 11, 26, 23, 0, tzinfo=NEW_YORK), D(2026, 11, 25)),
        ("XNYS", dt.datetime(2026, 11, 27, 16, 59, tzinfo=NEW_YORK), D(2026, 11, 25)),
        ("XNYS", dt.datetime(2026, 11, 27, 23, 0, tzinfo=NEW_YORK), D(2026, 11, 27)),
        # Summer time begins on Sunday 2026-03-08 and ends on Sunday 2026-11-01.
        ("XNYS", dt.datetime(2026, 3, 6, 17, 1, tzinfo=NEW_YORK), D(2026, 3, 6)),
        ("XNYS", dt.datetime(2026, 3, 9, 17, 59, tzinfo=NEW_YORK), D(2026, 3, 6)),
        ("XNYS", dt.datetime(2026, 3, 9, 18, 0, tzinfo=NEW_YORK), D(2026, 3, 9)),
        ("XNYS", dt.datetime(2026, 11, 2, 16, 59, tzinfo=NEW_YORK), D(2026, 10, 30)),
        ("XNYS", dt.datetime(2026, 11, 2, 17, 0, tzinfo=NEW_YORK), D(2026, 11, 2)),
        ("XKRX", dt.datetime(2026, 11, 20, 18, 59, tzinfo=SEOUL), D(2026, 11, 19)),
        ("XKRX", dt.datetime(2026, 11, 20, 19, 0, tzinfo=SEOUL), D(2026, 11, 20)),
        # Seollal: Monday 2026-02-16 to Wednesday 2026-02-18.
        ("XKRX", dt.datetime(2026, 2, 18, 23, 0, tzinfo=SEOUL), D(2026, 2, 13)),
        ("XKRX", dt.datetime(2026, 2, 19, 23, 0, tzinfo=SEOUL), D(2026, 2, 19)),
    ],
)
def test_newest_closed_session_elsewhere(exchange: str, now: dt.datetime, newest: D) -> None:
    assert trading_calendar(exchange).newest_closed(now) == newest


@pytest.mark.parametrize(
    ("exchange", "date", "reason"),
    [
        ("XNYS", D(2026, 11, 26), "Thanksgiving"),
        ("XNYS", D(2026, 7, 3), "July 4th"),
        ("XNYS", D(2025, 1, 9), "exchange holiday"),  # mourning for President Carter
        ("XKRX", D(2026, 2, 16), "Seollal"),
        ("XKRX", D(2026, 2, 18), "Seollal"),
        ("XKRX", D(2026, 9, 25), "Chuseok"),
        ("XKRX", D(2026, 12, 31), "End of Year Holiday"),
    ],
)
def test_reasons_for_a_closed_day_elsewhere(exchange: str, date: D, reason: str) -> None:
    assert trading_calendar(exchange).why_closed(date) == reason


# --- price limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exchange", "previous_close", "limit"),
    [
        ("XTKS", 0.1, 30), ("XTKS", 99.9, 30), ("XTKS", 100, 50), ("XTKS", 199.9, 50), ("XTKS", 200, 80),
        ("XTKS", 500, 100), ("XTKS", 700, 150), ("XTKS", 999.9, 150), ("XTKS", 1_000, 300), ("XTKS", 1_500, 400),
        ("XTKS", 2_000, 500), ("XTKS", 3_000, 700), ("XTKS", 5_000, 1_000), ("XTKS", 7_000, 1_500),
        ("XTKS", 9_999, 1_500), ("XTKS", 10_000, 3_000), ("XTKS", 27_160, 5_000), ("XTKS", 69_999, 10_000),
        ("XTKS", 149_999, 30_000), ("XTKS", 999_999, 150_000), ("XTKS", 49_999_999, 7_000_000),
        ("XTKS", 50_000_000, 10_000_000), ("XKRX", 50_000, 15_000), ("XNYS", 50_000, None),
    ],
)  # fmt: skip
def test_price_limits_are_the_exchanges_own(exchange: str, previous_close: float, limit: float | None) -> None:
    assert profile_of(exchange).price_limit(previous_close) == limit


def test_tokyo_s_steps_above_1000_yen_repeat_with_each_power_of_ten() -> None:
    limit = profile_of("XTKS").price_limit
    for step in (1_000, 1_500, 2_000, 3_000, 5_000, 7_000):
        for power in (10, 100, 1_000):
            assert limit(step * power) == power * limit(step)
            assert limit(step * power - 1) == power * limit(step - 0.1)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(PROFILES)), st.lists(st.none() | st.floats(0.1, 1e9), min_size=1))
def test_limits_of_a_column_are_those_of_each_price(exchange: str, closes: list[float | None]) -> None:
    profile = profile_of(exchange)
    frame = pl.DataFrame({"close": closes}, schema={"close": pl.Float64})
    found = frame.select(profile.price_limits(pl.col("close"))).to_series()
    assert found.to_list() == [None if close is None else profile.price_limit(close) for close in closes]


def test_real_prices_stop_at_the_limit(shared_data) -> None:
    """Ten years of six stocks: no price lies a tick (1 yen) or more beyond, and some lie exactly there."""
    splits = pl.read_csv(shared_data / "facts/core30_splits_2016_2026.csv", try_parse_dates=True)
    splits = splits.select(pl.col("ticker").cast(pl.String) + ".T", "ex_date", "ratio")
    codes = ("2914.T", "3382.T", "6501.T", "6857.T", "9983.T", "9984.T")
    bars = pl.concat(
        pl.read_csv(shared_data / f"jp_core30/csv/{code}.csv", try_parse_dates=True).select(
            "Open", "High", "Low", "Close", "Volume", session="Date", ticker=pl.lit(code)
        )
        for code in codes
    ).rename(str.lower)
    raw = to_as_traded(bars, splits.filter(pl.col("ticker").is_in(codes))).sort("ticker", "session")
    moves = (
        raw.with_columns(base=pl.col("close").shift(1).over("ticker"))
        .join(splits, left_on=["ticker", "session"], right_on=["ticker", "ex_date"], how="anti")
        .with_columns(
            limit=profile_of("XTKS").price_limits(pl.col("base")),
            move=pl.max_horizontal(pl.col("high") - pl.col("base"), pl.col("base") - pl.col("low")),
        )
        .drop_nulls()
    )
    beyond = moves.with_columns(beyond=(pl.col("move") - pl.col("limit")).round(1))
    assert moves.height > 14_000
    assert beyond["beyond"].max() < 1.0
    assert beyond.filter(pl.col("beyond") == 0).height >= 10
