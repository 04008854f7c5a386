"""The software-defined assets, one module per room, in the order in which data flows."""

import dagster as dg

from stockfc_assets.defs.assets import baselines, evaluation, features, forecasts, market, models, quality
from stockfc_assets.defs.partitions import Grids


def build_assets(grids: Grids, history_months: int) -> list[dg.AssetsDefinition]:
    return [
        *market.build_assets(grids),
        *quality.build_assets(grids),
        *features.build_assets(grids, history_months),
        *models.build_assets(grids),
        *baselines.build_assets(grids),
        *forecasts.build_assets(grids),
        *evaluation.build_assets(grids),
    ]
