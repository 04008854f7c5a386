"""Which month `stockfc monthly` means when none is named."""

import datetime as dt

import pytest

from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.storage.warehouse import document_bytes

FRIDAY_MORNING = dt.datetime(2024, 3, 1, 0, 0, tzinfo=dt.UTC)
"""09:00 in Tokyo: March has begun, its first session is not over."""


@pytest.fixture
def open_bench(settings, instance, said):
    return lambda now: Workbench(settings, instance, say=said.append, now=now)


def store_champion(bench: Workbench, month: str) -> None:
    record = {"model": {"id": "one"}, "reason": "it is the first"}
    bench.platform.warehouse.write_file(f"champion_model/{month}.json", document_bytes(record))


def test_the_first_model_is_one_that_can_forecast_the_newest_session(open_bench, said):
    """On the 1st, `stockfc monthly && stockfc daily` of somebody new: a model of March may not forecast February's session."""
    assert open_bench(FRIDAY_MORNING).due_month() == dt.date(2024, 2, 1)
    assert said == [
        "the newest finished session is of 2024-02, for which no model serves yet: this makes that month's; "
        "`stockfc monthly` makes that of 2024-03 then"
    ]


@pytest.mark.parametrize("month", ["2023-12-01", "2024-02-01"])
def test_where_a_model_serves_already_it_is_the_current_month(open_bench, said, month):
    bench = open_bench(FRIDAY_MORNING)
    store_champion(bench, month)
    assert (bench.due_month(), said) == (dt.date(2024, 3, 1), [])


def test_a_model_of_the_current_month_serves_no_session_of_the_month_before(open_bench):
    bench = open_bench(FRIDAY_MORNING)
    store_champion(bench, "2024-03-01")
    assert bench.due_month() == dt.date(2024, 2, 1)


def test_once_the_first_session_is_over_it_is_the_current_month(open_bench, said):
    assert (open_bench(FRIDAY_MORNING + dt.timedelta(hours=14)).due_month(), said) == (dt.date(2024, 3, 1), [])
