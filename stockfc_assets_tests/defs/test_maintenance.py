"""The job `retention` and `stockfc retention` on a real instance: what goes, what stays, what can be made again."""

import datetime as dt
import json
import os

import dagster as dg
import pytest

from stockfc_assets.cli import main
from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.instance import open_instance
from stockfc_assets.defs.log_retention import RemovedLog, remove_old_log
from stockfc_assets.defs.maintenance import apply_retention, retention_plan
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.defs.log_record import FUTURE, log_size, record, require_only_log_lines_go

FIRST, LAST = dt.date(2024, 2, 22), dt.date(2024, 2, 29)


@pytest.fixture
def bench(settings, instance, said):
    return Workbench(settings, instance, say=said.append, now=NOW)


def test_only_log_lines_go_and_the_record_stays(bench, instance, settings):
    bench.backfill(FIRST, LAST)
    run = instance.get_runs()[0].run_id
    shard = settings.data_root / f"dagster/{run}.db"
    logs = settings.data_root / f"dagster/storage/{run}/compute_logs"
    size = shard.stat().st_size
    assert logs.is_dir()
    removed = require_only_log_lines_go(instance)
    assert removed.events > 30
    assert shard.stat().st_size < size
    assert not logs.exists()


def test_a_run_whose_file_is_gone_is_no_obstacle(bench, instance, settings):
    bench.backfill(LAST, LAST)
    (settings.data_root / f"dagster/{instance.get_runs()[0].run_id}.db").unlink()
    plan = retention_plan(Workbench(settings, instance, say=print, now=dt.datetime.now(dt.UTC)).platform, instance)
    assert plan["runs"] == []
    assert remove_old_log(instance, FUTURE) == RemovedLog(1, 0)


def test_the_job_removes_files_and_lines_and_says_so(make_settings, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = make_settings(retention={"reports_days": 30, "panels_months": 2, "events_days": 1})
    with open_instance(settings) as instance:
        Workbench(settings, instance, say=lambda _: None, now=NOW).backfill(FIRST, LAST)
        later = Workbench(settings, instance, say=lambda _: None, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=2))
        store = later.platform.warehouse.store
        keys = ["forecast_report/2024-01-04.html", "forecast_report/2024-02-29.html", "training_panel/2024-02-01.arrow"]
        for key in keys:
            store.write_bytes(key, b"12345")

        plan = retention_plan(later.platform, instance)
        assert plan["files"] == [{"file": store.location(keys[0]), "bytes": 5}]
        assert plan["runs"] == [instance.get_runs()[0].run_id]
        known, size = record(instance), log_size(instance)

        apply_retention(later.definitions, instance)

        assert [key for key in keys if store.exists(key)] == keys[1:]
        run = instance.get_runs(limit=1)[0]
        assert (run.job_name, run.status) == ("retention", dg.DagsterRunStatus.SUCCESS)
        after = record(instance)
        assert {name: after[name] for name in ("raw_ohlcv", "weekly_features", "checks")} == {
            name: known[name] for name in ("raw_ohlcv", "weekly_features", "checks")
        }
        assert len(instance.all_logs(plan["runs"][0])) < size
        said = [entry.user_message for entry in instance.all_logs(run.run_id) if not entry.is_dagster_event]
        assert said[0] == f"removed {store.location(keys[0])}"
        assert said[1].endswith(f"events of 1 runs that ended before {later.now - dt.timedelta(days=1):%Y-%m-%d}")
    os.environ.pop("DAGSTER_HOME", None)


def test_at_a_terminal_a_dry_run_removes_nothing(make_settings, monkeypatch, capsys):
    settings = make_settings(retention={"reports_days": 30, "panels_months": 2})
    root = settings.data_root
    for name in ("2024-01-04", "2024-02-29"):
        (root / "forecast_report").mkdir(parents=True, exist_ok=True)
        (root / f"forecast_report/{name}.html").write_text("report")
    monkeypatch.setenv("STOCKFC_CONFIG", str(settings.config_dir))
    monkeypatch.setenv("STOCKFC_DATA", str(root))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    old = root / "forecast_report/2024-01-04.html"

    main(["retention", "--dry-run"], leave=pytest.fail)
    printed = capsys.readouterr().out
    assert printed == f"{old}  6 bytes\n1 files, 6 bytes, and the log lines of 0 runs: would be removed\n"
    assert old.is_file()

    main(["retention", "--json"], leave=pytest.fail)
    document = json.loads(capsys.readouterr().out)
    assert document == {"dry_run": False, "files": [{"file": str(old), "bytes": 6}], "runs": []}
    assert not old.exists()
    assert (root / "forecast_report/2024-02-29.html").is_file()
    os.environ.pop("DAGSTER_HOME", None)


def test_the_schedule_ticks_on_sundays(settings):
    schedule = build_definitions(settings).resolve_schedule_def("retention_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * 0", "Asia/Tokyo")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
