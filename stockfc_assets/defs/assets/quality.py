"""Assets of data quality: what is wrong with a session's prices and a month's facts, as a record beside the data.

What belongs here: reading what was stored and refused, one call into `stockfc_assets.market.quality`, writing the record.
What does not: any law or threshold. Concept: https://docs.dagster.io/guides/test/data-quality-testing-with-dagster
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import polars as pl

from stockfc_assets.defs.materialization import Written, declared, findings_table, partition_log, write_each
from stockfc_assets.defs.partitions import QUALITY_LOOKBACK, WITH_PREVIOUS, Grids
from stockfc_assets.defs.resources import Platform
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.collect import parts
from stockfc_assets.market.findings import FINDINGS_SCHEMA
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.quality.facts import fact_findings
from stockfc_assets.market.quality.session import QUALITY, SessionQuality
from stockfc_assets.market.quality.summary import quality_document
from stockfc_assets.storage.warehouse import document_bytes

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
        sessions = [dt.date.fromisoformat(key) for key in sorted(context.partition_keys)]
        quality = SessionQuality(platform.warehouse, platform.calendar, platform.settings.quality)
        with partition_log(context) as log:
            for part in parts(sessions, len(platform.known_tickers())):
                for session, rows, findings in quality.examine(part):
                    log.add(session.isoformat(), _write(platform, session.isoformat(), findings, checked=rows))
        yield from log.results()

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


def _write(platform: Platform, name: str, findings: pl.DataFrame, *, checked: int) -> Written:
    document = quality_document(name, findings.select(FINDINGS_SCHEMA.names()), checked=checked)
    version = platform.warehouse.write_file(f"{QUALITY}/{name}.json", document_bytes(document))
    metadata = {"errors": document["errors"], "warnings": document["warnings"]}
    if document["findings"]:
        metadata |= {"defects": document["counts"], "findings": findings_table(document["findings"])}
    return Written(version, checked, metadata)
