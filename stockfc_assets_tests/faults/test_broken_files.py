"""Damaged partitions and models that were swapped: named, nothing else suffers, and making them again heals to the same bytes."""

import datetime as dt
import json
import shutil

import pytest

from stockfc_assets.errors import DataError, ModelError, RunError, StockfcError
from stockfc_assets_tests.faults.conftest import FEBRUARY, LAST, MARCH
from stockfc_assets_tests.faults.roots import damaged, stored

pytestmark = pytest.mark.service
DAY, MONTH = LAST.isoformat(), MARCH.isoformat()


def make_prices(bench):
    bench.backfill(LAST, LAST, force=True)


def make_model(bench):
    bench.monthly(MARCH, None, walk=False)


def make_forecast(bench):
    bench.daily(LAST)


TABLES = {
    f"raw_ohlcv/{DAY}.parquet": make_prices,
    f"weekly_features/{DAY}.parquet": make_prices,
    "universe/universe.parquet": make_prices,
    f"universe_enrichment/{MONTH}.parquet": make_model,
    f"champion_model/{MONTH}.parquet": make_model,
    f"baseline_forecasts/{MONTH}.parquet": make_model,
    f"daily_predictions/{DAY}.parquet": make_forecast,
}
FILES = {
    f"quality/{DAY}.json": make_prices,
    f"training_panel/{MONTH}.arrow": make_model,
    f"trained_model/{MONTH}.safetensors": make_model,
    f"trained_model/{MONTH}.json": make_model,
    f"onnx_model/{MONTH}/model.onnx": make_model,
    f"onnx_model/{MONTH}/model.json": make_model,
    f"champion_model/{MONTH}.json": make_model,
    f"predictions/{DAY}.json": make_forecast,
    "predictions/latest.json": make_forecast,
    f"forecast_report/{DAY}.html": make_forecast,
}


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
@pytest.mark.parametrize("key", [*TABLES, *FILES])
def test_making_a_damaged_file_again_heals_it_to_the_same_bytes(copy, key, how):
    root = copy.settings.data_root
    sound = stored(root)
    damaged(root / key, how)
    assert stored(root) != sound
    ({**TABLES, **FILES})[key](copy)
    assert stored(root) == sound


@pytest.mark.parametrize("how", ["truncated", "empty"])
@pytest.mark.parametrize("key", TABLES)
def test_a_damaged_table_is_named_and_the_rest_still_reads(copy, key, how):
    warehouse = copy.platform.warehouse
    asset, _, partition = key.removesuffix(".parquet").partition("/")
    damaged(copy.settings.data_root / key, how)
    with pytest.raises(DataError, match=f"{key}: corrupt"):
        warehouse.read_table(asset, partition)
    others = [other for other in warehouse.partitions(asset) if other != partition]
    with pytest.raises(DataError, match=key):
        warehouse.read_tables(asset, [*others[-3:], partition])
    assert not others or warehouse.read_tables(asset, others) is not None


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
@pytest.mark.parametrize("file", ["raw_ohlcv/{}.parquet", "weekly_features/{}.parquet", "predictions/{}.json"])
def test_the_doctor_names_every_kind_of_damage_of_an_old_partition_too(copy, file, how):
    """A flipped bit reads as other numbers, without an error, about once in five."""
    (sound,) = [finding for finding in copy.doctor() if finding["check"] == "stored data"]
    assert sound["ok"], sound
    asset, suffix = file.split("/{}")
    key = file.format(copy.platform.warehouse.partitions(asset, suffix)[0])
    damaged(copy.settings.data_root / key, how)
    (finding,) = [finding for finding in copy.doctor() if finding["check"] == "stored data"]
    assert not finding["ok"]
    assert key in finding["message"]


def swapped_file(root):
    (root / f"onnx_model/{MONTH}/model.onnx").unlink()
    shutil.copy(root / f"onnx_model/{FEBRUARY}/model.onnx", root / f"onnx_model/{MONTH}/model.onnx")


def swapped_card(root):
    (root / f"onnx_model/{MONTH}/model.json").unlink()
    shutil.copy(root / f"onnx_model/{FEBRUARY}/model.json", root / f"onnx_model/{MONTH}/model.json")


def altered_byte(root):
    damaged(root / f"onnx_model/{MONTH}/model.onnx", "flipped")


def other_features(root):
    path = root / f"onnx_model/{MONTH}/model.json"
    card = json.loads(path.read_text())
    card["features"]["weekly"] = card["features"]["weekly"][::-1]
    path.unlink()
    path.write_text(json.dumps(card))


@pytest.mark.parametrize("swap", [swapped_file, swapped_card, altered_byte, other_features])
def test_a_model_that_was_swapped_is_refused_by_name_before_it_is_used(copy, swap):
    root = copy.settings.data_root
    swap(root)
    before = stored(root)
    with pytest.raises((RunError, ModelError)) as raised:
        copy.daily(LAST)
    model = json.loads((root / f"champion_model/{MONTH}.json").read_text())["model"]["id"]
    card = json.loads((root / f"onnx_model/{MONTH}/model.json").read_text())["model_id"]
    assert model in str(raised.value) or card in str(raised.value)
    assert stored(root) == before
    make_model(copy)
    copy.daily(LAST)


def test_a_swapped_checkpoint_is_refused_as_a_parent(copy):
    path = copy.settings.data_root / f"trained_model/{FEBRUARY}.safetensors"
    damaged(path, "flipped")
    with pytest.raises(StockfcError, match="checkpoint"):
        make_model(copy)


def test_other_sessions_are_forecast_while_one_partition_is_damaged(copy):
    """A damaged session that the forecast does not need is no reason not to forecast."""
    old = copy.platform.sessions_between(dt.date(2021, 1, 4), dt.date(2021, 1, 4))[0]
    sound = stored(copy.settings.data_root)
    damaged(copy.settings.data_root / f"weekly_features/{old}.parquet", "truncated")
    copy.daily(LAST)
    key = f"predictions/{DAY}.json"
    assert stored(copy.settings.data_root)[key] == sound[key]
