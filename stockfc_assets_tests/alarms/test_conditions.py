"""What must hold, judged from stored files: exact answers at exact times, and few requests."""

import datetime as dt
from collections import Counter
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stockfc_assets.alarms.conditions import conditions, due_session
from stockfc_assets.forecasts.daily import LATEST
from stockfc_assets.market.calendar import PROFILES, trading_calendar
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import Warehouse
from stockfc_assets.storage.local import LocalStore
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import RawOhlcv

D = dt.date
TOKYO = ZoneInfo("Asia/Tokyo")
CALENDAR = trading_calendar("XTKS")
FRIDAY = D(2024, 3, 1)
MINUTE = dt.timedelta(minutes=1)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=TOKYO)


def publish(warehouse, settings, session=FRIDAY, *, skipped=0, model="2024-03", champions=("2024-03",)):
    """latest.json as it is published, its champion records, and nothing else."""
    tickers = settings.universe.members(session)
    months = [{"month": n, "predicted_price": 100.0, "return": 0.0} for n in range(1, 13)]
    stock = {"as_of_date": f"{session}", "current_price": 100.0, "predictions": months, "sector": "Foods"}
    stock |= {"predicted_12m_price": 100.0, "predicted_12m_return": 0.0}
    document = {
        "timestamp": f"{session}T23:00:00",
        "session": f"{session}",
        "num_predictions": len(tickers) - skipped,
        "model": {"id": f"m-{model}", "month": model},
        "predictions": [{**stock, "ticker": ticker} for ticker in tickers[skipped:]],
        "skipped": [{"ticker": ticker, "reason": "not fetched: HTTP 503"} for ticker in tickers[:skipped]],
    }
    warehouse.store.write_bytes(LATEST, document_bytes(document))
    for month in champions:
        record = {"month": f"{month}-01", "model": {"id": f"m-{model}", "month": model}, "reason": "no better one came"}
        warehouse.store.write_bytes(f"champion_model/{month}-01.json", document_bytes(record))


def look(warehouse, settings, now):
    return {each.name: each for each in conditions(warehouse, settings, CALENDAR, now)}


def wrong(warehouse, settings, now):
    return {name for name, each in look(warehouse, settings, now).items() if not each.ok}


def with_alarms(settings, **values):
    alarms = settings.environment.alarms.model_copy(update=values)
    return settings.model_copy(update={"environment": settings.environment.model_copy(update={"alarms": alarms})})


@pytest.fixture
def warehouse(settings):
    return Warehouse(LocalStore(settings.data_root))


def test_all_is_well_the_evening_after_publication(warehouse, settings):
    publish(warehouse, settings)
    found = conditions(warehouse, settings, CALENDAR, at("2024-03-01 23:50"))
    assert [(each.name, each.ok) for each in found] == [
        (name, True)
        for name in (
            "storage", "published_forecast", "stale_forecast", "coverage", "superseded_forecast", "champion", "calendar",
        )
    ]  # fmt: skip
    assert found[2].message == "the newest forecast is of 2024-03-01, as it must be by 23:45"
    assert found[3].message == "the forecast of 2024-03-01 holds 12 of 12 members"


@pytest.mark.parametrize(
    ("now", "stale"),
    [
        ("2024-03-01 18:59", False),  # Friday's session is over, its partition not there yet
        ("2024-03-01 23:44", False),  # not due
        ("2024-03-01 23:45", False),
        ("2024-03-03 12:00", False),  # Sunday
        ("2024-03-04 23:44", False),  # Monday, not due
        ("2024-03-04 23:45", True),
        ("2024-03-05 00:30", True),
        ("2024-03-20 12:00", True),
        ("2024-02-20 12:00", False),  # a clock that was set back
        ("2023-12-31 23:59", False),
    ],
)
def test_a_forecast_is_stale_only_once_the_next_one_is_due(warehouse, settings, now, stale):
    publish(warehouse, settings, FRIDAY)
    assert ("stale_forecast" in wrong(warehouse, settings, at(now))) is stale


def test_holidays_are_no_sessions(warehouse, settings):
    # Golden Week of 2024: no session from Friday May 3 to Monday May 6.
    publish(warehouse, settings, D(2024, 5, 2), model="2024-05", champions=["2024-05"])
    for now in ("2024-05-03 23:59", "2024-05-06 23:59", "2024-05-07 23:44"):
        assert wrong(warehouse, settings, at(now)) == set()
    assert wrong(warehouse, settings, at("2024-05-07 23:46")) == {"stale_forecast"}


def test_a_stale_forecast_names_what_is_missing_and_why(warehouse, settings):
    publish(warehouse, settings, D(2024, 2, 29))
    now = at("2024-03-01 23:50")
    assert look(warehouse, settings, now)["stale_forecast"].message == (
        "the newest forecast is of 2024-02-29; by 23:45 there was none of 2024-03-01 (its prices of 2024-03-01 are not "
        "stored); run `stockfc daily --session 2024-03-01`"
    )
    members = settings.universe.members(FRIDAY)
    row = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 100.0, "dividend": 0.0, "split_ratio": 1.0}
    for day, names in [(D(2024, 2, 29), members), (FRIDAY, members[:6])]:
        rows = [{"ticker": ticker, "session": day, **row} for ticker in names]
        frame = pl.DataFrame(rows, schema={name: column.dtype for name, column in RawOhlcv.columns().items()})
        failed = dict.fromkeys(members[6:], "HTTP 503") if day == FRIDAY else {}
        warehouse.write_table("raw_ohlcv", str(day), frame, record=FetchRecord(failed=failed).as_json())
    message = look(warehouse, settings, now)["stale_forecast"].message
    assert f"(2024-03-01: coverage 50.0% is below 90%; no price for {', '.join(members[6:])} (HTTP 503))" in message
    warehouse.store.write_bytes("raw_ohlcv/2024-03-01.parquet", b"broken")
    assert "corrupt" in look(warehouse, settings, now)["stale_forecast"].message
    publish(warehouse, settings, D(2024, 2, 20))
    assert ("none of 2024-02-21, 2024-02-22, 2024-02-26 and 4 more sessions") in look(warehouse, settings, now)[
        "stale_forecast"
    ].message


def test_a_time_before_the_close_is_one_of_the_day_after_and_none_awaits_nothing(warehouse, settings):
    publish(warehouse, settings, D(2024, 2, 29))
    early = with_alarms(settings, forecast_due=dt.time(1, 30))
    assert wrong(warehouse, early, at("2024-03-02 01:29")) == set()
    assert wrong(warehouse, early, at("2024-03-02 01:30")) == {"stale_forecast"}
    never = with_alarms(settings, forecast_due=None)
    assert wrong(warehouse, never, at("2024-06-03 12:00")) == {"champion"}


def test_nothing_published_yet_says_what_to_do(warehouse, settings):
    found = look(warehouse, settings, at("2024-03-01 23:50"))
    assert found["stale_forecast"].message == "no forecast is published yet; run `stockfc daily --session 2024-03-01`"
    assert found["champion"].message.endswith("run `stockfc monthly --month 2024-03`")
    assert set(found) == {"storage", "published_forecast", "stale_forecast", "champion", "calendar"}


def test_coverage_names_the_missing_with_their_reason(warehouse, settings):
    now = at("2024-03-01 23:50")
    publish(warehouse, settings, skipped=1)
    assert wrong(warehouse, settings, now) == set()
    publish(warehouse, settings, skipped=2)
    names = ", ".join(settings.universe.members(FRIDAY)[:2])
    message = look(warehouse, settings, now)["coverage"].message
    assert message.startswith(
        f"the forecast of 2024-03-01 holds 10 of 12 members, fewer than min_coverage 90%; without one: {names} "
        "(not fetched: HTTP 503); "
    )


def test_a_champion_is_too_old_after_so_many_months_and_the_reason_is_told(warehouse, settings):
    publish(warehouse, settings, D(2024, 4, 30), model="2024-02", champions=["2024-02", "2024-03"])
    assert "champion" not in wrong(warehouse, settings, at("2024-04-30 23:59"))
    message = look(warehouse, settings, at("2024-05-01 00:00"))["champion"].message
    assert message == (
        "m-2024-02 serves, the model of 2024-02: 3 months old, more than champion_months 2; no model was judged since "
        "2024-03; run `stockfc monthly --month 2024-05`"
    )
    publish(warehouse, settings, D(2024, 4, 30), model="2024-02", champions=["2024-05"])
    assert "newer ones did not pass the gate (no better one came)" in look(
        warehouse, settings, at("2024-05-01 00:00")
    )["champion"].message  # fmt: skip
    assert look(warehouse, settings, at("2023-01-31 12:00"))["champion"].ok, "a clock set back"


def test_a_superseded_forecast_is_told(warehouse, settings):
    publish(warehouse, settings)
    other = {"month": "2024-03-01", "model": {"id": "m-new", "month": "2024-03"}, "reason": "better"}
    warehouse.store.write_bytes("champion_model/2024-03-01.json", document_bytes(other))
    assert look(warehouse, settings, at("2024-03-02 12:00"))["superseded_forecast"].message == (
        "the forecast of 2024-03-01 was published by m-2024-03, and by now m-new serves; run "
        "`stockfc daily --session 2024-03-01`"
    )


def test_the_calendar_is_told_sixty_days_before_it_ends(warehouse, settings):
    publish(warehouse, settings)
    last = dt.datetime.combine(CALENDAR.last_known, dt.time(12), TOKYO)
    for days, fine in [(61, True), (60, True), (59, False), (0, False), (-5, False)]:
        assert look(warehouse, settings, last - dt.timedelta(days=days))["calendar"].ok is fine
    assert "exchange_calendars" in look(warehouse, settings, last)["calendar"].message


def test_damaged_files_are_conditions_and_never_errors(warehouse, settings):
    publish(warehouse, settings)
    now = at("2024-03-01 23:50")
    good = warehouse.store.read_bytes(LATEST)
    for damage in (b"", b"{", b"[]", b"{}", good[:-200], good.replace(b'"model"', b'"mdl"')):
        warehouse.store.write_bytes(LATEST, damage)
        found = look(warehouse, settings, now)
        assert {name for name, each in found.items() if not each.ok} == {"published_forecast"}
        assert "predictions/latest.json" in found["published_forecast"].message
        assert "coverage" not in found, "what cannot be judged is left out, so that its incident stays"
    warehouse.store.write_bytes(LATEST, good)
    warehouse.store.write_bytes("champion_model/2024-03-01.json", b"{")
    assert wrong(warehouse, settings, now) == {"champion", "superseded_forecast"}
    warehouse.store.delete(LATEST)
    (settings.data_root / LATEST).mkdir()
    assert wrong(warehouse, settings, now) == {"storage"}


def test_a_machine_whose_clock_begins_in_1970_says_so(warehouse, settings):
    publish(warehouse, settings)
    message = look(warehouse, settings, dt.datetime(1970, 1, 1, tzinfo=dt.UTC))["stale_forecast"].message
    assert message.startswith("it is 1970-01-01 00:00 by this machine's clock")


def test_on_s3_it_takes_five_requests_and_a_bucket_that_refuses_is_a_condition(bucket, settings):
    store = S3Store(S3Storage(kind="s3", bucket=bucket))
    publish(Warehouse(store), settings)
    asked = Counter()
    store.client.meta.events.register("before-send.s3", lambda request, **_: asked.update([request.method]))
    assert wrong(Warehouse(store), settings, at("2024-03-01 23:50")) == set()
    assert sum(asked.values()) == 5
    lost = Warehouse(S3Store(S3Storage(kind="s3", bucket="nobody-has-this-bucket", attempts=1)))
    found = look(lost, settings, at("2024-03-01 23:50"))
    assert {name: each.ok for name, each in found.items()} == {"storage": False, "calendar": True}
    assert "s3://nobody-has-this-bucket" in found["storage"].message


@given(
    st.sampled_from(sorted(PROFILES)),
    st.integers(0, 3650 * 1440).map(lambda minutes: dt.datetime(2016, 1, 1, tzinfo=dt.UTC) + minutes * MINUTE),
    st.times(),
)
@hypothesis_settings(deadline=None, max_examples=150)
def test_the_awaited_session_is_the_newest_that_is_over_and_due(exchange, now, due):
    calendar = trading_calendar(exchange)
    zone = ZoneInfo(calendar.profile.time_zone)
    awaited = due_session(calendar, due, now)

    def is_awaited(session):
        """A second way to say it: over, and the clock has shown ``due`` after its close."""
        close = dt.datetime.combine(session, calendar.profile.close, zone)
        first = dt.datetime.combine(session, due, zone)
        shown = (
            first if due > calendar.profile.close else dt.datetime.combine(session + dt.timedelta(days=1), due, zone)
        )
        return close < now and shown <= now and session <= calendar.newest_closed(now)

    recent = [day for day in calendar.sessions if day <= now.date() + dt.timedelta(days=2)][-15:]
    assert awaited == max(day for day in recent if is_awaited(day))
