"""The jobs: named selections of assets that schedules, the CLI and the UI run alike.

What belongs here: which assets run together. What does not: when (schedules.py) or what they do (assets/).
Concept: https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from stockfc_assets.defs.partitions import Grids

HISTORY = "history"
DAILY_FORECAST = "daily_forecast"
FORECAST_HISTORY = "forecast_history"
MONTHLY_MODEL = "monthly_model"
ROLL_BACK = "roll_back"
FORECAST_SCORES = "score_forecasts"

SMALL_UNIVERSE = 500
TASK_SIZES = {
    HISTORY: ((1024, 2048), (2048, 8192)),
    DAILY_FORECAST: ((512, 1024), (1024, 4096)),
    FORECAST_HISTORY: ((1024, 2048), (2048, 8192)),
    MONTHLY_MODEL: ((2048, 4096), (4096, 16384)),
    ROLL_BACK: ((512, 1024), (512, 2048)),
    FORECAST_SCORES: ((1024, 2048), (2048, 8192)),
}
"""CPU units (1,024 = one core) and MB of a run on ECS, for a universe of up to `SMALL_UNIVERSE` stocks and for a larger one:
the peaks measured for 31 and for 4,000 (docs/cost.md), rounded up to what Fargate offers."""


def task_size(job: str, stocks: int) -> dict[str, str]:
    """The tags by which Dagster's ECS launcher sizes a run of ``job``; elsewhere they mean nothing."""
    cpu, memory = TASK_SIZES[job][stocks > SMALL_UNIVERSE]
    return {"ecs/cpu": str(cpu), "ecs/memory": str(memory)}


def build_jobs(grids: Grids, stocks: int, executor: dg.ExecutorDefinition) -> list[UnresolvedAssetJobDefinition]:
    """history, daily_forecast and forecast_history on the grid of sessions, the others on that of months.

    ``stocks``: how many the universe has, for the size of a run. ``executor``: of jobs over many partitions; those of one
    session or a person's choice run in one process.
    """
    prices = ["raw_ohlcv", "price_quality", "weekly_features"]
    return [
        dg.define_asset_job(
            HISTORY,
            ["universe", *prices],
            partitions_def=grids.sessions,
            executor_def=executor,
            tags=task_size(HISTORY, stocks),
            description="Prices, their quality and weekly features of past sessions, a range in one run.",
        ),
        dg.define_asset_job(
            DAILY_FORECAST,
            ["universe", *prices, "daily_predictions", "forecast_report"],
            partitions_def=grids.sessions,
            executor_def=dg.in_process_executor,
            tags=task_size(DAILY_FORECAST, stocks),
            description="One session from prices to published forecast and report.",
        ),
        dg.define_asset_job(
            FORECAST_HISTORY,
            ["universe", *prices, "daily_predictions"],
            partitions_def=grids.sessions,
            executor_def=executor,
            tags=task_size(FORECAST_HISTORY, stocks),
            description="Forecasts of past sessions, a range in one run; without reports, of which years would fill gigabytes.",
        ),
        dg.define_asset_job(
            MONTHLY_MODEL,
            [
                "universe_enrichment",
                "fact_quality",
                "training_panel",
                "trained_model",
                "onnx_model",
                "champion_model",
                "baseline_forecasts",
                "forecast_scores",
                "backtest",
            ],
            partitions_def=grids.months,
            executor_def=executor,
            tags=task_size(MONTHLY_MODEL, stocks),
            description="Company facts, training panel, model, ONNX file, the gate's decision, scores and backtest so far.",
        ),
        dg.define_asset_job(
            ROLL_BACK,
            ["champion_model"],
            partitions_def=grids.months,
            executor_def=dg.in_process_executor,
            tags=task_size(ROLL_BACK, stocks),
            description="Another month's model serves from today on (config of champion_model: serve, reason); without "
            "that config, the gate judges the month again.",
        ),
        dg.define_asset_job(
            FORECAST_SCORES,
            ["forecast_scores", "backtest"],
            partitions_def=grids.months,
            executor_def=executor,
            tags=task_size(FORECAST_SCORES, stocks),
            description="Scores of what had matured when each month began, and the backtest until then, again: after forecasts "
            "of the past were published.",
        ),
    ]
