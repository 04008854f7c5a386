"""The backtest on a real instance: made over a range of months, read by the terminal, judged by its check."""

import datetime as dt
import json

import dagster as dg
import numpy as np
import polars as pl
import pytest

from stockfc_assets.evaluation.backtest_record import month_ends
from stockfc_assets.tables import RawOhlcv
from stockfc_assets_tests.conftest import NOW

START = dt.date(2023, 9, 29)
MONTHS = ["2023-10-01", "2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01"]
ASSET = dg.AssetKey("backtest")


@pytest.fixture
def traded(bench):
    """A bench with prices since September 2023 and made-up forecasts of each month's last session."""
    warehouse, platform = bench.platform.warehouse, bench.platform
    raw = platform.source.fetch_bars(platform.known_tickers(), START, NOW.date()).bars
    for (session,), rows in RawOhlcv.validate(raw).partition_by("session", as_dict=True).items():
        warehouse.write_table("raw_ohlcv", session.isoformat(), rows)
    generator = np.random.default_rng(0)
    tickers = bench.settings.universe.tickers
    for session in month_ends(platform.calendar, START, NOW.date()):
        rows = pl.DataFrame({"ticker": tickers, "session": [session] * len(tickers), "horizon": [1] * len(tickers)})
        noise = pl.Series(generator.normal(size=len(tickers)))
        warehouse.write_table("daily_predictions", session.isoformat(), rows.with_columns(log_return=noise))
    return bench


def materialise(bench, instance, first: str, last: str) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    job = bench.definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[ASSET], tags=tags, raise_on_error=False)


def test_a_range_of_months_is_one_run_with_the_bytes_of_single_runs(traded, instance, monkeypatch):
    warehouse = traded.platform.warehouse
    reads: list[str] = []
    read_tables = type(warehouse).read_tables
    monkeypatch.setattr(
        type(warehouse),
        "read_tables",
        lambda self, asset, *a, **k: reads.append(asset) or read_tables(self, asset, *a, **k),
    )
    assert materialise(traded, instance, MONTHS[0], MONTHS[-1]).success
    assert reads == ["daily_predictions", "raw_ohlcv"]  # once for all months
    assert warehouse.partitions("backtest", ".json") == MONTHS
    ranged = {month: warehouse.store.read_bytes(f"backtest/{month}.json") for month in MONTHS}
    for month in (MONTHS[0], MONTHS[1], MONTHS[3]):
        assert materialise(traded, instance, month, month).success
        assert warehouse.store.read_bytes(f"backtest/{month}.json") == ranged[month]
    documents = [json.loads(ranged[month]) for month in MONTHS]
    assert [len(document["decisions"]) for document in documents] == [0, 1, 2, 3, 4, 5]
    assert [document["to"] for document in documents[1:]] == [
        "2023-10-31", "2023-11-30", "2023-12-29", "2024-01-31", "2024-02-29",
    ]  # fmt: skip
    assert documents[0]["note"] is not None


def test_its_figures_are_in_the_metadata_and_in_status_and_its_check_judged_them(traded, instance):
    result = materialise(traded, instance, MONTHS[-1], MONTHS[-1])
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed, evaluation.blocking) == ("backtest_is_sane", True, True)
    document = traded.platform.warehouse.read_json(f"backtest/{MONTHS[-1]}.json", remedy="")
    metadata = instance.get_latest_materialization_event(ASSET).asset_materialization.metadata
    assert metadata["months_traded"].value == 5
    for name in ("long_only", "long_short"):
        figures = document["portfolios"][name]
        for key in (
            "annual_return",
            "sharpe",
            "sharpe_error",
            "max_drawdown",
            "cost_drag_per_year",
            "turnover_per_year",
        ):
            assert metadata[f"{name}_{key}"].value == figures[key]
    table = metadata["portfolios"].value.splitlines()
    assert table[0] == "| after costs | long-only | long-short | equal-weighted | 1306.T |"
    assert table[1].count("|") == 6
    assert table[2].startswith(f"| return a year | {document['portfolios']['long_only']['annual_return']:+.1%} |")
    assert traded.status()["assets"]["backtest"] == {"partitions": 1, "first": MONTHS[-1], "last": MONTHS[-1]}


def test_the_doctor_reads_the_newest_scores_and_backtest(traded, instance):
    def finding() -> dict[str, object]:
        (found,) = [found for found in traded.doctor() if found["check"] == "track record"]
        return found

    assert (finding()["ok"], finding()["message"]) == (True, "no forecast_scores yet: run `stockfc monthly`")
    assert materialise(traded, instance, MONTHS[-1], MONTHS[-1]).success
    warehouse = traded.platform.warehouse
    warehouse.write_file("forecast_scores/2024-03-01.json", b'{"month": "2024-03-01", "overall": {"n": 1200}}')
    assert finding()["message"] == (
        "2024-03: 1,200 matured forecasts scored; 2024-03: 5 monthly rankings traded in the backtest"
    )
    warehouse.write_file(f"backtest/{MONTHS[-1]}.json", b"{")
    assert not finding()["ok"]
    assert "not valid JSON" in finding()["message"]


def test_a_month_before_anything_could_be_traded_is_materialised_with_the_reason(bench, instance):
    result = materialise(bench, instance, MONTHS[0], MONTHS[0])
    assert result.success
    metadata = instance.get_latest_materialization_event(ASSET).asset_materialization.metadata
    assert metadata["months_traded"].value == 0
    assert metadata["note"].value.startswith("no forecast of a month's last session is published")


def test_a_backtest_that_cannot_be_fails_its_check(traded, instance):
    warehouse = traded.platform.warehouse
    assert materialise(traded, instance, MONTHS[-1], MONTHS[-1]).success
    key = f"backtest/{MONTHS[-1]}.json"
    document = warehouse.read_json(key, remedy="")
    document["wealth"]["long_only"][-1] += 0.1
    warehouse.write_file(key, json.dumps(document).encode())
    job = traded.definitions.resolve_implicit_global_asset_job_def()
    check = job.get_subset(asset_selection=set(), asset_check_selection={dg.AssetCheckKey(ASSET, "backtest_is_sane")})
    result = check.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert "2024-03-01: long_only: wealth: 1 became" in evaluation.description
