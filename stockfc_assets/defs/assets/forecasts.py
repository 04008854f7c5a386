"""Assets of the forecasts room: the published predictions of a session, and its report.

What belongs here: reading and writing around one call into `stockfc_assets.forecasts`. What does not: inference.
onnxruntime is imported inside the functions, so that loading definitions does not load it.
Concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from stockfc_assets.charts import as_markdown_image, ranking_chart
from stockfc_assets.defs.materialization import Written, declared, partition_log, scores_table, write_each
from stockfc_assets.defs.partitions import (
    CHAMPION_REACH,
    REPORT_HISTORY,
    REPORT_PAST,
    SAME,
    SEQUENCE_LOOKBACK,
    Grids,
    sessions_before,
)
from stockfc_assets.defs.resources import Platform
from stockfc_assets.tables import Predictions

GROUP = "forecasts"
TRACK_RECORD_SESSIONS = 2_500
"""Lineage links a forecast to the ten years of forecasts that its track record may score."""

RECORD_COLUMNS = ("horizon", "n", "n_dates", "skill", "rank_ic", "rank_ic_hac_t", "hit_rate", "coverage")


def build_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    """daily_predictions, forecast_report."""

    @dg.asset(
        **declared(GROUP, grids.sessions, table=Predictions),
        kinds={"onnx", "json", "parquet"},
        code_version="3",
        deps=[
            dg.AssetDep("weekly_features", partition_mapping=SEQUENCE_LOOKBACK),
            dg.AssetDep("raw_ohlcv", partition_mapping=SAME),
            dg.AssetDep("price_quality", partition_mapping=SAME),
            dg.AssetDep("universe_enrichment", partition_mapping=CHAMPION_REACH),
            dg.AssetDep("champion_model", partition_mapping=CHAMPION_REACH),
            dg.AssetDep("daily_predictions", partition_mapping=sessions_before(TRACK_RECORD_SESSIONS)),
        ],
        description="Forecast prices 1 to 12 months ahead with 80 % intervals that follow their own misses, as of a "
        "session. One row per ticker and horizon; published as predictions/{session}.json and predictions/latest.json "
        "with the model, its track record and the tickers that were skipped.",
    )
    def daily_predictions(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        yield from _forecast(context, platform)

    @dg.asset(
        **declared(GROUP, grids.sessions),
        kinds={"html"},
        code_version="2",
        deps=[
            dg.AssetDep(daily_predictions, partition_mapping=REPORT_PAST),
            dg.AssetDep("raw_ohlcv", partition_mapping=REPORT_HISTORY),
            dg.AssetDep("weekly_features", partition_mapping=SEQUENCE_LOOKBACK),
            dg.AssetDep("universe_enrichment", partition_mapping=CHAMPION_REACH),
            dg.AssetDep("onnx_model", partition_mapping=CHAMPION_REACH),
            dg.AssetDep("champion_model", partition_mapping=SAME),
            dg.AssetDep("forecast_scores", partition_mapping=SAME),
            dg.AssetDep("backtest", partition_mapping=SAME),
        ],
        description="One self-contained HTML page per session: what is forecast and how sure it is, how good such "
        "forecasts have been beside simple rules, what trading on them would have brought after costs, why, by which model.",
    )
    def forecast_report(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        keys = sorted(context.partition_keys)
        yield from write_each(context, keys, lambda key: _report(platform, key))

    return [daily_predictions, forecast_report]


def _forecast(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:
    """Forecasts the run's sessions."""
    from stockfc_assets.evaluation.daily_run import DailyRun
    from stockfc_assets.forecasts.models import champion_for

    run = DailyRun(platform.warehouse, platform.settings, platform.calendar)
    with partition_log(context) as log:
        for key in sorted(context.partition_keys):
            session = dt.date.fromisoformat(key)
            forecast = run.publish(session)
            reason = champion_for(platform.warehouse, session)["reason"]
            log.add(key, _describe(forecast.document, forecast.data_version, forecast.table.height, reason))
    yield from log.results()


def _report(platform: Platform, key: str) -> Written:
    from stockfc_assets.forecasts.session_report import session_report

    session = dt.date.fromisoformat(key)
    report = session_report(platform.warehouse, platform.settings, platform.calendar, session)
    file = f"forecast_report/{key}.html"
    version = platform.warehouse.write_file(file, report.page)
    return Written(
        version,
        metadata={
            "report": dg.MetadataValue.path(platform.warehouse.store.location(file)),
            "kilobytes": len(report.page) // 1000,
            "in_short": dg.MetadataValue.md("\n".join(f"- {line}" for line in report.headlines)),
        },
    )


def _describe(document: dict[str, Any], version: str, rows: int, reason: str) -> Written:
    """``reason``: why the gate let this model serve."""
    ranked = sorted(document["predictions"], key=lambda stock: stock["predicted_12m_return"], reverse=True)
    record = document["track_record"]
    overall = record["overall"]
    matured = overall["n"] or 0
    scored = [{"horizon": "all", **overall}, *record["horizons"]]
    return Written(
        version,
        rows,
        {
            "forecasts": document["num_predictions"],
            "skipped": {entry["ticker"]: entry["reason"] for entry in document["skipped"]},
            "model": document["model"]["id"],
            "model_status": document["model"]["status"],
            "why_it_serves": reason,
            "matured_forecasts": matured,
            "skill_against_no_change": overall["skill"] if matured else "no forecast has matured yet",
            "track_record": scores_table(scored, RECORD_COLUMNS),
            "source": document["source"]["label"],
            "ranking": dg.MetadataValue.md(as_markdown_image(ranking_chart(ranked), "12-month forecasts")),
        },
    )
