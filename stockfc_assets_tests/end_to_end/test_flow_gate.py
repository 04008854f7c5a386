"""Which model serves, on a real instance: the gate, roll-backs, altered files, a month whose training fails."""

import datetime as dt
import json
import shutil

import dagster as dg
import polars as pl
import pytest

from stockfc_assets.errors import InputError, ModelError, RunError
from stockfc_assets.forecasts.session_record import superseded_forecast
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.end_to_end.walk import NEWEST, WALK, card, champion, read, workbench


def test_the_gate_keeps_the_forecasts_of_both_sides_for_later(flow, folder):
    """The gate of March has those of 29 February, by the model of February and the one that served before it."""
    warehouse = flow.platform.warehouse
    assert [warehouse.read_table("champion_model", str(month)).height for month in WALK] == [0, 0, 12 * 12]
    pairs = warehouse.read_table("champion_model", str(WALK[-1]))
    ids = {month: card(flow, month)["model_id"] for month in WALK}
    assert pairs["session"].unique().to_list() == [dt.date(2024, 2, 29)]
    assert (pairs["challenger"].unique().to_list(), pairs["incumbent"].unique().to_list()) == (
        [ids[WALK[1]]],
        [ids[WALK[0]]],
    )
    shutil.copytree(folder / "data", folder / "copy")
    copy = workbench(folder, "copy", NOW)
    copy.daily_range(dt.date(2024, 2, 29), dt.date(2024, 2, 29))
    table = copy.platform.warehouse.read_table("daily_predictions", "2024-02-29")
    both = pairs.join(table, on=["ticker", "session", "horizon"])
    assert both.height == pairs.height
    assert (both["challenger_log_return"] - both["log_return"]).abs().max() < 1e-6
    assert both["volatility"].equals(both["volatility_right"])
    assert both.filter(pl.col("incumbent_log_return") != pl.col("log_return")).height > 0


def test_without_matured_month_ends_the_gate_says_so(flow):
    record = champion(flow, WALK[-1])
    assert (record["decision"], record["model"]["status"]) == ("promoted", "unproven")
    assert (record["evidence"]["verdict"], record["evidence"]["n_dates"]) == ("too_few", 0)
    assert "0 of the 6 month ends that a comparison needs have matured" in record["reason"]


def test_a_roll_back_is_one_command_that_shows_in_lineage_and_in_the_forecast(flow, terminal):
    published, record = read(flow, f"predictions/{NEWEST}.json"), read(flow, f"champion_model/{WALK[-1]}.json")
    try:
        flow.roll_back(WALK[0], "February and March forecast too high")
        run = flow.instance.get_runs(limit=1)[0]
        assert (run.job_name, run.tags["dagster/partition"]) == ("roll_back", "2024-03-01")
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("champion_model"), asset_partitions=["2024-03-01"])
        metadata = flow.instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization.metadata
        assert (metadata["decision"].value, metadata["serves"].value) == (
            "rolled_back",
            card(flow, WALK[0])["model_id"],
        )
        assert metadata["reason"].value.endswith(": February and March forecast too high")

        chosen = card(flow, WALK[0])["model_id"]
        stale = superseded_forecast(flow.platform.warehouse)
        assert stale.endswith(f"by now {chosen} serves; run `stockfc daily --session 2024-03-01`")
        assert f"by now {chosen} serves." in terminal("show", "--top", "1")[1]
        assert {"check": "track record", "ok": False, "message": stale} in flow.doctor()

        model = flow.daily(NEWEST)["model"]
        assert superseded_forecast(flow.platform.warehouse) is None
        assert (model["month"], model["status"]) == ("2024-01", "rolled_back")
        code, out, _ = terminal("gate")
        assert code == 0
        assert "decision  rolled_back" in out
        assert "February and March forecast too high" in " ".join(out.split())
        flow.monthly(WALK[-1], None, walk=False)
        assert champion(flow, WALK[-1])["model"]["month"] == "2024-01"
        assert champion(flow, WALK[-1])["gate"]["model"]["month"] == "2024-03"

        flow.roll_back(WALK[-1], "it was the data")
        assert flow.daily(NEWEST)["model"]["month"] == "2024-03"
        assert read(flow, f"predictions/{NEWEST}.json") == published
    finally:
        flow.platform.warehouse.store.write_bytes(f"champion_model/{WALK[-1]}.json", record)


def test_a_roll_back_refuses_what_cannot_serve_and_changes_nothing(flow, terminal):
    before, runs = read(flow, f"champion_model/{WALK[-1]}.json"), len(flow.instance.get_runs())
    key = f"onnx_model/{WALK[0]}/model.onnx"
    data, described = read(flow, key), read(flow, key.replace("model.onnx", "model.json"))
    collapsed = json.loads(described)
    collapsed["guards"]["spread_ratio"] = 0.0
    store = flow.platform.warehouse.store
    refusals = [(("2023-07", "why"), InputError, "there is no model of 2023-07 to serve; there are models of 2024-01")]
    refusals += [(("2024-03", "why"), InputError, "serves already"), (("2024-01", " "), InputError, "say why")]
    refusals += [(("2024-04", "why"), InputError, "2024-04 has not begun")]
    for (month, reason), error, message in refusals:
        with pytest.raises(error, match=message):
            flow.roll_back(dt.date.fromisoformat(f"{month}-01"), reason)
    try:
        store.write_bytes(key, data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(ModelError, match="the file was altered or belongs to another card"):
            flow.roll_back(WALK[0], "why")
        store.write_bytes(key, data)
        store.write_bytes(key.replace("model.onnx", "model.json"), json.dumps(collapsed).encode())
        with pytest.raises(ModelError, match="failed its guards"):
            flow.roll_back(WALK[0], "why")
    finally:
        store.write_bytes(key, data)
        store.write_bytes(key.replace("model.onnx", "model.json"), described)
    assert terminal("rollback", "--to", "2023-07", "--reason", "why")[0] == 2
    assert read(flow, f"champion_model/{WALK[-1]}.json") == before
    assert len(flow.instance.get_runs()) == runs


def test_an_altered_model_file_is_refused_by_name_and_nothing_is_published(flow):
    key = f"onnx_model/{WALK[-1]}/model.onnx"
    data, published = read(flow, key), read(flow, f"predictions/{NEWEST}.json")
    altered = bytearray(data)
    altered[len(altered) // 2] ^= 1
    flow.platform.warehouse.store.write_bytes(key, bytes(altered))
    try:
        with pytest.raises(RunError, match=card(flow, WALK[-1])["model_id"]):
            flow.daily(NEWEST)
        finding = next(item for item in flow.doctor() if item["check"] == "model")
        assert not finding["ok"]
    finally:
        flow.platform.warehouse.store.write_bytes(key, data)
    assert read(flow, f"predictions/{NEWEST}.json") == published


def test_a_month_whose_training_fails_leaves_the_champion_standing(flow):
    """The file of the parent is altered: March cannot be trained, and February's model forecasts on."""
    store = flow.platform.warehouse.store
    parent, record = f"trained_model/{WALK[1]}.safetensors", f"champion_model/{WALK[-1]}.json"
    weights, decided, published = read(flow, parent), read(flow, record), read(flow, f"predictions/{NEWEST}.json")
    store.delete(record)
    store.write_bytes(parent, weights[: len(weights) // 2])
    try:
        with pytest.raises(RunError, match="trained_model"):
            flow.monthly(WALK[-1], None, walk=False)
        assert not store.exists(record)
        assert flow.daily(NEWEST)["model"]["id"] == card(flow, WALK[1])["model_id"]
    finally:
        store.write_bytes(parent, weights)
        store.write_bytes(record, decided)
    flow.daily(NEWEST)
    assert read(flow, f"predictions/{NEWEST}.json") == published
