"""A store in a folder. Writes go to a staging folder on the same file system and are renamed into place."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from stockfc_assets.errors import InputError, StorageError
from stockfc_assets.storage.store import is_between

STAGING = ".staging"
LOCKS = ".locks"
ABANDONED_SECONDS = 60
"""A staged file this old that nobody holds is rubbish; a younger one may be about to be held."""
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class LocalStore:
    """Files under ``root``; see `Store` for the interface.

    Unfinished writes live in ``root/.staging``, so that a killed process leaves no half file among the data; staged files
    that no process holds any more are removed when a store is opened.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self._remove_abandoned_writes()

    def read_bytes(self, key: str) -> bytes:
        return self.local_path(key).read_bytes()

    def write_bytes(self, key: str, data: bytes) -> None:
        target = self.local_path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._write(target, data)
        except OSError as error:
            raise StorageError(
                f"{target}: cannot be written ({error.strerror or error}); make room or give the right to write there, "
                "then run it again: what is stored stays"
            ) from error

    def replace_if(self, key: str, data: bytes, version: str | None) -> bool:
        locks = self.root / LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        with open(locks / key.replace("/", "-"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.version(key) != version:
                return False
            self.write_bytes(key, data)
            return True

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

    def list(self, prefix: str, *, first: str = "", last: str | None = None) -> Sequence[str]:
        folder = self.local_path(prefix)
        if not folder.is_dir():
            return []
        with os.scandir(folder) as entries:
            names = [each.name for each in entries if is_between(each.name, first, last) and each.is_file()]
        return sorted(f"{prefix.rstrip('/')}/{name}" for name in names)

    def sizes(self, prefix: str) -> Mapping[str, int]:
        return {key: self.local_path(key).stat().st_size for key in self.list(prefix)}

    def map(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> Sequence[Answer]:
        return [function(item) for item in items]

    def written_behind(self, items: Iterable[Item]) -> Iterator[Item]:
        return iter(items)

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

    def _write(self, target: Path, data: bytes) -> None:
        """Stages ``data`` and renames it into place; the lock on the staged file says that its writer lives."""
        staging = self.root / STAGING
        staging.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=staging)
        try:
            with os.fdopen(handle, "wb") as file:
                _lock(file.fileno())
                file.write(data)
                file.flush()
                # Without it, a power cut soon after the rename may leave an empty file under the final name.
                os.fsync(file.fileno())
                os.chmod(name, 0o644)
                os.replace(name, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def _remove_abandoned_writes(self) -> None:
        staging = self.root / STAGING
        if not staging.is_dir():
            return
        for path in staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS and _is_unlocked(path):
                    path.unlink()


def _lock(handle: int) -> bool:
    """Whether this process holds the file now. Process ids would not do: containers that share a folder number their own."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_unlocked(path: Path) -> bool:
    with open(path, "rb") as file:
        return _lock(file.fileno())
