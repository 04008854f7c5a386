"""The asset graph as a whole: no edge changes by accident, every asset says what it is, loading stays light."""

import subprocess
import sys

import dagster as dg
import pytest

from stockfc_assets.defs.build import build_definitions
from stockfc_assets.market.findings import DEFECTS, FACT_DEFECTS, PRICE_DEFECTS

GRAPH = {
    "universe": set(),
    "raw_ohlcv": {"universe"},
    "universe_enrichment": {"universe", "raw_ohlcv"},
    "price_quality": {"raw_ohlcv"},
    "fact_quality": {"universe_enrichment"},
    "weekly_features": {"universe", "raw_ohlcv"},
    "training_panel": {"universe", "raw_ohlcv", "universe_enrichment", "weekly_features"},
    "trained_model": {"training_panel", "trained_model"},
    "onnx_model": {"trained_model", "training_panel"},
    "champion_model": {"onnx_model", "training_panel", "champion_model"},
    "baseline_forecasts": {"training_panel"},
    "daily_predictions": {
        "weekly_features", "raw_ohlcv", "price_quality", "universe_enrichment", "champion_model", "daily_predictions",
    },
    "forecast_report": {
        "daily_predictions", "raw_ohlcv", "weekly_features", "universe_enrichment", "onnx_model", "champion_model",
        "forecast_scores", "backtest",
    },
    "forecast_scores": {"daily_predictions", "raw_ohlcv", "baseline_forecasts"},
    "backtest": {"daily_predictions", "raw_ohlcv"},
}  # fmt: skip
MONTHLY = {
    "universe_enrichment",
    "fact_quality",
    "training_panel",
    "trained_model",
    "onnx_model",
    "champion_model",
    "baseline_forecasts",
    "forecast_scores",
    "backtest",
}
BLOCKING = {
    "price_laws", "price_coverage", "facts_are_dated", "feature_ranges", "panel_time_discipline", "model_guards",
    "onnx_parity", "forecast_is_fit", "backtest_is_sane",
}  # fmt: skip
TABLES = {"universe", "raw_ohlcv", "universe_enrichment", "weekly_features", "daily_predictions", "baseline_forecasts"}


@pytest.fixture
def definitions(settings):
    return build_definitions(settings)


def nodes(definitions):
    graph = definitions.resolve_asset_graph()
    return {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}


def test_the_edges_are_these(definitions):
    edges = {
        name: {parent.to_user_string() for parent in node.parent_keys} for name, node in nodes(definitions).items()
    }
    assert edges == GRAPH


def test_each_asset_says_what_it_is(definitions):
    for name, node in nodes(definitions).items():
        assert len(node.description or "") > 60, name
        assert node.group_name in ("market", "features", "models", "forecasts", "evaluation"), name
        assert node.kinds, name
        assert list(node.owners) == ["team:stockfc"], name
        assert node.code_version, name
        assert ("dagster/column_schema" in node.metadata) == (name in TABLES), name


def test_months_and_sessions_are_where_they_belong(definitions):
    for name, node in nodes(definitions).items():
        if name == "universe":
            assert node.partitions_def is None
        elif name in MONTHLY:
            assert isinstance(node.partitions_def, dg.MonthlyPartitionsDefinition), name
        else:
            assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition), name
        if node.partitions_def:
            assert node.backfill_policy == dg.BackfillPolicy.single_run(), name


def test_checks_block_where_publishing_on_would_be_wrong(definitions):
    specs = [spec for check in definitions.asset_checks for spec in check.check_specs]
    assert {spec.name for spec in specs if spec.blocking} == BLOCKING
    assert {spec.name for spec in specs if not spec.blocking} == {
        "feature_nulls", "champion_serves", "forecast_model_is_current", "scores_are_sane", "forecasts_beat_no_change",
        *DEFECTS,
    }  # fmt: skip


def test_every_kind_of_defect_is_a_check_of_its_own_that_says_what_to_do(definitions):
    specs = {spec.name: spec for check in definitions.asset_checks for spec in check.check_specs}
    for defects, asset in ((PRICE_DEFECTS, "price_quality"), (FACT_DEFECTS, "fact_quality")):
        for defect in defects:
            assert specs[defect.name].asset_key.to_user_string() == asset
            assert defect.remedy in specs[defect.name].description


def test_sensors_watch_the_universe_missed_sessions_and_what_is_wrong(definitions):
    assert {sensor.name for sensor in definitions.sensors} == {"universe_changed", "missing_sessions", "alarms"}


def test_definitions_are_loadable(definitions):
    dg.Definitions.validate_loadable(definitions)
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    assert {"history", "daily_forecast", "monthly_model"} <= jobs


def test_loading_the_code_location_loads_no_heavy_library():
    code = (
        "import sys, stockfc_assets.definitions;"
        "print([name for name in ('torch', 'lightgbm', 'onnxruntime', 'onnx', 'yfinance') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
