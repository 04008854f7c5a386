"""Assets of the features room: weekly features per session, and the panel that training reads.

What belongs here: reading and writing around one call into `stockfc_assets.features`. What does not: formulas.
Concept: https://docs.dagster.io/guides/build/assets/defining-assets
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg
import numpy as np
import polars as pl

from stockfc_assets.defs.materialization import Written, declared
from stockfc_assets.defs.partitions import FEATURE_LOOKBACK, Grids, history_before
from stockfc_assets.defs.resources import Platform
from stockfc_assets.defs.spread import Share, spread_asset
from stockfc_assets.features.names import HORIZONS, WEEKLY_FEATURES
from stockfc_assets.features.panel import build_panel
from stockfc_assets.features.panel_file import panel_bytes
from stockfc_assets.features.session_features import write_features
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.collect import parts
from stockfc_assets.running_settings import ExecutionSettings
from stockfc_assets.tables import UniverseEnrichment, WeeklyFeatures

GROUP = "features"


def build_assets(grids: Grids, history_months: int, execution: ExecutionSettings) -> list[dg.AssetsDefinition]:
    """weekly_features, training_panel."""

    @spread_asset(
        execution,
        **declared(GROUP, grids.sessions, table=WeeklyFeatures),
        kinds={"parquet", "polars"},
        code_version="1",
        deps=["universe", dg.AssetDep("raw_ohlcv", partition_mapping=FEATURE_LOOKBACK)],
        description="The 23 features of the week so far, as of a session. One row per ticker that traded; from prices "
        "adjusted for the splits known at that session. Needs about 53 weeks before it; null where there is less.",
    )
    def weekly_features(share: Share) -> Iterator[tuple[str, Written]]:
        yield from share.platform.warehouse.store.written_behind(_features_of(share.platform, share.keys))

    @spread_asset(
        execution,
        **declared(GROUP, grids.months),
        kinds={"arrow", "numpy"},
        code_version="1",
        deps=[
            "universe",
            dg.AssetDep(weekly_features, partition_mapping=history_before(history_months)),
            dg.AssetDep("raw_ohlcv", partition_mapping=history_before(history_months)),
            dg.AssetDep("universe_enrichment", partition_mapping=history_before(history_months)),
        ],
        description="What training of a month may read: dense arrays of features, facts, positions and forward log "
        "returns [ticker, session, 12], only what was known before the month began. Arrow IPC, memory-mapped.",
    )
    def training_panel(share: Share) -> Iterator[tuple[str, Written]]:
        yield from _build_panels(share.platform, share.keys, history_months)

    return [weekly_features, training_panel]


def _features_of(platform: Platform, keys: Sequence[str]) -> Iterator[tuple[str, Written]]:
    """Computes sessions, as many at once as memory allows, and writes them one by one."""
    for part in parts([dt.date.fromisoformat(key) for key in keys], len(platform.known_tickers())):
        for written in write_features(platform.warehouse, platform.settings, platform.calendar, part):
            cells = written.rows.height * len(WEEKLY_FEATURES)
            nulls = sum(written.rows.select(WEEKLY_FEATURES).null_count().row(0)) if cells else 0
            metadata = {"null_share": nulls / cells if cells else 0.0}
            yield written.session.isoformat(), Written(written.data_version, written.rows.height, metadata)


def _build_panels(platform: Platform, keys: Sequence[str], history_months: int) -> Iterator[tuple[str, Written]]:
    """Reads what the months ``keys`` know together, and writes one panel per month."""
    months = [dt.date.fromisoformat(key) for key in keys]
    start = add_months(months[0], -history_months)
    sessions = platform.sessions_between(start, months[-1] - dt.timedelta(days=1))
    features = platform.warehouse.read_tables("weekly_features", sessions)
    if features is None:
        first = max(start, platform.settings.environment.history_start)
        raise dg.Failure(
            f"training_panel {months[0]}: no weekly_features between {first} and {months[-1]}; "
            f"run `stockfc backfill --from {first}` first",
            allow_retries=False,
        )
    raw = platform.raw_between(start, months[-1] - dt.timedelta(days=1))
    enrichments = platform.warehouse.read_tables(
        "universe_enrichment", (add_months(months[0], n).isoformat() for n in range(-history_months, len(months)))
    )

    def write(key: str) -> Written:
        month = dt.date.fromisoformat(key)
        begins = add_months(month, -history_months)
        known = pl.col("session").is_between(begins, month, closed="left")
        panel = build_panel(
            features.filter(known),
            raw.filter(known),
            UniverseEnrichment.create_empty() if enrichments is None else enrichments.filter(pl.col("as_of") < month),
            platform.settings.universe,
            platform.settings.sectors,
            platform.calendar.sessions,
            begins,
            month,
            benchmark=platform.settings.benchmark,
        )
        data = panel_bytes(panel)
        version = platform.warehouse.write_file(f"training_panel/{key}.arrow", data)
        return Written(
            version,
            metadata={
                "samples": int(panel.eligible.sum()),
                "tickers": len(panel.tickers),
                "sessions": len(panel.sessions),
                "labels": {f"{h} months": int(np.isfinite(panel.labels[..., h - 1]).sum()) for h in HORIZONS},
                "megabytes": round(len(data) / 1e6, 1),
            },
        )

    for key in keys:
        yield key, write(key)
