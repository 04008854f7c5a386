"""Writing many files side by side while the next ones are made: a remote store takes long for each, and takes many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


class WriteBehind:
    """Sends files on other threads, those of one key in order. For one thread that writes."""

    def __init__(self, write: Callable[[str, bytes], None], at_once: int) -> None:
        self._write = write
        self._at_once = at_once
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[str, Future[None]] = {}
        self._sent: list[Future[None]] = []

    def send(self, key: str, data: bytes) -> None:
        """Writes now, or, inside `follow`, soon. Raises what an earlier write of this key raised."""
        if self._pool is None:
            self._write(key, data)
            return
        self.settle(key)
        self._pending[key] = self._pool.submit(self._write, key, data)
        self._sent.append(self._pending[key])

    def settle(self, key: str | None = None) -> None:
        """Waits until the file (None: every file) is stored. Raises what its write raised."""
        for each in [key] if key is not None else list(self._pending):
            if waiting := self._pending.pop(each, None):
                waiting.result()

    def follow(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items of a generator that writes files as it makes them: each in order, once its own files are stored.

        So what has been yielded is stored, also when a later write fails: that is raised in the place of its item.
        """
        with ThreadPoolExecutor(self._at_once) as self._pool:
            made: deque[tuple[Item, list[Future[None]]]] = deque()
            try:
                for item in items:
                    made.append((item, self._sent))
                    self._sent = []
                    # What waits is held in memory: as much as is on its way, and as much again.
                    while len(made) > 2 * self._at_once:
                        yield _stored(*made.popleft())
                while made:
                    yield _stored(*made.popleft())
            finally:
                self._pool.shutdown(cancel_futures=False)
                self._pool, self._pending, self._sent = None, {}, []


def _stored(item: Item, files: list[Future[None]]) -> Item:
    for file in files:
        file.result()
    return item
