"""Checks of the features room: ranges and schema (blocking), share of nulls (a warning).

What belongs here: which law blocks what. What does not: the laws (features/laws.py).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

import datetime as dt
from collections.abc import Sequence

import dagster as dg
import numpy as np
import polars as pl

from stockfc_assets.defs.checks.common import check_each, partitions_of, result
from stockfc_assets.defs.resources import Platform
from stockfc_assets.features.laws import feature_problems, null_shares, settled_from
from stockfc_assets.market.collect import parts

SETTLED_SESSIONS = 265
"""A ticker that traded so many sessions ago has a full year of features; younger ones are expected to have nulls."""


def build_checks() -> list[dg.AssetChecksDefinition]:
    """feature_ranges, feature_nulls, panel_time_discipline."""

    @dg.asset_check(
        asset="weekly_features",
        blocking=True,
        description="Features follow the schema, are finite or null, and lie within the ranges that their formulas allow.",
    )
    def feature_ranges(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        keys = partitions_of(context, platform.warehouse.partitions("weekly_features"))
        problems = []
        for part in parts(keys, len(platform.known_tickers())):
            rows = platform.warehouse.read_tables("weekly_features", part)
            problems += [] if rows is None else feature_problems(rows)
        return result(problems, keys)

    @dg.asset_check(
        asset="weekly_features",
        description="At most `max_null_share` of a session's values are null among tickers with a year of history.",
    )
    def feature_nulls(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        stored = platform.warehouse.partitions("weekly_features")
        keys = partitions_of(context, stored)
        tickers = len(platform.known_tickers())
        problems = [problem for part in parts(keys, tickers) for problem in _too_many_nulls(platform, stored, part)]
        return result(problems, keys, severity=dg.AssetCheckSeverity.WARN)

    @dg.asset_check(
        asset="training_panel",
        blocking=True,
        description="No label of a month's panel ends on or after the month's first day, and there are samples to train on.",
    )
    def panel_time_discipline(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        from stockfc_assets.features.panel_file import stored_panel

        def find(key: str) -> list[str]:
            panel = stored_panel(platform.warehouse, key)
            known = np.isfinite(panel.labels).any(axis=0)
            late = known & (panel.label_end >= np.datetime64(key))
            problems = [f"{key}: {int(late.sum())} labels end on or after the month begins"] if late.any() else []
            if not panel.eligible.any():
                problems.append(f"{key}: no sample has 156 weeks of history; backfill earlier sessions")
            return problems

        return check_each(
            partitions_of(context, platform.warehouse.partitions("training_panel", suffix=".arrow")), find
        )

    return [feature_ranges, feature_nulls, panel_time_discipline]


def _too_many_nulls(platform: Platform, stored: Sequence[str], keys: Sequence[str]) -> list[str]:
    rows = platform.warehouse.read_tables("weekly_features", keys)
    if rows is None:
        return []
    limit = platform.settings.environment.max_null_share
    year_ago = platform.calendar.before(dt.date.fromisoformat(keys[0]), SETTLED_SESSIONS).isoformat()
    before = platform.warehouse.read_tables("raw_ohlcv", [key for key in stored if year_ago <= key <= keys[-1]])
    shares = null_shares(rows, settled_from(before, platform.calendar.sessions, SETTLED_SESSIONS))
    return [
        f"{session}: {share:.1%} of the values are null, at most {limit:.0%} expected"
        for session, share in shares.filter(pl.col("null_share") > limit).iter_rows()
    ]
