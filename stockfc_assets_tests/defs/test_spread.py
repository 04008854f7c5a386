"""Assets in parts: the same graph, the same records and the same bytes as in one step, also where something fails."""

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.executors import TRAINING_POOL, allow_training
from stockfc_assets.defs.spread import dealt, ranges
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.parents import expected_lines, find_parent
from stockfc_assets.running_settings import ExecutionSettings

IN_PARTS = {"executor": "processes", "workers": 3}
SPREAD = {
    "weekly_features", "training_panel", "trained_model", "onnx_model", "baseline_forecasts", "forecast_scores", "backtest",
}  # fmt: skip
SESSIONS = ("2019-01-04", "2019-01-31")
PASSES = {
    "spread_ratio": 1.0, "distinct_share": 1.0, "mean_cosine": 0.0, "finite_losses": 1.0, "finite_outputs": 1.0,
    "finite_weights": 1.0,
}  # fmt: skip


def with_execution(given, execution: dict):
    environment = given.environment.model_copy(update={"execution": ExecutionSettings.model_validate(execution)})
    return given.model_copy(update={"environment": environment})


@pytest.fixture
def spread_settings(settings):
    return with_execution(settings, IN_PARTS)


@given(st.integers(0, 40), st.integers(1, 7))
@settings(deadline=None, max_examples=60)
def test_ranges_hold_every_partition_once_in_order_and_are_of_one_length(count, workers):
    keys = [str(number) for number in range(count)]
    cut = ranges(workers)(None, keys)
    assert [key for part in cut for key in part] == keys
    assert len(cut) == min(count, workers)
    assert max(map(len, cut), default=0) - min(map(len, cut), default=0) <= 1


@given(st.lists(st.integers(1, 12), max_size=12), st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_groups_are_dealt_once_each_and_no_part_is_left_idle_that_could_help(lengths, workers):
    groups = [[f"{number}-{item}" for item in range(length)] for number, length in enumerate(lengths)]
    parts = dealt(groups, workers)
    assert sorted(group for part in parts for group in part) == sorted(groups)
    assert len(parts) == workers
    loads = [sum(map(len, part)) for part in parts]
    assert max(loads) - min(loads) <= max(lengths, default=0)


@given(st.integers(1, 30), st.integers(1, 7), st.lists(st.booleans(), min_size=0, max_size=9))
@settings(deadline=None, max_examples=150)
def test_lines_are_cut_where_the_walk_over_models_that_pass_trains_in_full(count, every, stored_passed):
    """The walk itself, model by model, as a second implementation."""
    chosen = ModelSettings.model_validate({"training": {"retrain_every_months": every}})
    months = [f"{2019 + number // 12}-{number % 12 + 1:02d}-01" for number in range(len(stored_passed) + count)]
    cards: dict[str, dict] = {}

    def add(key: str, passed: bool) -> bool:
        parent = find_parent(cards, dt.date.fromisoformat(key), chosen)
        guards = PASSES if passed else PASSES | {"finite_outputs": 0.0}
        cards[key] = {"model_id": f"id-{key}", "parent": parent and cards[parent]["model_id"], "guards": guards}
        return parent is None

    for key, passed in zip(months, stored_passed, strict=False):
        add(key, passed)
    walked = months[len(stored_passed) :]
    stale = {key: {"model_id": "stale", "parent": None, "guards": PASSES} for key in walked}
    lines = expected_lines(cards | stale, walked, chosen)
    assert [key for line in lines for key in line] == walked
    in_full = {key for key in walked if add(key, True)}
    assert {line[0] for line in lines} == in_full | {walked[0]}


def test_both_forms_are_the_same_graph(settings, spread_settings):
    one, several = (build_definitions(each).resolve_asset_graph() for each in (settings, spread_settings))
    assert one.get_all_asset_keys() == several.get_all_asset_keys()
    assert one.asset_check_keys == several.asset_check_keys
    for key in one.get_all_asset_keys():
        first, second = one.get(key), several.get(key)
        assert first.to_asset_spec() == second.to_asset_spec(), key
        assert first.backfill_policy == second.backfill_policy
        assert first.pools == second.pools
        in_parts = isinstance(several.get(key).assets_def.node_def, dg.GraphDefinition)
        assert in_parts == (key.to_user_string() in SPREAD)


def test_a_graph_in_process_is_one_plain_step_per_asset(settings):
    definitions = build_definitions(settings)
    graph = definitions.resolve_asset_graph()
    assert all(isinstance(graph.get(key).assets_def.node_def, dg.OpDefinition) for key in graph.get_all_asset_keys())
    executors = {job.name: definitions.resolve_job_def(job.name).executor_def for job in definitions.jobs}
    assert set(executors.values()) == {dg.in_process_executor}


def test_jobs_of_one_session_stay_in_one_process(spread_settings):
    definitions = build_definitions(spread_settings)
    executors = {job.name: definitions.resolve_job_def(job.name).executor_def.name for job in definitions.jobs}
    assert executors["daily_forecast"] == executors["roll_back"] == "in_process"
    assert executors["history"] == executors["monthly_model"] == executors["score_forecasts"] == "processes"


def latest(instance, asset: str) -> dict[str, tuple]:
    """Partition -> data version, code version and metadata of its newest materialisation."""
    key, found = dg.AssetKey(asset), {}
    records = instance.fetch_materializations(key, limit=1000, ascending=True).records
    for record in records:
        event = record.asset_materialization
        names = ("dagster/data_version", "dagster/data_version_is_user_provided", "dagster/code_version")
        found[event.partition] = (*(event.tags.get(name) for name in names), dict(event.metadata))
    return found


def files(root: Path, asset: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / asset).iterdir())}


def run_history(chosen, instance, span=SESSIONS):
    tags = {"dagster/asset_partition_range_start": span[0], "dagster/asset_partition_range_end": span[1]}
    return (
        build_definitions(chosen)
        .resolve_job_def("history")
        .execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    )


def test_records_and_bytes_are_those_of_one_step(settings, spread_settings, instance):
    assert run_history(settings, instance).success
    expected = latest(instance, "weekly_features"), files(settings.data_root, "weekly_features")
    instance.wipe_assets([dg.AssetKey("weekly_features")])
    for path in (settings.data_root / "weekly_features").iterdir():
        path.unlink()
    assert run_history(spread_settings, instance).success
    assert (latest(instance, "weekly_features"), files(settings.data_root, "weekly_features")) == expected
    assert len(expected[0]) == 19


def test_one_session_in_parts(spread_settings, instance):
    job = build_definitions(spread_settings).resolve_job_def("history")
    assert job.execute_in_process(instance=instance, partition_key="2019-01-04").success
    assert list(latest(instance, "weekly_features")) == ["2019-01-04"]


def test_finished_partitions_are_recorded_although_another_part_fails(settings, spread_settings, instance):
    assert run_history(settings, instance, ("2019-01-04", "2020-03-31")).success
    instance.wipe_assets([dg.AssetKey("weekly_features")])
    broken = settings.data_root / "raw_ohlcv" / "2019-01-04.parquet"
    good = broken.read_bytes()
    broken.write_bytes(b"no table")
    # The first part's sessions look back to the broken one, those of the last do not.
    selection = [dg.AssetKey("weekly_features")]
    job = build_definitions(spread_settings).resolve_implicit_global_asset_job_def()
    span = {"dagster/asset_partition_range_start": "2019-12-02", "dagster/asset_partition_range_end": "2020-03-31"}
    run = job.execute_in_process(instance=instance, asset_selection=selection, tags=span, raise_on_error=False)
    assert not run.success
    failed = {event.step_key for event in run.all_events if event.is_step_failure}
    recorded = set(latest(instance, "weekly_features"))
    assert "weekly_features.part_1" in failed
    assert "weekly_features.part_3" not in failed
    assert min(recorded) > "2019-12-02"
    assert max(recorded) == "2020-03-31"
    broken.write_bytes(good)
    assert job.execute_in_process(instance=instance, asset_selection=selection, tags=span).success
    assert len(latest(instance, "weekly_features")) > len(recorded)


def test_as_many_trainings_at_once_as_workers(settings, instance):
    def limit() -> int | None:
        found = {each.name: each.limit for each in instance.event_log_storage.get_pool_limits()}
        return found.get(TRAINING_POOL)

    allow_training(instance, ExecutionSettings(executor="processes", workers=3))
    assert limit() == 3
    allow_training(instance, ExecutionSettings())
    assert limit() == 1
