"""Company facts that are doubted, and the document of findings."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from stockfc_assets.market.enrichment import enrich
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.quality.facts import fact_findings
from stockfc_assets.market.quality.summary import blocked, quality_document
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA
from stockfc_assets.settings import FactQuality, QualitySettings

D = dt.date
MONTH, BEFORE, PUBLISHED = D(2024, 10, 1), D(2024, 9, 1), D(2024, 8, 10)
FACTS = {"eps_ttm": 100.0, "book_value_per_share": 1000.0, "dividend_per_share_ttm": 30.0, "shares_outstanding": 1e9,
         "return_on_equity": 0.1, "profit_margin": 0.05}  # fmt: skip


def month(
    as_of: dt.date,
    close: float = 2000.0,
    *,
    published: dt.date = PUBLISHED,
    splits: dict[dt.date, float] | None = None,
    **facts: float | None,
) -> pl.DataFrame:
    """tables.UniverseEnrichment of one stock, 1.T, through the real `enrich`; ``facts`` replace those above."""
    row = {"ticker": "1.T", "published": published, "sector": None, "industry": None, **FACTS, **facts}
    sessions = sorted({*(splits or {}), as_of - dt.timedelta(days=1)})
    bars = [("1.T", day, close, close, close, close, 100, 0.0, (splits or {}).get(day, 1.0), "JPY") for day in sessions]
    raw = pl.DataFrame(bars, schema=BARS_SCHEMA, orient="row")
    return enrich(pl.DataFrame([row], schema=FACTS_SCHEMA), raw, as_of, ["1.T"])


def named(enrichment: pl.DataFrame, previous: pl.DataFrame | None = None) -> list[tuple[str, str]]:
    found = fact_findings(enrichment, previous, QualitySettings())
    assert set(found["session"]) <= {MONTH}
    return found.select("defect", "seen").rows()


def test_usual_facts_are_not_doubted() -> None:
    assert named(month(MONTH)) == []
    assert named(month(MONTH, 2400.0), month(BEFORE)) == []
    assert named(month(MONTH, 2000.0, shares_outstanding=0.9e9), month(BEFORE)) == []


def test_a_split_that_shares_and_price_know_is_not_doubted() -> None:
    split = {D(2024, 9, 27): 5.0}
    after = month(MONTH, 400.0, splits=split)
    assert after["shares_outstanding"].to_list() == [5e9]
    assert named(after, month(BEFORE)) == []


@pytest.mark.parametrize(
    ("after", "shares"),
    [
        # The service still counts old shares although its facts are newer than the split.
        (month(MONTH, 400.0, published=D(2024, 9, 29)), "1000000000"),
        # Shares were multiplied by a split that the price never made.
        (month(MONTH, 2000.0, shares_outstanding=5e9), "5000000000"),
    ],
)
def test_shares_on_another_basis_than_the_price(after: pl.DataFrame, shares: str) -> None:
    ((defect, seen),) = named(after, month(BEFORE))
    assert defect == "facts_basis"
    assert seen.startswith(f"{shares} shares and a market capitalisation of ")
    assert seen.endswith("after 1000000000 and 2e+12 a month before")


@pytest.mark.parametrize(
    ("facts", "seen", "expected"),
    [
        ({"eps_ttm": 1.0}, "per 2000", "-1000 to 1000"),
        ({"book_value_per_share": 1.0}, "pbr 2000", "-20 to 100"),
        ({"dividend_per_share_ttm": 700.0}, "dividend_yield 0.35", "0 to 0.2"),
        ({"return_on_equity": 12.5}, "return_on_equity 12.5", "-3 to 3"),
        ({"profit_margin": -40.0}, "profit_margin -40", "-10 to 1.5"),
    ],
)
def test_implausible_facts(facts: dict[str, float], seen: str, expected: str) -> None:
    found = fact_findings(month(MONTH, **facts), None, QualitySettings())
    assert found.rows() == [("1.T", MONTH, "facts_implausible", "warning", seen, expected)]
    wide = QualitySettings(facts=FactQuality(**{seen.split()[0]: (-1e9, 1e9)}))
    assert fact_findings(month(MONTH, **facts), None, wide).is_empty()


def test_missing_facts() -> None:
    nothing = month(MONTH, **dict.fromkeys(FACTS))
    assert named(nothing, month(BEFORE)) == [("facts_missing", "no facts")]
    assert named(month(MONTH, **{**dict.fromkeys(FACTS), "profit_margin": 0.1})) == []


# --- documents --------------------------------------------------------------------------------------------------------

DAY = D(2026, 2, 6)
ROWS = [
    finding("9.T", DAY, "stale_row", seen="a", expected="b"),
    finding("7.T", DAY, "half_applied_split", seen="a", expected="b"),
    finding("7.T", DAY, "invalid_price", seen="c", expected="d"),
    finding("8.T", DAY, "invalid_price", seen="c", expected="d"),
    finding("7.T", D(2026, 2, 5), "phantom_row", seen="e", expected="f"),
]


def test_the_document_counts_and_is_the_same_for_any_order() -> None:
    document = quality_document("2026-02-06", findings_frame(ROWS), checked=31)
    assert {**document, "findings": len(document["findings"])} == {
        "partition": "2026-02-06", "checked": 31, "errors": 3, "warnings": 2, "findings": 5,
        "counts": {"phantom_row": 1, "invalid_price": 2, "stale_row": 1, "half_applied_split": 1},
    }  # fmt: skip
    assert document["findings"][0] == {
        "ticker": "7.T", "session": "2026-02-05", "defect": "phantom_row", "severity": "warning", "seen": "e", "expected": "f",
    }  # fmt: skip
    assert list(document["counts"]) == ["phantom_row", "invalid_price", "stale_row", "half_applied_split"]
    shuffled = pl.concat([findings_frame(ROWS[:2]), findings_frame(ROWS[2:]), findings_frame(ROWS)])
    again = quality_document("2026-02-06", shuffled, checked=31)
    assert json.dumps(again) == json.dumps(document)
    empty = quality_document("2026-02", findings_frame(), checked=0)
    assert empty == {"partition": "2026-02", "checked": 0, "errors": 0, "warnings": 0, "counts": {}, "findings": []}


def test_errors_of_the_session_block_and_warnings_do_not() -> None:
    reasons = blocked(findings_frame(ROWS), DAY)
    assert reasons == {
        "7.T": "7.T 2026-02-06: split applied to a part of the history: saw a; expected b",
        "8.T": "8.T 2026-02-06: price that is zero, negative, missing or text: saw c; expected d",
    }
    assert list(reasons) == ["7.T", "8.T"]
    assert blocked(findings_frame(ROWS), D(2026, 2, 5)) == {}
