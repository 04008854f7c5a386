"""Checks of the models room: collapse guards, finite losses, parity of the exported file, a serving champion.

What belongs here: which guard blocks what. What does not: the guards (models/guards.py).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

import datetime as dt

import dagster as dg

from stockfc_assets.defs.checks.common import check_each, partitions_of
from stockfc_assets.defs.resources import Platform
from stockfc_assets.forecasts.models import model_files


def build_checks() -> list[dg.AssetChecksDefinition]:
    """model_guards, onnx_parity, champion_serves."""

    @dg.asset_check(
        asset="trained_model",
        blocking=True,
        description="The model has not collapsed: forecasts differ between stocks, outputs and encodings are not all "
        "alike, losses and weights are finite (floors in config/model.yaml).",
    )
    def model_guards(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        from stockfc_assets.models.guards import guard_failures

        def find(key: str) -> list[str]:
            card = platform.warehouse.read_json(f"trained_model/{key}.json", remedy="materialise trained_model again")
            return [f"{key}: {failure}" for failure in guard_failures(card["guards"], platform.settings.model.guards)]

        return check_each(partitions_of(context, platform.warehouse.partitions("trained_model", suffix=".json")), find)

    @dg.asset_check(
        asset="onnx_model",
        blocking=True,
        description="The ONNX file gives what torch gives (max abs difference below the ceiling in config/model.yaml), its "
        "hash and features are those of its card, and it stays in one small file.",
    )
    def onnx_parity(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        from stockfc_assets.errors import ModelError
        from stockfc_assets.forecasts.inference import OnnxForecaster

        ceiling = platform.settings.model.guards.max_parity_difference

        def find(key: str) -> list[str]:
            data, card = model_files(platform.warehouse, dt.date.fromisoformat(key))
            difference = card["onnx"]["parity_max_abs_difference"]
            problems = [] if difference < ceiling else [f"{key}: parity {difference:.2e} is not below {ceiling:.0e}"]
            try:
                OnnxForecaster(data, card, sectors=platform.settings.sectors)
            except ModelError as error:
                problems.append(f"{key}: {error}")
            return problems

        return check_each(partitions_of(context, platform.warehouse.partitions("trained_model", suffix=".json")), find)

    @dg.asset_check(
        asset="champion_model",
        description="A model serves from this month on, and it is the month's own: neither guards, nor evidence, nor a "
        "person's roll-back keep another one.",
    )
    def champion_serves(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.AssetCheckResult:
        def find(key: str) -> list[str]:
            record = platform.warehouse.read_json(f"champion_model/{key}.json", remedy="materialise it again")
            own = record["model"] is not None and record["model"]["month"] == key[: len("2026-02")]
            return [] if own else [f"{key}: {record['reason']}"]

        return check_each(partitions_of(context, platform.warehouse.partitions("champion_model", suffix=".json")), find)

    return [model_guards, onnx_parity, champion_serves]
