"""From prices to published forecasts on a real instance: a walk over three months, forecasts, report, refusals.

One market is built for the whole module (about 1,260 sessions x 12 stocks, a tiny network); tests that change something put
it back.
"""

import datetime as dt
import json
import os
from pathlib import Path

import dagster as dg
import pytest

from stockfc_assets.cli import main
from stockfc_assets.defs.instance import materialized, open_instance
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.errors import DataError, RunError
from stockfc_assets.features.names import SEQUENCE_WEEKS
from stockfc_assets.market.findings import DEFECTS
from stockfc_assets_tests.conftest import NOW, tiny_config

FIRST = dt.date(2019, 1, 4)
WALK = [dt.date(2024, month, 1) for month in (1, 2, 3)]
NEWEST = dt.date(2024, 3, 1)


def workbench(folder: Path, data: str, now: dt.datetime) -> Workbench:
    environ = {"STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(folder / data)}
    settings = open_settings(environ)
    os.environ.pop("DAGSTER_HOME", None)
    with open_instance(settings) as instance:
        return Workbench(settings, instance, say=lambda _: None, now=now)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    tiny_config(folder)
    return folder


@pytest.fixture(scope="module")
def flow(folder) -> Workbench:
    """Everything as of 2024-03-01, 23:00 in Tokyo."""
    bench = workbench(folder, "data", NOW)
    bench.backfill(FIRST, NEWEST)
    bench.monthly(WALK[0], WALK[-1], walk=True)
    bench.daily_range(dt.date(2024, 1, 29), dt.date(2024, 2, 2))
    bench.daily(None)
    yield bench
    os.environ.pop("DAGSTER_HOME", None)


def read(bench: Workbench, key: str) -> bytes:
    return bench.platform.warehouse.store.read_bytes(key)


def card(bench: Workbench, month: dt.date) -> dict:
    return json.loads(read(bench, f"onnx_model/{month}/model.json"))


def test_a_walk_over_months_is_one_run_and_each_month_continues_from_the_one_before(flow):
    runs = [run for run in flow.instance.get_runs() if run.job_name == "monthly_model"]
    assert len(runs) == 1
    cards = [card(flow, month) for month in WALK]
    assert [item["kind"] for item in cards] == ["full", "fine_tuned", "fine_tuned"]
    assert [item["parent"] for item in cards] == [None, cards[0]["model_id"], cards[1]["model_id"]]
    assert [item["trained_through"] for item in cards] == ["2023-12-29", "2024-01-31", "2024-02-29"]
    for asset in ("universe_enrichment", "training_panel", "trained_model", "onnx_model", "champion_model"):
        assert materialized(flow.instance, asset) == {month.isoformat() for month in WALK}


def test_every_check_of_the_flow_passed(flow):
    evaluations = []
    for run in flow.instance.get_runs():
        records = flow.instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        evaluations += [record.event_log_entry.dagster_event.event_specific_data for record in records]
    # The simulated market knows no daily price limits and now and then moves beyond them.
    assert {item.check_name for item in evaluations if not item.passed} <= {"unexplained_jump"}
    assert len({item.check_name for item in evaluations}) == 11 + len(DEFECTS)


def test_the_published_file_has_the_shape_that_consumers_read(flow):
    document = json.loads(read(flow, f"predictions/{NEWEST}.json"))
    assert document["timestamp"] == "2024-03-01T23:00:00"
    assert document["num_predictions"] == len(document["predictions"]) == 12
    assert document["model"]["month"] == "2024-03"
    assert document["model"]["status"] == "unproven"
    assert document["source"]["simulated"] is True
    assert document["skipped"] == []
    for stock in document["predictions"]:
        assert [month["month"] for month in stock["predictions"]] == list(range(1, 13))
        assert stock["as_of_date"] == "2024-03-01"
        assert stock["predicted_12m_return"] == stock["predictions"][-1]["return"]
    assert read(flow, "predictions/latest.json") == read(flow, f"predictions/{NEWEST}.json")


def test_a_forecast_uses_the_newest_champion_not_later_than_its_own_month(flow):
    months = {
        key: json.loads(read(flow, f"predictions/{key}.json"))["model"]["month"] for key in ("2024-01-31", "2024-02-01")
    }
    assert months == {"2024-01-31": "2024-01", "2024-02-01": "2024-02"}


def test_the_track_record_counts_only_what_had_matured_when_the_month_began(flow):
    """Forecasts of 29 to 31 January have a one-month outcome by 1 March; those of February do not."""
    record = json.loads(read(flow, f"predictions/{NEWEST}.json"))["track_record"]
    assert record["overall"]["n"] == 12 * 3
    assert [horizon["n"] for horizon in record["horizons"]] == [36] + [0] * 11
    assert json.loads(read(flow, "predictions/2024-02-01.json"))["track_record"]["overall"]["n"] == 0


def test_forecasting_an_earlier_session_again_changes_no_byte_and_does_not_move_latest_back(flow):
    before, latest = read(flow, "predictions/2024-01-31.json"), read(flow, "predictions/latest.json")
    flow.daily_range(dt.date(2024, 1, 31), dt.date(2024, 1, 31))
    assert read(flow, "predictions/2024-01-31.json") == before
    assert read(flow, "predictions/latest.json") == latest


def test_the_past_is_what_it_would_have_been(flow, folder):
    """A machine whose clock stands at 2024-01-31 makes the same model and publishes the same bytes."""
    then = workbench(folder, "then", dt.datetime(2024, 1, 31, 14, 0, tzinfo=dt.UTC))
    then.backfill(FIRST, None)
    then.monthly(WALK[0], None, walk=False)
    then.daily_range(dt.date(2024, 1, 29), None)
    for key in (
        "raw_ohlcv/2024-01-31.parquet",
        "weekly_features/2024-01-31.parquet",
        "universe_enrichment/2024-01-01.parquet",
        "trained_model/2024-01-01.safetensors",
        "onnx_model/2024-01-01/model.onnx",
        "onnx_model/2024-01-01/model.json",
        "champion_model/2024-01-01.json",
        "predictions/2024-01-31.json",
        "daily_predictions/2024-01-31.parquet",
    ):
        assert read(then, key) == read(flow, key), key


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


def test_too_little_history_is_named_for_the_model_and_for_the_forecast(flow, folder):
    with pytest.raises(RunError, match="2021-06-01: no sample has 156 weeks of history; backfill earlier sessions"):
        flow.monthly(dt.date(2021, 6, 1), None, walk=False)
    with pytest.raises(RunError, match=r"model of 2022-06: 0 training and .* Backfill prices from"):
        flow.monthly(dt.date(2022, 6, 1), None, walk=False)
    assert len(flow.platform.warehouse.partitions("trained_model", ".safetensors")) == len(WALK)
    with pytest.raises(
        RunError, match=r"session 2021-06-30: no champion model of 2021-06 or earlier; run `stockfc monthly"
    ):
        flow.daily(dt.date(2021, 6, 30))
    empty = workbench(folder, "empty", NOW)
    with pytest.raises(DataError, match=r"no prices are stored before 2024-03-01; run `stockfc backfill --from"):
        empty.daily(None)


def test_the_report_is_one_page_with_every_stock(flow):
    page = read(flow, f"forecast_report/{NEWEST}.html").decode()
    for stock in flow.settings.universe.stocks:
        assert stock.ticker in page
    assert "SIMULATED" in page.upper()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_metadata_shows_rows_pictures_and_reasons(flow):
    def metadata(asset: str) -> dict:
        partition = (NEWEST if asset == "daily_predictions" else WALK[-1]).isoformat()
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
        return flow.instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization.metadata

    assert metadata("daily_predictions")["ranking"].value.startswith("![")
    assert metadata("trained_model")["loss_curve"].value.startswith("![")
    assert metadata("champion_model")["reason"].value.count("passed its guards") == 1
    assert metadata("training_panel")["samples"].value > 1000
    assert SEQUENCE_WEEKS == 156


@pytest.fixture
def terminal(flow, folder, monkeypatch, capsys):
    monkeypatch.setenv("STOCKFC_CONFIG", str(folder / "config"))
    monkeypatch.setenv("STOCKFC_DATA", str(folder / "data"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        codes: list[int] = []
        main(list(arguments), leave=codes.append)
        output = capsys.readouterr()
        return (codes or [0])[0], output.out, output.err

    yield run
    os.environ.pop("DAGSTER_HOME", None)


def test_show_status_and_report_in_a_terminal(terminal, folder):
    code, out, _ = terminal("show", "--top", "2")
    assert code == 0
    assert "SIMULATED DATA" in out
    assert "The 2 highest 12-month forecasts" in out
    code, out, _ = terminal("show", "--session", "2024-01-31", "--json")
    assert json.loads(out)["session"] == "2024-01-31"
    code, out, _ = terminal("status", "--json")
    state = json.loads(out)
    assert state["newest_forecast"] == "2024-03-01"
    assert state["champion"]["month"] == "2024-03"
    assert state["assets"]["daily_predictions"]["partitions"] == 6
    code, out, _ = terminal("report", "--session", "2024-01-31")
    assert (code, Path(out.strip()).name) == (0, "2024-01-31.html")
    assert Path(out.strip()).is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "--session", "2023-01-04"], 2, "run `stockfc daily --session 2023-01-04`"),
        (["backfill", "--from", "2023-02-30"], 2, "'2023-02-30' is not a date; write it as 2026-02-06"),
        (["monthly", "--month", "2023-13"], 2, "'2023-13' is not a month; write it as 2026-02"),
        (["daily", "--to", "2024-01-04"], 2, "--to needs --from"),
        (["backfill"], 2, "Missing option '--from'"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_wrong_input_has_one_clear_message_and_exit_code_2(terminal, arguments, code, message):
    found, _, err = terminal(*arguments)
    assert found == code
    assert message in err


def test_prices_of_another_source_are_refused(terminal, monkeypatch, folder):
    config = folder / "config/environments/local.yaml"
    original = config.read_text()
    config.write_text(original + "sources: {simulated: {seed: 1}}\n")
    try:
        code, _, err = terminal("backfill", "--from", "2024-02-29", "--to", "2024-02-29", "--force")
    finally:
        config.write_text(original)
    assert code == 1
    assert "this data root holds prices of" in err
    assert "set STOCKFC_DATA to another folder" in err
