"""Failures that Dagster's instance knows: each alarms once, on real failing runs, and is over when a later run succeeds."""

import datetime as dt
import json

import dagster as dg
import pytest
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from stockfc_assets.alarms.book import KEY, read_incidents
from stockfc_assets.alarms.messages import CHECK_FAILED, RUN_FAILED
from stockfc_assets.defs.abandoned import terminal_tags
from stockfc_assets.defs.alarms import Scope, build_alarm_sensor, run_conditions
from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.instance import run_job
from stockfc_assets.defs.jobs import HISTORY
from stockfc_assets.defs.resources import Platform
from stockfc_assets.errors import RunError
from stockfc_assets_tests.alarms.test_channels import receiver
from stockfc_assets_tests.conftest import NOW

D = dt.date
FIRST, LAST = D(2024, 1, 4), D(2024, 1, 9)
KEYS = ["2024-01-04", "2024-01-05", "2024-01-09"]
SCOPE = f"{HISTORY} 2024-01-04 to 2024-01-09"


class Silent:
    """The price source, which answers for no stock but one."""

    def __init__(self, source):
        self._source = source

    def __getattr__(self, name):
        return getattr(self._source, name)

    def fetch_bars(self, tickers, *rest):
        answer = self._source.fetch_bars(list(tickers)[:1], *rest)
        silent = dict.fromkeys(list(tickers)[1:], "HTTP 503")
        return type(answer)(**{**vars(answer), "failures": {**answer.failures, **silent}})


def wrong(instance, *names):
    """(name, subject) -> message of the run conditions that do not hold."""
    found = run_conditions(instance, dt.datetime.now(dt.UTC))
    return {
        (each.name, each.subject): each.message
        for each in found
        if not each.ok and each.name in (names or (each.name,))
    }


def backfill(bench, **options):
    bench.backfill(FIRST, LAST, **options)


def corrupt(bench, key="2024-01-05"):
    bench.platform.warehouse.store.write_bytes(f"raw_ohlcv/{key}.parquet", b"PAR1 this is no table")


def fails(action, *arguments, **options):
    with pytest.raises(RunError):
        action(*arguments, **options)


def recompute(bench):
    """weekly_features again over stored prices, which fails while one of them is corrupt."""
    bench._materialize("weekly_features", KEYS)


def tick(bench, instance, *, cursor=None, environment=None):
    settings = bench.settings
    if environment:
        settings = settings.model_copy(update={"environment": settings.environment.model_copy(update=environment)})
    platform = Platform(settings, clock=lambda: NOW)
    definitions = build_definitions(settings, platform=platform)
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=definitions.get_repository_def(), sensor_name="alarms"
    )
    return definitions.resolve_sensor_def("alarms").evaluate_tick(context)


def test_a_failed_run_is_wrong_until_one_for_the_same_partitions_succeeds(bench, instance):
    backfill(bench)
    assert wrong(instance) == {}
    corrupt(bench)
    fails(recompute, bench)
    ((key, message),) = wrong(instance).items()
    assert key == (RUN_FAILED, "weekly_features 2024-01-04 to 2024-01-09")
    assert "raw_ohlcv/2024-01-05.parquet: corrupt" in message
    assert "stockfc backfill --from 2024-01-05 --to 2024-01-05 --force" in message
    # Another job over the same range mends the file, but has not done the work.
    backfill(bench, force=True)
    assert list(wrong(instance)) == [key]
    recompute(bench)
    assert wrong(instance) == {}


def test_a_blocking_check_is_named_with_what_it_found(bench, instance):
    bench.platform.source = Silent(bench.platform.source)
    fails(backfill, bench)
    ((key, message),) = wrong(instance).items()
    assert key == (CHECK_FAILED, SCOPE)
    assert message.startswith(
        "check price_coverage of raw_ohlcv: 3 problems; first: 2024-01-04: coverage 0.0% is below 90%"
    )
    assert "(HTTP 503)" in message
    assert wrong(instance, RUN_FAILED) == {}
    bench.platform.source = bench.platform.source._source
    backfill(bench, force=True)
    assert wrong(instance) == {}


def test_a_later_range_that_holds_the_failed_end_is_the_recovery():
    failed = Scope("history", "2024-01-04", "2024-01-09")
    assert Scope("history", "2024-01-08", "2024-01-12").reaches(failed)
    assert Scope("history", "2024-01-09", "2024-01-09").reaches(failed)
    assert not Scope("history", "2024-01-04", "2024-01-08").reaches(failed)
    assert not Scope("history", "2024-01-10", "2024-01-12").reaches(failed)
    assert not Scope("daily_forecast", "2024-01-04", "2024-01-09").reaches(failed)
    assert (str(failed), str(Scope("x", "2024-01-09", "2024-01-09")), str(Scope("x", "", ""))) == (
        "history 2024-01-04 to 2024-01-09", "x 2024-01-09", "x",
    )  # fmt: skip


def failed_run(bench, instance):
    corrupt(bench)
    fails(recompute, bench)
    (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    return run


def test_a_run_that_is_started_again_has_not_failed_yet_unless_nobody_starts_it(bench, instance):
    backfill(bench)
    run = failed_run(bench, instance)
    now = dt.datetime.now(dt.UTC)
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "true"})
    assert wrong(instance) == {}
    late = run_conditions(instance, now + dt.timedelta(hours=2))
    assert [each.name for each in late if not each.ok] == [RUN_FAILED]
    instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "another"})
    assert all(each.ok for each in run_conditions(instance, now + dt.timedelta(hours=2)))


def test_a_killed_run_says_why_it_failed(bench, instance):
    job, partition = bench.definitions.resolve_job_def(HISTORY), {"dagster/partition": "2024-01-09"}
    # Dagster starts a crashed run of the daemon's again (dagster.yaml), and none that a person started at a terminal.
    instance.report_run_failed(instance.create_run_for_job(job, tags=partition), "its process is gone: killed")
    assert wrong(instance) == {}
    run = instance.create_run_for_job(job, tags=partition | terminal_tags())
    instance.report_run_failed(run, "its process is gone: killed")
    assert wrong(instance) == {
        (RUN_FAILED, f"{HISTORY} 2024-01-09"): "its process is gone: killed; mend it, then run it again "
        f"(`stockfc ui`, Runs, {run.run_id[:8]})"
    }


def test_runs_of_long_ago_and_deleted_ones_are_looked_at_no_more(bench, instance):
    backfill(bench)
    run = failed_run(bench, instance)
    assert run_conditions(instance, dt.datetime.now(dt.UTC) + dt.timedelta(days=15)) == []
    instance.delete_run(run.run_id)
    assert wrong(instance) == {}


def test_the_sensor_tells_a_webhook_once_and_once_when_it_is_over(bench, instance):
    backfill(bench)
    corrupt(bench)
    fails(recompute, bench)
    with receiver(200) as (url, got):
        alarms = bench.settings.environment.alarms.model_validate({"webhook_url": url, "forecast_due": None})
        environment = {"alarms": alarms}
        first, again = (tick(bench, instance, environment=environment) for _ in range(2))
        assert "run_failed weekly_features 2024-01-04 to 2024-01-09" in first.skip_message
        assert "told webhook of" in first.skip_message
        assert "told" not in again.skip_message
        backfill(bench, force=True)
        recompute(bench)
        tick(bench, instance, environment=environment)
        tick(bench, instance, environment=environment)
    texts = [json.loads(body)["text"] for _, _, body in got]
    assert len(texts) == 2
    assert "WRONG: run failed: weekly_features" in texts[0]
    assert "OVER: run failed: weekly_features 2024-01-04 to 2024-01-09, after" in texts[1]
    assert url not in bench.platform.warehouse.store.read_bytes(KEY).decode()


def test_a_webhook_that_is_down_fails_neither_the_tick_nor_is_anything_lost(bench, instance):
    backfill(bench)
    with receiver(404) as (url, _):
        environment = {"alarms": bench.settings.environment.alarms.model_validate({"webhook_url": url})}
        message = tick(bench, instance, environment=environment).skip_message
        assert "could not tell webhook: webhook: it answered 404" in message
    with receiver(200) as (url, got):
        environment = {"alarms": bench.settings.environment.alarms.model_validate({"webhook_url": url})}
        tick(bench, instance, environment=environment)
        assert len(got) == 1
    assert {"log", "webhook"} == set(read_incidents(bench.platform.warehouse.store)[0].told)


def test_where_the_store_keeps_nothing_that_is_told_once_and_the_cursor_remembers(bench, instance):
    root = bench.settings.data_root
    (root / "alarms").write_text("a file where a folder must be")
    with receiver(200) as (url, got):
        environment = {"alarms": bench.settings.environment.alarms.model_validate({"webhook_url": url})}
        first = tick(bench, instance, environment=environment)
        assert "alarms/incidents.json" in first.skip_message
        assert len(got) == 1
        assert "WRONG: storage" in json.loads(got[0][2])["text"]
        second = tick(bench, instance, environment=environment, cursor=first.cursor)
        assert len(got) == 1
        (root / "alarms").unlink()
        third = tick(bench, instance, environment=environment, cursor=second.cursor)
        told = " ".join(json.loads(body)["text"] for _, _, body in got[1:])
        assert "OVER: storage" in told
        assert third.cursor == ""


def test_the_sensor_is_on_where_schedules_are(bench):
    for active, status in [(False, dg.DefaultSensorStatus.STOPPED), (True, dg.DefaultSensorStatus.RUNNING)]:
        schedules = bench.settings.environment.schedules.model_copy(update={"active": active})
        environment = bench.settings.environment.model_copy(update={"schedules": schedules})
        sensor = build_alarm_sensor(Platform(bench.settings.model_copy(update={"environment": environment})))
        assert (sensor.name, sensor.default_status) == ("alarms", status)


def test_a_job_that_succeeds_is_all_well(bench, instance):
    assert run_job(bench.definitions, instance, HISTORY, ["2024-01-04"]).success
    assert {each.subject for each in run_conditions(instance, dt.datetime.now(dt.UTC))} == {f"{HISTORY} 2024-01-04"}
