"""A store in a folder. Writes go to a staging folder on the same file system and are renamed into place."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from stockfc_assets.errors import InputError

STAGING = ".staging"
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class LocalStore:
    """Files under ``root``; see `Store` for the interface.

    Unfinished writes live in ``root/.staging/<pid>-*``, so that a killed process leaves no half file among the data;
    staged files whose process is gone are removed when a store is opened.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self._remove_abandoned_writes()

    def read_bytes(self, key: str) -> bytes:
        return self.local_path(key).read_bytes()

    def write_bytes(self, key: str, data: bytes) -> None:
        target = self.local_path(key)
        staging = self.root / STAGING
        staging.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=staging, prefix=f"{os.getpid()}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def exists(self, key: str) -> bool:
        return self.local_path(key).is_file()

    def delete(self, key: str) -> None:
        self.local_path(key).unlink(missing_ok=True)

    def version(self, key: str) -> str | None:
        try:
            found = self.local_path(key).stat()
        except FileNotFoundError:
            return None
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def list(self, prefix: str) -> Sequence[str]:
        folder = self.local_path(prefix)
        if not folder.is_dir():
            return []
        with os.scandir(folder) as entries:
            return sorted(f"{prefix.rstrip('/')}/{entry.name}" for entry in entries if entry.is_file())

    def sizes(self, prefix: str) -> Mapping[str, int]:
        return {key: self.local_path(key).stat().st_size for key in self.list(prefix)}

    def map(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> Sequence[Answer]:
        return [function(item) for item in items]

    @contextlib.contextmanager
    def near(self, key: str) -> Iterator[Path]:
        path = self.local_path(key)
        if not path.is_file():
            raise FileNotFoundError(path)
        yield path

    def scan_source(self, key: str) -> str:
        return str(self.local_path(key))

    def scan_options(self) -> None:
        return None

    def local_path(self, key: str) -> Path:
        path = self.root / key
        if not key or os.path.isabs(key) or ".." in Path(key).parts:
            raise InputError(f"storage key {key!r}: must be a relative path inside {self.root}")
        return path

    def location(self, key: str) -> str:
        return str(self.local_path(key) if key else self.root)

    def _remove_abandoned_writes(self) -> None:
        staging = self.root / STAGING
        if not staging.is_dir():
            return
        for path in staging.iterdir():
            pid = path.name.partition("-")[0]
            if pid.isdigit() and not _is_alive(int(pid)):
                path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
