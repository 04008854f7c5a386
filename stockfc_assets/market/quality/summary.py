"""Findings of one session or month as a document, and what they keep out of a forecast."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import polars as pl

from stockfc_assets.market.findings import DEFECTS, ERROR, findings_as_json, in_order, sentence


def quality_document(partition: str, findings: pl.DataFrame, *, checked: int) -> dict[str, Any]:
    """Plain JSON values: the findings of one session or month, and counts of them by severity and by defect.

    ``partition``: its key. ``checked``: the number of rows looked at. Defects are counted in the order of
    findings.DEFECTS, those without a finding left out; the same findings in any order give the same document.
    """
    rows = findings_as_json(findings)
    number = Counter(row["defect"] for row in rows)
    errors = sum(row["severity"] == ERROR for row in rows)
    return {
        "partition": partition,
        "checked": checked,
        "errors": errors,
        "warnings": len(rows) - errors,
        "counts": {name: number[name] for name in DEFECTS if name in number},
        "findings": rows,
    }


def blocked(findings: pl.DataFrame, session: dt.date) -> dict[str, str]:
    """Tickers with an error on ``session``, sorted, each with its first error in words; warnings block nothing."""
    errors = in_order(findings).filter((pl.col("session") == session) & (pl.col("severity") == ERROR))
    reasons: dict[str, str] = {}
    for row in errors.iter_rows(named=True):
        reasons.setdefault(row["ticker"], sentence(row))
    return dict(sorted(reasons.items()))
