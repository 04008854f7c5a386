"""Checks of the market room: the laws of prices, coverage, and facts.

What belongs here: which law blocks what. What does not: the laws (market/laws.py).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

import datetime as dt
from collections.abc import Sequence

import dagster as dg
import polars as pl

from stockfc_assets.defs.checks.common import check_each, partitions_of, result
from stockfc_assets.defs.resources import Platform
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.collect import by_reason, parts
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.laws import coverage, price_problems
from stockfc_assets.tables import UniverseEnrichment

RECENT_SESSIONS = 20
"""A member without a trade in so many sessions is taken as not listed, and is not expected."""


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
        tickers, problems = platform.known_tickers(), []
        for part in parts(keys, len(tickers)):
            bars = platform.warehouse.read_tables("raw_ohlcv", part, partition_column="partition")
            problems += [] if bars is None else price_problems(bars, tickers)
        return result(problems, keys)

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
        tickers = len(platform.known_tickers())
        problems = [problem for part in parts(keys, tickers) for problem in _coverage_problems(platform, part)]
        return result(problems, keys)

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


def _coverage_problems(platform: Platform, keys: Sequence[str]) -> list[str]:
    """Every session against its members; prices of the range are read once."""
    first, last = dt.date.fromisoformat(keys[0]), dt.date.fromisoformat(keys[-1])
    raw = platform.raw_between(platform.calendar.before(first, RECENT_SESSIONS), last)
    traded = {session: set(names) for session, names in raw.group_by("session").agg("ticker").iter_rows()}
    minimum = platform.settings.environment.min_coverage
    records = platform.warehouse.read_records("raw_ohlcv", keys)
    problems = []
    for key in keys:
        session = dt.date.fromisoformat(key)
        before = platform.calendar.between(platform.calendar.before(session, RECENT_SESSIONS), session)[:-1]
        recent = set().union(*(traded.get(day, ()) for day in before))
        members = platform.settings.universe.members(session)
        failed = FetchRecord.from_json(records.get(key, {})).failed
        share, missing = coverage(traded.get(session, ()), recent, members, failed)
        if share < minimum:
            reasons = by_reason({name: failed.get(name, "no row") for name in missing})
            named = "; ".join(f"{tickers} ({reason})" for reason, tickers in reasons.items())
            problems.append(f"{key}: coverage {share:.1%} is below {minimum:.0%}; no price for {named}")
    return problems
