"""The clock jumps during a run, over midnight, over a month's end, and back: the forecast stays that of its session."""

import datetime as dt
import itertools

import pytest

from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.instance import run_job
from stockfc_assets.defs.jobs import DAILY_FORECAST
from stockfc_assets.defs.resources import Platform
from stockfc_assets_tests.faults.roots import stored

pytestmark = pytest.mark.service
FEBRUARY_29 = dt.date(2024, 2, 29)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


JUMPS = {
    "midnight in Tokyo, end of the month": [utc(2024, 2, 29, 14, 59, 59), utc(2024, 2, 29, 15, 0, 1)],
    "midnight in UTC": [utc(2024, 2, 29, 23, 59, 59), utc(2024, 3, 1, 0, 0, 1)],
    "the end of the grid's day": [utc(2024, 2, 29, 10, 0, 1), utc(2024, 3, 1, 10, 0, 1)],
    "back by a day": [utc(2024, 3, 1, 0, 0, 1), utc(2024, 2, 29, 14, 0, 0)],
    "a year ahead": [utc(2024, 2, 29, 14, 0, 0), utc(2025, 2, 28, 14, 0, 0)],
}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_forecast_is_that_of_its_session_by_the_model_of_its_month(copy, jump):
    root = copy.settings.data_root
    sound = stored(root)
    latest = (root / "predictions/latest.json").read_bytes()
    clock = itertools.cycle(JUMPS[jump])
    platform = Platform(copy.settings, clock=lambda: next(clock))
    definitions = build_definitions(copy.settings, platform=platform)
    assert run_job(definitions, copy.instance, DAILY_FORECAST, [FEBRUARY_29.isoformat()]).success
    assert stored(root) == sound
    assert copy.document(FEBRUARY_29)["model"]["month"] == "2024-02"
    assert copy.document(FEBRUARY_29)["timestamp"] == "2024-02-29T23:00:00"
    assert (root / "predictions/latest.json").read_bytes() == latest
