"""Defects of vendor data, and how a finding of one is written down: the one list that all checks and pages come from.

A finding names ticker, session, what was seen and what was expected. Nothing is repaired in silence: a row that cannot
be right is refused and named, a doubtful one is kept and named.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

FINDINGS_SCHEMA = pl.Schema(
    {
        "ticker": pl.String,
        "session": pl.Date,
        "defect": pl.String,
        "severity": pl.String,
        "seen": pl.String,
        "expected": pl.String,
    }
)
"""``session`` is the date of the row in question (no session of the exchange for a phantom row)."""

Severity = Literal["error", "warning"]
ERROR: Severity = "error"
WARNING: Severity = "warning"


@dataclass(frozen=True)
class Defect:
    """One kind of defect: its usual severity, what it is, what happens by itself, and what the operator does."""

    name: str
    severity: Severity
    title: str
    meaning: str
    handling: str
    remedy: str


PRICE_DEFECTS = (
    Defect(
        "not_fetched", WARNING, "No answer for a stock",
        "The service did not answer for this stock: it is unknown, gone, refused, or the service was down.",
        "The stock has no row; the next run asks for it again. Too many of them and the session is not complete.",
        "Run the same command again later. If the service does not know the ticker, correct it or end its membership.",
    ),
    Defect(
        "phantom_row", WARNING, "Row on a day without a session",
        "The service lists a row on a holiday or weekend, most often with volume 0 and the close before it repeated.",
        "The row is not stored.",
        "Nothing. If the day was a session after all, update the exchange_calendars package.",
    ),
    Defect(
        "invalid_price", ERROR, "Price that is zero, negative, missing or text",
        "At least one of open, high, low and close is no positive number although the row claims a trade.",
        "The row is not stored; the stock has no forecast for that session.",
        "Look at the service's page. Once it is corrected: `stockfc backfill --from DAY --to DAY --force`.",
    ),
    Defect(
        "invalid_volume", ERROR, "Volume that is negative, missing or text",
        "The prices are those of a trade, but the volume is no number of shares.",
        "The row is not stored; the stock has no forecast for that session.",
        "Fetch the session again with --force once the service has corrected it.",
    ),
    Defect(
        "no_trade_row", WARNING, "Row that stands for no trade",
        "Prices are zero, empty or the close before repeated, and the volume is 0.",
        "The row is not stored: a session without a trade has no row.",
        "Nothing.",
    ),
    Defect(
        "ohlc_contradiction", ERROR, "High and low do not enclose open and close",
        "One of the four prices stands on another basis than the others, or was mistyped.",
        "The row is not stored; the stock has no forecast for that session.",
        "Fetch the session again with --force once the service has corrected it.",
    ),
    Defect(
        "duplicate_row", ERROR, "Two rows for one session",
        "The service answers with two rows of the same session. Equal ones are a warning and count once.",
        "Of rows that differ none is stored.",
        "Fetch the session again with --force once the service has corrected it.",
    ),
    Defect(
        "stale_row", WARNING, "Row of the session before, repeated",
        "Open, high, low, close and volume are those of the session before.",
        "The row is kept.",
        "Compare with the exchange; fetch again with --force if it was late.",
    ),
    Defect(
        "stale_session", ERROR, "A whole session is stale",
        "Nearly every stock repeats the session before, or has a row without a trade: the service had not updated.",
        "No stock among them is forecast for that session.",
        "Wait for the service, then fetch the session again with --force and run `stockfc daily --session DAY`.",
    ),
    Defect(
        "duplicate_split", WARNING, "Split listed twice",
        "The same ratio is listed again within a few days.",
        "Only the first is applied.",
        "Nothing; if the second date is the true one, bring that stock's prices and splits with the files source.",
    ),
    Defect(
        "unseen_split", WARNING, "Split that the prices do not show",
        "A split is listed, but the price did not move by its ratio.",
        "It is not applied.",
        "Check the company's notice. A split that is real shows in the prices of its ex-date.",
    ),
    Defect(
        "half_applied_split", ERROR, "Split applied to a part of the history",
        "The price moves by about a split's ratio on a day that is not its ex-date, or on that day once too often.",
        "The rows are kept; the stock has no forecast for that session.",
        "Once the service has corrected it, fetch the range again with --force; that asks for every stock of the range.",
    ),
    Defect(
        "unexplained_jump", WARNING, "Jump that no split explains",
        "Open and close lie far beyond what one session moves, or beyond the exchange's price limit.",
        "The row is kept.",
        "Look for news, a missing split or a wrong unit; fetch again with --force after a correction.",
    ),
    Defect(
        "spin_off", WARNING, "Spin-off written as a split or a dividend",
        "A split of an odd ratio such as 1.042:1, or a dividend many times the usual: services write a spin-off in three "
        "ways (rescaled prices, a distribution, or not at all).",
        "A ratio is undone like a split's, so that prices are as traded; a distribution is kept as dividend.",
        "Check the company's notice: returns over that day depend on which of the three was meant.",
    ),
    Defect(
        "dividend_basis", WARNING, "Dividend on another share basis than the prices",
        "The dividend differs from the stock's own others by about the ratio of a known split: it was not divided by it, "
        "or divided twice. Where all dividends before a split are wrong, the last of them is named.",
        "The amount is kept as delivered.",
        "Compare with the company's notice; total returns over that day are wrong by the difference.",
    ),
    Defect(
        "duplicate_dividend", WARNING, "Dividend listed twice",
        "The same amount is listed again within a few days: an ex-date that is off by one, with both rows present.",
        "Only the first is kept.",
        "Check the ex-date.",
    ),
    Defect(
        "ex_date", WARNING, "Ex-date off by one",
        "The ex-date lies one session beside the day that the exchange's settlement rule gives for the month's record "
        "date.",
        "The date is kept as delivered.",
        "Check the ex-date.",
    ),
    Defect(
        "volume_basis", WARNING, "Volume on another basis than prices",
        "As-traded volume stops being a multiple of the exchange's lot, or turnover has shifted by a split's ratio in the "
        "five sessions from its ex-date: volume was adjusted otherwise than prices.",
        "The volume is kept as delivered.",
        "Features of volume are doubtful around the date; fetch again with --force after a correction.",
    ),
    Defect(
        "ticker_reuse", ERROR, "Ticker that was another company's",
        "Trading resumes after a gap of a year or more: tickers are reused.",
        "Rows are kept; the stock has no forecast for that session, and none until 156 weeks lie behind the gap.",
        "If it is another company, give it a universe entry of its own with member_from after the gap.",
    ),
    Defect(
        "revised_history", WARNING, "History that the service has rewritten",
        "Rows that were stored before come back with other values, beyond rounding.",
        "What was stored stays: a forecast of the past keeps the prices it was made from.",
        "Compare both; `stockfc backfill --from DAY --to DAY --force` takes the service's new version.",
    ),
)  # fmt: skip

FACT_DEFECTS = (
    Defect(
        "facts_currency", WARNING, "Facts in another currency than the price",
        "The company reports in another currency than it is listed in.",
        "Amounts per share are left empty; ratios are kept.",
        "Nothing.",
    ),
    Defect(
        "facts_basis", WARNING, "Facts on another share basis",
        "Shares x price is far from the service's own market capitalisation, or shares outstanding changed by about a "
        "split's ratio without a split.",
        "The facts are kept as delivered.",
        "Check the number of shares; services often update it days after a split.",
    ),
    Defect(
        "facts_implausible", WARNING, "Fact beyond any plausible value",
        "A ratio such as price to earnings or the dividend yield lies beyond the configured bounds.",
        "The fact is kept as delivered.",
        "Compare with the company's report.",
    ),
    Defect(
        "facts_missing", WARNING, "No facts known",
        "The source had nothing for this stock that was published in time.",
        "The facts are null and masked; the stock is forecast without them.",
        "Nothing; for past months bring dated facts with the files source.",
    ),
)  # fmt: skip

DEFECTS: Mapping[str, Defect] = {defect.name: defect for defect in (*PRICE_DEFECTS, *FACT_DEFECTS)}


def finding(
    ticker: str, session: dt.date, defect: str, *, seen: str, expected: str, severity: Severity | None = None
) -> dict[str, Any]:
    """One row of `FINDINGS_SCHEMA`; the severity is the defect's own unless given."""
    return {
        "ticker": ticker,
        "session": session,
        "defect": defect,
        "severity": severity or DEFECTS[defect].severity,
        "seen": seen,
        "expected": expected,
    }


def findings_frame(rows: Iterable[Mapping[str, Any]] = ()) -> pl.DataFrame:
    """Rows of `finding` as a frame, sorted by session, ticker and defect, each once."""
    return in_order(pl.DataFrame(list(rows), schema=FINDINGS_SCHEMA))


def findings_as_json(findings: pl.DataFrame) -> list[dict[str, Any]]:
    """The findings as JSON values, sorted, dates in ISO form."""
    return [{**row, "session": row["session"].isoformat()} for row in in_order(findings).to_dicts()]


def findings_from_json(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """What `findings_as_json` wrote, as a frame again."""
    return findings_frame({**row, "session": dt.date.fromisoformat(row["session"])} for row in rows)


def in_order(findings: pl.DataFrame) -> pl.DataFrame:
    """The same findings sorted by session, ticker and defect, each once."""
    if findings.height < 2:  # as nearly every session of a long history: a thousand of them cost seconds otherwise
        return findings
    return findings.select(FINDINGS_SCHEMA.names()).unique().sort("session", "ticker", "defect", "seen", "expected")


def sentence(row: Mapping[str, Any]) -> str:
    """One finding in words: ``7203.T 2021-10-01: split listed twice: saw ...; expected ...``"""
    title = DEFECTS[row["defect"]].title
    return f"{row['ticker']} {row['session']}: {title[0].lower()}{title[1:]}: saw {row['seen']}; expected {row['expected']}"
