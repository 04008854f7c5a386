"""`stockfc doctor`: is everything in place for tonight's forecast?

What belongs here: one finding per thing that must hold, each with a remedy. What does not: mending anything.
Concept: https://docs.dagster.io/guides/build/projects (validating definitions)
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from stockfc_assets.defs.instance import materialized
from stockfc_assets.defs.resources import Platform
from stockfc_assets.errors import DataError, StockfcError
from stockfc_assets.forecasts.models import champion_for, model_files
from stockfc_assets.forecasts.publication import LATEST, read_document
from stockfc_assets.forecasts.session_record import superseded_forecast
from stockfc_assets.market.quality.session import QUALITY
from stockfc_assets.storage import Warehouse
from stockfc_assets.storage.warehouse import content_version

PROBE = ".doctor"
VERSION_TAG = "dagster/data_version"
VERSIONED_FILES = {
    "raw_ohlcv": "raw_ohlcv/{}.parquet",
    "weekly_features": "weekly_features/{}.parquet",
    "daily_predictions": "predictions/{}.json",
}
"""Asset -> the file whose hash is its data version."""

READ_BACK_SESSIONS = 20
REMEDY = "materialise price_quality again"


def diagnose(
    platform: Platform, definitions: dg.Definitions, instance: dg.DagsterInstance, now: dt.datetime
) -> list[dict[str, Any]]:
    """One finding per check: ``check``, ``ok``, ``message`` (what was seen, or the error with its remedy)."""
    checks: dict[str, Callable[[], str]] = {
        "configuration": lambda: _configuration(platform),
        "definitions": lambda: _definitions(definitions),
        "storage": lambda: _storage(platform),
        "stored data": lambda: _stored_data(platform, instance),
        "data quality": lambda: _quality(platform),
        "source": lambda: _source(platform, now),
        "calendar": lambda: _calendar(platform, now),
        "model": lambda: _model(platform, now),
        "published": lambda: _published(platform),
        "track record": lambda: _track_record(platform),
    }
    findings = []
    for name, check in checks.items():
        try:
            findings.append({"check": name, "ok": True, "message": check()})
        except (StockfcError, OSError, dg.DagsterError) as error:
            findings.append({"check": name, "ok": False, "message": str(error)})
    return findings


def _configuration(platform: Platform) -> str:
    settings = platform.settings
    return (
        f"environment {settings.env!r} from {settings.config_dir}; {len(settings.universe.stocks)} stocks of "
        f"{settings.universe.name}, benchmark {settings.benchmark}"
    )


def _definitions(definitions: dg.Definitions) -> str:
    dg.Definitions.validate_loadable(definitions)
    return f"{len(list(definitions.resolve_asset_graph().get_all_asset_keys()))} assets load"


def _storage(platform: Platform) -> str:
    store = platform.warehouse.store
    store.write_bytes(PROBE, b"probe")
    if store.read_bytes(PROBE) != b"probe":
        raise OSError(f"{store.location(PROBE)}: what was written is not what is read back; check the disk")
    store.delete(PROBE)
    return f"{store.location('')} can be written and read"


def _stored_data(platform: Platform, instance: dg.DagsterInstance) -> str:
    problems: dict[str, str] = {}
    count = 0
    for asset in VERSIONED_FILES:
        keys = platform.warehouse.partitions(asset)
        count += len(keys)
        suspects = {*keys[-READ_BACK_SESSIONS:], *platform.warehouse.without_footer(asset)}
        problems |= _vanished(platform.warehouse, instance, asset, keys)
        problems |= _altered_partitions(platform.warehouse, instance, asset, keys)
        problems |= platform.warehouse.corrupt_partitions(asset, sorted(suspects))
    if problems:
        raise OSError("; ".join(problems.values()))
    return f"{count} partitions hold the bytes that were materialised, the newest {READ_BACK_SESSIONS} of each table read back"


def _vanished(
    warehouse: Warehouse, instance: dg.DagsterInstance, asset: str, partitions: Sequence[str]
) -> dict[str, str]:
    """One reason for all partitions that Dagster has recorded and that are not stored: nothing here ever removes them."""
    gone = sorted(materialized(instance, asset) - set(partitions))
    if not gone:
        return {}
    command = "daily" if asset == "daily_predictions" else "backfill"
    return {
        asset: f"{warehouse.store.location(asset)}: {len(gone)} of the partitions that were materialised are gone, from "
        f"{gone[0]} to {gone[-1]}; restore them, or run `stockfc {command} --from {gone[0]} --to {gone[-1]}`"
    }


def _altered_partitions(
    warehouse: Warehouse, instance: dg.DagsterInstance, asset: str, partitions: Sequence[str]
) -> dict[str, str]:
    """Partition -> reason, where the file is not the one whose hash the run recorded: one flipped bit in five of a
    Parquet file reads as other numbers, without an error."""
    recorded = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION, [VERSION_TAG]
    )

    def problem(partition: str) -> str | None:
        version, key = recorded.get(partition, {}).get(VERSION_TAG, ""), VERSIONED_FILES[asset].format(partition)
        try:
            found = content_version(warehouse.store.read_bytes(key))
        except FileNotFoundError:
            return f"{warehouse.store.location(key)}: missing; materialise {asset} for {partition} again"
        # Dagster's own version of a range of partitions, which a run killed at its very end may leave, is longer.
        if len(version) != len(found) or version == found:
            return None
        return (
            f"{warehouse.store.location(key)}: altered after it was written (its hash is {found}, not {version}); "
            f"materialise {asset} for {partition} again"
        )

    found = zip(partitions, warehouse.store.map(problem, partitions), strict=True)
    return {partition: message for partition, message in found if message is not None}


def _quality(platform: Platform) -> str:
    """What the newest sessions' records hold; findings are no failure of the set-up, so this is never one."""
    days = [key for key in platform.warehouse.partitions(QUALITY, ".json") if len(key) == len("2026-02-06")]
    newest = days[-READ_BACK_SESSIONS:]
    if not newest:
        return "no record yet: run `stockfc backfill`"
    documents = [platform.warehouse.read_json(f"{QUALITY}/{key}.json", remedy=REMEDY) for key in newest]
    return (
        f"{newest[-1]}: {_counted(documents[-1:])}; the newest {len(newest)} sessions: {_counted(documents)}"
        " (`stockfc quality` lists them)"
    )


def _counted(documents: list[dict[str, Any]]) -> str:
    errors, warnings = (sum(document[key] for document in documents) for key in ("errors", "warnings"))
    defects: Counter[str] = Counter()
    for document in documents:
        defects.update(document["counts"])
    named = ", ".join(f"{name} {count}" for name, count in defects.most_common())
    return f"{errors} errors, {warnings} warnings" + (f" ({named})" if named else "")


def _source(platform: Platform, now: dt.datetime) -> str:
    """Describes the source and asks it one real question: the newest session of one ticker."""
    platform.claim_data_root()
    described = ", ".join(f"{key} {value}" for key, value in platform.source.describe().items())
    ticker, session = platform.settings.universe.tickers[0], platform.newest_session(now)
    answer = platform.source.fetch_bars([ticker], session, session)
    if answer.failures:
        raise DataError(f"{platform.source.label}: {ticker} {session}: {answer.failures[ticker]}; {described}")
    closes = answer.bars["close"].to_list()
    told = f"{ticker} {session} closed at {closes[0]:g}" if closes else f"{ticker} has no row on {session}"
    return f"{platform.source.label}: {told}; {described}"


def _calendar(platform: Platform, now: dt.datetime) -> str:
    calendar = platform.calendar
    if calendar.last_known - now.date() < dt.timedelta(days=platform.settings.environment.alarms.calendar_days):
        raise StockfcError(
            f"the {calendar.profile.code} calendar ends on {calendar.last_known}; update the exchange_calendars package"
        )
    return f"{calendar.profile.code}: newest finished session {calendar.newest_closed(now)}, known to {calendar.last_known}"


def _model(platform: Platform, now: dt.datetime) -> str:
    from stockfc_assets.forecasts.inference import OnnxForecaster

    if not platform.warehouse.partitions("raw_ohlcv"):
        return "none yet: run `stockfc backfill`, then `stockfc monthly`"
    session = platform.newest_session(now)
    champion = champion_for(platform.warehouse, session)["model"]
    data, card = model_files(platform.warehouse, dt.date.fromisoformat(f"{champion['month']}-01"))
    OnnxForecaster(data, card, sectors=platform.settings.sectors)
    return f"{champion['id']} ({champion['status']}) serves, trained through {champion['trained_through']}"


def _published(platform: Platform) -> str:
    """What readers get: latest.json, and the newest session's own file. Raises DataError where one is missing or damaged."""
    sessions = platform.warehouse.partitions("daily_predictions")
    if not sessions:
        return "no forecast yet: run `stockfc daily`"
    for key in (f"predictions/{sessions[-1]}.json", LATEST):
        data = platform.warehouse.read_file(key, remedy=f"run `stockfc daily --session {sessions[-1]}`")
        newest = read_document(data, location=platform.warehouse.store.location(key))
    return f"latest.json is the forecast of {newest.get('session')}, {newest['num_predictions']} stocks"


def _track_record(platform: Platform) -> str:
    """The newest month's scores and backtest; that there are none yet is no failure. Raises DataError when the newest
    forecast is by a model that was replaced."""
    stale = superseded_forecast(platform.warehouse)
    if stale:
        raise DataError(stale)
    newest = {}
    for asset in ("forecast_scores", "backtest"):
        months = platform.warehouse.partitions(asset, ".json")
        if not months:
            return f"no {asset} yet: run `stockfc monthly`"
        newest[asset] = platform.warehouse.read_json(
            f"{asset}/{months[-1]}.json", remedy=f"run `stockfc monthly --month {months[-1][:7]}`"
        )
    scores, backtest = newest["forecast_scores"], newest["backtest"]
    return (
        f"{scores['month'][:7]}: {scores['overall']['n']:,} matured forecasts scored; "
        f"{backtest['month'][:7]}: {len(backtest['decisions'])} monthly rankings traded in the backtest"
    )
