"""Checks of the forecasts room: completeness and sanity of what is published, and the model's freshness.

What belongs here: which finding blocks the report. What does not: the findings (forecasts/publication.py, which also
refuses to write a forecast that is not fit to publish).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

import datetime as dt
from typing import Any

import dagster as dg

from stockfc_assets.defs.checks.common import check_each, partitions_of, result
from stockfc_assets.defs.resources import Platform
from stockfc_assets.forecasts.publication import document_problems, read_document


def build_checks() -> list[dg.AssetChecksDefinition]:
    """forecast_is_fit, forecast_model_is_current."""

    def published(platform: Platform, key: str) -> dict[str, Any]:
        name = f"predictions/{key}.json"
        data = platform.warehouse.read_file(name, remedy="materialise daily_predictions again")
        return read_document(data, location=platform.warehouse.store.location(name))

    @dg.asset_check(
        asset="daily_predictions",
        blocking=True,
        description="The published file holds every member once, forecast or skipped with a reason, with 12 finite "
        "horizons, ordered intervals and prices that follow from the returns; the stocks differ.",
    )
    def forecast_is_fit(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        def find(key: str) -> list[str]:
            members = platform.settings.universe.members(dt.date.fromisoformat(key))
            return [f"{key}: {problem}" for problem in document_problems(published(platform, key), members)]

        return check_each(partitions_of(context, platform.warehouse.partitions("daily_predictions")), find)

    @dg.asset_check(
        asset="daily_predictions",
        description="The forecast comes from the model of its own month; an older champion serves on, but says so here.",
    )
    def forecast_model_is_current(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        keys = partitions_of(context, platform.warehouse.partitions("daily_predictions"))
        problems = []
        for key in keys:
            month = published(platform, key)["model"]["month"]
            if month != key[:7]:
                problems.append(f"{key}: forecast by the model of {month}; run `stockfc monthly --month {key[:7]}`")
        return result(problems, keys, severity=dg.AssetCheckSeverity.WARN)

    return [forecast_is_fit, forecast_model_is_current]
