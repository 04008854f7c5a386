"""From prices to published forecasts on a real instance: a walk over three months, forecasts, report, refusals."""

import datetime as dt
import json
import math
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from stockfc_assets.defs.instance import materialized
from stockfc_assets.defs.maintenance import files_to_remove
from stockfc_assets.defs.resources import Platform
from stockfc_assets.errors import DataError, RunError
from stockfc_assets.features.names import SEQUENCE_WEEKS
from stockfc_assets.features.weeks import sequence_session_dates
from stockfc_assets.market.findings import DEFECTS
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.end_to_end.walk import FIRST, NEWEST, WALK, card, read, workbench


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
    assert {item.check_name for item in evaluations if not item.passed} <= {
        "unexplained_jump",
        "forecasts_beat_no_change",
    }
    assert len({item.check_name for item in evaluations}) == 14 + len(DEFECTS)


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


def test_forecasts_of_the_past_are_scored_once_they_are_published(flow):
    """The walk scored March before they were there; the run that published them scored it again."""
    scores = json.loads(read(flow, "forecast_scores/2024-03-01.json"))
    record = json.loads(read(flow, f"predictions/{NEWEST}.json"))["track_record"]
    assert scores["overall"].pop("calibration")
    assert scores["overall"] == record["overall"]
    assert [row["n"] for row in scores["by_year"]] == [36]
    assert [row["model_id"] for row in scores["by_model"]] == [card(flow, WALK[0])["model_id"]]
    earlier = json.loads(read(flow, "forecast_scores/2024-02-01.json"))
    assert (earlier["overall"]["n"], earlier["note"]) == (0, "no forecast has matured yet")
    (run,) = [run for run in flow.instance.get_runs() if run.job_name == "score_forecasts"][-1:]
    judged = flow.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    passed = {
        check.check_name: check.passed
        for check in (record.event_log_entry.dagster_event.event_specific_data for record in judged)
    }
    assert passed == {
        "scores_are_sane": True, "forecasts_beat_no_change": scores["overall"]["skill"] > 0, "backtest_is_sane": True,
    }  # fmt: skip


def test_forecasts_of_the_past_are_traded_once_they_are_published(flow, terminal):
    """That of 31 January is traded on 1 February, which the backtest of March knows and that of February does not."""
    march, february = (json.loads(read(flow, f"backtest/2024-{month}-01.json")) for month in ("03", "02"))
    assert (march["decisions"], march["from"], march["to"]) == (["2024-01-31"], "2024-02-01", "2024-02-29")
    assert set(march["portfolios"]) == {"long_short", "long_only", "equal_weighted", "benchmark"}
    assert february["note"] == "no forecast of a month's last session is published that could be traded by then"
    code, output, _ = terminal("show", "--top", "1")
    assert code == 0
    figures = march["portfolios"]["long_only"]
    assert "Traded on once a month, after costs, 2024-02-01 to 2024-02-29 (1 ranking)" in output
    assert any(line.split()[:2] == ["long-only", f"{figures['annual_return']:+.1%}"] for line in output.splitlines()), (
        output
    )
    assert json.loads(terminal("show", "--json")[1]) == json.loads(read(flow, f"predictions/{NEWEST}.json"))


def test_forecasting_an_earlier_session_again_changes_no_byte_and_does_not_move_latest_back(flow):
    before, latest = read(flow, "predictions/2024-01-31.json"), read(flow, "predictions/latest.json")
    flow.daily_range(dt.date(2024, 1, 31), dt.date(2024, 1, 31))
    assert read(flow, "predictions/2024-01-31.json") == before
    assert read(flow, "predictions/latest.json") == latest


def test_the_past_is_what_it_would_have_been(flow, folder):
    """Four months later, with all their prices stored, the same months and sessions give the same bytes: models, the
    gate's pairs and reasons, baselines, scores, backtest, intervals, track record, report."""
    later = workbench(folder, "later", dt.datetime(2024, 6, 28, 14, 0, tzinfo=dt.UTC))
    later.backfill(FIRST, None)
    later.monthly(WALK[0], WALK[-1], walk=True)
    later.daily_range(dt.date(2024, 1, 29), dt.date(2024, 2, 2))
    later.daily(NEWEST)
    assert later.platform.warehouse.partitions("raw_ohlcv")[-1] == "2024-06-28"
    published = json.loads(read(flow, f"predictions/{NEWEST}.json"))
    assert published["track_record"]["overall"]["n"] > 0
    for month in WALK:
        for key in (
            f"universe_enrichment/{month}.parquet",
            f"trained_model/{month}.safetensors",
            f"onnx_model/{month}/model.onnx",
            f"onnx_model/{month}/model.json",
            f"champion_model/{month}.json",
            f"champion_model/{month}.parquet",
            f"baseline_forecasts/{month}.parquet",
            f"forecast_scores/{month}.json",
            f"backtest/{month}.json",
        ):
            assert read(later, key) == read(flow, key), key
    for session in ("2024-01-31", NEWEST):
        for key in (
            f"raw_ohlcv/{session}.parquet",
            f"weekly_features/{session}.parquet",
            f"daily_predictions/{session}.parquet",
            f"predictions/{session}.json",
        ):
            assert read(later, key) == read(flow, key), key
    report = f"forecast_report/{NEWEST}.html"
    assert read(later, report) == read(flow, report)


def test_too_little_history_is_named_for_the_model_and_for_the_forecast(flow, folder):
    store = flow.platform.warehouse.store
    before = {*store.list("universe_enrichment"), *store.list("quality"), *store.list("training_panel")}
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
    # The facts of those months are stored by now, and later months' panels would rightly hold them.
    for key in {*store.list("universe_enrichment"), *store.list("quality"), *store.list("training_panel")} - before:
        store.delete(key)


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

    forecast = metadata("daily_predictions")
    assert forecast["ranking"].value.startswith("![")
    assert (forecast["model_status"].value, forecast["why_it_serves"].value) == (
        "unproven", metadata("champion_model")["reason"].value,
    )  # fmt: skip
    record = json.loads(read(flow, f"predictions/{NEWEST}.json"))["track_record"]
    rows = [row.data for row in forecast["track_record"].records]
    assert [row["horizon"] for row in rows] == ["all", *map(str, range(1, 13))]
    assert set(rows[0]) == {"horizon", "n", "n_dates", "skill", "rank_ic", "rank_ic_hac_t", "hit_rate", "coverage"}
    assert (rows[1]["n"], rows[1]["skill"]) == ("36", f"{record['horizons'][0]['skill']:.4g}")
    assert (rows[2]["n"], rows[2]["skill"]) == ("0", "")
    assert metadata("trained_model")["loss_curve"].value.startswith("![")
    assert metadata("champion_model")["reason"].value.count("passed its guards") == 1
    assert metadata("training_panel")["samples"].value > 1000
    assert SEQUENCE_WEEKS == 156


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
    code, out, _ = terminal("scores", "--json")
    assert json.loads(out)["month"] == "2024-03-01"
    code, out, _ = terminal("scores", "--month", "2024-02")
    assert (code, "no forecast has matured yet: nothing is proven" in out) == (0, True)
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
    assert code == 2
    assert "this data root holds prices of" in err
    assert "set STOCKFC_DATA to another folder" in err


# --- the gate and the roll-back ---------------------------------------------------------------------------------------


def test_what_moved_a_published_forecast_adds_up_to_it(flow, terminal):
    stock = json.loads(read(flow, "predictions/2024-01-31.json"))["predictions"][3]
    code, output, _ = terminal("explain", stock["ticker"], "--session", "2024-01-31", "--json")
    document = json.loads(output)
    assert (code, document["session"], document["model"]["month"]) == (0, "2024-01-31", "2024-01")
    for month in stock["predictions"]:
        moved = sum(group["contribution"][month["month"] - 1] for group in document["groups"])
        assert math.expm1(document["baseline"][month["month"] - 1] + moved) == pytest.approx(month["return"], abs=3e-6)
    code, output, _ = terminal("explain", stock["ticker"], "--horizon", "3")
    assert (code, output.splitlines()[0].split(" ahead")[0].split(", ")[-2:]) == (0, ["2024-03-01", "3 months"])
    code, _, error = terminal("explain", "9999.T")
    assert (code, error.splitlines()[0]) == (
        2, "Error: 9999.T: no forecast on 2024-03-01: not in the universe; `stockfc show` lists the stocks that have one",
    )  # fmt: skip


def test_a_session_is_laid_over_the_training_in_which_its_line_of_models_began(flow, terminal):
    code, output, _ = terminal("drift", "--session", "2024-02-01", "--json")
    document = json.loads(output)
    assert (code, document["session"], document["basis"], document["stocks"]) == (0, "2024-02-01", "2024-01", 12)
    assert document["model"] == card(flow, WALK[1])["model_id"]
    # Validation from 2023-05-01 on, an embargo of 5 sessions: labels that end before 2023-04-24, so as-of sessions up to
    # 2023-03-23, a Thursday; the last end of a week before it is the Friday before.
    assert document["trained_on"] == ["2019-01-04", "2023-03-17"]
    # Facts are known from 2024-01 on only, so the training of January had none.
    assert (document["never_seen"], document["features"][-1]["kind"]) == (6, "static")
    code, output, _ = terminal("drift")
    assert (code, output.splitlines()[0].split(" (12 stocks")[0]) == (0, "Inputs of 2024-03-01")


def test_volumes_in_another_unit_are_found_at_the_top_of_the_drift(flow):
    """As if the price source had begun to count single shares in place of lots of 100, a quarter of a year ago."""
    session, store = dt.date(2024, 2, 1), flow.platform.warehouse.store
    days = [day.isoformat() for day in sequence_session_dates(session, flow.platform.calendar.sessions)[-13:]]
    stored = {day: read(flow, f"weekly_features/{day}.parquet") for day in days}
    (before,) = [row for row in flow.drift(session)["features"] if row["feature"] == "amihud_illiquidity_13w"]
    try:
        for day in days:
            rows = flow.platform.warehouse.read_table("weekly_features", day)
            moved = pl.col("amihud_illiquidity_13w") - math.log(100)
            flow.platform.warehouse.write_table("weekly_features", day, rows.with_columns(moved.cast(pl.Float32)))
        found = flow.drift(session)["features"][0]
    finally:
        for day, data in stored.items():
            store.write_bytes(f"weekly_features/{day}.parquet", data)
    assert (found["feature"], found["verdict"]) == ("amihud_illiquidity_13w", "far from training")
    assert found["median"] == pytest.approx(before["median"] - math.log(100), abs=1e-5)
    assert found["median_percentile"] == 0.01


def test_a_model_from_before_training_was_recorded_has_no_drift(flow, terminal):
    key, store = f"onnx_model/{WALK[-1]}/model.json", flow.platform.warehouse.store
    described = read(flow, key)
    older = {name: value for name, value in json.loads(described).items() if name != "feature_reference"}
    store.write_bytes(key, json.dumps(older).encode())
    try:
        code, output, _ = terminal("drift")
        assert (code, "is not recorded" in output) == (0, True)
        assert terminal("drift", "--json")[1] == "null\n"
    finally:
        store.write_bytes(key, described)


def test_what_retention_removes_is_made_again_with_the_same_bytes(flow, terminal):
    later = Platform(flow.settings, clock=lambda: dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    store = flow.platform.warehouse.store
    kept = {f"forecast_report/{NEWEST}.html", "training_panel/2024-03-01.arrow"}
    found = {file.key for file in files_to_remove(later)}
    assert found == {*store.list("forecast_report"), *store.list("training_panel")} - kept
    names = ("forecast_report/2024-02-02.html", "training_panel/2024-01-01.arrow", "training_panel/2024-02-01.arrow")
    old = {key: read(flow, key) for key in names}
    assert found >= set(old)
    for key in old:
        store.delete(key)
    assert "2024-02-02" in materialized(flow.instance, "forecast_report")

    code, printed, _ = terminal("report", "--session", "2024-02-02")
    assert (code, printed.strip()) == (0, store.location("forecast_report/2024-02-02.html"))
    flow._materialize("training_panel", ["2024-01-01", "2024-02-01"])
    assert {key: read(flow, key) for key in old} == old
