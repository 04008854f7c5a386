"""New York and Seoul by configuration alone: grids, schedules, and a whole flow from prices to the report."""

from __future__ import annotations

import datetime as dt
import html
import json
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest
import yaml
from dagster._core.definitions.partitions.context import partition_loading_context

from stockfc_assets import tables, terminal
from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.instance import materialized, open_instance
from stockfc_assets.defs.partitions import build_grids
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.errors import InputError
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Settings
from stockfc_assets_tests.conftest import tiny_config

D = dt.date
FIRST, NEWEST, MONTH = D(2020, 6, 1), D(2024, 3, 4), D(2024, 3, 1)
MARKETS = {
    "us_sample": ("XNYS", "America/New_York", "USD", "SPY"),
    "kr_sample": ("XKRX", "Asia/Seoul", "KRW", "069500.KS"),
}


def settings_of(folder: Path, universe: str) -> Settings:
    config = tiny_config(folder)
    local, model = config / "environments/local.yaml", config / "model.yaml"
    local.write_text(yaml.safe_dump(yaml.safe_load(local.read_text()) | {"universe": universe}))
    quick = yaml.safe_load(model.read_text())
    quick["training"]["threads"] = 1
    quick["training"]["full"] |= {"samples_per_epoch": 512, "epochs": 2, "validation_months": 3}
    model.write_text(yaml.safe_dump(quick))
    return open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(folder / "data")})


# --- grids and schedules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exchange", "when", "newest"),
    [
        ("XNYS", (2026, 11, 20, 16, 59), "2026-11-19"),
        ("XNYS", (2026, 11, 20, 17, 1), "2026-11-20"),
        ("XNYS", (2026, 11, 26, 23, 0), "2026-11-25"),  # Thanksgiving
        ("XNYS", (2026, 3, 9, 17, 59), "2026-03-06"),  # the first session of summer time
        ("XNYS", (2026, 3, 9, 18, 1), "2026-03-09"),
        ("XKRX", (2026, 11, 20, 18, 59), "2026-11-19"),
        ("XKRX", (2026, 11, 20, 19, 1), "2026-11-20"),
        ("XKRX", (2026, 2, 18, 23, 0), "2026-02-13"),  # Seollal
    ],
)
def test_no_session_is_a_partition_before_it_is_over(exchange: str, when: tuple[int, ...], newest: str) -> None:
    calendar = trading_calendar(exchange)
    now = dt.datetime(*when, tzinfo=ZoneInfo(calendar.profile.time_zone))
    with partition_loading_context(effective_dt=now):
        grid = build_grids(calendar, D(2010, 1, 4)).sessions
        assert grid.get_last_partition_key() == newest
        keys = grid.get_partition_keys()
    assert keys == [day.isoformat() for day in calendar.between(D(2010, 1, 4), D.fromisoformat(newest))]


@pytest.mark.parametrize(
    ("universe", "when", "session", "skipped"),
    [
        ("us_sample", (2026, 11, 25, 23), "2026-11-25", None),
        ("us_sample", (2026, 11, 26, 23), None, "2026-11-26: no session of XNYS: Thanksgiving"),
        ("us_sample", (2026, 3, 9, 23), "2026-03-09", None),
        ("kr_sample", (2026, 2, 13, 23), "2026-02-13", None),
        ("kr_sample", (2026, 2, 17, 23), None, "2026-02-17: no session of XKRX: Seollal"),
    ],
)
def test_the_evening_s_schedule_asks_for_a_partition_that_exists_or_names_the_holiday(
    tmp_path: Path, universe: str, when: tuple[int, ...], session: str | None, skipped: str | None
) -> None:
    _, zone, _, _ = MARKETS[universe]
    definitions = build_definitions(settings_of(tmp_path, universe))
    schedule = definitions.resolve_schedule_def("daily_forecast_schedule")
    assert schedule.execution_timezone == zone
    now = dt.datetime(*when, tzinfo=ZoneInfo(zone))
    context = dg.build_schedule_context(scheduled_execution_time=now, repository_def=definitions.get_repository_def())
    tick = schedule.evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests or []] == ([session] if session else [])
    assert tick.skip_message == skipped
    if session:
        with partition_loading_context(effective_dt=now):
            assert definitions.resolve_job_def("daily_forecast").partitions_def.has_partition_key(session)


# --- a whole flow -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=MARKETS)
def flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Prices since 2020-06, one model, one forecast and its report, as of 23:00 on 2024-03-04 at the exchange."""
    settings = settings_of(tmp_path_factory.mktemp(request.param), request.param)
    os.environ.pop("DAGSTER_HOME", None)
    now = dt.datetime(2024, 3, 4, 23, 0, tzinfo=ZoneInfo(MARKETS[request.param][1]))
    with open_instance(settings) as instance:
        bench = Workbench(settings, instance, say=lambda _: None, now=now)
        bench.backfill(FIRST, None)
        bench.monthly(MONTH, None, walk=False)
        bench.daily(None)
        yield request.param, bench
    os.environ.pop("DAGSTER_HOME", None)


def test_every_session_of_the_exchange_is_stored_in_its_currency(flow) -> None:
    universe, bench = flow
    exchange, _, currency, benchmark = MARKETS[universe]
    sessions = trading_calendar(exchange).between(FIRST, NEWEST)
    assert materialized(bench.instance, "raw_ohlcv") == {day.isoformat() for day in sessions}
    raw = bench.platform.warehouse.read_table("raw_ohlcv", NEWEST.isoformat())
    tables.RawOhlcv.validate(raw)
    assert set(raw["ticker"]) == {*bench.settings.universe.tickers, benchmark}
    assert set(raw["currency"]) == {currency}
    decimals = {"USD": 2, "KRW": 0}[currency]
    assert (raw["close"] == raw["close"].round(decimals)).all()


def test_a_closed_day_is_refused_with_the_exchange_s_reason(flow) -> None:
    universe, bench = flow
    day, reason = {"us_sample": (D(2024, 2, 19), "President's Day"), "kr_sample": (D(2024, 2, 12), "Seollal")}[universe]
    exchange = MARKETS[universe][0]
    with pytest.raises(InputError, match=f"{day} is not a session of {exchange}: {reason}"):
        bench.daily(day)


def test_the_forecast_is_complete_and_says_where_it_stands(flow) -> None:
    universe, bench = flow
    _, _, currency, _ = MARKETS[universe]
    document = bench.document(None)
    assert document["timestamp"] == "2024-03-04T23:00:00"
    assert document["session"] == "2024-03-04"
    assert [stock["ticker"] for stock in document["predictions"]] == sorted(bench.settings.universe.tickers)
    assert document["skipped"] == []
    raw = bench.platform.warehouse.read_table("raw_ohlcv", NEWEST.isoformat())
    closes = dict(raw.select("ticker", "close").iter_rows())
    for stock in document["predictions"]:
        assert stock["current_price"] == closes[stock["ticker"]]
        assert 0.2 < stock["predicted_12m_price"] / stock["current_price"] < 5
    page = bench.platform.warehouse.store.read_bytes(f"forecast_report/{NEWEST}.html").decode()
    assert f"Price {currency}" in page
    assert all(stock.name in html.unescape(page) for stock in bench.settings.universe.stocks)
    for foreign in {"JPY", "¥", "円", "Tokyo", ".T<", "USD", "KRW"} - {currency}:
        assert foreign not in page
    shown = terminal.forecast_text(document)
    assert all(stock.ticker in shown and stock.name in shown for stock in bench.settings.universe.stocks)


def test_every_check_passed_and_the_benchmark_has_prices(flow) -> None:
    _, bench = flow
    evaluations = []
    for run in bench.instance.get_runs():
        records = bench.instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        evaluations += [record.event_log_entry.dagster_event.event_specific_data for record in records]
    failed = {item.check_name for item in evaluations if not item.passed}
    assert failed <= {"facts_missing"}  # a warning: one simulated company in thirty publishes nothing
    assert len(evaluations) > 8
    features = bench.platform.warehouse.read_table("weekly_features", NEWEST.isoformat())
    assert set(features["ticker"]) >= set(bench.settings.universe.tickers)
    assert (
        features.filter(pl.col("ticker").is_in(bench.settings.universe.tickers)).null_count().sum_horizontal()[0] < 12
    )
    card = json.loads(bench.platform.warehouse.store.read_bytes(f"onnx_model/{MONTH}/model.json"))
    assert card["trained_through"] == "2024-02-29"
