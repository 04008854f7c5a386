"""Checks of the evaluation room: scores and backtests that add up, and whether the forecasts beat "no change".

What belongs here: which finding is an error and which is information. What does not: the laws (evaluation/laws.py,
evaluation/backtest_laws.py).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

from typing import Any

import dagster as dg

from stockfc_assets.defs.checks.common import check_each, partitions_of, result
from stockfc_assets.defs.resources import Platform
from stockfc_assets.evaluation.backtest_laws import backtest_problems
from stockfc_assets.evaluation.laws import score_problems


def build_checks() -> list[dg.AssetChecksDefinition]:
    """scores_are_sane, forecasts_beat_no_change, backtest_is_sane."""

    def read(platform: Platform, asset: str, key: str) -> dict[str, Any]:
        return platform.warehouse.read_json(f"{asset}/{key}.json", remedy=f"materialise {asset} again")

    def asked(context: dg.AssetCheckExecutionContext, platform: Platform, asset: str) -> list[str]:
        return partitions_of(context, platform.warehouse.partitions(asset, suffix=".json"))

    @dg.asset_check(
        asset="forecast_scores",
        description="Horizons, sectors, years and models add up to the same number of forecasts, and every score lies in "
        "its range: shares from 0 to 1, correlations from -1 to 1, skill at most 1, errors not negative.",
    )
    def scores_are_sane(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        return check_each(
            asked(context, platform, "forecast_scores"),
            lambda key: [f"{key}: {what}" for what in score_problems(read(platform, "forecast_scores", key))],
        )

    @dg.asset_check(
        asset="forecast_scores",
        description='Over all matured forecasts the squared error is smaller than that of "no change". Yellow is no fault '
        "to mend: it is information, and the usual state of stock forecasts. Nothing is blocked.",
    )
    def forecasts_beat_no_change(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        keys = asked(context, platform, "forecast_scores")
        problems = []
        for key in keys:
            overall = read(platform, "forecast_scores", key)["overall"]
            if overall["skill"] is not None and overall["skill"] <= 0:
                problems.append(
                    f'{key}: skill {overall["skill"]:+.4f} over {overall["n"]} matured forecasts: "no change" was no worse'
                )
        return result(problems, keys, severity=dg.AssetCheckSeverity.WARN)

    @dg.asset_check(
        asset="backtest",
        blocking=True,
        description="Forecasts come before the trades on them and everything before the month; wealth is not negative and "
        "ends at the total return; drawdowns lie from 0 to 1; costs are not negative, and net is at most gross.",
    )
    def backtest_is_sane(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        return check_each(
            asked(context, platform, "backtest"),
            lambda key: [f"{key}: {what}" for what in backtest_problems(read(platform, "backtest", key))],
        )

    return [scores_are_sane, forecasts_beat_no_change, backtest_is_sane]
