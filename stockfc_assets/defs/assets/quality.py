"""Assets of data quality: what is wrong with a session's prices and a month's facts, as a record beside the data.

What belongs here: reading what was stored and refused, one call into `stockfc_assets.market.quality`, writing the record.
What does not: any law or threshold. Concept: https://docs.dagster.io/guides/test/data-quality-testing-with-dagster
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from stockfc_assets.defs.materialization import Written, declared, findings_table, record_all, write_each
from stockfc_assets.defs.partitions import QUALITY_LOOKBACK, WITH_PREVIOUS, Grids
from stockfc_assets.defs.resources import Platform
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.collect import parts
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.quality.facts import fact_findings
from stockfc_assets.market.quality.session import SessionQuality, write_quality

GROUP = "market"


def build_assets(grids: Grids) -> list[dg.AssetsDefinition]:
    """price_quality, fact_quality."""

    @dg.asset(
        **declared(GROUP, grids.sessions),
        kinds={"json", "polars"},
        code_version="1",
        deps=[dg.AssetDep("raw_ohlcv", partition_mapping=QUALITY_LOOKBACK)],
        description="Defects of a session's prices, each with ticker, session, what was seen and what was expected: what "
        "was refused on arrival and what stored rows up to that session show. Published as quality/{session}.json. An "
        "error keeps that ticker out of the session's forecast; a warning does not.",
    )
    def price_quality(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        judging = _judge_sessions(platform, sorted(context.partition_keys))
        yield from record_all(context, platform.warehouse.store.written_behind(judging))

    @dg.asset(
        **declared(GROUP, grids.months),
        kinds={"json", "polars"},
        code_version="1",
        deps=[dg.AssetDep("universe_enrichment", partition_mapping=WITH_PREVIOUS)],
        description="Doubts about a month's company facts: other currency or share basis than the prices, implausible "
        "values, nothing known. Published as quality/{month}.json, such as quality/2026-02.json.",
    )
    def fact_quality(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        def write(key: str) -> Written:
            month = dt.date.fromisoformat(key)
            before = add_months(month, -1).isoformat()
            facts = platform.warehouse.read_table("universe_enrichment", key)
            stored = before in platform.warehouse.partitions("universe_enrichment")
            previous = platform.warehouse.read_table("universe_enrichment", before) if stored else None
            record = platform.warehouse.read_records("universe_enrichment", [key]).get(key, {})
            arrived = FetchRecord.from_json(record).findings
            findings = pl.concat([arrived, fact_findings(facts, previous, platform.settings.quality)])
            return _write(platform, key[:7], findings, checked=facts.height)

        yield from write_each(context, sorted(context.partition_keys), write)

    return [price_quality, fact_quality]


def _judge_sessions(platform: Platform, keys: Sequence[str]) -> Iterator[tuple[str, Written]]:
    """Examines sessions, as many at once as memory allows, and writes their records one by one."""
    quality = SessionQuality(platform.warehouse, platform.calendar, platform.settings.quality)
    for part in parts([dt.date.fromisoformat(key) for key in keys], len(platform.known_tickers())):
        for session, rows, findings in quality.examine(part):
            yield session.isoformat(), _write(platform, session.isoformat(), findings, checked=rows)


def _write(platform: Platform, name: str, findings: pl.DataFrame, *, checked: int) -> Written:
    version, document = write_quality(platform.warehouse, name, findings, checked=checked)
    metadata = {"errors": document["errors"], "warnings": document["warnings"]}
    if document["findings"]:
        metadata |= {"defects": document["counts"], "findings": findings_table(document["findings"])}
    return Written(version, checked, metadata)
