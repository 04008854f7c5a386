"""The interface of a store: keys are relative POSIX paths, values are whole files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Whole files under relative keys such as ``raw_ohlcv/2026-02-06.parquet``.

    A reader sees the old file or the new one, never half of one. Errors name the full location and the cause.
    """

    def read_bytes(self, key: str) -> bytes:
        """The file's content. Raises FileNotFoundError naming the location."""
        ...

    def write_bytes(self, key: str, data: bytes) -> None:
        """Replaces the file in one step; the last complete write wins."""
        ...

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Removes the file; no error when there is none."""
        ...

    def list(self, prefix: str) -> Sequence[str]:
        """Keys of the files directly inside the folder ``prefix``, sorted; empty when there is no such folder."""
        ...

    def local_path(self, key: str) -> Path:
        """A path from which the file can be read or memory-mapped (a remote store brings it near first)."""
        ...

    def location(self, key: str) -> str:
        """How to name this file to a person."""
        ...
