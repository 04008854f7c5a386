"""Checks of the evaluation room: scores that add up, and whether the forecasts beat "no change".

What belongs here: which finding is an error and which is information. What does not: the laws (evaluation/laws.py).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

from typing import Any

import dagster as dg

from stockfc_assets.defs.checks.common import check_each, partitions_of, result
from stockfc_assets.defs.resources import Platform
from stockfc_assets.evaluation.laws import score_problems


def build_checks() -> list[dg.AssetChecksDefinition]:
    """scores_are_sane, forecasts_beat_no_change."""

    def scores(platform: Platform, key: str) -> dict[str, Any]:
        return platform.warehouse.read_json(f"forecast_scores/{key}.json", remedy="materialise forecast_scores again")

    def stored(platform: Platform) -> list[str]:
        return platform.warehouse.partitions("forecast_scores", suffix=".json")

    @dg.asset_check(
        asset="forecast_scores",
        description="Horizons, sectors, years and models add up to the same number of forecasts, and every score lies in "
        "its range: shares from 0 to 1, correlations from -1 to 1, skill at most 1, errors not negative.",
    )
    def scores_are_sane(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        return check_each(
            partitions_of(context, stored(platform)),
            lambda key: [f"{key}: {problem}" for problem in score_problems(scores(platform, key))],
        )

    @dg.asset_check(
        asset="forecast_scores",
        description='Over all matured forecasts the squared error is smaller than that of "no change". Yellow is no fault '
        "to mend: it is information, and the usual state of stock forecasts. Nothing is blocked.",
    )
    def forecasts_beat_no_change(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        keys = partitions_of(context, stored(platform))
        problems = []
        for key in keys:
            overall = scores(platform, key)["overall"]
            if overall["skill"] is not None and overall["skill"] <= 0:
                problems.append(
                    f'{key}: skill {overall["skill"]:+.4f} over {overall["n"]} matured forecasts: "no change" was no worse'
                )
        return result(problems, keys, severity=dg.AssetCheckSeverity.WARN)

    return [scores_are_sane, forecasts_beat_no_change]
