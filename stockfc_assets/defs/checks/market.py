"""Checks of the market room: the laws of prices, coverage, and facts.

What belongs here: which law blocks what. What does not: the laws (market/laws.py, market/session_laws.py).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

import datetime as dt

import dagster as dg
import polars as pl

from stockfc_assets.defs.checks.common import check_each, partitions_of, result
from stockfc_assets.defs.resources import Platform
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.collect import parts
from stockfc_assets.market.session_laws import RECENT_SESSIONS, coverage_problems, law_problems
from stockfc_assets.tables import UniverseEnrichment


def build_checks() -> list[dg.AssetChecksDefinition]:
    """price_laws, price_coverage, facts_are_dated."""

    @dg.asset_check(
        asset="raw_ohlcv",
        blocking=True,
        description="The laws of prices: low <= open, close <= high; prices > 0; volume >= 0; one row per ticker; every "
        "row of its own session; every ticker in the universe.",
    )
    def price_laws(context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        keys = partitions_of(context, platform.warehouse.partitions("raw_ohlcv"))
        found = [
            law_problems(platform.warehouse, platform.settings, part)
            for part in parts(keys, len(platform.known_tickers()))
        ]
        return result([problem for problems in found for problem in problems], keys)

    @dg.asset_check(
        asset="raw_ohlcv",
        blocking=True,
        description="A session is complete when at least `min_coverage` of the members that traded within "
        f"{RECENT_SESSIONS} sessions have a price. Names the missing ones.",
    )
    def price_coverage(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        keys = partitions_of(context, platform.warehouse.partitions("raw_ohlcv"))
        found = [
            coverage_problems(platform.warehouse, platform.settings, platform.calendar, part)
            for part in parts(keys, len(platform.known_tickers()))
        ]
        return result([problem for problems in found for problem in problems], keys)

    @dg.asset_check(
        asset="universe_enrichment",
        blocking=True,
        description="Facts follow the schema, one row per member, and carry one date within the month, on which they were "
        "known: a fact fetched today is never written into a past month.",
    )
    def facts_are_dated(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        def find(key: str) -> list[str]:
            month = dt.date.fromisoformat(key)
            facts = platform.warehouse.read_table("universe_enrichment", key)
            problems = [] if UniverseEnrichment.is_valid(facts) else [f"{key}: facts break their schema"]
            outside = facts.filter(~pl.col("as_of").is_between(month, add_months(month, 1)))
            problems += [
                f"{key}: {row['ticker']} carries {row['as_of']}, which is not of this month"
                for row in outside.head(5).to_dicts()
            ]
            members = set(platform.settings.universe.members(month))
            if members != set(facts["ticker"]):
                problems.append(f"{key}: facts are not those of the month's {len(members)} members")
            return problems

        return check_each(partitions_of(context, platform.warehouse.partitions("universe_enrichment")), find)

    return [price_laws, price_coverage, facts_are_dated]
