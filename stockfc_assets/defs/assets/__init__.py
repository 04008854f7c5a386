"""The software-defined assets, one module per room, in the order in which data flows."""

import dagster as dg

from stockfc_assets.defs.assets import baselines, evaluation, features, forecasts, market, models, quality
from stockfc_assets.defs.partitions import Grids
from stockfc_assets.running_settings import ExecutionSettings


def build_assets(grids: Grids, history_months: int, execution: ExecutionSettings) -> list[dg.AssetsDefinition]:
    return [
        *market.build_assets(grids),
        *quality.build_assets(grids),
        *features.build_assets(grids, history_months, execution),
        *models.build_assets(grids, execution),
        *baselines.build_assets(grids, execution),
        *forecasts.build_assets(grids),
        *evaluation.build_assets(grids, execution),
    ]
