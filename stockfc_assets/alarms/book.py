"""One evaluation: what was found is written into the book of incidents, and whoever is owed news is told."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from stockfc_assets.alarms.channels import Channel, DeliveryError
from stockfc_assets.alarms.conditions import Condition
from stockfc_assets.alarms.incidents import (
    Book,
    Claim,
    Incident,
    News,
    book_document,
    mark_told,
    observe,
    owed,
    read_book,
)
from stockfc_assets.errors import StorageError
from stockfc_assets.storage.warehouse import document_bytes

KEY = "alarms/incidents.json"
ATTEMPTS = 20


class BookPlace(Protocol):
    """Where the book is kept: what is needed of a `Store`."""

    def version(self, key: str) -> str | None: ...

    def read_bytes(self, key: str) -> bytes: ...

    def replace_if(self, key: str, data: bytes, version: str | None) -> bool: ...

    def location(self, key: str) -> str: ...


class TextStore:
    """A book in ``text``, for whoever can keep a text when the store can keep nothing."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def version(self, key: str) -> str | None:
        return self.text or None

    def read_bytes(self, key: str) -> bytes:
        return self.text.encode()

    def replace_if(self, key: str, data: bytes, version: str | None) -> bool:
        if self.version(key) != version:
            return False
        self.text = data.decode()
        return True

    def location(self, key: str) -> str:
        return key


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation did: the incidents that are open now, what each channel was told, whom it could not tell."""

    open: tuple[Incident, ...]
    told: Mapping[str, tuple[News, ...]]
    failures: Mapping[str, str]
    """Channel -> why it could not be told; it is tried again at the next evaluation."""
    deferred: bool = False
    """Another evaluator is telling at this moment, or was killed while it was: what is owed waits for the next one."""


def evaluate(
    store: BookPlace,
    found: Sequence[Condition],
    channels: Mapping[str, Channel],
    *,
    now: dt.datetime,
    who: str,
    complete: Collection[str] = (),
    repeat: dt.timedelta | None = None,
) -> Evaluation:
    """Opens, sees again and ends incidents (`incidents.observe`), and tells ``channels`` what they are owed.

    ``who`` is unique to this evaluation. A channel that fails does not keep the others from being told. Raises
    StorageError when the book cannot be read or written; nobody is told then.
    """

    def begin(book: Book) -> Book:
        book = observe(book, found, channels, now, complete=complete)
        waiting = any(owed(book, channel, now, repeat=repeat) for channel in channels)
        taken = book.claim is not None and book.claim.holds(now)
        return replace(book, claim=Claim(who, now)) if waiting and not taken else book

    book = _change(store, begin)
    if book.claim is None or book.claim.by != who:
        waiting = any(owed(book, channel, now, repeat=repeat) for channel in channels)
        return Evaluation(book.open, {}, {}, deferred=waiting)
    told: dict[str, tuple[News, ...]] = {}
    failures: dict[str, str] = {}
    for name, channel in channels.items():
        news = tuple(owed(book, name, now, repeat=repeat))
        if not news:
            continue
        try:
            channel.send(news)
        except DeliveryError as error:
            failures[name] = str(error)
        else:
            told[name] = news

    def settle(book: Book) -> Book:
        for name, news in told.items():
            book = mark_told(book, name, news, now)
        return replace(book, claim=None) if book.claim is not None and book.claim.by == who else book

    return Evaluation(_change(store, settle).open, told, failures)


def read_incidents(store: BookPlace) -> tuple[Incident, ...]:
    """All that are remembered, oldest first."""
    return _read(store)[0].incidents


def _change(store: BookPlace, change: Callable[[Book], Book]) -> Book:
    """The book after ``change``, saved where it differs. ``change`` is asked again when another was faster."""
    try:
        for _ in range(ATTEMPTS):
            before, version = _read(store)
            after = change(before)
            if after == before or store.replace_if(KEY, document_bytes(book_document(after)), version):
                return after
    except OSError as error:
        raise StorageError(
            f"{store.location(KEY)}: incidents cannot be kept ({error.strerror or error}); make room or give the right to "
            "read and write there"
        ) from None
    raise StorageError(f"{store.location(KEY)}: was replaced by others {ATTEMPTS} times; stop all evaluators but one")


def _read(store: BookPlace) -> tuple[Book, str | None]:
    """The book, and the version of its file. A damaged book is an empty one: what is wrong is then told a second time,
    which is better than not at all."""
    version = store.version(KEY)
    if version is None:
        return Book(), None
    try:
        return read_book(json.loads(store.read_bytes(KEY))), version
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return Book(), version
