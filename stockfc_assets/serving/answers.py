"""Whole answers, made once and kept: bytes, their gzip form and their tag."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"
HTML = "text/html; charset=utf-8"
SMALLEST_COMPRESSED = 512
"""A shorter body is one packet either way."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Answer:
    """A body as it is sent; ``tag`` is the start of its SHA-256, ``compressed`` None where gzip would not pay."""

    body: bytes
    compressed: bytes | None
    tag: str
    media_type: str

    @classmethod
    def of(cls, body: bytes, media_type: str = JSON) -> Answer:
        compressed = gzip.compress(body, 6, mtime=0) if len(body) >= SMALLEST_COMPRESSED else None
        return cls(body, compressed, hashlib.sha256(body).hexdigest()[:32], media_type)

    @property
    def weight(self) -> int:
        return len(self.body) + len(self.compressed or b"")

    def response(self, request: Request, cache_control: str) -> Response:
        """200 with the body as the client accepts it, or 304 where it has that very body (RFC 9110, 13.1.2).

        The two encodings are two representations, each with a strong tag of its own.
        """
        zipped = self.compressed is not None and _accepts_gzip(request.headers.get("accept-encoding", ""))
        tag = f'"{self.tag}-gzip"' if zipped else f'"{self.tag}"'
        headers = {"ETag": tag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
        if _is_known(tag, request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self.compressed if zipped else self.body, headers=headers, media_type=self.media_type)


def _accepts_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding names gzip, or ``*``, with a weight above 0 (RFC 9110, 12.5.3)."""
    weights = {}
    for item in accepted.lower().split(","):
        coding, _, parameter = item.partition(";")
        name, _, value = parameter.strip().partition("=")
        weights[coding.strip()] = value.strip() if name.strip() == "q" else "1"
    chosen = weights.get("gzip", weights.get("*"))
    return chosen is not None and chosen.strip("0.") != ""


def _is_known(tag: str, if_none_match: str) -> bool:
    if if_none_match.strip() == "*":
        return True
    return tag in (known.strip().removeprefix("W/") for known in if_none_match.split(","))


@dataclass
class _Kept(Generic[Value]):
    value: Value
    version: str | None
    checked: float
    weight: int


class Shelf(Generic[Value]):
    """Values that are looked at again at most every ``seconds``, the ones unused for longest given up beyond ``capacity``.

    A value belongs to a version, such as that of a file: it is made again only when the version has changed, or has none.
    However many ask at once, one of them looks; looking and making run in a thread. Errors are not kept.
    """

    def __init__(
        self,
        seconds: float,
        *,
        capacity: int = 2**26,
        weigh: Callable[[Value], int] = lambda value: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self.capacity = capacity
        self._weigh = weigh
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept[Value]] = OrderedDict()
        self._weight = 0
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._threads = CapacityLimiter(8)

    async def get(
        self, name: Hashable, make: Callable[[], Value], version: Callable[[], str | None] = lambda: None
    ) -> Value:
        """The value of ``name``. ``version`` is asked before ``make`` reads, so that a change between them is seen."""
        kept = self._fresh(name)
        if kept is None:
            lock = self._locks.setdefault(name, asyncio.Lock())
            async with lock:
                kept = self._fresh(name) or await self._look(name, make, version)
        return kept.value

    def _fresh(self, name: Hashable) -> _Kept[Value] | None:
        kept = self._kept.get(name)
        if kept is None or self._clock() - kept.checked >= self.seconds:
            return None
        self._kept.move_to_end(name)
        return kept

    async def _look(self, name: Hashable, make: Callable[[], Value], version: Callable[[], str | None]) -> _Kept[Value]:
        old = self._kept.get(name)

        def look() -> _Kept[Value]:
            checked = self._clock()
            found = version()
            if old is not None and found is not None and found == old.version:
                return _Kept(old.value, found, checked, old.weight)
            value = make()
            return _Kept(value, found, checked, self._weigh(value))

        kept = await to_thread.run_sync(look, limiter=self._threads)
        self._put(name, kept)
        return kept

    def _put(self, name: Hashable, kept: _Kept[Value]) -> None:
        replaced = self._kept.pop(name, None)
        self._weight += kept.weight - (replaced.weight if replaced else 0)
        self._kept[name] = kept
        while self._weight > self.capacity and len(self._kept) > 1:
            self._weight -= self._kept.popitem(last=False)[1].weight
