"""The function on a small market: the same bytes as Dagster's assets, and errors that are errors."""

import datetime as dt
import json
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.jobs import DAILY_FORECAST
from stockfc_assets.defs.resources import Platform
from stockfc_assets.errors import DataError, InputError, ModelError
from stockfc_assets.serving import lambda_handler
from stockfc_assets.serving.function_log import CallLog
from stockfc_assets.serving.function_request import Request, read_event
from stockfc_assets.serving.lambda_handler import Environment, forecast
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.serving.small_market import BEFORE, CALENDAR, MODEL, MONTH, SESSION, files, store_market

D = dt.date


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Settings:
    return store_market(tmp_path_factory.mktemp("market"))


@pytest.fixture
def market(stored, tmp_path) -> Settings:
    """A copy of the market, for one test."""
    return copy_of(stored, tmp_path / "data")


@pytest.fixture
def environment(market) -> Environment:
    return Environment(market, Warehouse(LocalStore(market.data_root)), CALENDAR, Counter())


def copy_of(settings: Settings, root: Path) -> Settings:
    shutil.copytree(settings.data_root, root)
    return settings.model_copy(update={"data_root": root})


def run(environment: Environment, *, now: dt.datetime = NOW, **event: object) -> dict:
    return forecast(read_event(event), environment, now=now, log=CallLog("test"))


def materialise(settings: Settings, selection: list[str], session: D) -> None:
    """What Dagster's assets write of a session."""
    definitions = build_definitions(settings, platform=Platform(settings, clock=lambda: NOW))
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(DAILY_FORECAST).execute_in_process(
            partition_key=session.isoformat(),
            asset_selection=[dg.AssetKey(name) for name in selection],
            instance=instance,
        )
    assert result.success


def remove(environment: Environment, *keys: str) -> None:
    for key in keys:
        assert environment.warehouse.store.exists(key)
        environment.warehouse.store.delete(key)


def test_it_writes_what_the_assets_write_byte_by_byte(stored, environment, tmp_path):
    by_dagster = copy_of(stored, tmp_path / "dagster")
    materialise(by_dagster, ["price_quality", "weekly_features", "daily_predictions"], SESSION)
    before = files(environment.settings.data_root)

    answer = run(environment, session="2024-03-01")

    assert answer == {
        "status": "published", "session": "2024-03-01", "model": MODEL, "n": 6, "is_latest": True,
        "location": str(environment.settings.data_root / "predictions/2024-03-01.json"),
    }  # fmt: skip
    after = files(environment.settings.data_root)
    assert after == files(by_dagster.data_root)
    assert {key for key in after if after[key] != before.get(key)} == {
        "quality/2024-03-01.json",
        "weekly_features/2024-03-01.parquet",
        "daily_predictions/2024-03-01.parquet",
        "predictions/2024-03-01.json",
        "predictions/latest.json",
    }
    document = json.loads((environment.settings.data_root / "predictions/2024-03-01.json").read_bytes())
    assert document["track_record"]["overall"]["n"] == 6 * 5
    assert document["source"]["simulated"] is True

    assert run(environment, session="2024-03-01") == answer
    assert files(environment.settings.data_root) == after


def test_with_fetch_it_asks_the_source_and_still_writes_what_the_assets_write(stored, environment, tmp_path):
    by_dagster = copy_of(stored, tmp_path / "dagster")
    names = ["universe", "raw_ohlcv", "price_quality", "weekly_features", "daily_predictions"]
    materialise(by_dagster, names, SESSION)
    remove(environment, "raw_ohlcv/2024-03-01.parquet")

    assert run(environment, session="2024-03-01", fetch=True)["status"] == "published"

    assert files(environment.settings.data_root) == files(by_dagster.data_root)


def test_sessions_that_were_missed_are_made_up_for(stored, environment):
    run(environment, session="2024-03-01")
    expected = files(environment.settings.data_root)
    remove(environment, *(f"weekly_features/{day}.parquet" for day in (BEFORE, SESSION)))
    remove(environment, f"quality/{BEFORE}.json", f"quality/{SESSION}.json", f"predictions/{SESSION}.json")

    run(environment, session="2024-03-01")

    assert files(environment.settings.data_root) == expected


def test_an_older_session_does_not_become_the_latest(environment):
    run(environment, session="2024-03-01")
    answer = run(environment, session=BEFORE.isoformat())
    assert (answer["session"], answer["is_latest"]) == (BEFORE.isoformat(), False)
    latest = environment.warehouse.read_json("predictions/latest.json", remedy="")
    assert latest["session"] == "2024-03-01"


@pytest.mark.parametrize(
    ("event", "now", "answer"),
    [
        ({"session": "2024-02-23"}, NOW, ("2024-02-23", "Emperor Naruhito's Birthday")),
        ({"session": "2024-02-24"}, NOW, ("2024-02-24", "Saturday")),
        # 23:15 in Tokyo on Saturday; 00:15 there on the holiday, still the day before in UTC.
        ({"scheduled-time": "2024-02-24T14:15:00Z"}, NOW, ("2024-02-24", "Saturday")),
        ({"time": "2024-02-22T15:15:00Z", "detail-type": "Scheduled Event", "id": "1", "source": "aws.scheduler"}, NOW,
         ("2024-02-23", "Emperor Naruhito's Birthday")),
    ],
)  # fmt: skip
def test_a_closed_day_is_skipped_by_name(environment, event, now, answer):
    before = files(environment.settings.data_root)
    assert run(environment, now=now, **event) == {"status": "skipped", "date": answer[0], "reason": answer[1]}
    assert files(environment.settings.data_root) == before


@pytest.mark.parametrize(
    ("event", "now"),
    [
        ({}, NOW),
        ({}, NOW + dt.timedelta(days=1)),
        ({"scheduled-time": "2024-03-01T14:15:00Z"}, NOW),
        # Tried again by Lambda an hour later, when it is another day in Tokyo.
        ({"scheduled-time": "2024-03-01T14:15:00Z"}, NOW + dt.timedelta(hours=2)),
    ],
)
def test_the_newest_finished_session_and_that_of_the_schedule(environment, event, now):
    assert run(environment, now=now, **event)["session"] == "2024-03-01"


def test_a_session_that_is_not_over_is_refused(environment):
    with pytest.raises(InputError, match=r"2024-03-04 is not over yet; the newest finished session is 2024-03-01"):
        run(environment, session="2024-03-04")


def test_missing_prices_are_named(environment):
    remove(environment, "raw_ohlcv/2024-03-01.parquet")
    before = files(environment.settings.data_root)
    with pytest.raises(DataError, match=r"raw_ohlcv: no prices of 2024-03-01; run `stockfc backfill --from 2024-03-01"):
        run(environment, session="2024-03-01")
    assert files(environment.settings.data_root) == before


def test_a_gap_of_prices_is_never_forecast_across(environment):
    remove(environment, f"raw_ohlcv/{BEFORE}.parquet", f"weekly_features/{BEFORE}.parquet")
    with pytest.raises(DataError, match=f"no prices of {BEFORE}; run"):
        run(environment, session="2024-03-01")


def test_too_few_prices_are_refused_as_by_the_blocking_check(environment):
    rows = environment.warehouse.read_table("raw_ohlcv", "2024-03-01")
    environment.warehouse.write_table("raw_ohlcv", "2024-03-01", rows.head(3))
    with pytest.raises(DataError, match=r"2024-03-01: coverage 33.3% is below 90%; no price for"):
        run(environment, session="2024-03-01")
    assert not environment.warehouse.store.exists("predictions/2024-03-01.json")


def test_more_missed_sessions_than_a_function_should_make_up_for(environment):
    later = CALENDAR.sessions[CALENDAR.sessions.index(BEFORE) + 21]
    with pytest.raises(DataError, match=rf"21 sessions before {later} are missing since {BEFORE}, at most 20"):
        run(environment, session=later.isoformat(), now=NOW + dt.timedelta(days=60))


def test_no_champion_is_an_error(environment):
    remove(environment, f"champion_model/{MONTH}.json")
    with pytest.raises(DataError, match="no champion model of 2024-03 or earlier; run `stockfc monthly"):
        run(environment, session="2024-03-01")


def test_an_altered_model_is_refused_by_name(environment):
    key = f"onnx_model/{MONTH}/model.onnx"
    data = environment.warehouse.read_file(key, remedy="")
    run(environment, session="2024-03-01")
    environment.warehouse.write_file(key, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ModelError, match=f"model {MODEL}: model.onnx has SHA-256"):
        run(environment, session="2024-03-01")


# --- the handler itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def configured(market, monkeypatch):
    monkeypatch.setenv("STOCKFC_CONFIG", str(market.config_dir))
    monkeypatch.setenv("STOCKFC_DATA", str(market.data_root))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-say-this")
    lambda_handler._environment.cache_clear()
    yield market
    lambda_handler._environment.cache_clear()


def test_one_line_of_json_per_call(configured, capsys):
    context = type("Context", (), {"aws_request_id": "abc"})
    answer = lambda_handler.handler({"session": "2024-03-01"}, context)
    lambda_handler.handler({"session": "2024-03-01"}, context)
    with pytest.raises(InputError):
        lambda_handler.handler({"sesion": "2024-03-01"}, context)

    output = capsys.readouterr().out
    cold, warm, failed = (json.loads(line) for line in output.splitlines())
    assert {key: cold[key] for key in answer} == answer
    assert (cold["request_id"], cold["cold"], warm["cold"]) == ("abc", True, False)
    assert set(cold["phases"]) == {"open", "prepare", "forecast"}
    assert cold["calendar_until"] == CALENDAR.last_known.isoformat()
    assert cold["seconds"] >= sum(cold["phases"].values()) - 0.01
    assert cold["peak_mb"] > 50
    assert cold["boto3_requests"] == 0
    assert (failed["status"], failed["error"]) == ("failed", "InputError")
    assert "unknown key 'sesion'" in failed["message"]
    assert "do-not-say-this" not in output


def test_a_stock_taken_out_of_the_universe_s_file_still_counts(configured, capsys):
    import yaml

    path = configured.config_dir / "universes/tiny.yaml"
    content = path.read_text()
    universe = yaml.safe_load(content)
    gone = universe["stocks"].pop(0)["ticker"]
    try:
        path.write_text(yaml.safe_dump(universe, sort_keys=False))
        assert lambda_handler.handler({"session": "2024-03-01"}, None)["n"] == 6
        written = json.loads((configured.data_root / "predictions/2024-03-01.json").read_bytes())
        assert gone in {stock["ticker"] for stock in written["predictions"]}
    finally:
        path.write_text(content)


# --- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "request_"),
    [
        ({}, Request()),
        ({"session": "2026-02-06"}, Request(session=D(2026, 2, 6))),
        ({"session": "2026-02-06", "time": "2026-02-07T00:00:00Z", "fetch": True}, Request(D(2026, 2, 6), fetch=True)),
        ({"time": "2026-02-06T14:15:00Z"}, Request(due=dt.datetime(2026, 2, 6, 14, 15, tzinfo=dt.UTC))),
        ({"scheduled-time": "2026-02-06T23:15:00+09:00"}, Request(due=dt.datetime(2026, 2, 6, 14, 15, tzinfo=dt.UTC))),
    ],
)
def test_events_that_are_understood(event, request_):
    assert read_event(event) == request_


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "NoneType is not an object"),
        ([1], "list is not an object"),
        ({"date": "2026-02-06"}, "unknown key 'date'; known: session, scheduled-time, time, fetch"),
        ({"session": "2026-02-30"}, "session: '2026-02-30' is not a date such as"),
        ({"session": "../../etc/passwd"}, "session: '../../etc/passwd' is not a date"),
        ({"session": 20260206}, "session: 20260206 is not a date"),
        ({"session": None}, "session: None is not a date"),
        ({"time": "2026-02-06T14:15:00"}, "time: '2026-02-06T14:15:00' is not a time with a zone"),
        ({"scheduled-time": "<aws.scheduler.scheduled-time>"}, "is not a time with a zone"),
        ({"fetch": "yes"}, "fetch: 'yes' is neither true nor false"),
    ],
)
def test_events_that_are_refused(event, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read_event(event)
