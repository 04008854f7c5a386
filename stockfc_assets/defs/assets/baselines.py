"""The asset of the baselines: what naive forecasters would have said, month by month.

What belongs here: reading and writing around one call into `stockfc_assets.evaluation.baselines`. What does not:
baselines, scores. lightgbm is imported when a baseline is fitted, so that loading definitions does not load it.
Concept: https://docs.dagster.io/guides/build/partitions-and-backfills

Why a month's partition holds the sessions of the month before: those sessions' features are known when the month
begins, and its panel holds them. The baselines that speak there are fitted on what was known one month earlier, when
those sessions lay ahead. So one file follows from one panel, nothing fitted has to be stored and read back, the daily
forecast waits for no baseline, and a walk over past months needs no published forecasts.
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from stockfc_assets.defs.materialization import Written, declared
from stockfc_assets.defs.partitions import SAME, Grids
from stockfc_assets.defs.spread import Share, spread_asset
from stockfc_assets.features.weeks import add_months
from stockfc_assets.running_settings import ExecutionSettings
from stockfc_assets.tables import BaselineForecasts

GROUP = "evaluation"


def build_assets(grids: Grids, execution: ExecutionSettings) -> list[dg.AssetsDefinition]:
    """baseline_forecasts."""

    @spread_asset(
        execution,
        **declared(GROUP, grids.months, table=BaselineForecasts),
        kinds={"parquet", "numpy"},
        code_version="1",
        pool="training",
        deps=[dg.AssetDep("training_panel", partition_mapping=SAME)],
        description="What no change, drift, momentum, mean reversion, ridge and gradient boosting would have said on the "
        "sessions of the month before, each fitted on what was known when that month began.",
    )
    def baseline_forecasts(share: Share) -> Iterator[tuple[str, Written]]:
        for key in share.keys:
            yield key, _forecast(share, key)

    return [baseline_forecasts]


def _forecast(share: Share, key: str) -> Written:
    from stockfc_assets.evaluation.baselines import evaluate_baselines, fit_baselines, unavailable
    from stockfc_assets.features.panel_file import stored_panel

    warehouse = share.platform.warehouse
    panel = stored_panel(warehouse, key)
    month = add_months(dt.date.fromisoformat(key), -1)
    for name, why in unavailable().items():
        share.log.warning(f"{key}: {name} is left out: {why}")
    fitted = fit_baselines(panel, month, share.platform.settings.model)
    table = evaluate_baselines(panel, month, fitted)
    learnt = {name: model.summary() for name, model in fitted.items()}
    version = warehouse.write_table("baseline_forecasts", key, table, record=learnt)
    return Written(version, table.height, {"sessions_of": f"{month:%Y-%m}", "learnt": learnt})
