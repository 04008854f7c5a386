"""Assets of the evaluation room: what the published forecasts were worth.

What belongs here: reading and writing around one call into `stockfc_assets.evaluation`. What does not: any score.
Concept: https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from stockfc_assets.defs.materialization import Written, declared, write_each
from stockfc_assets.defs.partitions import Grids, history_before, up_to
from stockfc_assets.defs.resources import Platform
from stockfc_assets.evaluation.record import baselines_before, published_before
from stockfc_assets.evaluation.record import forecast_scores as score_published
from stockfc_assets.storage.warehouse import document_bytes

GROUP = "evaluation"
TRACK_MONTHS = 120
"""Lineage links a month's scores to the ten years of forecasts and prices before it; older ones are scored, too."""

SHOWN = ("n", "n_dates", "skill", "rank_ic", "rank_ic_hac_t", "decile_spread", "hit_rate", "coverage", "note")


def build_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    """forecast_scores."""

    @dg.asset(
        **declared(GROUP, grids.months),
        kinds={"json", "polars"},
        code_version="1",
        deps=[
            dg.AssetDep("daily_predictions", partition_mapping=history_before(TRACK_MONTHS)),
            dg.AssetDep("raw_ohlcv", partition_mapping=history_before(TRACK_MONTHS)),
            dg.AssetDep("baseline_forecasts", partition_mapping=up_to(TRACK_MONTHS)),
        ],
        description="How the published forecasts turned out, of those whose horizon was over when the month began: scores "
        "per horizon and overall, by sector, year and model, and beside the baselines. Published as "
        "forecast_scores/{month}.json.",
    )
    def forecast_scores(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        keys = sorted(context.partition_keys)
        published = published_before(platform.warehouse, platform.calendar, dt.date.fromisoformat(keys[-1]))

        def write(key: str) -> Written:
            month = dt.date.fromisoformat(key)
            document = score_published(published, month, baselines_before(platform.warehouse, month))
            version = platform.warehouse.write_file(f"forecast_scores/{key}.json", document_bytes(document))
            return Written(version, metadata=_metadata(document))

        yield from write_each(context, keys, write)

    return [forecast_scores]


def _metadata(document: dict[str, Any]) -> dict[str, Any]:
    overall = document["overall"]
    if not overall["n"]:
        return {"matured_forecasts": 0, "note": document["note"]}
    columns = ("horizon", *SHOWN)
    rows = [{"horizon": "all", **overall}, *document["horizons"]]
    return {
        "matured_forecasts": overall["n"],
        "skill_against_no_change": overall["skill"],
        "scores": dg.MetadataValue.table(
            [dg.TableRecord({name: _shown(row[name]) for name in columns}) for row in rows]
        ),
    }


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
