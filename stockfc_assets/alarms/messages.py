"""Incidents in words: what, since when, what it means, what to do; at the end, how long it lasted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from stockfc_assets.alarms import conditions
from stockfc_assets.alarms.incidents import News

RUN_FAILED = "run_failed"
CHECK_FAILED = "blocking_check_failed"

MEANINGS = {
    conditions.STORAGE: "Nothing can be read or written: no forecast, no run, no page until it answers again.",
    conditions.PUBLISHED: "Whoever reads the newest forecast gets an error.",
    conditions.STALE: "Readers see an older forecast, or none.",
    conditions.COVERAGE: "The forecast is published, but many stocks have none.",
    conditions.SUPERSEDED: "Readers see the forecast of a model that no longer serves.",
    conditions.CHAMPION: "Forecasts go on by a model that has not seen the latest months, or stop where there is none.",
    conditions.CALENDAR: "When it ends, no further session is known and nothing runs any more.",
    RUN_FAILED: "Its partition is not finished; what was stored before still stands.",
    CHECK_FAILED: "What comes after it was not made, so that nobody reads what it found.",
}
TEST = "test"
"""Name of the condition of `stockfc alarms --test`."""
SHOWN_NEWS = 20
SHOWN_CHARACTERS = 1500


@dataclass(frozen=True)
class Message:
    """One message for all that a channel is owed. ``title`` is one line, ``paragraphs`` are one for each incident."""

    title: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n\n".join([self.title, *self.paragraphs])


@dataclass(frozen=True)
class Wording:
    """Where it happens and on whose clock: ``environment`` as in STOCKFC_ENV, ``zone`` the exchange's."""

    environment: str
    zone: dt.tzinfo

    def message(self, news: Sequence[News]) -> Message:
        """``news`` as one message; a flood is cut after `SHOWN_NEWS` incidents, each after `SHOWN_CHARACTERS`."""
        words = {"began": "wrong", "goes on": "still wrong", "ended": "over"}
        counts = [(sum(each.kind == kind for each in news), word) for kind, word in words.items()]
        title = ", ".join(f"{count} {word}" for count, word in counts if count)
        if len(news) == 1:
            title = f"{_named(news[0])} {words[news[0].kind]}" if news[0].kind != "began" else _named(news[0])
        paragraphs = [self._paragraph(each) for each in news[:SHOWN_NEWS]]
        if len(news) > SHOWN_NEWS:
            paragraphs.append(f"... and {len(news) - SHOWN_NEWS} more: `stockfc alarms` lists them")
        return Message(f"stockfc ({self.environment}): {title}", tuple(paragraphs))

    def _paragraph(self, news: News) -> str:
        incident = news.incident
        if news.kind == "ended":
            lines = [f"OVER: {_named(news)}, after {lasted(incident.duration)}", f"Now: {_cut(incident.ending)}"]
        else:
            mark = "TEST" if incident.name == TEST else "WRONG" if news.kind == "began" else "STILL WRONG"
            lines = [f"{mark}: {_named(news)}, seen since {self._clock(incident.began)}", _cut(incident.message)]
            if meaning := MEANINGS.get(incident.name):
                lines.append(meaning)
        return "\n".join(lines)

    def _clock(self, time: dt.datetime) -> str:
        return f"{time.astimezone(self.zone):%Y-%m-%d %H:%M} ({self.zone})"


def lasted(duration: dt.timedelta) -> str:
    """``3 days 4 h``, ``2 h 5 min``, ``under a minute``"""
    minutes = int(duration.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} days"] if days > 1 else ["1 day"] if days else []
    parts += [f"{hours} h"] if hours else []
    parts += [f"{rest} min"] if rest and not days else []
    return " ".join(parts) or "under a minute"


def _named(news: News) -> str:
    name = news.incident.name.replace("_", " ")
    return f"{name}: {news.incident.subject}" if news.incident.subject else name


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} ..."
