"""`stockfc status`: what there is, and whether what must hold does.

What belongs here: reading what is stored and what ran. What does not: judging it (stockfc_assets/alarms/conditions.py).
Concept: https://docs.dagster.io/guides/operate/webserver
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg

from stockfc_assets.alarms.conditions import conditions
from stockfc_assets.defs.resources import Platform

ASSETS = {
    "raw_ohlcv": ".parquet",
    "weekly_features": ".parquet",
    "universe_enrichment": ".parquet",
    "training_panel": ".arrow",
    "trained_model": ".safetensors",
    "champion_model": ".json",
    "baseline_forecasts": ".parquet",
    "daily_predictions": ".parquet",
    "forecast_scores": ".json",
    "backtest": ".json",
    "forecast_report": ".html",
}
SHOWN_RUNS = 5


def status_document(platform: Platform, instance: dg.DagsterInstance, now: dt.datetime) -> dict[str, Any]:
    """What is stored, which model serves, the newest forecast, what must hold (`conditions`), the last runs."""
    warehouse = platform.warehouse
    stored = {asset: warehouse.partitions(asset, suffix) for asset, suffix in ASSETS.items()}
    champions = stored["champion_model"]
    champion = warehouse.read_json(f"champion_model/{champions[-1]}.json", remedy="") if champions else None
    newest = platform.newest_session(now).isoformat()
    forecasts = stored["daily_predictions"]
    return {
        "environment": platform.settings.env,
        "source": platform.settings.source,
        "data_root": warehouse.store.location(""),
        "newest_finished_session": newest,
        "newest_forecast": forecasts[-1] if forecasts else None,
        "forecast_is_current": bool(forecasts) and forecasts[-1] == newest,
        "champion": champion["model"] if champion else None,
        "assets": {
            asset: {"partitions": len(keys), "first": keys[0] if keys else None, "last": keys[-1] if keys else None}
            for asset, keys in stored.items()
        },
        "conditions": [
            {"name": each.name, "ok": each.ok, "message": each.message}
            for each in conditions(warehouse, platform.settings, platform.calendar, now)
        ],
        "runs": [
            {"id": run.run_id, "job": run.job_name, "status": run.status.value, "partition": _partition_of(run)}
            for run in instance.get_runs(limit=SHOWN_RUNS)
        ],
    }


def _partition_of(run: dg.DagsterRun) -> str:
    start, end = (run.tags.get(f"dagster/asset_partition_range_{edge}") for edge in ("start", "end"))
    return f"{start} to {end}" if start else run.tags.get("dagster/partition", "")
