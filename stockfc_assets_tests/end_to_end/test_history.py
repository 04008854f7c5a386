"""Prices and features on a real instance: what is recorded, what is re-run, what survives a kill."""

import dataclasses
import datetime as dt
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from stockfc_assets.defs.instance import materialized
from stockfc_assets.defs.jobs import HISTORY
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.errors import InputError, RunError
from stockfc_assets_tests.conftest import NOW, tiny_config

START, END = "2024-01-04", "2024-02-09"
SESSIONS = 26


def latest_versions(instance, asset: str, keys: list[str]) -> dict[str, str]:
    records = {}
    for key in keys:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[key])
        (record,) = instance.fetch_materializations(wanted, limit=1).records
        records[key] = record.asset_materialization.tags["dagster/data_version"]
    return records


def contents(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for asset in ("raw_ohlcv", "weekly_features")
        for path in sorted((root / asset).rglob("*"))
    }


def test_a_range_is_one_run_and_each_session_has_its_own_version_and_row_count(bench, instance):
    keys = bench.session_range(*map(_date, (START, END)))
    bench.backfill(_date(START), _date(END))
    assert len(keys) == SESSIONS
    assert len(instance.get_runs()) == 1
    assert materialized(instance, "raw_ohlcv") == materialized(instance, "weekly_features") == set(keys)
    versions = latest_versions(instance, "raw_ohlcv", keys)
    assert len(set(versions.values())) == SESSIONS
    for key, version in versions.items():
        content = bench.platform.warehouse.store.read_bytes(f"raw_ohlcv/{key}.parquet")
        assert version == hashlib.sha256(content).hexdigest()[:16]
    record = instance.get_latest_materialization_event(dg.AssetKey("raw_ohlcv")).asset_materialization
    assert (
        record.metadata["dagster/partition_row_count"].value
        == bench.platform.raw_between(_date(END), _date(END)).height
    )


def test_materialising_an_unchanged_session_again_gives_the_same_version_and_bytes(bench, instance, settings):
    bench.backfill(_date(START), _date(END))
    before = contents(settings.data_root)
    versions = latest_versions(instance, "weekly_features", ["2024-01-31"])
    bench.backfill(_date("2024-01-31"), _date("2024-01-31"), force=True)
    assert contents(settings.data_root) == before
    assert latest_versions(instance, "weekly_features", ["2024-01-31"]) == versions
    assert len(instance.get_runs()) == 2


def test_sessions_that_are_there_are_left_alone(bench, instance, said):
    bench.backfill(_date(START), _date(END))
    bench.backfill(_date(START), _date(END))
    assert said[-1] == f"prices and features: {SESSIONS} sessions, {START} to {END}, are there already"
    assert len(instance.get_runs()) == 1
    bench.backfill(_date(START), _date("2024-02-13"))
    assert instance.get_runs(limit=1)[0].tags["dagster/partition"] == "2024-02-13"


def test_a_killed_backfill_run_again_gives_the_bytes_of_an_undisturbed_one(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    tiny_config(tmp_path)
    _stockfc(tmp_path, undisturbed).wait(timeout=120)
    process = _stockfc(tmp_path, killed)
    features = killed / "weekly_features"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(features.glob("*.parquet"))) < SESSIONS // 2:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    written = len(list(features.glob("*.parquet")))
    assert SESSIONS // 2 <= written <= SESSIONS
    assert _stockfc(tmp_path, killed).wait(timeout=120) == 0
    assert contents(killed) == contents(undisturbed)
    assert len(contents(killed)) == 2 * SESSIONS


def test_a_failed_range_keeps_and_records_what_was_finished(bench, instance, monkeypatch):
    """The disk fills up after ten sessions: those stay and are recorded, the run says where and why."""
    store = bench.platform.warehouse.store
    write = store.write_bytes
    written = []

    def until_full(key: str, data: bytes) -> None:
        if len(written) == 10:
            raise OSError(28, "No space left on device", store.location(key))
        if key.startswith("raw_ohlcv/"):
            written.append(key)
        write(key, data)

    monkeypatch.setattr(store, "write_bytes", until_full)
    with pytest.raises(RunError, match=r"No space left on device.*raw_ohlcv/2024-01-19\.parquet"):
        bench.backfill(_date(START), _date(END))
    finished = {key.split("/")[1].removesuffix(".parquet") for key in written}
    assert materialized(instance, "raw_ohlcv") == finished
    assert len(finished) == 10
    monkeypatch.undo()
    bench.backfill(_date(START), _date(END))
    assert len(materialized(instance, "raw_ohlcv")) == SESSIONS


def test_stored_sessions_are_judged_again_after_a_change_of_thresholds(bench, instance, settings):
    bench.backfill(_date(START), _date(END))
    assert all(
        document["counts"].get("unexplained_jump", 0) <= 1 for document in bench.quality(_date(START), _date(END))
    )
    prices = settings.quality.prices.model_copy(update={"jump": 1.001})
    strict = settings.model_copy(update={"quality": settings.quality.model_copy(update={"prices": prices})})
    judge = Workbench(strict, instance, say=lambda _: None, now=NOW)
    before = contents(settings.data_root)
    judge.judge_again(_date(START), _date(END))
    documents = judge.quality(_date(START), _date(END))
    assert sum(document["counts"].get("unexplained_jump", 0) for document in documents) > SESSIONS
    assert contents(settings.data_root) == before


def test_prices_that_break_a_law_block_what_comes_after(bench, instance, monkeypatch):
    source = bench.platform.source
    fetch = source.fetch_bars

    def broken(*arguments):

        import polars as pl

        result = fetch(*arguments)
        wrong = pl.when(pl.col("session") == _date("2024-01-10")).then(pl.col("high") * 2).otherwise(pl.col("low"))
        return dataclasses.replace(result, bars=result.bars.with_columns(low=wrong))

    monkeypatch.setattr(type(source), "fetch_bars", lambda self, *arguments: broken(*arguments))
    with pytest.raises(RunError, match=r"check price_laws of raw_ohlcv: .* rows break low_is_lowest; .* 2024-01-10"):
        bench.backfill(_date(START), _date(END))
    assert materialized(instance, "weekly_features") == set()


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("2024-02-09", "2024-01-04", "--to 2024-01-04 is before --from 2024-02-09; swap them"),
        (
            "2024-01-04",
            "2024-03-04",
            r"--to 2024-03-04: sessions after 2024-03-01 are not over yet or not in the source; use",
        ),
        ("2018-01-04", "2024-01-04", "2018-01-04 is before history_start 2019-01-04"),
        ("2024-01-06", "2024-01-08", r"there is no session from 2024-01-06 to 2024-01-08 \(Saturday\)"),
    ],
)
def test_impossible_ranges_are_refused_before_anything_runs(bench, instance, settings, start, end, message):
    with pytest.raises(InputError, match=message):
        bench.backfill(_date(start), _date(end))
    assert instance.get_runs() == []
    assert not (settings.data_root / "raw_ohlcv").exists()


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ("2024-02-23", "2024-02-23 is not a session of XTKS: Emperor Naruhito's Birthday; the session before it is 2024-02-22"),
        ("2024-03-04", "2024-03-04 is not over yet; the newest finished session is 2024-03-01"),
        ("2018-12-28", "2018-12-28 is before history_start"),
    ],
)  # fmt: skip
def test_impossible_sessions_are_refused(bench, instance, session, message):
    with pytest.raises(InputError, match=message):
        bench.daily(_date(session))
    assert instance.get_runs() == []


@pytest.mark.parametrize(
    ("month", "message"),
    [
        ("2024-04-01", "month 2024-04 has not begun; the current one is 2024-03"),
        ("2019-01-01", r"month 2019-01 is before the first one, 2019-02 \(history_start\)"),
    ],
)
def test_impossible_months_are_refused(bench, instance, month, message):
    with pytest.raises(InputError, match=message):
        bench.monthly(_date(month), None, walk=False)
    assert instance.get_runs() == []


def test_jobs_are_the_ones_that_the_ui_shows(bench, instance):
    bench.backfill(_date("2024-02-08"), _date(END))
    (run,) = instance.get_runs()
    assert run.job_name == HISTORY
    assert run.status == dg.DagsterRunStatus.SUCCESS


def _date(text: str):

    return dt.date.fromisoformat(text)


def _stockfc(folder: Path, data: Path) -> subprocess.Popen:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("STOCKFC_", "DAGSTER_HOME"))},
        "STOCKFC_CONFIG": str(folder / "config"),
        "STOCKFC_DATA": str(data),
    }
    command = [sys.executable, "-m", "stockfc_assets.cli", "backfill", "--from", START, "--to", END]
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)


def test_tickers_that_fail_are_named_the_others_stored_and_the_next_run_heals(bench, instance, monkeypatch):
    """Three of twelve members are down: 75 % coverage blocks; one of twelve passes and its old rows stay."""
    bench.backfill(_date(START), _date(END))
    whole = bench.platform.warehouse.read_table("raw_ohlcv", END)
    source = type(bench.platform.source)
    fetch = source.fetch_bars
    members = list(bench.settings.universe.tickers)
    down: list[str] = []

    def partly(self, tickers, start, end):
        result = fetch(self, [ticker for ticker in tickers if ticker not in down], start, end)
        return dataclasses.replace(result, failures=dict.fromkeys(down, "the service answered 503"))

    monkeypatch.setattr(source, "fetch_bars", partly)
    down[:] = members[:3]
    with pytest.raises(
        RunError, match=rf"2024-02-13: coverage 75\.0% is below 90%; .*{down[0]}.* \(the service answered 503\)"
    ):
        bench.backfill(_date("2024-02-13"), _date("2024-02-13"))
    assert bench.platform.warehouse.read_table("raw_ohlcv", "2024-02-13").height == whole.height - 3
    down[:] = members[:1]
    bench.backfill(_date(END), _date(END), force=True)
    assert bench.platform.warehouse.read_table("raw_ohlcv", END).equals(whole)
    down.clear()
    bench.backfill(_date("2024-02-13"), _date("2024-02-13"))
    assert set(members) <= set(bench.platform.warehouse.read_table("raw_ohlcv", "2024-02-13")["ticker"])
