"""Tables and files of the assets, one per partition, in a store.

Layout: ``<asset>/<partition>.parquet`` for tables. A table's data version is the hash of the bytes written, so the same
rows always have the same version.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from stockfc_assets.errors import ConfigError, DataError
from stockfc_assets.storage.store import Store

SOURCE_MARKER = "source.json"
RECORD_KEY = "stockfc"
"""Under this key of a Parquet file's own metadata stands the table's record, as JSON."""
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What Polars raises for a damaged file: of some flipped bits its reader panics."""


class Warehouse:
    """Typed access to a store. All partitions are strings (ISO dates); frames are Polars, written as Zstandard Parquet."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def write_table(
        self, asset: str, partition: str, frame: pl.DataFrame, *, record: Mapping[str, Any] | None = None
    ) -> str:
        """Replaces one partition in one step; returns its data version.

        ``record`` (JSON values) is what must be known of the partition beside its rows; it is part of the same file, so
        that neither is ever there without the other. `read_records` reads it back.
        """
        buffer = io.BytesIO()
        metadata = {RECORD_KEY: json.dumps(record, sort_keys=True, ensure_ascii=False)} if record else None
        frame.write_parquet(buffer, compression="zstd", metadata=metadata)
        return self.write_file(table_key(asset, partition), buffer.getvalue())

    def write_file(self, key: str, data: bytes) -> str:
        """Replaces one file in one step; returns its data version."""
        self.store.write_bytes(key, data)
        return content_version(data)

    def read_file(self, key: str, *, remedy: str) -> bytes:
        """A file's content. Raises DataError naming its location and ``remedy`` when it is missing."""
        try:
            return self.store.read_bytes(key)
        except FileNotFoundError:
            raise DataError(f"{self.store.location(key)}: missing; {remedy}") from None

    def read_json(self, key: str, *, remedy: str) -> Any:
        data = self.read_file(key, remedy=remedy)
        try:
            return json.loads(data)
        except ValueError as error:
            raise DataError(f"{self.store.location(key)}: not valid JSON ({error}); {remedy}") from None

    def partitions(
        self, asset: str, suffix: str = ".parquet", *, first: str = "", last: str | None = None
    ) -> list[str]:
        """Stored partitions of an asset, from ``first`` to ``last``, sorted."""
        names = (key.rpartition("/")[2] for key in self.store.list(asset, first=first, last=last))
        return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]

    def read_table(self, asset: str, partition: str) -> pl.DataFrame:
        """One partition. Raises DataError when it is missing or corrupt."""
        key = table_key(asset, partition)
        return self._parse(
            key, self.read_file(key, remedy=f"materialise {asset} for {partition} first"), asset, partition
        )

    def read_tables(
        self,
        asset: str,
        partitions: Iterable[str],
        *,
        tickers: Collection[str] | None = None,
        columns: Sequence[str] | None = None,
        partition_column: str | None = None,
    ) -> pl.DataFrame | None:
        """Those of ``partitions`` that are stored, one below the other; None when there is none.

        With ``tickers`` or ``columns``, only their rows and columns are held in memory. With ``partition_column``, a last
        column of that name says which partition holds the row. Raises DataError naming every corrupt partition.
        """
        wanted = self._stored(asset, partitions)
        if not wanted:
            return None
        sources = [self.store.scan_source(table_key(asset, partition)) for partition in wanted]
        options = self.store.scan_options()
        try:
            rows = pl.scan_parquet(sources, include_file_paths=partition_column, storage_options=options)
            if tickers is not None:
                rows = rows.filter(pl.col("ticker").is_in(list(tickers)))
            if columns is not None:
                rows = rows.select(*columns, *([partition_column] if partition_column else []))
            frame = rows.collect()
        except UNREADABLE as error:
            problems = self.corrupt_partitions(asset, wanted)
            place = self.store.location(asset)
            raise DataError(
                "\n".join(problems.values()) or f"{place}: cannot be read ({error}); run it again"
            ) from None
        if partition_column is None:
            return frame
        return frame.with_columns(pl.col(partition_column).str.extract(r"([^/\\]+)\.parquet$"))

    def read_records(self, asset: str, partitions: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The record of each stored one of ``partitions`` (empty where none was written); corrupt ones are left out."""
        wanted = self._stored(asset, partitions)
        options = self.store.scan_options()

        def record(partition: str) -> dict[str, Any] | None:
            key = table_key(asset, partition)
            try:
                return _record(pl.read_parquet_metadata(self.store.scan_source(key), storage_options=options))
            except (*UNREADABLE, ValueError):
                return self._record_of_whole_file(key)

        found = zip(wanted, self.store.map(record, wanted), strict=True)
        return {partition: content for partition, content in found if content is not None}

    def without_footer(self, asset: str) -> list[str]:
        """Stored partitions whose Parquet footer cannot be read: a quick look at all of them."""
        stored = self.partitions(asset)
        readable = self.read_records(asset, stored)
        return [partition for partition in stored if partition not in readable]

    def corrupt_partitions(self, asset: str, partitions: Iterable[str]) -> dict[str, str]:
        """Partition -> reason, for those stored files that cannot be read as a table."""

        def problem(partition: str) -> str | None:
            try:
                self.read_table(asset, partition)
            except DataError as error:
                return str(error)
            return None

        partitions = list(partitions)
        found = zip(partitions, self.store.map(problem, partitions), strict=True)
        return {partition: message for partition, message in found if message is not None}

    def require_source(self, identity: Mapping[str, Any]) -> None:
        """Refuses to mix prices of two sources under one root: the first source to write leaves its identity there."""
        identity = json.loads(json.dumps(identity))
        if not self.store.exists(SOURCE_MARKER):
            self.store.write_bytes(SOURCE_MARKER, json.dumps(identity, indent=1, sort_keys=True).encode())
            return
        found = self.read_json(SOURCE_MARKER, remedy="restore it or choose another STOCKFC_DATA")
        if found != identity:
            raise ConfigError(
                f"{self.store.location(SOURCE_MARKER)}: this data root holds prices of {_named(found)}; "
                f"the configured source is {_named(identity)}; set STOCKFC_DATA to another folder, or the source back"
            )

    def _stored(self, asset: str, partitions: Iterable[str]) -> list[str]:
        """Those of ``partitions`` that are stored, in the same order."""
        wanted = list(partitions)
        if not wanted:
            return []
        stored = set(self.partitions(asset, first=min(wanted), last=max(wanted)))
        return [partition for partition in wanted if partition in stored]

    def _record_of_whole_file(self, key: str) -> dict[str, Any] | None:
        """None when it is corrupt or gone; a store that fails says so when it is asked for the whole file."""
        try:
            return _record(pl.read_parquet_metadata(io.BytesIO(self.store.read_bytes(key))))
        except (pl.exceptions.PolarsError, FileNotFoundError, ValueError):
            return None

    def _parse(self, key: str, data: bytes, asset: str, partition: str) -> pl.DataFrame:
        try:
            return pl.read_parquet(io.BytesIO(data))
        except UNREADABLE as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{self.store.location(key)}: corrupt ({reason}); materialise {asset} for {partition} again, prices and "
                f"features with `stockfc backfill --from {partition} --to {partition} --force`"
            ) from None


def _record(metadata: Mapping[str, str]) -> dict[str, Any]:
    return json.loads(metadata.get(RECORD_KEY, "{}"))


def _named(identity: Mapping[str, Any]) -> str:
    """``simulated (epoch 2010-01-04, seed 1)``"""
    details = ", ".join(f"{key} {value}" for key, value in sorted(identity.items()) if key != "source")
    return f"{identity['source']} ({details})" if details else str(identity["source"])


def table_key(asset: str, partition: str) -> str:
    return f"{asset}/{partition}.parquet"


def content_version(data: bytes) -> str:
    """The first 16 hex digits of the content's SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def document_bytes(document: Any) -> bytes:
    """JSON with sorted keys and no NaN: the same document always gives the same bytes."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
