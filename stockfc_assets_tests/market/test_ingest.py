"""What to ask a source for, and how answers are put beside what is stored."""

import datetime as dt

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.market import ingest
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.ingest import FetchRecord, Question
from stockfc_assets.market.source import BARS_SCHEMA, FetchResult

D = dt.date
DAYS = [D(2024, 1, day) for day in (4, 5, 9, 10, 11)]
"""Five sessions of Tokyo; the 8th was a holiday."""


def bars(*rows: tuple[str, dt.date, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"ticker": ticker, "session": session, "open": close, "high": close, "low": close, "close": close}
            | {"volume": 100, "dividend": 0.0, "split_ratio": 1.0, "currency": "JPY"}
            for ticker, session, close in rows
        ],
        schema=BARS_SCHEMA,
    )


def test_tickers_with_the_same_range_share_a_question():
    missing = {DAYS[0]: {"A", "B"}, DAYS[1]: {"A", "B", "C"}, DAYS[3]: {"C"}}
    assert ingest.questions(missing) == [
        Question(("A", "B"), DAYS[0], DAYS[1]),
        Question(("C",), DAYS[1], DAYS[3]),
    ]
    assert ingest.questions({}) == []


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(DAYS), st.sets(st.sampled_from("ABCD"), max_size=4)))
def test_every_missing_cell_is_asked_for_by_one_question_per_ticker(missing):
    asked = ingest.questions(missing)
    names = [ticker for question in asked for ticker in question.tickers]
    assert len(names) == len(set(names))
    for session, tickers in missing.items():
        for ticker in tickers:
            assert any(ticker in q.tickers and q.start <= session <= q.end for q in asked)
    for question in asked:
        for ticker in question.tickers:
            assert ticker in missing[question.start]
            assert ticker in missing[question.end]


def test_answers_of_several_questions_become_one():
    one = FetchResult(bars(("B", DAYS[1], 2.0)), {"X": "404"})
    two = FetchResult(
        bars(("A", DAYS[0], 1.0), ("A", DAYS[1], 1.0)),
        {"Y": "429"},
        findings_frame([finding("A", DAYS[0], "no_trade_row", seen="zeros", expected="no row")]),
        earlier=bars(("A", D(2023, 12, 29), 1.0)),
    )
    merged = ingest.merge([one, two])
    assert merged.bars.rows() == bars(("A", DAYS[0], 1.0), ("A", DAYS[1], 1.0), ("B", DAYS[1], 2.0)).rows()
    assert merged.failures == {"X": "404", "Y": "429"}
    assert merged.findings["defect"].to_list() == ["no_trade_row"]
    assert merged.earlier.height == 1


def put(stored, record, fetched, *, asked, failures=None, findings=None):
    return ingest.put_beside(
        stored,
        record,
        fetched,
        findings_frame() if findings is None else findings,
        asked=asked,
        failures=failures or {},
    )


def test_a_first_fetch_knows_who_traded_who_did_not_and_who_is_owed():
    rows, record = put(
        bars(), FetchRecord(), bars(("B", DAYS[0], 2.0), ("A", DAYS[0], 1.0)), asked="ABCD", failures={"D": "503"}
    )
    assert rows["ticker"].to_list() == ["A", "B"]
    assert record.without_row == ("C",)
    assert record.failed == {"D": "503"}


def test_a_later_fetch_heals_the_failed_and_leaves_the_others_alone():
    stored = bars(("A", DAYS[0], 1.0))
    before = FetchRecord(("C",), {"B": "503", "D": "404"})
    rows, record = put(stored, before, bars(("B", DAYS[0], 2.0)), asked="BD", failures={"D": "still 404"})
    assert rows.rows() == bars(("A", DAYS[0], 1.0), ("B", DAYS[0], 2.0)).rows()
    assert record.without_row == ("C",)
    assert record.failed == {"D": "still 404"}


def test_a_failure_never_takes_a_stored_answer_away():
    rows, record = put(
        bars(("A", DAYS[0], 1.0)), FetchRecord(("B",)), bars(), asked="AB", failures={"A": "503", "B": "503"}
    )
    assert rows["ticker"].to_list() == ["A"]
    assert record == FetchRecord(("B",), {}, record.findings)


def test_an_answer_without_a_row_takes_the_row_away():
    rows, record = put(bars(("A", DAYS[0], 1.0), ("B", DAYS[0], 2.0)), FetchRecord(), bars(), asked="A")
    assert rows["ticker"].to_list() == ["B"]
    assert record.without_row == ("A",)


def test_findings_of_a_ticker_are_replaced_with_its_answer():
    old = findings_frame([finding(name, DAYS[0], "invalid_price", seen="0", expected="> 0") for name in "AB"])
    new = findings_frame([finding("A", DAYS[0], "no_trade_row", seen="zeros", expected="no row")])
    _, record = put(bars(), FetchRecord(("A", "B"), {}, old), bars(), asked="A", findings=new)
    assert record.findings.select("ticker", "defect").rows() == [("A", "no_trade_row"), ("B", "invalid_price")]
    _, kept = put(bars(), FetchRecord(("A", "B"), {}, old), bars(), asked="A", failures={"A": "503"})
    assert kept.findings.rows() == old.rows()


def test_a_record_comes_back_from_json_as_it_was_and_says_nothing_when_there_is_nothing():
    findings = findings_frame([finding("A", DAYS[0], "invalid_price", seen="0", expected="> 0")])
    record = FetchRecord(("B", "A"), {"D": "404", "C": "503"}, findings)
    back = FetchRecord.from_json(record.as_json())
    assert back.without_row == ("A", "B")
    assert back.failed == record.failed
    assert back.findings.equals(findings)
    assert FetchRecord().as_json() == {}


def test_a_finding_of_a_closed_day_stands_with_the_session_after_it():
    rows = [finding("A", day, "phantom_row", seen="a row", expected="none") for day in (D(2024, 1, 8), D(2024, 1, 12))]
    rows.append(finding("A", D(2024, 1, 3), "revised_history", seen="1", expected="2"))
    placed = ingest.by_partition(findings_frame(rows), DAYS)
    assert {day: found["session"].to_list() for day, found in placed.items()} == {
        D(2024, 1, 4): [D(2024, 1, 3)],
        D(2024, 1, 9): [D(2024, 1, 8)],
    }


def test_a_rescaled_history_is_named_once_with_its_factor():
    stored = bars(*(("A", day, 100.0) for day in DAYS), *(("B", day, 50.0) for day in DAYS))
    again = bars(*(("A", day, 104.2) for day in DAYS[1:]), *(("B", day, 50.0004) for day in DAYS))
    (found,) = ingest.revisions(stored, again).to_dicts()
    assert (found["ticker"], found["session"], found["defect"]) == ("A", DAYS[1], "revised_history")
    assert found["seen"] == "close 104.2 (4 of the sessions fetched again differ, all by the factor 1.042)"
    assert found["expected"] == "close 100, as stored"


def test_one_corrected_close_is_a_revision_without_a_factor():
    stored = bars(("A", DAYS[0], 100.0), ("A", DAYS[1], 101.0))
    again = bars(("A", DAYS[0], 100.0), ("A", DAYS[1], 101.5), ("A", DAYS[2], 7.0))
    (found,) = ingest.revisions(stored, again).to_dicts()
    assert found["session"] == DAYS[1]
    assert found["seen"] == "close 101.5 (1 of the sessions fetched again differ)"
