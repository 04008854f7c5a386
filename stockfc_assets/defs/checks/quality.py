"""Checks of data quality: one per kind of defect, with ticker, session, what was seen and what was expected.

What belongs here: showing the findings that price_quality and fact_quality recorded. What does not: finding them
(stockfc_assets/market/quality). They block nothing here: an error keeps its ticker out of the session's forecast
(forecasts/daily.py). Concept: https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from stockfc_assets.defs.checks.common import partitions_of
from stockfc_assets.defs.materialization import findings_table
from stockfc_assets.defs.resources import Platform
from stockfc_assets.market.findings import ERROR, FACT_DEFECTS, PRICE_DEFECTS, Defect
from stockfc_assets.market.quality.session import QUALITY


def build_checks() -> list[dg.AssetChecksDefinition]:
    """One check per price defect on price_quality, one per fact defect on fact_quality."""

    @dg.multi_asset_check(specs=_specs("price_quality", PRICE_DEFECTS))
    def price_defects(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        days = [key for key in _recorded(platform) if len(key) == len("2026-02-06")]
        yield from _results(platform, "price_quality", PRICE_DEFECTS, partitions_of(context, days))

    @dg.multi_asset_check(specs=_specs("fact_quality", FACT_DEFECTS))
    def fact_defects(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        months = [f"{key}-01" for key in _recorded(platform) if len(key) == len("2026-02")]
        keys = [key[:7] for key in partitions_of(context, months)]
        yield from _results(platform, "fact_quality", FACT_DEFECTS, keys)

    return [price_defects, fact_defects]


def _specs(asset: str, defects: Sequence[Defect]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            defect.name, asset=asset, description=f"{defect.title}. {defect.meaning} {defect.handling} {defect.remedy}"
        )
        for defect in defects
    ]


def _recorded(platform: Platform) -> list[str]:
    return platform.warehouse.partitions(QUALITY, ".json")


def _results(
    platform: Platform, asset: str, defects: Sequence[Defect], keys: Sequence[str]
) -> Iterator[dg.AssetCheckResult]:
    remedy = f"materialise {asset} again"
    documents = [platform.warehouse.read_json(f"{QUALITY}/{key}.json", remedy=remedy) for key in keys]
    found: dict[str, list[dict[str, Any]]] = {defect.name: [] for defect in defects}
    for document in documents:
        for row in document["findings"]:
            found[row["defect"]].append(row)
    for defect in defects:
        yield _result(asset, defect, found[defect.name], keys)


def _result(asset: str, defect: Defect, rows: list[dict[str, Any]], keys: Sequence[str]) -> dg.AssetCheckResult:
    errors = sum(row["severity"] == ERROR for row in rows)
    metadata: dict[str, Any] = {
        "partitions": f"{keys[0]} to {keys[-1]}" if keys else "none",
        "errors": errors,
        "warnings": len(rows) - errors,
    }
    if rows:
        metadata |= {"findings": findings_table(rows), "what to do": defect.remedy}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=defect.name,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if errors else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=_headline(rows) if rows else None,
    )


def _headline(rows: list[dict[str, Any]]) -> str:
    first, count = rows[0], len(rows)
    return (
        f"{count} finding{'' if count == 1 else 's'}; first: {first['ticker']} {first['session']}: "
        f"saw {first['seen']}; expected {first['expected']}"
    )
