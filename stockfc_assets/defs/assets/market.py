"""Assets of the market room: the universe, prices as traded, and dated company facts.

What belongs here: reading and writing around one call into `stockfc_assets.market`. What does not: prices and splits
arithmetic. Concept: https://docs.dagster.io/guides/build/assets/defining-assets
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import polars as pl

from stockfc_assets.defs.materialization import Written, declared, partition_log, write_each
from stockfc_assets.defs.partitions import FACTS_HISTORY_MONTHS, Grids, history_before
from stockfc_assets.defs.resources import Platform
from stockfc_assets.market.collect import SAID_FINDINGS, Collected, PriceCollector
from stockfc_assets.market.enrichment import enrich
from stockfc_assets.market.findings import sentence
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.membership import universe_table
from stockfc_assets.tables import RawOhlcv, Universe, UniverseEnrichment

GROUP = "market"


class FetchOptions(dg.Config):
    """``refetch``: ask a remote source also for what is stored, and take its newest version."""

    refetch: bool = False


def build_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    """universe, raw_ohlcv, universe_enrichment."""

    @dg.asset(
        **declared(GROUP, table=Universe),
        kinds={"yaml", "parquet"},
        code_version="1",
        description="Which stocks belong and between which dates, from config/universes. One row per ticker and "
        "membership interval. Its data version is the hash of its content.",
    )
    def universe(platform: dg.ResourceParam[Platform]) -> dg.MaterializeResult:
        settings = platform.settings
        frame = universe_table(settings.universe, settings.sectors, platform.calendar.profile.currency)
        version = platform.warehouse.write_table("universe", "universe", frame)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(version),
            metadata={
                "dagster/row_count": frame.height,
                "tickers": frame["ticker"].n_unique(),
                "benchmark": settings.benchmark,
                "exchange": settings.universe.exchange,
                "note": settings.universe.note or "none",
                "kept_although_removed": list(settings.removed_stocks),
            },
        )

    @dg.asset(
        **declared(GROUP, grids.sessions, table=RawOhlcv),
        kinds={"parquet", "polars"},
        code_version="2",
        pool="market_data",
        deps=[universe],
        description="Prices, volume, dividends and splits as traded. One row per ticker that traded on the session; "
        "prices in the listing currency, volume in shares of that day's basis. A session without a trade has no row. "
        "A range is fetched with one request per ticker; what is stored is not asked for again (config: refetch).",
    )
    def raw_ohlcv(
        context: dg.AssetExecutionContext, config: FetchOptions, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        yield from _fetch_sessions(context, platform, refetch=config.refetch)

    @dg.asset(
        **declared(GROUP, grids.months, table=UniverseEnrichment),
        kinds={"parquet", "polars"},
        code_version="1",
        pool="market_data",
        deps=[
            dg.AssetDep(universe),
            dg.AssetDep(raw_ohlcv, partition_mapping=history_before(FACTS_HISTORY_MONTHS)),
        ],
        description="Company facts known at the month's start. One row per member; per share, in the listing currency, "
        "on the share basis of that date; ratios with the last as-traded close before it. Unknown facts are null.",
    )
    def universe_enrichment(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        def write(key: str) -> Written:
            return _write_facts(context, platform, key)

        yield from write_each(context, sorted(context.partition_keys), write)

    return [universe, raw_ohlcv, universe_enrichment]


def _write_facts(context: dg.AssetExecutionContext, platform: Platform, key: str) -> Written:
    month = dt.date.fromisoformat(key)
    members = platform.settings.universe.members(month)
    result = platform.source.fetch_facts(members, month)
    for note in result.notes:
        context.log.info(note)
    for ticker, reason in result.failures.items():
        context.log.warning(f"{ticker}: no facts: {reason}")
    raw = platform.raw_before(result.as_of, months=FACTS_HISTORY_MONTHS)
    frame = enrich(result.facts, raw, result.as_of, members)
    record = FetchRecord(failed=result.failures, findings=result.findings)
    version = platform.warehouse.write_table("universe_enrichment", key, frame, record=record.as_json())
    known = frame.height - frame["eps_ttm"].null_count()
    return Written(
        version,
        frame.height,
        {
            "source": platform.source.label,
            "known_on": result.as_of.isoformat(),
            "with_earnings": known,
            "failed_tickers": result.failures,
            "notes": list(result.notes),
        },
    )


def _fetch_sessions(
    context: dg.AssetExecutionContext, platform: Platform, *, refetch: bool
) -> Iterator[dg.MaterializeResult]:
    """Fetches what the run's range lacks and records each session as it is written."""
    sessions = [dt.date.fromisoformat(key) for key in sorted(context.partition_keys)]
    platform.claim_data_root()
    collector = PriceCollector(
        platform.warehouse, platform.source, platform.calendar, say=context.log.info, warn=context.log.warning
    )
    collecting = collector.collect(sessions, platform.fetched_tickers(sessions[0]), refetch=refetch)
    with partition_log(context) as log:
        for collected in platform.warehouse.store.written_behind(collecting):
            log.add(collected.session.isoformat(), _describe(collected, platform.source.label))
    yield from log.results()


def _describe(collected: Collected, source: str) -> Written:
    rows, record = collected.rows, collected.record
    return Written(
        collected.data_version,
        rows.height,
        {
            "source": source,
            "failed_tickers": dict(record.failed),
            "splits": rows.filter(pl.col("split_ratio") != 1)["ticker"].to_list(),
            "findings_on_arrival": [sentence(row) for row in record.findings.head(SAID_FINDINGS).to_dicts()],
        },
    )
