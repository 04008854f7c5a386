"""Sensors on a real instance: what they ask for after a change, and that doing it settles the matter."""

import datetime as dt

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.instance import run_job
from stockfc_assets.defs.jobs import DAILY_FORECAST, HISTORY
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.market.membership import universe_table
from stockfc_assets_tests.conftest import NOW, tiny_config

D = dt.date
FIRST, LAST = D(2024, 1, 4), D(2024, 2, 9)


def tick(name, bench, instance, *, now=NOW, cursor=None):
    """What the sensor answers, and the context that holds its new cursor."""
    platform = Platform(bench.settings, clock=lambda: now)
    definitions = build_definitions(bench.settings, platform=platform)
    sensor = definitions.resolve_sensor_def(name)
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
    data = sensor.evaluate_tick(context)
    return data, data.cursor


def request(data) -> tuple[str, str, str]:
    (asked,) = data.run_requests
    first = asked.partition_key or asked.tags[ASSET_PARTITION_RANGE_START_TAG]
    last = asked.partition_key or asked.tags[ASSET_PARTITION_RANGE_END_TAG]
    return asked.job_name, first, last


def run(bench, instance, data) -> None:
    job, first, last = request(data)
    keys = bench.platform.sessions_between(D.fromisoformat(first), D.fromisoformat(last))
    assert run_job(bench.definitions, instance, job or HISTORY, keys).success


def reopened(bench, instance, change) -> Workbench:
    """The workbench after ``change`` was made to the list of stocks in the universe's file."""
    path = bench.settings.config_dir / "universes/tiny.yaml"
    content = yaml.safe_load(path.read_text())
    change(content["stocks"])
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    settings = open_settings(
        {"STOCKFC_CONFIG": str(bench.settings.config_dir), "STOCKFC_DATA": str(bench.settings.data_root)}
    )
    return Workbench(settings, instance, say=lambda _: None, now=NOW)


@pytest.mark.parametrize("name", ["universe_changed", "missing_sessions"])
def test_with_nothing_stored_both_wait_for_a_first_backfill(bench, instance, name):
    data, _ = tick(name, bench, instance)
    assert not data.run_requests
    assert data.skip_message == "nothing is stored yet: run `stockfc backfill` first"


def test_a_universe_that_has_not_changed_asks_for_nothing(bench, instance):
    bench.backfill(FIRST, LAST)
    data, cursor = tick("universe_changed", bench, instance)
    assert data.skip_message == f"the universe's 13 tickers are all stored, {FIRST} to {LAST}"
    again, _ = tick("universe_changed", bench, instance, cursor=cursor)
    assert again.skip_message == data.skip_message


def test_a_new_ticker_gets_the_stored_history_and_the_others_keep_their_bytes(bench, instance):
    bench.backfill(FIRST, LAST)
    _, cursor = tick("universe_changed", bench, instance)
    before = bench.platform.warehouse.read_tables("raw_ohlcv", bench.platform.warehouse.partitions("raw_ohlcv"))
    new = {"ticker": "2914.T", "name": "Japan Tobacco", "sector": "Foods", "member": [{"member_from": D(2010, 1, 4)}]}
    changed = reopened(bench, instance, lambda stocks: stocks.append(new))
    # The sensor's process still holds the definitions of before the edit.
    data, _ = tick("universe_changed", bench, instance, cursor=cursor)
    assert request(data) == (HISTORY, FIRST.isoformat(), LAST.isoformat())
    run(changed, instance, data)
    after = changed.platform.warehouse.read_tables("raw_ohlcv", changed.platform.warehouse.partitions("raw_ohlcv"))
    assert set(after["ticker"]) - set(before["ticker"]) == {"2914.T"}
    assert after.filter(after["ticker"] != "2914.T").equals(before)
    settled, _ = tick("universe_changed", changed, instance, cursor=cursor)
    assert not settled.run_requests


def test_a_ticker_that_was_taken_out_ends_and_nothing_of_it_is_deleted(bench, instance):
    bench.backfill(FIRST, LAST)
    gone = bench.settings.universe.tickers[0]
    before = bench.platform.warehouse.read_table("raw_ohlcv", LAST.isoformat())
    changed = reopened(bench, instance, lambda stocks: stocks.pop(0))
    assert changed.settings.removed_stocks == (gone,)
    data, _ = tick("universe_changed", changed, instance)
    assert not data.run_requests
    changed.backfill(FIRST, D(2024, 2, 14))
    stored = changed.platform.warehouse.read_table("universe", "universe")
    (row,) = stored.filter(stored["ticker"] == gone).to_dicts()
    assert (row["member_from"], row["member_to"]) == (D(2010, 1, 4), LAST)
    assert changed.platform.warehouse.read_table("raw_ohlcv", LAST.isoformat()).equals(before)
    assert gone in changed.settings.universe.members(LAST)
    assert gone not in changed.settings.universe.members(D(2024, 2, 13))
    # Its last forecasts have not matured: prices are fetched for a year more, and then no longer.
    assert gone in changed.platform.fetched_tickers(D(2025, 2, 28))
    assert gone not in changed.platform.fetched_tickers(D(2025, 3, 31))
    # A third look at the same file still knows when it ended.
    again = reopened(changed, instance, lambda stocks: None)
    assert again.settings.universe.stocks[-1].member[0].member_to == LAST


def test_a_mistyped_ticker_is_forgotten_when_it_is_taken_back(bench, instance):
    bench.backfill(FIRST, LAST)
    nobody = {"ticker": "9999.T", "name": "?", "sector": "Foods", "member": [{"member_from": D(2010, 1, 4)}]}
    mistyped = reopened(bench, instance, lambda stocks: stocks.append(nobody))
    table = universe_table(mistyped.settings.universe, mistyped.settings.sectors, "JPY")
    mistyped.platform.warehouse.write_table("universe", "universe", table)
    corrected = reopened(mistyped, instance, lambda stocks: stocks.pop())
    assert corrected.settings.removed_stocks == ()
    assert "9999.T" not in corrected.platform.known_tickers()


def test_after_downtime_the_missed_sessions_are_asked_for_a_bounded_number_at_a_time(tmp_path, instance, bench):
    bench.backfill(FIRST, D(2024, 1, 12))
    keys = bench.platform.sessions_between(D(2024, 1, 15), D(2024, 2, 29))
    data, _ = tick("missing_sessions", bench, instance)
    assert request(data) == (HISTORY, keys[0], keys[19])
    run(bench, instance, data)
    data, _ = tick("missing_sessions", bench, instance)
    assert request(data) == (HISTORY, keys[20], keys[-1])
    run(bench, instance, data)
    data, _ = tick("missing_sessions", bench, instance)
    assert data.skip_message == f"no session is missing from {FIRST} to 2024-02-29"


def test_a_gap_inside_the_history_is_filled_first_and_alone(bench, instance):
    bench.backfill(FIRST, D(2024, 1, 12))
    bench.backfill(D(2024, 1, 17), D(2024, 1, 19))
    data, _ = tick("missing_sessions", bench, instance)
    assert request(data) == (HISTORY, "2024-01-15", "2024-01-16")


@pytest.mark.parametrize(
    ("hour", "asked"),
    [
        # Friday 2024-03-01 exists as a partition from 19:00 in Tokyo (10:00 UTC) and is left to its schedule for 8 hours.
        (dt.datetime(2024, 3, 1, 9, 59, tzinfo=dt.UTC), None),
        (dt.datetime(2024, 3, 1, 14, 0, tzinfo=dt.UTC), None),
        (dt.datetime(2024, 3, 1, 17, 59, tzinfo=dt.UTC), None),
        (dt.datetime(2024, 3, 1, 18, 1, tzinfo=dt.UTC), "2024-03-01"),
        (dt.datetime(2024, 3, 3, 12, 0, tzinfo=dt.UTC), "2024-03-01"),
    ],
)
def test_a_session_that_is_not_over_or_has_its_schedule_to_come_is_never_asked_for(bench, instance, hour, asked):
    bench.backfill(D(2024, 2, 26), D(2024, 2, 29))
    data, _ = tick("missing_sessions", bench, instance, now=hour)
    assert [each.partition_key for each in data.run_requests or []] == ([asked] if asked else [])


def test_missed_forecasts_are_published_when_forecasts_were_being_published(bench, instance):
    bench.backfill(D(2024, 2, 26), D(2024, 2, 28))
    bench.platform.warehouse.store.write_bytes("daily_predictions/2024-02-28.parquet", b"a forecast")
    data, _ = tick("missing_sessions", bench, instance)
    assert request(data) == (DAILY_FORECAST, "2024-02-29", "2024-02-29")


def test_nothing_is_asked_for_while_a_run_is_under_way_and_a_failure_is_retried_within_the_hour(bench, instance):
    bench.backfill(D(2024, 2, 26), D(2024, 2, 28))
    first, _ = tick("missing_sessions", bench, instance)
    again, _ = tick("missing_sessions", bench, instance, now=NOW + dt.timedelta(minutes=5))
    later, _ = tick("missing_sessions", bench, instance, now=NOW + dt.timedelta(hours=1))
    keys = [data.run_requests[0].run_key for data in (first, again, later)]
    assert keys[0] == keys[1] != keys[2]
    job = bench.definitions.resolve_job_def(HISTORY)
    begun = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "2024-02-29"}
    )
    data, _ = tick("missing_sessions", bench, instance)
    assert data.skip_message == f"1 sessions are missing, but run {begun.run_id[:8]} is under way"


def test_all_start_switched_off_unless_the_environment_says_so(tmp_path):
    for active, status in ((False, dg.DefaultSensorStatus.STOPPED), (True, dg.DefaultSensorStatus.RUNNING)):
        config = tiny_config(tmp_path / str(active), schedules={"active": active})
        settings = open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(tmp_path / "data")})
        sensors = build_definitions(settings).sensors
        assert {sensor.name: sensor.default_status for sensor in sensors} == {
            "universe_changed": status, "missing_sessions": status, "alarms": status,
        }  # fmt: skip
