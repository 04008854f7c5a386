"""Filling a warehouse from a source: a remote one is asked only for what is missing, a corrupt session is healed."""

import dataclasses
import datetime as dt
from dataclasses import dataclass, field

import polars as pl
import pytest

from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.collect import PriceCollector, parts, unanswered
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.source import FetchResult
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets_tests.market.test_ingest import bars

CALENDAR = trading_calendar("XTKS")
SESSIONS = CALENDAR.between(dt.date(2024, 1, 4), dt.date(2024, 1, 19))
TICKERS = ("A", "B", "C")


@dataclass
class Service:
    """A remote service of three tickers; C trades on every other session. ``down`` maps tickers to reasons."""

    name = "service"
    label = "a service"
    is_simulated = False
    is_remote: bool = True
    down: dict[str, str] = field(default_factory=dict)
    factor: float = 1.0
    asked: list[tuple[tuple[str, ...], dt.date, dt.date]] = field(default_factory=list)

    def fetch_bars(self, tickers, start, end):
        self.asked.append((tuple(tickers), start, end))
        up = [ticker for ticker in tickers if ticker not in self.down]
        rows = [
            (ticker, day, self.factor * (100.0 + day.day))
            for day in CALENDAR.between(CALENDAR.before(start, 2), end)
            for ticker in up
            if ticker != "C" or day.day % 2
        ]
        every = bars(*rows)
        return FetchResult(
            every.filter(pl.col("session") >= start).sort("session", "ticker"),
            {ticker: self.down[ticker] for ticker in tickers if ticker in self.down},
            findings_frame(
                [finding("A", dt.date(2024, 1, 8), "phantom_row", seen="a row", expected="none")]
                if "A" in up and start <= dt.date(2024, 1, 9) <= end
                else []
            ),
            earlier=every.filter(pl.col("session") < start) if self.is_remote else bars(),
        )


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(LocalStore(tmp_path))


def collect(warehouse, service, sessions=SESSIONS, tickers=TICKERS, **options):
    said = []
    collector = PriceCollector(warehouse, service, CALENDAR, say=said.append, warn=said.append)
    return list(collector.collect(sessions, tickers, **options)), said


def contents(warehouse):
    return {key: warehouse.store.read_bytes(key) for key in warehouse.store.list("raw_ohlcv")}


def test_one_question_for_the_whole_range_and_one_file_per_session(warehouse):
    service = Service()
    collected, _ = collect(warehouse, service)
    assert service.asked == [(TICKERS, SESSIONS[0], SESSIONS[-1])]
    assert [each.session for each in collected] == list(SESSIONS)
    assert warehouse.partitions("raw_ohlcv") == [day.isoformat() for day in SESSIONS]
    record = FetchRecord.from_json(warehouse.read_records("raw_ohlcv", ["2024-01-04"])["2024-01-04"])
    assert record.without_row == ("C",)
    assert warehouse.read_table("raw_ohlcv", "2024-01-05")["ticker"].to_list() == ["A", "B", "C"]


def test_a_second_run_asks_nothing_and_changes_no_byte(warehouse):
    service = Service()
    collect(warehouse, service)
    before = contents(warehouse)
    service.asked.clear()
    collect(warehouse, service)
    assert service.asked == []
    assert contents(warehouse) == before


def test_the_next_run_asks_only_for_what_failed_and_ends_as_if_nothing_had(warehouse, tmp_path):
    whole = Warehouse(LocalStore(tmp_path / "undisturbed"))
    collect(whole, Service())
    service = Service(down={"B": "503 Service Unavailable"})
    _, said = collect(warehouse, service)
    assert "not fetched: 503 Service Unavailable: B" in said
    assert unanswered(warehouse, SESSIONS, TICKERS) == {day: {"B"} for day in SESSIONS}
    service.down.clear()
    service.asked.clear()
    collect(warehouse, service)
    assert service.asked == [(("B",), SESSIONS[0], SESSIONS[-1])]
    assert contents(warehouse) == {key: whole.store.read_bytes(key) for key in whole.store.list("raw_ohlcv")}
    assert unanswered(warehouse, SESSIONS, TICKERS) == {}


def test_new_sessions_and_a_new_ticker_cost_one_question_each(warehouse):
    service = Service()
    collect(warehouse, service, SESSIONS[:5], ("A", "B"))
    service.asked.clear()
    collect(warehouse, service)
    assert service.asked == [(("C",), SESSIONS[0], SESSIONS[-1]), (("A", "B"), SESSIONS[5], SESSIONS[-1])]


def test_a_row_that_is_not_there_yet_is_no_session_without_a_trade(warehouse):
    """B's rows end a session early: the service is late, and the next run asks for it alone."""
    service = Service()
    fetch = service.fetch_bars

    def late(tickers, start, end):
        result = fetch(tickers, start, end)
        missing = (pl.col("ticker") == "B") & (pl.col("session") == SESSIONS[-1])
        return dataclasses.replace(
            result, bars=result.bars.filter(~missing), late={"B": SESSIONS[-1], "A": SESSIONS[-1]}
        )

    service.fetch_bars = late
    collected, _ = collect(warehouse, service)
    assert collected[-1].record.failed == {"B": "no row of this session yet"}
    assert all(not each.record.failed for each in collected[:-1])
    assert unanswered(warehouse, SESSIONS, TICKERS) == {SESSIONS[-1]: {"B"}}
    service.fetch_bars = fetch
    service.asked.clear()
    collect(warehouse, service)
    assert service.asked == [(("B",), SESSIONS[-1], SESSIONS[-1])]
    assert unanswered(warehouse, SESSIONS, TICKERS) == {}


def test_what_is_stored_between_two_gaps_is_not_replaced(warehouse):
    """B is owed at both ends; the service has meanwhile rewritten what lies between, which was answered."""
    service = Service(down={"B": "503"})
    collect(warehouse, service, SESSIONS[:1])
    collect(warehouse, service, SESSIONS[-1:])
    service.down.clear()
    collect(warehouse, service, SESSIONS[1:-1])
    before = contents(warehouse)
    service.factor = 1.5
    service.asked.clear()
    collect(warehouse, service)
    assert service.asked == [(("B",), SESSIONS[0], SESSIONS[-1])]
    after = contents(warehouse)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"raw_ohlcv/{SESSIONS[0]}.parquet", f"raw_ohlcv/{SESSIONS[-1]}.parquet"}


def test_answers_are_written_batch_by_batch_so_that_a_killed_run_has_not_asked_in_vain(warehouse, monkeypatch):
    monkeypatch.setattr("stockfc_assets.market.collect.TICKERS_AT_ONCE", 1)
    service = Service()
    fetch = service.fetch_bars

    def killed(tickers, start, end):
        if "C" in tickers:
            raise KeyboardInterrupt
        return fetch(tickers, start, end)

    service.fetch_bars = killed
    with pytest.raises(KeyboardInterrupt):
        collect(warehouse, service)
    assert unanswered(warehouse, SESSIONS, TICKERS) == {day: {"C"} for day in SESSIONS}
    service.fetch_bars = fetch
    service.asked.clear()
    collected, _ = collect(warehouse, service)
    assert service.asked == [(("C",), SESSIONS[0], SESSIONS[-1])]
    assert [each.session for each in collected] == list(SESSIONS)
    assert unanswered(warehouse, SESSIONS, TICKERS) == {}


def test_with_refetch_the_newest_version_of_everything_is_taken(warehouse):
    collect(warehouse, Service())
    service = Service(factor=2.0)
    collect(warehouse, service, SESSIONS[3:5], refetch=True)
    assert service.asked == [(TICKERS, SESSIONS[3], SESSIONS[4])]
    assert warehouse.read_table("raw_ohlcv", SESSIONS[3].isoformat())["close"].to_list() == [220.0, 220.0]


def test_rows_from_before_that_come_back_changed_are_named_and_not_taken(warehouse):
    collect(warehouse, Service(), SESSIONS[:5])
    before = contents(warehouse)
    _, said = collect(warehouse, Service(factor=1.042), SESSIONS[5:7])
    key = SESSIONS[5].isoformat()
    findings = FetchRecord.from_json(warehouse.read_records("raw_ohlcv", [key])[key]).findings
    assert findings.select("ticker", "session", "defect").rows() == [
        ("A", SESSIONS[3], "revised_history"),
        ("B", SESSIONS[3], "revised_history"),
        ("C", SESSIONS[4], "revised_history"),
    ]  # fmt: skip
    assert {name: content for name, content in contents(warehouse).items() if name in before} == before
    assert any("history that the service has rewritten" in line for line in said)


def test_a_phantom_row_is_recorded_with_the_session_that_follows(warehouse):
    collect(warehouse, Service())
    records = warehouse.read_records("raw_ohlcv", [day.isoformat() for day in SESSIONS])
    with_findings = {key for key, record in records.items() if "findings" in record}
    assert with_findings == {"2024-01-09"}


@pytest.mark.parametrize("damage", [b"", b"PAR1 and nothing more", None])
def test_a_corrupt_session_is_asked_for_again_and_healed(warehouse, damage):
    service = Service()
    collect(warehouse, service)
    before = contents(warehouse)
    key = f"raw_ohlcv/{SESSIONS[2]}.parquet"
    whole = before[key]
    warehouse.store.write_bytes(key, whole[: len(whole) // 2] + whole[-300:] if damage is None else damage)
    service.asked.clear()
    collect(warehouse, service)
    assert [(start, end) for _, start, end in service.asked] == [(SESSIONS[2], SESSIONS[2])]
    assert contents(warehouse) == before


def test_a_source_at_hand_is_read_again_in_bounded_parts(warehouse, monkeypatch):
    monkeypatch.setattr("stockfc_assets.market.collect.CELLS_AT_ONCE", 3 * len(TICKERS))
    service = Service(is_remote=False)
    collect(warehouse, service)
    assert [(start, end) for _, start, end in service.asked] == [
        (part[0], part[-1]) for part in parts(SESSIONS, len(TICKERS))
    ]
    assert {len(part) for part in parts(SESSIONS, len(TICKERS))[:-1]} == {3}
    before = contents(warehouse)
    collect(warehouse, service)
    assert contents(warehouse) == before
    service.factor = 3.0
    collect(warehouse, service)
    assert contents(warehouse) != before
