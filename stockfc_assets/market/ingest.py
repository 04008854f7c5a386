"""Rules for putting freshly fetched bars beside those already stored: what to ask for, and what to keep.

A session's partition holds the rows of the stocks that traded and, in its record, which stocks the source had no row for
and which it could not answer for. So it is always known what is missing, and a remote source is asked only for that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from stockfc_assets.market.as_traded import PRICE_COLUMNS
from stockfc_assets.market.findings import (
    finding,
    findings_as_json,
    findings_frame,
    findings_from_json,
    in_order,
)
from stockfc_assets.market.source import FetchResult

REVISION_TOLERANCE = 1e-4
"""Relative difference of a price beyond which a service has rewritten it; its rounding is far smaller."""


@dataclass(frozen=True)
class FetchRecord:
    """What is known of a fetch beside the rows that it brought.

    ``without_row``: stocks that the source answered for and that had no trade. ``failed``: stocks that it could not
    answer for, with its reason. ``findings``: what was refused or doubted on arrival (findings.FINDINGS_SCHEMA).
    """

    without_row: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    findings: pl.DataFrame = field(default_factory=findings_frame)

    def as_json(self) -> dict[str, Any]:
        """JSON values, empty parts left out; the same record always gives the same."""
        parts = {
            "without_row": sorted(self.without_row),
            "failed": dict(sorted(self.failed.items())),
            "findings": findings_as_json(self.findings),
        }
        return {name: part for name, part in parts.items() if part}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FetchRecord:
        return cls(
            tuple(content.get("without_row", ())),
            dict(content.get("failed", {})),
            findings_from_json(content.get("findings", ())),
        )


@dataclass(frozen=True)
class Question:
    """One range to ask a source for, both ends inclusive."""

    tickers: tuple[str, ...]
    start: dt.date
    end: dt.date


def questions(missing: Mapping[dt.date, Collection[str]]) -> list[Question]:
    """What to ask for, so that every ticker is answered on each session for which ``missing`` (session -> tickers) has it.

    Each ticker is asked about once, for the range from its first to its last missing session; tickers with the same
    range share a question. Sorted by range.
    """
    ranges: dict[str, tuple[dt.date, dt.date]] = {}
    for session in sorted(missing):
        for ticker in missing[session]:
            ranges[ticker] = (ranges.get(ticker, (session, session))[0], session)
    by_range: dict[tuple[dt.date, dt.date], list[str]] = {}
    for ticker in sorted(ranges):
        by_range.setdefault(ranges[ticker], []).append(ticker)
    return [Question(tuple(names), start, end) for (start, end), names in sorted(by_range.items())]


def merge(results: Sequence[FetchResult]) -> FetchResult:
    """Answers to several questions as one."""
    return FetchResult(
        bars=pl.concat([result.bars for result in results]).sort("session", "ticker"),
        failures={ticker: why for result in results for ticker, why in result.failures.items()},
        findings=in_order(pl.concat([result.findings for result in results])),
        earlier=pl.concat([result.earlier for result in results]).sort("session", "ticker"),
        late={ticker: since for result in results for ticker, since in result.late.items()},
    )


def put_beside(
    stored: pl.DataFrame,
    record: FetchRecord,
    fetched: pl.DataFrame,
    findings: pl.DataFrame,
    *,
    asked: Collection[str],
    failures: Mapping[str, str],
) -> tuple[pl.DataFrame, FetchRecord]:
    """The rows and the record of one session after a fetch.

    ``stored`` and ``record`` are what was there (empty ones at first), ``fetched`` and ``findings`` what came for this
    session. Answers replace what was stored of the tickers asked for: one that has no row any more loses it, because the
    source says that it did not trade. Tickers that were not asked for, or that failed, keep everything. Sorted by ticker.
    """
    answered = set(asked) - set(failures)
    rows = fetched.filter(pl.col("ticker").is_in(list(answered)))
    if stored.height:
        rows = pl.concat([rows, stored.filter(~pl.col("ticker").is_in(list(answered)))])
    rows = rows.sort("ticker")
    with_row = set(rows["ticker"])
    without_row = (set(record.without_row) | answered) - with_row
    failed = {ticker: why for ticker, why in record.failed.items() if ticker not in answered}
    failed |= {ticker: why for ticker, why in failures.items() if ticker in asked}
    known = with_row | without_row
    if record.findings.height:
        earlier = record.findings.filter(~pl.col("ticker").is_in(list(answered)))
        findings = in_order(pl.concat([earlier, findings]))
    return rows, FetchRecord(
        tuple(sorted(without_row)),
        {ticker: why for ticker, why in sorted(failed.items()) if ticker not in known},
        findings,
    )


def by_partition(findings: pl.DataFrame, sessions: Sequence[dt.date]) -> dict[dt.date, pl.DataFrame]:
    """Findings by the session whose partition holds them: their own, or, on a closed day, the one that follows.

    ``sessions`` (ascending) are those being written; findings after the last of them are left out.
    """
    targets = pl.DataFrame({"_partition": list(sessions)}, schema={"_partition": pl.Date})
    placed = (
        findings.sort("session")
        .join_asof(targets, left_on="session", right_on="_partition", strategy="forward", check_sortedness=False)
        .drop_nulls("_partition")
    )
    groups = placed.partition_by("_partition", as_dict=True, include_key=False)
    return {key[0]: in_order(rows) for key, rows in groups.items()}


def revisions(stored: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """Findings ``revised_history``: stored as-traded rows that a service now answers otherwise, one per ticker.

    Both frames hold tables.RawOhlcv rows; those of one side only do not count. The finding stands at the first
    session that differs, and says how many do and, where all closes differ by one factor, by which.
    """
    pairs = stored.join(again, on=["ticker", "session"], suffix="_again")
    change = [pl.col(f"{name}_again") / pl.col(name) - 1 for name in PRICE_COLUMNS]
    revised = pairs.filter(pl.max_horizontal(part.abs() for part in change) > REVISION_TOLERANCE)
    rows = []
    for (ticker,), group in revised.sort("ticker", "session").partition_by("ticker", as_dict=True).items():
        first = group.row(0, named=True)
        factors = group["close_again"] / group["close"]
        alike = group.height > 1 and factors.max() / factors.min() - 1 < REVISION_TOLERANCE
        by = f", all by the factor {factors[0]:.4g}" if alike else ""
        rows.append(
            finding(
                str(ticker),
                first["session"],
                "revised_history",
                seen=f"close {first['close_again']:g} ({group.height} of the sessions fetched again differ{by})",
                expected=f"close {first['close']:g}, as stored",
            )
        )
    return findings_frame(rows)
