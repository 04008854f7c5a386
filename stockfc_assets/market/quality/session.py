"""The quality of stored sessions: what was refused on arrival and what the stored rows show, session by session.

Reads a warehouse (raw_ohlcv with its records) and says what it found; `write_quality` publishes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import FINDINGS_SCHEMA, finding, findings_frame, in_order
from stockfc_assets.market.ingest import FetchRecord
from stockfc_assets.market.quality.stored import LOOKBACK_SESSIONS, stored_findings
from stockfc_assets.market.quality.summary import quality_document
from stockfc_assets.settings import QualitySettings
from stockfc_assets.storage import Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import RawOhlcv

QUALITY = "quality"
"""The folder of the published records."""


def write_quality(
    warehouse: Warehouse, name: str, findings: pl.DataFrame, *, checked: int
) -> tuple[str, dict[str, Any]]:
    """Publishes ``quality/{name}.json`` of a session or month; returns its data version and content.

    ``checked``: the number of rows looked at.
    """
    document = quality_document(name, findings.select(FINDINGS_SCHEMA.names()), checked=checked)
    return warehouse.write_file(f"{QUALITY}/{name}.json", document_bytes(document)), document


class SessionQuality:
    """Findings of stored sessions, each from what was stored up to that session and nothing later."""

    def __init__(self, warehouse: Warehouse, calendar: TradingCalendar, settings: QualitySettings) -> None:
        self.warehouse = warehouse
        self.calendar = calendar
        self.settings = settings

    def examine(self, sessions: Sequence[dt.date]) -> Iterator[tuple[dt.date, int, pl.DataFrame]]:
        """(session, number of rows, findings) of each of ``sessions`` (ascending)."""
        if not sessions:
            return
        first = self.calendar.before(sessions[0], LOOKBACK_SESSIONS)
        raw = self._rows(self.calendar.between(first, sessions[-1]))
        arrived = self._arrived(sessions)
        found = stored_findings(
            raw,
            sessions,
            calendar_sessions=self.calendar.sessions,
            profile=self.calendar.profile,
            settings=self.settings,
            delivered=in_order(pl.concat(arrived.values())),
            last_traded=self._last_traded(raw, sessions, first),
        )
        by_session = {key[0]: rows for key, rows in found.partition_by("session", as_dict=True).items()}
        counts = dict(raw.group_by("session").len().iter_rows())
        nothing = findings_frame()
        for session in sessions:
            findings = by_session.get(session, nothing)
            if arrived[session].height:
                findings = in_order(pl.concat([arrived[session], findings]))
            yield session, counts.get(session, 0), findings

    def _rows(self, sessions: Sequence[dt.date]) -> pl.DataFrame:
        rows = self.warehouse.read_tables("raw_ohlcv", [session.isoformat() for session in sessions])
        return RawOhlcv.create_empty() if rows is None else rows

    def _arrived(self, sessions: Sequence[dt.date]) -> dict[dt.date, pl.DataFrame]:
        """What was refused or doubted when each session was fetched, and who was not answered for."""
        records = self.warehouse.read_records("raw_ohlcv", [session.isoformat() for session in sessions])
        return {session: _arrival(session, records.get(session.isoformat(), {})) for session in sessions}

    def _last_traded(self, raw: pl.DataFrame, sessions: Sequence[dt.date], first: dt.date) -> Mapping[str, dt.date]:
        """Of tickers without any row from ``first`` to the first session: the last one before, if there is any.

        Few tickers ever need it, new listings and returns after a long halt; only then older partitions are read.
        """
        before = raw.filter(pl.col("session") < sessions[0])["ticker"].unique()
        appearing = raw.filter(~pl.col("ticker").is_in(before.implode()))["ticker"].unique().to_list()
        older = [key for key in self.warehouse.partitions("raw_ohlcv") if key < first.isoformat()]
        if not appearing or not older:
            return {}
        rows = self.warehouse.read_tables("raw_ohlcv", older, tickers=appearing)
        if rows is None or rows.is_empty():
            return {}
        return dict(rows.group_by("ticker").agg(pl.col("session").max()).iter_rows())


def _arrival(session: dt.date, content: Mapping[str, Any]) -> pl.DataFrame:
    record = FetchRecord.from_json(content)
    failed = [
        finding(ticker, session, "not_fetched", seen=why, expected="an answer, with or without a row")
        for ticker, why in record.failed.items()
    ]
    return in_order(pl.concat([record.findings, findings_frame(failed)])) if failed else record.findings
