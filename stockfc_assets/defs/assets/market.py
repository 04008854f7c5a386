"""Assets of the market room: the universe, prices as traded, and dated company facts.

What belongs here: reading and writing around one call into `stockfc_assets.market`. What does not: prices and splits
arithmetic. Concept: https://docs.dagster.io/guides/build/assets/defining-assets
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import polars as pl

from stockfc_assets.defs.materialization import Written, declared, write_each
from stockfc_assets.defs.partitions import FACTS_HISTORY_MONTHS, Grids, history_before
from stockfc_assets.defs.resources import Platform
from stockfc_assets.market.enrichment import enrich
from stockfc_assets.market.ingest import keep_rows_of_failed_tickers
from stockfc_assets.market.membership import universe_table
from stockfc_assets.tables import RawOhlcv, Universe, UniverseEnrichment

GROUP = "market"
FETCH_LOG_LIMIT = 20


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
            },
        )

    @dg.asset(
        **declared(GROUP, grids.sessions, table=RawOhlcv),
        kinds={"parquet", "polars"},
        code_version="1",
        pool="market_data",
        deps=[universe],
        description="Prices, volume, dividends and splits as traded. One row per ticker that traded on the session; "
        "prices in the listing currency, volume in shares of that day's basis. A session without a trade has no row. "
        "A range is fetched with one request per ticker.",
    )
    def raw_ohlcv(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        yield from _fetch_sessions(context, platform)

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
            month = dt.date.fromisoformat(key)
            members = platform.settings.universe.members(month)
            facts = platform.source.fetch_facts(members, month)
            for ticker, reason in facts.failures.items():
                context.log.warning(f"{ticker}: no facts: {reason}")
            raw = platform.raw_before(month, months=FACTS_HISTORY_MONTHS)
            frame = enrich(facts.facts, raw, month, members)
            version = platform.warehouse.write_table("universe_enrichment", key, frame)
            known = frame.height - frame["eps_ttm"].null_count()
            return Written(version, frame.height, {"source": platform.source.label, "with_earnings": known})

        yield from write_each(context, sorted(context.partition_keys), write)

    return [universe, raw_ohlcv, universe_enrichment]


def _fetch_sessions(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:
    """Fetches the run's range once and writes it session by session."""
    keys = sorted(context.partition_keys)
    platform.claim_data_root()
    tickers = platform.fetched_tickers()
    context.log.info(f"fetching {len(tickers)} tickers, {keys[0]} to {keys[-1]}, from {platform.source.label}")
    fetched = platform.source.fetch_bars(tickers, dt.date.fromisoformat(keys[0]), dt.date.fromisoformat(keys[-1]))
    for message in fetched.warnings[:FETCH_LOG_LIMIT]:
        context.log.warning(message)
    for ticker, reason in fetched.failures.items():
        context.log.warning(f"{ticker}: not fetched: {reason}")
    by_session = {
        key[0].isoformat(): frame for key, frame in fetched.bars.partition_by("session", as_dict=True).items()
    }
    empty = fetched.bars.clear()
    stored = set(platform.warehouse.partitions("raw_ohlcv")) if fetched.failures else set()

    def write(key: str) -> Written:
        bars = by_session.get(key, empty)
        if key in stored:
            earlier = platform.warehouse.read_table("raw_ohlcv", key)
            bars = keep_rows_of_failed_tickers(earlier, bars, fetched.failures)
        version = platform.warehouse.write_table("raw_ohlcv", key, bars)
        return Written(
            version,
            bars.height,
            {
                "source": platform.source.label,
                "failed_tickers": fetched.failures,
                "splits": bars.filter(pl.col("split_ratio") != 1)["ticker"].to_list(),
                "warnings": [text for text in fetched.warnings if f" {key}: " in text],
            },
        )

    yield from write_each(context, keys, write)
