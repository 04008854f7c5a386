"""The schedules' ticks: which partition they ask for, and the holiday they name when they skip."""

import datetime as dt
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from stockfc_assets.defs.build import build_definitions

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def definitions(settings):
    return build_definitions(settings)


def tick(definitions, name: str, *when: int):
    schedule = definitions.resolve_schedule_def(name)
    context = dg.build_schedule_context(
        scheduled_execution_time=dt.datetime(*when, tzinfo=TOKYO), repository_def=definitions.get_repository_def()
    )
    return schedule.evaluate_tick(context)


def test_daily_forecast_asks_for_the_session_that_is_over(definitions):
    (request,) = tick(definitions, "daily_forecast_schedule", 2026, 11, 20, 23).run_requests
    assert request.partition_key == "2026-11-20"
    assert request.run_key == "daily_forecast-2026-11-20"


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ((2026, 11, 21, 23), "2026-11-21: no session of XTKS: Saturday"),
        ((2026, 11, 23, 23), "2026-11-23: no session of XTKS: Labor Thanksgiving Day"),
        ((2025, 12, 31, 23), "2025-12-31: no session of XTKS: New Year's Holiday"),
    ],
)
def test_daily_forecast_names_the_holiday_it_skips(definitions, when, reason):
    data = tick(definitions, "daily_forecast_schedule", *when)
    assert not data.run_requests
    assert data.skip_message == reason


def test_monthly_model_asks_for_the_month_that_begins(definitions):
    (request,) = tick(definitions, "monthly_model_schedule", 2026, 12, 1, 0).run_requests
    assert request.partition_key == "2026-12-01"


def test_schedules_are_on_tokyo_s_clock_and_off_by_default(definitions):
    daily = definitions.resolve_schedule_def("daily_forecast_schedule")
    monthly = definitions.resolve_schedule_def("monthly_model_schedule")
    assert (daily.cron_schedule, monthly.cron_schedule) == ("0 23 * * *", "0 0 1 * *")
    assert daily.execution_timezone == monthly.execution_timezone == "Asia/Tokyo"
    assert daily.default_status == dg.DefaultScheduleStatus.STOPPED


def test_schedules_can_be_switched_on_in_the_environment_file(make_settings):
    definitions = build_definitions(make_settings(schedules={"active": True}))
    assert (
        definitions.resolve_schedule_def("daily_forecast_schedule").default_status == dg.DefaultScheduleStatus.RUNNING
    )
