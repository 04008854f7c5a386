"""Fetching prices into a warehouse: asks for what is missing, and writes each session as soon as it is known.

Needs no Dagster: the asset ``raw_ohlcv`` and anything else that fills a warehouse call `PriceCollector.collect`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import polars as pl

from stockfc_assets.errors import DataError
from stockfc_assets.market import ingest
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import in_order, sentence
from stockfc_assets.market.source import BARS_SCHEMA, FetchResult, MarketDataSource
from stockfc_assets.storage import Warehouse
from stockfc_assets.storage.warehouse import table_key

ASSET = "raw_ohlcv"
CELLS_AT_ONCE = 3_000_000
"""Sessions x tickers that are held in memory at once, about 100 bytes each, several times over."""
TICKERS_AT_ONCE = 500
"""Answers of a remote source that are held before they are written: minutes of asking, at a polite pace."""
SAID_FINDINGS = 20
SAID_TICKERS = 10
Session = TypeVar("Session", dt.date, str)


@dataclass(frozen=True)
class Collected:
    """One session as written: its data version, rows, and what is known beside them."""

    session: dt.date
    data_version: str
    rows: pl.DataFrame
    record: ingest.FetchRecord


def parts(sessions: Sequence[Session], tickers: int) -> list[Sequence[Session]]:
    """``sessions`` (dates or their keys) in parts of at most `CELLS_AT_ONCE` cells, in order."""
    size = max(1, CELLS_AT_ONCE // max(1, tickers))
    return [sessions[i : i + size] for i in range(0, len(sessions), size)]


def unanswered(warehouse: Warehouse, sessions: Sequence[dt.date], tickers: Collection[str]) -> dict[dt.date, set[str]]:
    """Of each of ``sessions``, the ``tickers`` that a source is still to be asked about; none = not in the result.

    A stock that did not trade, and is known not to have traded, needs no question.
    """
    keys = [session.isoformat() for session in sessions]
    records = warehouse.read_records(ASSET, keys)
    lacking = {}
    for part in parts(sorted(records), len(tickers)):
        rows = warehouse.read_tables(ASSET, part, columns=["ticker"], partition_column="key")
        traded: dict[str, set[str]] = {key: set() for key in part}
        if rows is not None:
            groups = rows.group_by("key").agg("ticker")
            traded |= {key: set(names) for key, names in groups.iter_rows()}
        for key in part:
            names = set(tickers) - traded[key] - set(records[key].get("without_row", ()))
            if names:
                lacking[dt.date.fromisoformat(key)] = names
    return lacking | {session: set(tickers) for session in sessions if session.isoformat() not in records}


def by_reason(failures: Mapping[str, str]) -> dict[str, str]:
    """Reason -> the tickers that it holds for, in words: a service that is down gives all of them the same one."""
    groups: dict[str, list[str]] = {}
    for ticker, reason in failures.items():
        groups.setdefault(reason, []).append(ticker)
    return {
        reason: ", ".join(tickers[:SAID_TICKERS])
        + (f" and {len(tickers) - SAID_TICKERS} more" if len(tickers) > SAID_TICKERS else "")
        for reason, tickers in groups.items()
    }


class PriceCollector:
    """``say`` prints a line for the operator, ``warn`` one that needs attention."""

    def __init__(
        self,
        warehouse: Warehouse,
        source: MarketDataSource,
        calendar: TradingCalendar,
        *,
        say: Callable[[str], object],
        warn: Callable[[str], object],
    ) -> None:
        self.warehouse = warehouse
        self.source = source
        self.calendar = calendar
        self._say = say
        self._warn = warn

    def collect(
        self, sessions: Sequence[dt.date], tickers: Collection[str], *, refetch: bool = False
    ) -> Iterator[Collected]:
        """Writes ``sessions`` (ascending) one by one and yields each once it is written.

        A remote source is asked once per ticker for the whole range of what is missing, or, with ``refetch``, for
        everything; answers are written `TICKERS_AT_ONCE` at a time, so that a run that is killed has not asked in vain. A
        source at hand is read again, part by part, so that memory stays bounded.
        """
        if not self.source.is_remote:
            for part in parts(sessions, len(tickers)):
                yield from self._fill(part, dict.fromkeys(part, tickers))
            return
        missing = self._missing(sessions, tickers, everything=refetch)
        names = sorted({ticker for asked in missing.values() for ticker in asked})
        batches = [set(names[i : i + TICKERS_AT_ONCE]) for i in range(0, len(names), TICKERS_AT_ONCE)] or [set()]
        for number, batch in enumerate(batches, start=1):
            wanted = {session: batch & set(asked) for session, asked in missing.items()}
            for collected in self._fill(sessions, wanted):
                if number == len(batches):
                    yield collected

    def _fill(self, sessions: Sequence[dt.date], missing: Mapping[dt.date, Collection[str]]) -> Iterator[Collected]:
        """Asks for what is ``missing`` (session -> tickers) and writes all ``sessions``."""
        yield from self._put_away(sessions, missing, self._ask(ingest.questions(missing)))

    def _missing(
        self, sessions: Sequence[dt.date], tickers: Collection[str], *, everything: bool
    ) -> Mapping[dt.date, Collection[str]]:
        """Session -> tickers to ask about; all of a corrupt partition, which is healed so."""
        if everything:
            return dict.fromkeys(sessions, tickers)
        corrupt = {session for session in sessions if self._is_corrupt(session.isoformat())}
        sound = [session for session in sessions if session not in corrupt]
        return unanswered(self.warehouse, sound, tickers) | {session: set(tickers) for session in corrupt}

    def _is_corrupt(self, key: str) -> bool:
        return self.warehouse.store.exists(table_key(ASSET, key)) and self._stored(key) is None

    def _stored(self, key: str) -> pl.DataFrame | None:
        try:
            return self.warehouse.read_table(ASSET, key)
        except DataError as error:
            self._warn(str(error))
            return None

    def _ask(self, asked: Sequence[ingest.Question]) -> FetchResult:
        results = []
        for question in asked:
            self._say(
                f"fetching {len(question.tickers)} tickers, {question.start} to {question.end}, from {self.source.label}"
            )
            results.append(self.source.fetch_bars(question.tickers, question.start, question.end))
        fetched = ingest.merge(results) if results else FetchResult(pl.DataFrame(schema=BARS_SCHEMA))
        if fetched.earlier.height:
            before = self._stored_between(fetched.earlier["session"].unique().sort())
            revised = ingest.revisions(before, fetched.earlier)
            fetched = replace(fetched, findings=in_order(pl.concat([fetched.findings, revised])))
        for row in fetched.findings.head(SAID_FINDINGS).to_dicts():
            self._warn(sentence(row))
        if fetched.findings.height > SAID_FINDINGS:
            self._warn(f"and {fetched.findings.height - SAID_FINDINGS} findings more; see price_quality")
        for reason, tickers in by_reason(fetched.failures).items():
            self._warn(f"not fetched: {reason}: {tickers}")
        return fetched

    def _stored_between(self, sessions: pl.Series) -> pl.DataFrame:
        rows = self.warehouse.read_tables(ASSET, [session.isoformat() for session in sessions])
        return pl.DataFrame(schema=BARS_SCHEMA) if rows is None else rows

    def _put_away(
        self, sessions: Sequence[dt.date], missing: Mapping[dt.date, Collection[str]], fetched: FetchResult
    ) -> Iterator[Collected]:
        """Of a range that was asked for, only what was missing is taken: what is stored stays."""
        bars = {key[0]: rows for key, rows in fetched.bars.partition_by("session", as_dict=True).items()}
        findings = ingest.by_partition(fetched.findings, sessions)
        stored = set(self.warehouse.partitions(ASSET))
        records = self.warehouse.read_records(ASSET, [session.isoformat() for session in sessions])
        nothing, no_findings = pl.DataFrame(schema=BARS_SCHEMA), fetched.findings.clear()
        for session in sessions:
            key = session.isoformat()
            before = self._stored(key) if key in stored else None
            fresh = bars.get(session, nothing)
            rows, record = ingest.put_beside(
                nothing if before is None else before,
                ingest.FetchRecord.from_json({} if before is None else records.get(key, {})),
                fresh,
                findings.get(session, no_findings),
                asked=missing.get(session, ()),
                failures=fetched.failures | _still_to_come(fetched, session, fresh),
            )
            version = self.warehouse.write_table(ASSET, key, rows, record=record.as_json())
            yield Collected(session, version, rows, record)


def _still_to_come(fetched: FetchResult, session: dt.date, rows: pl.DataFrame) -> dict[str, str]:
    """Tickers without a row of ``session`` that the service may still deliver, with that as the reason."""
    late = {ticker for ticker, since in fetched.late.items() if since <= session}
    return dict.fromkeys(sorted(late - set(rows["ticker"])), "no row of this session yet")
