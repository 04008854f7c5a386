"""Assets of the evaluation room: what the published forecasts were worth, in scores and in money.

What belongs here: reading and writing around one call into `stockfc_assets.evaluation`. What does not: any score.
Concept: https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from stockfc_assets.defs.materialization import Written, declared, scores_table
from stockfc_assets.defs.partitions import Grids, history_before, up_to
from stockfc_assets.defs.spread import Share, spread_asset
from stockfc_assets.evaluation.backtest import LONG_ONLY, LONG_SHORT
from stockfc_assets.evaluation.backtest_record import month_backtest, rankings_before
from stockfc_assets.evaluation.record import baselines_before, published_before
from stockfc_assets.evaluation.record import forecast_scores as score_published
from stockfc_assets.running_settings import ExecutionSettings
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.terminal_record import backtest_table

GROUP = "evaluation"
TRACK_MONTHS = 120
"""Lineage links a month's scores to the ten years of forecasts and prices before it; older ones are scored, too."""

SHOWN = ("n", "n_dates", "skill", "rank_ic", "rank_ic_hac_t", "decile_spread", "hit_rate", "coverage", "note")
FIGURES = (
    "annual_return", "sharpe", "sharpe_error", "max_drawdown", "cost_drag_per_year", "turnover_per_year",
)  # fmt: skip
"""Of long-only and long-short, as numbers of their own: Dagster draws them over the months."""


def build_assets(grids: Grids, execution: ExecutionSettings) -> list[dg.AssetsDefinition]:
    """forecast_scores, backtest."""

    @spread_asset(
        execution,
        **declared(GROUP, grids.months),
        kinds={"json", "polars"},
        code_version="2",
        deps=[
            dg.AssetDep("daily_predictions", partition_mapping=history_before(TRACK_MONTHS)),
            dg.AssetDep("raw_ohlcv", partition_mapping=history_before(TRACK_MONTHS)),
            dg.AssetDep("baseline_forecasts", partition_mapping=up_to(TRACK_MONTHS)),
        ],
        description="How the published forecasts turned out, of those whose horizon was over when the month began: scores "
        "per horizon and overall, by sector, year and model, and beside the baselines. Published as "
        "forecast_scores/{month}.json.",
    )
    def forecast_scores(share: Share) -> Iterator[tuple[str, Written]]:
        platform = share.platform
        published = published_before(platform.warehouse, platform.calendar, dt.date.fromisoformat(share.keys[-1]))
        for key in share.keys:
            month = dt.date.fromisoformat(key)
            document = score_published(published, month, baselines_before(platform.warehouse, month))
            version = platform.warehouse.write_file(f"forecast_scores/{key}.json", document_bytes(document))
            yield key, Written(version, metadata=_scores_metadata(document))

    @spread_asset(
        execution,
        **declared(GROUP, grids.months),
        kinds={"json", "numpy"},
        code_version="1",
        deps=[
            dg.AssetDep("daily_predictions", partition_mapping=history_before(TRACK_MONTHS)),
            dg.AssetDep("raw_ohlcv", partition_mapping=history_before(TRACK_MONTHS)),
        ],
        description="What trading on the forecasts published before the month would have brought until then, after costs: "
        "long-short, long-only, the equal-weighted universe and the benchmark (rules: config/backtest.yaml). Published "
        "as backtest/{month}.json.",
    )
    def backtest(share: Share) -> Iterator[tuple[str, Written]]:
        platform = share.platform
        rankings = rankings_before(platform.warehouse, platform.calendar, dt.date.fromisoformat(share.keys[-1]))
        for key in share.keys:
            document = month_backtest(rankings, dt.date.fromisoformat(key), platform.settings, platform.source_label())
            version = platform.warehouse.write_file(f"backtest/{key}.json", document_bytes(document))
            yield key, Written(version, metadata=_backtest_metadata(document))

    return [forecast_scores, backtest]


def _scores_metadata(document: dict[str, Any]) -> dict[str, Any]:
    overall = document["overall"]
    if not overall["n"]:
        return {"matured_forecasts": 0, "note": document["note"]}
    columns = ("horizon", *SHOWN)
    rows = [{"horizon": "all", **overall}, *document["horizons"]]
    return {
        "matured_forecasts": overall["n"],
        "skill_against_no_change": overall["skill"],
        "scores": scores_table(rows, columns),
    }


def _backtest_metadata(document: dict[str, Any]) -> dict[str, Any]:
    months = {"months_traded": len(document["decisions"])}
    if not document["portfolios"]:
        return {**months, "note": document["note"]}
    figures = {
        f"{name}_{key}": document["portfolios"][name][key]
        for name in (LONG_ONLY, LONG_SHORT)
        for key in FIGURES
        if document["portfolios"][name][key] is not None
    }
    header, *rows = ("| " + " | ".join(cells) + " |" for cells in backtest_table(document))
    ruler = "|---" + "|---:" * len(document["portfolios"]) + "|"
    return {
        **months,
        "from": document["from"],
        "to": document["to"],
        **figures,
        "portfolios": dg.MetadataValue.md("\n".join([header, ruler, *rows])),
    }
