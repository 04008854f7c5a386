"""What is wrong becomes an incident: told once to each channel, and once more when it is over.

The state is one file of the store, ``alarms/incidents.json``, replaced only while it is still the one that was read
(`Store.replace_if`): of several evaluators at once, one tells. Order of one evaluation (`book.evaluate`): what is seen is
saved and the telling is claimed, then told, then what was told is saved. A process that is killed in between leaves its
claim; after `CLAIM_SECONDS` the next evaluation tells again what may or may not have been told. So each incident is told
at least once, and exactly once where nobody is killed between telling and saving.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stockfc_assets.alarms.conditions import Condition

KEPT_ENDED = 100
"""So many incidents that are over and told are kept for people to look at."""
CLAIM_SECONDS = 120
WITHDRAWN = "it is no longer looked at"

Kind = Literal["began", "goes on", "ended"]


@dataclass(frozen=True)
class Incident:
    """One time in which a condition did not hold. Times are aware."""

    number: int
    name: str
    subject: str
    message: str
    """What was seen last while it lasted."""
    began: dt.datetime
    seen: dt.datetime
    ended: dt.datetime | None = None
    ending: str = ""
    """What was seen when it was over."""
    told: Mapping[str, Mapping[str, dt.datetime]] = field(default_factory=dict)
    """Channel -> what it was told (began, goes on, ended) -> when. Channels that are owed nothing yet told have no times."""

    @property
    def key(self) -> tuple[str, str]:
        return (self.name, self.subject)

    @property
    def duration(self) -> dt.timedelta:
        """From its beginning to its end, or to when it was last seen; never negative, whatever the clock did."""
        return max((self.ended or self.seen) - self.began, dt.timedelta(0))


@dataclass(frozen=True)
class News:
    """What a channel is owed of an incident."""

    kind: Kind
    incident: Incident


@dataclass(frozen=True)
class Claim:
    """An evaluator that is telling now."""

    by: str
    since: dt.datetime

    def holds(self, now: dt.datetime) -> bool:
        """Also a claim from a future that a corrected clock has taken back ends: its age counts either way."""
        return abs((now - self.since).total_seconds()) < CLAIM_SECONDS


@dataclass(frozen=True)
class Book:
    """All that is remembered, oldest incident first."""

    incidents: tuple[Incident, ...] = ()
    next_number: int = 1
    claim: Claim | None = None

    @property
    def open(self) -> tuple[Incident, ...]:
        return tuple(incident for incident in self.incidents if incident.ended is None)


def observe(
    book: Book,
    found: Sequence[Condition],
    channels: Collection[str],
    now: dt.datetime,
    *,
    complete: Collection[str] = (),
) -> Book:
    """The book after an evaluation at ``now`` that found these conditions.

    What does not hold opens an incident or is seen again; what holds ends one. A condition that is not among ``found``
    was not judged, and its incident stays; only of the names in ``complete`` everything that does not hold is among
    ``found``, and what is missing has ended. ``channels`` are those in use: each is owed the incidents that were open
    while it was.
    """
    states = {(each.name, each.subject): each for each in found}
    after = [_after(each, states, channels, now, complete) if each.ended is None else each for each in book.incidents]
    known = {incident.key for incident in book.open}
    number = book.next_number
    for key, condition in states.items():
        if not condition.ok and key not in known:
            told: dict[str, dict[str, dt.datetime]] = {channel: {} for channel in sorted(channels)}
            after.append(Incident(number, *key, condition.message, began=now, seen=now, told=told))
            number += 1
    return replace(book, incidents=_kept(after, channels), next_number=number)


def _after(
    incident: Incident,
    states: Mapping[tuple[str, str], Condition],
    channels: Collection[str],
    now: dt.datetime,
    complete: Collection[str],
) -> Incident:
    condition = states.get(incident.key)
    incident = replace(incident, told={**{channel: {} for channel in channels}, **incident.told})
    if condition is None:
        return replace(incident, ended=now, ending=WITHDRAWN) if incident.name in complete else incident
    if condition.ok:
        return replace(incident, ended=now, ending=condition.message)
    return replace(incident, message=condition.message, seen=now)


def owed(book: Book, channel: str, now: dt.datetime, *, repeat: dt.timedelta | None = None) -> list[News]:
    """What ``channel`` has not been told, incident by incident, each beginning before its end.

    With ``repeat``, an incident that lasts is owed again when so much time has passed since it was told last.
    """
    return [news for incident in book.incidents for news in _owed(incident, channel, now, repeat)]


def _owed(incident: Incident, channel: str, now: dt.datetime, repeat: dt.timedelta | None) -> Iterator[News]:
    told = incident.told.get(channel)
    if told is None:
        return
    if "began" not in told:
        yield News("began", incident)
    elif incident.ended is None and repeat is not None and now - max(told.values()) >= repeat:
        yield News("goes on", incident)
    if incident.ended is not None and "ended" not in told:
        yield News("ended", incident)


def mark_told(book: Book, channel: str, news: Sequence[News], now: dt.datetime) -> Book:
    """The book once ``channel`` has been told ``news``."""
    marks: dict[int, dict[str, dt.datetime]] = {}
    for each in news:
        marks.setdefault(each.incident.number, {})[each.kind] = now
    incidents = [
        replace(each, told={**each.told, channel: {**each.told.get(channel, {}), **marks[each.number]}})
        if each.number in marks
        else each
        for each in book.incidents
    ]
    return replace(book, incidents=tuple(incidents))


def _kept(incidents: Sequence[Incident], channels: Collection[str]) -> tuple[Incident, ...]:
    """All but the oldest of those that are over and of which no channel in use is owed anything."""
    settled = [
        each.number
        for each in incidents
        if each.ended is not None and all("ended" in told for channel, told in each.told.items() if channel in channels)
    ]
    dropped = set(settled[:-KEPT_ENDED])
    return tuple(each for each in incidents if each.number not in dropped)


# --- as JSON ----------------------------------------------------------------------------------------------------------


def book_document(book: Book) -> dict[str, Any]:
    """JSON values; the same book always gives the same."""
    return {
        "next_number": book.next_number,
        "claim": None if book.claim is None else {"by": book.claim.by, "since": _text(book.claim.since)},
        "incidents": [incident_document(incident) for incident in book.incidents],
    }


def incident_document(incident: Incident) -> dict[str, Any]:
    return {
        "number": incident.number,
        "name": incident.name,
        "subject": incident.subject,
        "message": incident.message,
        "began": _text(incident.began),
        "seen": _text(incident.seen),
        "ended": None if incident.ended is None else _text(incident.ended),
        "ending": incident.ending,
        "told": {
            channel: {kind: _text(when) for kind, when in times.items()} for channel, times in incident.told.items()
        },
    }


def read_book(document: Mapping[str, Any]) -> Book:
    """The book of `book_document`. Raises KeyError, TypeError or ValueError where the document is of another shape."""
    claim = document["claim"]
    return Book(
        incidents=tuple(_incident(each) for each in document["incidents"]),
        next_number=int(document["next_number"]),
        claim=None if claim is None else Claim(str(claim["by"]), _time(claim["since"])),
    )


def _incident(document: Mapping[str, Any]) -> Incident:
    return Incident(
        number=int(document["number"]),
        name=str(document["name"]),
        subject=str(document["subject"]),
        message=str(document["message"]),
        began=_time(document["began"]),
        seen=_time(document["seen"]),
        ended=None if document["ended"] is None else _time(document["ended"]),
        ending=str(document["ending"]),
        told={
            channel: {kind: _time(when) for kind, when in times.items()} for channel, times in document["told"].items()
        },
    )


def _text(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).isoformat()


def _time(text: str) -> dt.datetime:
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time
