"""Company facts of a month that are doubted: missing, implausible, or on another share basis than the month before."""

from __future__ import annotations

import math

import polars as pl

from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.quality.moves import Finding
from stockfc_assets.settings import FactQuality, QualitySettings

KNOWN = (
    "shares_outstanding", "eps_ttm", "book_value_per_share", "dividend_per_share_ttm", "return_on_equity",
    "profit_margin",
)  # fmt: skip
BOUNDED = ("per", "pbr", "dividend_yield", "return_on_equity", "profit_margin")
UNCHANGED = 1.1
"""Shares that changed by less are the same number; buy-backs take a few percent a year."""
HALVED = 1.9
"""A market capitalisation that moved by this factor in a month while shares did not: no 2:1 split was counted."""


def fact_findings(enrichment: pl.DataFrame, previous: pl.DataFrame | None, settings: QualitySettings) -> pl.DataFrame:
    """Findings (findings.FINDINGS_SCHEMA) about one month's tables.UniverseEnrichment, at its ``as_of`` dates.

    ``previous``: the month before, or None where there is none. facts_missing: no fact at all is known.
    facts_implausible: a ratio beyond its bounds. facts_basis: shares outstanding and market capitalisation both changed
    by `FactQuality.shares_jump` or more, as when shares are counted on another basis than the price; or capitalisation
    halved or doubled with unchanged shares, as when a split reached the price alone. (A split that both know of leaves
    capitalisation as it was.)
    """
    bounds = settings.facts
    rows = enrichment.sort("ticker")
    found = [*_missing(rows), *_implausible(rows, bounds)]
    if previous is not None:
        found += _basis(rows, previous, bounds)
    return findings_frame(found)


def _missing(rows: pl.DataFrame) -> list[Finding]:
    nothing = rows.filter(pl.all_horizontal(pl.col(KNOWN).is_null()))
    return [
        finding(ticker, as_of, "facts_missing", seen="no facts", expected="facts published before")
        for ticker, as_of in nothing.select("ticker", "as_of").iter_rows()
    ]


def _implausible(rows: pl.DataFrame, bounds: FactQuality) -> list[Finding]:
    found = []
    for name in BOUNDED:
        lowest, highest = getattr(bounds, name)
        wrong = rows.filter(~pl.col(name).is_between(lowest, highest))
        found += [
            finding(
                ticker, as_of, "facts_implausible", seen=f"{name} {value:.4g}", expected=f"{lowest:g} to {highest:g}"
            )
            for ticker, as_of, value in wrong.select("ticker", "as_of", name).iter_rows()
        ]
    return found


def _basis(rows: pl.DataFrame, previous: pl.DataFrame, bounds: FactQuality) -> list[Finding]:
    before = previous.select("ticker", _shares="shares_outstanding", _cap="market_cap")
    shares = (pl.col("shares_outstanding") / pl.col("_shares")).log()
    capital = (pl.col("market_cap") / pl.col("_cap")).log()
    jump = math.log(bounds.shares_jump)
    recounted = (shares.abs() >= jump) & (capital.abs() >= jump)
    uncounted = (shares.abs() <= math.log(UNCHANGED)) & (capital.abs() >= math.log(HALVED))
    doubted = rows.join(before, on="ticker").filter(recounted | uncounted)
    return [
        finding(
            row["ticker"],
            row["as_of"],
            "facts_basis",
            seen=f"{row['shares_outstanding']:.10g} shares and a market capitalisation of {row['market_cap']:.4g} after "
            f"{row['_shares']:.10g} and {row['_cap']:.4g} a month before",
            expected="both to change little, or shares to change by a split's ratio and capitalisation not",
        )
        for row in doubted.iter_rows(named=True)
    ]
