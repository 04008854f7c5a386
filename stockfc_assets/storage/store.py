"""The interface of a store: keys are relative POSIX paths, values are whole files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Store(Protocol):
    """Whole files under relative keys such as ``raw_ohlcv/2026-02-06.parquet``.

    A reader sees the old file or the new one, never half of one. Errors name the full location and the cause; StorageError
    where the store refuses, fails or is full.
    """

    def read_bytes(self, key: str) -> bytes:
        """The file's content. Raises FileNotFoundError naming the location."""
        ...

    def write_bytes(self, key: str, data: bytes) -> None:
        """Replaces the file in one step; the last complete write wins."""
        ...

    def replace_if(self, key: str, data: bytes, version: str | None) -> bool:
        """As `write_bytes`, but only while the file's `version` is still this one (None: there is no file); whether it
        was written. Of several at once, one succeeds."""
        ...

    def exists(self, key: str) -> bool: ...

    def version(self, key: str) -> str | None:
        """A token that changes when the file is replaced, without reading it; None when there is no file."""
        ...

    def delete(self, key: str) -> None:
        """Removes the file; no error when there is none."""
        ...

    def list(self, prefix: str, *, first: str = "", last: str | None = None) -> Sequence[str]:
        """Keys of the files directly inside the folder ``prefix``, sorted; empty when there is no such folder.

        Only names that come after ``first`` or begin with it, and before ``last`` or begin with it: of ten years of
        sessions a remote store need not tell all to tell a few.
        """
        ...

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """Key -> bytes of the files directly inside the folder ``prefix``."""
        ...

    def map(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> Sequence[Answer]:
        """``function`` of each item, in order; as many at once as the store answers well. The first error is raised."""
        ...

    def written_behind(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of a generator that writes files as it makes them, each in order once its own files are stored; a
        remote store writes many side by side meanwhile. What is read in between is never older than what was written."""
        ...

    def near(self, key: str) -> AbstractContextManager[Path]:
        """A local path from which the file can be memory-mapped while the context lasts. Raises FileNotFoundError."""
        ...

    def scan_source(self, key: str) -> str:
        """How Polars' scan functions name the file, with `scan_options` as their storage_options."""
        ...

    def scan_options(self) -> dict[str, Any] | None: ...

    def location(self, key: str) -> str:
        """How to name this file to a person; the root for an empty key."""
        ...


def is_between(name: str, first: str, last: str | None) -> bool:
    """Whether `Store.list` tells ``name`` for these bounds."""
    return name >= first and (last is None or name <= last or name.startswith(last))
