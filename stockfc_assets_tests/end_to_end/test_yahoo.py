"""Yahoo, from the real yfinance client and a local server to published forecasts: the law, the faults, the politeness."""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from stockfc_assets.configuration import load_settings
from stockfc_assets.defs.instance import open_instance
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench
from stockfc_assets.errors import ConfigError, RunError
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources import build_source
from stockfc_assets_tests.conftest import NOW, tiny_config
from stockfc_assets_tests.local_yahoo import LocalYahoo

D = dt.date
CALENDAR = trading_calendar("XTKS")
START, END = D(2024, 1, 4), D(2024, 2, 9)
SPLIT, REVERSE = "9432.T", "8306.T"


def polite(url: str, **changes: object) -> dict[str, object]:
    """Settings that hurry and give up early: the server is ours."""
    hurried = {"endpoint": url, "requests_per_minute": 100_000, "jitter_seconds": 0, "timeout_seconds": 2}
    waits = {"first_backoff_seconds": 0.01, "longest_backoff_seconds": 0.05, "budget_seconds": 0.3, "history_days": 60}
    return {"yahoo": hurried | waits | changes}


def workbench(folder: Path, data: str, *, now: dt.datetime = NOW, said: list[str] | None = None) -> Workbench:
    settings = open_settings(
        {"STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(folder / data), "STOCKFC_SOURCE": "yahoo"}
    )
    os.environ.pop("DAGSTER_HOME", None)
    with open_instance(settings) as instance:
        return Workbench(settings, instance, say=(said if said is not None else []).append, now=now)


def evening(session: dt.date) -> dt.datetime:
    """23:00 in Tokyo."""
    return dt.datetime.combine(session, dt.time(14, 0), dt.UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture
def yahoo(folder: Path) -> Iterator[LocalYahoo]:
    """Twelve stocks and the benchmark of the simulated market, as Yahoo shows them on 2024-02-09."""
    with serve(folder) as server:
        yield server


def serve(folder: Path, today: dt.date = END, **config: object) -> LocalYahoo:
    tiny_config(folder)
    environ = {"STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(folder / "served")}
    settings = load_settings(environ)
    server = LocalYahoo(build_source(settings), today=today)
    tiny_config_again(folder, sources=polite(server.url, **config))
    return server


def tiny_config_again(folder: Path, **environment: object) -> None:
    """The same configuration with other environment settings."""
    import yaml

    path = folder / "config/environments/local.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | environment))


def rows(bench: Workbench) -> pl.DataFrame:
    warehouse = bench.platform.warehouse
    return warehouse.read_tables("raw_ohlcv", warehouse.partitions("raw_ohlcv"))


def contents(bench: Workbench) -> dict[str, str]:
    root = bench.settings.data_root / "raw_ohlcv"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.iterdir())}


def truth(yahoo: LocalYahoo, tickers: list[str]) -> pl.DataFrame:
    bars = pl.concat([yahoo.as_traded(ticker) for ticker in tickers])
    return bars.filter(pl.col("session").is_between(START, END)).sort("session", "ticker")


# --- the ordinary evening ---------------------------------------------------------------------------------------------


def test_a_backfill_asks_once_per_ticker_and_stores_what_was_traded(folder, yahoo):
    bench = workbench(folder, "data", now=evening(END))
    bench.backfill(START, END)
    tickers = bench.platform.known_tickers()
    assert yahoo.count("chart") == len(tickers) == 13
    assert len(yahoo.requests) <= 13 + 3
    assert rows(bench).sort("session", "ticker").equals(truth(yahoo, tickers))


def test_the_next_session_costs_one_question_per_ticker_and_a_second_run_none(folder, yahoo):
    workbench(folder, "data", now=evening(END)).backfill(START, END)
    yahoo.today = D(2024, 2, 13)
    asked = len(yahoo.requests)
    bench = workbench(folder, "data", now=evening(yahoo.today))
    bench.backfill(yahoo.today, yahoo.today)
    assert yahoo.count("chart") == 26
    assert len(yahoo.requests) - asked <= 13 + 3
    asked = len(yahoo.requests)
    bench.backfill(START, None)
    assert len(yahoo.requests) == asked


def test_a_session_that_is_not_over_is_neither_stored_nor_asked_for(folder, yahoo):
    """At 15:00 in Tokyo the session is trading: Yahoo shows a row of it, which is none yet."""
    said: list[str] = []
    bench = workbench(folder, "data", now=dt.datetime(2024, 2, 9, 6, 0, tzinfo=dt.UTC), said=said)
    bench.backfill(START, None)
    assert max(bench.platform.warehouse.partitions("raw_ohlcv")) == "2024-02-08"


# --- the law of splits --------------------------------------------------------------------------------------------------


def test_sessions_fetched_before_and_after_later_splits_are_the_same_rows(folder, yahoo):
    """One stock splits 3:1 and 2:1, one 1:5 with the event listed twice; then everything is fetched again."""
    before = workbench(folder, "before", now=evening(END))
    before.backfill(START, END)
    yahoo.add_split(SPLIT, D(2024, 2, 14), 3.0)
    yahoo.add_split(SPLIT, D(2024, 2, 20), 2.0)
    yahoo.add_split(REVERSE, D(2024, 2, 16), 0.2, listed_twice_on=D(2024, 2, 19))
    yahoo.today = D(2024, 2, 29)
    after = workbench(folder, "after", now=evening(yahoo.today))
    after.backfill(START, END)
    assert contents(after) == contents(before)
    # The same data root goes on after the splits: what it stored stands, and nothing looks rewritten.
    later = workbench(folder, "before", now=evening(yahoo.today))
    later.backfill(START, yahoo.today)
    assert {name: content for name, content in contents(later).items() if name in contents(before)} == contents(before)
    splits = rows(later).filter(pl.col("split_ratio") != 1).select("ticker", "session", "split_ratio")
    assert {(SPLIT, D(2024, 2, 14), 3.0), (SPLIT, D(2024, 2, 20), 2.0), (REVERSE, D(2024, 2, 16), 0.2)} <= set(
        splits.rows()
    )
    found = [row for document in later.quality(START, None) for row in document["findings"]]
    assert [(row["ticker"], row["session"]) for row in found if row["defect"] == "duplicate_split"] == [
        (REVERSE, "2024-02-19")
    ]
    assert not [row for row in found if row["severity"] == "error" or row["defect"] == "revised_history"]


def test_a_split_that_appears_between_two_questions_of_one_run_harms_neither(folder, yahoo):
    """Tickers are asked one after the other; the service applies a split in between."""
    workbench(folder, "before", now=evening(END)).backfill(START, END)
    yahoo.faults.add(503, ticker=SPLIT)
    first = workbench(folder, "torn", now=evening(END))
    first.backfill(START, END)
    yahoo.faults.clear()
    yahoo.add_split(SPLIT, D(2024, 2, 13), 4.0)
    yahoo.today = D(2024, 2, 13)
    second = workbench(folder, "torn", now=evening(yahoo.today))
    second.backfill(START, END)
    assert contents(second) == contents(workbench(folder, "before", now=evening(END)))


# --- faults ---------------------------------------------------------------------------------------------------------------


def test_one_ticker_that_is_gone_keeps_yahoos_reason_and_is_all_that_is_asked_for_next(folder, yahoo):
    yahoo.faults.add(404, kind="chart", ticker=SPLIT)
    bench = workbench(folder, "data", now=evening(END))
    bench.backfill(START, END)
    assert SPLIT not in set(rows(bench)["ticker"])
    assert rows(bench)["ticker"].n_unique() == 12
    record = bench.platform.warehouse.read_records("raw_ohlcv", ["2024-02-09"])["2024-02-09"]
    assert "No data found, symbol may be delisted" in record["failed"][SPLIT]
    (newest,) = bench.quality(END, None)
    assert [(row["ticker"], row["defect"], row["severity"]) for row in newest["findings"]] == [
        (SPLIT, "not_fetched", "warning")
    ]
    yahoo.faults.clear()
    yahoo.requests.clear()
    bench.backfill(START, END)
    assert {asked.ticker for asked in yahoo.requests if asked.kind == "chart"} == {SPLIT}
    assert rows(bench).sort("session", "ticker").equals(truth(yahoo, bench.platform.known_tickers()))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (429, "429"),
        (500, "500"),
        (503, "503"),
        ("cut", "connection"),
        ("stall", "no answer"),
        ("malformed", "not JSON"),
        ("half", "not JSON"),
    ],
)
def test_a_service_that_is_down_loses_nothing_and_invents_nothing(folder, fault, reason):
    """What was stored stands, the run says why, and the run after the outage ends as if there had been none."""
    hurry = {"timeout_seconds": 0.3, "budget_seconds": 0.05} if fault == "stall" else {}
    with serve(folder, **hurry) as yahoo:
        whole = workbench(folder, "undisturbed", now=evening(END))
        whole.backfill(START, END)
        bench = workbench(folder, "data", now=evening(END))
        bench.backfill(START, D(2024, 2, 1))
        before = contents(bench)
        yahoo.faults.add(fault, kind="chart", seconds=1.0)
        with pytest.raises(RunError, match=rf"coverage 0\.0% is below 90%; no price for .*{reason}"):
            bench.backfill(START, END)
        assert {name: content for name, content in contents(bench).items() if name in before} == before
        assert set(rows(bench)["session"]) == set(CALENDAR.between(START, D(2024, 2, 1)))
        yahoo.faults.clear()
        bench.backfill(START, END)
        assert contents(bench) == contents(whole)


def test_a_service_that_is_late_is_waited_for_and_its_rows_are_taken_when_they_come(folder, yahoo):
    """At 23:00 on the 13th Yahoo still ends on the 9th: no session without trades, and no forecast from it."""
    tuesday = D(2024, 2, 13)
    bench = workbench(folder, "data", now=evening(tuesday))
    bench.backfill(START, END)
    with pytest.raises(RunError, match=r"2024-02-13: coverage 0\.0% is below 90%; .*\(no row of this session yet\)"):
        bench.backfill(tuesday, tuesday)
    assert bench.platform.warehouse.read_table("raw_ohlcv", "2024-02-13").is_empty()
    yahoo.today = tuesday
    bench.backfill(tuesday, tuesday)
    assert bench.platform.warehouse.read_table("raw_ohlcv", "2024-02-13").height == 13


def test_too_many_requests_for_a_while_only_takes_longer(folder):
    with serve(folder, budget_seconds=10) as yahoo:
        yahoo.faults.add(429, kind="chart", times=3, retry_after=0)
        yahoo.faults.add("cut", kind="chart", times=1)
        bench = workbench(folder, "data", now=evening(END))
        bench.backfill(START, END)
        assert rows(bench).sort("session", "ticker").equals(truth(yahoo, bench.platform.known_tickers()))
        assert yahoo.count("chart") == 13 + 4


def test_a_cookie_or_crumb_that_fails_does_not_cost_the_prices(folder, yahoo):
    for kind in ("cookie", "crumb", "consent"):
        yahoo.faults.add(500, kind=kind)
    bench = workbench(folder, "data", now=evening(END))
    bench.backfill(START, END)
    assert rows(bench).sort("session", "ticker").equals(truth(yahoo, bench.platform.known_tickers()))


def test_a_stand_in_says_so_and_its_prices_are_never_mixed_with_real_ones(folder, yahoo):
    bench = workbench(folder, "data", now=evening(END))
    bench.backfill(START, END)
    assert bench.platform.source_label()["simulated"] is True
    tiny_config_again(folder, sources={"yahoo": {}})
    asked = len(yahoo.requests)
    real = workbench(folder, "data", now=evening(END))
    assert real.platform.source_label() == {"name": "yahoo", "label": "Yahoo Finance", "simulated": False}
    runs = len(real.instance.get_runs())
    with pytest.raises(ConfigError, match=r"source\.json: this data root holds prices of yahoo \(endpoint http://127"):
        real.backfill(START, END, force=True)
    assert (len(yahoo.requests), len(real.instance.get_runs())) == (asked, runs)


# --- from Yahoo to a forecast ---------------------------------------------------------------------------------------------


@pytest.mark.service
def test_a_whole_evening_on_yahoo_and_a_broken_row_keeps_one_stock_out_of_one_forecast(folder):
    with serve(folder, today=D(2024, 2, 29), history_days=400) as yahoo:
        bench = workbench(folder, "data", now=evening(D(2024, 2, 29)))
        bench.backfill(D(2019, 1, 4), D(2024, 2, 29))
        bench.monthly(D(2024, 2, 1), None, walk=False)
        yahoo.today = D(2024, 3, 1)
        yahoo.faults.add("conflicting_rows", ticker=SPLIT, on=D(2024, 3, 1))
        friday = workbench(folder, "data", now=NOW)
        document = friday.daily(None)
        assert document["session"] == "2024-03-01"
        label = f"stand-in for Yahoo Finance at {yahoo.url}"
        assert document["source"] == {"label": label, "name": "yahoo", "simulated": True}
        assert document["num_predictions"] == 11
        (skipped,) = document["skipped"]
        assert skipped["ticker"] == SPLIT
        assert skipped["reason"].startswith(f"{SPLIT} 2024-03-01: two rows for one session: saw ")
        (record,) = friday.quality(D(2024, 3, 1), None)
        assert (record["errors"], record["counts"]) == (1, {"duplicate_row": 1})
        yahoo.faults.clear()
        friday.backfill(D(2024, 3, 1), D(2024, 3, 1), force=True)
        assert friday.daily(None)["num_predictions"] == 12
        facts = friday.platform.warehouse.read_table("universe_enrichment", "2024-02-01")
        assert facts["as_of"].unique().to_list() == [D(2024, 3, 1)]
        # Facts of 29 February are not known on the 26th: forecasts of then are made without them.
        friday.daily_range(D(2024, 2, 26), D(2024, 2, 26))
        assert friday.document(D(2024, 2, 26))["num_predictions"] == 12
        told = json.loads(friday.platform.warehouse.store.read_bytes("quality/2024-02.json"))
        assert told["checked"] == 12
