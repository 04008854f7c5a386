"""A small walk in one process, in several, and on a Dask cluster: the same bytes; and what failures end in."""

import datetime as dt
import hashlib
import json
import math
import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from stockfc_assets.defs import jobs
from stockfc_assets.defs.build import build_definitions, job_elsewhere
from stockfc_assets.defs.instance import JOB_ELSEWHERE, open_instance, run_job
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.running_settings import ExecutionSettings
from stockfc_assets_tests.conftest import NOW, tiny_config
from stockfc_assets_tests.local_dask import dask_cluster

pytestmark = pytest.mark.service

FIRST, NEWEST = dt.date(2019, 1, 4), dt.date(2024, 3, 1)
MONTHS = dt.date(2023, 12, 1), dt.date(2024, 3, 1)
NOT_DATA = {"dagster", ".staging", ".locks"}
FEW_SESSIONS = ["2019-01-04", "2019-01-07", "2019-01-08"]


@pytest.fixture(scope="module", autouse=True)
def no_home():
    """Each data root has its own instance."""
    os.environ.pop("DAGSTER_HOME", None)
    yield
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture(scope="module")
def cluster():
    with dask_cluster() as (address, _):
        yield address


def bench_in(folder: Path, execution: dict, *, retrain_every_months: int = 2) -> Workbench:
    """A market of its own in ``folder``; a network that trains within seconds.

    So short a training forecasts nearly the same for all stocks; its guards let that pass.
    """
    folder.mkdir()
    config = tiny_config(folder, tickers=12, execution=execution)
    model = yaml.safe_load((config / "model.yaml").read_text())
    model["training"] |= {"retrain_every_months": retrain_every_months, "threads": 1}
    model["training"]["full"] |= {"samples_per_epoch": 64, "epochs": 1}
    model["guards"] = {"min_spread_ratio": 0, "min_distinct_share": 0, "max_mean_cosine": 1}
    (config / "model.yaml").write_text(yaml.safe_dump(model))
    settings = open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(folder / "data")})
    os.environ.pop("DAGSTER_HOME", None)
    with open_instance(settings) as instance:
        return Workbench(settings, instance, say=lambda _: None, now=NOW)


def walk(folder: Path, execution: dict) -> dict[str, str]:
    """SHA-256 of every stored file after a backfill, models of four months, forecasts and their scores."""
    bench = bench_in(folder, execution)
    bench.backfill(FIRST, NEWEST)
    bench.monthly(*MONTHS, walk=True)
    return hashes(bench)


def hashes(bench: Workbench) -> dict[str, str]:
    root = bench.settings.data_root
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    names = {path.relative_to(root): path for path in files if path.relative_to(root).parts[0] not in NOT_DATA}
    return {str(name): hashlib.sha256(path.read_bytes()).hexdigest() for name, path in names.items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, str]:
    return walk(tmp_path_factory.mktemp("one") / "market", {"executor": "in_process"})


def test_the_walk_has_full_and_fine_tuned_months(expected):
    assert sum(name.startswith("trained_model/") and name.endswith(".safetensors") for name in expected) == 4
    assert sum(name.startswith("weekly_features/") for name in expected) > 1200


def test_processes_write_the_same_bytes(expected, tmp_path):
    assert walk(tmp_path / "market", {"executor": "processes", "workers": 2}) == expected


def test_dask_writes_the_same_bytes(expected, tmp_path, cluster):
    assert walk(tmp_path / "market", {"executor": "dask", "workers": 3, "dask_address": cluster}) == expected


def train(bench: Workbench, span: tuple[str, str]) -> tuple[dict[str, bytes], list[str]]:
    """The trained models of a range, made anew by this process; and what was said."""
    folder = bench.settings.data_root / "trained_model"
    shutil.rmtree(folder, ignore_errors=True)
    job = build_definitions(bench.settings, platform=bench.platform).resolve_implicit_global_asset_job_def()
    tags = {"dagster/asset_partition_range_start": span[0], "dagster/asset_partition_range_end": span[1]}
    selection = [dg.AssetKey("trained_model")]
    options = {"asset_selection": selection, "tags": tags, "raise_on_error": False}
    run = job.execute_in_process(instance=bench.instance, **options)
    # Only the guards' check may fail.
    assert {event.step_key for event in run.all_events if event.is_step_failure} <= {"trained_model_model_guards"}
    said = [entry.user_message for entry in bench.instance.all_logs(run.run_id)]
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}, said


def test_a_full_training_that_fails_its_guards_moves_the_lines_and_the_bytes_stay_those_of_the_walk(tmp_path):
    bench = bench_in(tmp_path / "market", {"executor": "in_process"}, retrain_every_months=3)
    bench.backfill(FIRST, NEWEST)
    span = ("2023-07-01", "2024-03-01")
    bench._materialize("training_panel", span)
    walked, _ = train(bench, span)
    in_full = full_trainings(walked)
    assert in_full == [f"{month}-01" for month in ("2023-07", "2023-10", "2024-01")]
    ratios = (json.loads(walked[f"{key}.json"])["guards"]["spread_ratio"] for key in in_full[:-1])
    for ratio in sorted(ratios):
        strict = {"min_spread_ratio": math.nextafter(ratio, 2), "min_distinct_share": 0, "max_mean_cosine": 1}
        choose(bench, ExecutionSettings(), strict)
        expected, _ = train(bench, span)
        if not set(in_full) <= set(full_trainings(expected)):
            break
    else:
        pytest.fail("no limit moves a full training to another month")
    choose(bench, ExecutionSettings(executor="processes", workers=2), strict)
    found, said = train(bench, span)
    assert any("again, now that the models before it are known" in line for line in said)
    assert found == expected


def full_trainings(models: dict[str, bytes]) -> list[str]:
    cards = {name.removesuffix(".json"): json.loads(data) for name, data in models.items() if name.endswith(".json")}
    return [key for key, card in cards.items() if card["parent"] is None]


def choose(bench: Workbench, execution: ExecutionSettings, guards: dict) -> None:
    """Another executor and other guards for this workbench."""
    environment = bench.settings.environment.model_copy(update={"execution": execution})
    model = ModelSettings.model_validate({**bench.settings.model.model_dump(), "guards": guards})
    bench.settings = bench.settings.model_copy(update={"environment": environment, "model": model})
    bench.platform.settings = bench.settings


def test_on_dask_nothing_runs_after_a_failed_step(tmp_path, cluster):
    bench = bench_in(tmp_path / "market", {"executor": "dask", "workers": 2, "dask_address": cluster})
    (bench.settings.data_root / "source.json").parent.mkdir(exist_ok=True)
    (bench.settings.data_root / "source.json").write_text('{"source": "another"}')
    outcome = run_job(bench.definitions, bench.instance, jobs.HISTORY, FEW_SESSIONS)
    print(
        outcome,
        *[
            (
                e.dagster_event_type,
                e.step_key,
                e.user_message[:1500],
                e.get_dagster_event().event_specific_data if e.level >= 40 and e.is_dagster_event else "",
            )
            for e in bench.instance.all_logs(outcome.run_id)
        ],
        sep="\n",
    )
    assert not outcome.success
    assert len(outcome.messages) == 1
    assert outcome.messages[0].startswith("raw_ohlcv: ")
    assert "holds prices of another" in outcome.messages[0]
    log = bench.instance.all_logs(outcome.run_id)
    started = {each.step_key for each in log if each.dagster_event_type is dg.DagsterEventType.STEP_START}
    assert started == {"universe", "raw_ohlcv"}
    assert not (bench.settings.data_root / "weekly_features").exists()


def test_a_failed_run_is_continued_where_it_failed(tmp_path, cluster):
    """By a run that does not make the finished parts again, and still collects what they recorded."""
    bench = bench_in(tmp_path / "market", {"executor": "dask", "workers": 2, "dask_address": cluster})
    bench.backfill(dt.date(2019, 1, 4), dt.date(2019, 12, 30))
    spoilt = bench.settings.data_root / "raw_ohlcv" / "2019-01-04.parquet"
    good = spoilt.read_bytes()
    spoilt.write_bytes(b"no table")
    elsewhere = dg.build_reconstructable_job(*JOB_ELSEWHERE, ("history", bench.platform.environ))
    span = {"dagster/asset_partition_range_start": "2019-11-01", "dagster/asset_partition_range_end": "2020-06-30"}
    with dg.execute_job(elsewhere, bench.instance, tags=span, raise_on_error=False) as failed:
        steps = {event.step_key for event in failed.all_events if event.is_step_success}
    assert not failed.success
    spoilt.write_bytes(good)
    again = dg.ReexecutionOptions.from_failure(failed.run_id, bench.instance)
    with dg.execute_job(elsewhere, bench.instance, tags=span, reexecution_options=again, raise_on_error=False) as done:
        assert done.success
        started = {event.step_key for event in done.all_events if event.is_step_start}
    assert "weekly_features.part_2" in steps - started
    recorded = bench.instance.get_materialized_partitions(dg.AssetKey("weekly_features"))
    assert max(recorded) == "2020-06-30"


def test_a_cluster_that_is_not_there_is_named(tmp_path):
    execution = {"executor": "dask", "workers": 2, "dask_address": "tcp://127.0.0.1:1"}
    bench = bench_in(tmp_path / "market", execution)
    outcome = run_job(bench.definitions, bench.instance, jobs.HISTORY, FEW_SESSIONS)
    assert not outcome.success
    assert any("no Dask scheduler answers at tcp://127.0.0.1:1" in message for message in outcome.messages)


def test_a_job_is_built_from_the_variables_alone(tmp_path):
    bench = bench_in(tmp_path / "market", {"executor": "processes", "workers": 2})
    assert job_elsewhere("history", bench.platform.environ).executor_def.name == "processes"
