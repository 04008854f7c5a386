"""How each answer is found: on a shelf, or read from the store and put there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from stockfc_assets.forecasts.publication import LATEST
from stockfc_assets.serving.answers import HTML, JSON, Answer, Shelf
from stockfc_assets.serving.problems import Problem
from stockfc_assets.serving.published import Published, session_of
from stockfc_assets.serving.watch import Watch
from stockfc_assets.storage.warehouse import document_bytes

MEMORY_BYTES = 2**27
"""So much is kept: a report of 4,000 stocks is 12 MB, a forecast 8 MB."""


class Shelves:
    """The shelves and how each kind of answer is made."""

    def __init__(self, published: Published, *, refresh_seconds: float, cache_seconds: int, private: bool) -> None:
        self.published = published
        self.cache_control = f"{'private' if private else 'public'}, max-age={cache_seconds}"
        self.files: Shelf[Answer | None] = Shelf(refresh_seconds, capacity=MEMORY_BYTES, weigh=_weight)
        self.views: Shelf[Answer] = Shelf(
            max(refresh_seconds, cache_seconds), capacity=MEMORY_BYTES // 4, weigh=_weight
        )
        self.folders: Shelf[Any] = Shelf(refresh_seconds, capacity=64)
        self.states: Shelf[Any] = Shelf(refresh_seconds, capacity=64)

    def send(self, request: Request, answer: Answer) -> Response:
        return answer.response(request, self.cache_control)

    async def file(self, key: str, read: Callable[[str], bytes], missing: str, media: str = JSON) -> Answer:
        """A stored file. That it is not there is kept, too, so that asking for it again costs nothing."""
        published = self.published

        def make() -> Answer | None:
            return None if published.version(key) is None else Answer.of(read(key), media)

        answer = await self.files.get(key, make, partial(published.version, key))
        if answer is None:
            raise Problem(404, missing)
        return answer

    async def forecast(self, session: dt.date | None) -> Answer:
        if session is None:
            return await self.file(LATEST, self.published.forecast, "no forecast is published yet; run `stockfc daily`")
        return await self.file(f"predictions/{session}.json", self.published.forecast, f"no forecast of {session}")

    async def session_list(self, before: dt.date | None, limit: int) -> Answer:
        page, following, total = await self._page(before, limit)
        address = f"/v1/forecasts?before={page[-1]}&limit={limit}" if following else None
        document = {"total": total, "next": address, "sessions": page}
        return await self._view(("sessions", limit, total, *page), lambda: document)

    async def ranking(self, session: dt.date | None, horizon: int, top: int | None) -> Answer:
        forecast = await self.forecast(session)
        name = ("ranking", forecast.tag, horizon, top)
        return await self._view(name, lambda: self.published.ranking(forecast.body, horizon, top))

    async def history(self, ticker: str, before: dt.date | None, limit: int) -> Answer:
        if ticker not in await self.folders.get("tickers", self.published.tickers):
            raise Problem(404, f"{ticker}: not in the universe; /v1/ranking lists the stocks that have a forecast")
        page, following, total = await self._page(before, limit)
        address = f"/v1/tickers/{quote(ticker)}/history?before={page[-1]}&limit={limit}" if following else None

        def make() -> dict[str, Any]:
            oldest_first = page[::-1]
            return {
                "ticker": ticker,
                "source": self.published.source(oldest_first),
                "total": total,
                "next": address,
                "history": self.published.history(ticker, oldest_first),
            }

        return await self._view(("history", ticker, limit, total, *page), make)

    async def _page(self, before: dt.date | None, limit: int) -> tuple[list[str], bool, int]:
        """(the newest ``limit`` sessions before a date, newest first; whether there are older ones; how many in all)"""
        sessions = await self.folders.get("sessions", self.published.sessions)
        older = sessions if before is None else [name for name in sessions if name < before.isoformat()]
        return older[-limit:][::-1], len(older) > limit, len(sessions)

    async def of_month(self, asset: str, month: str | None) -> Answer:
        """forecast_scores or backtest of a month; by default of the newest."""
        if month is None:
            key = await self.folders.get(("newest", asset), partial(self.published.newest, asset))
        else:
            key = f"{asset}/{month}-01.json"
        return await self.file(key, self.published.document, f"no {asset} of {month}")

    async def champion(self) -> Answer:
        return await self._view(("champion",), self.published.champion)

    async def model_card(self, month: str) -> Answer:
        return await self.file(f"onnx_model/{month}-01/model.json", self.published.document, f"no model of {month}")

    async def report(self, session: dt.date | None) -> Answer:
        session = session or await self._newest_session()
        return await self.file(
            f"forecast_report/{session}.html", self.published.report, f"no report of {session}", HTML
        )

    async def conditions(self, watch: Watch) -> dict[str, Any]:
        return await self.states.get("conditions", watch.readiness)

    async def sessions_behind(self, watch: Watch) -> int:
        newest = await self._newest_session()
        return await self.states.get(("behind", newest), lambda: watch.sessions_behind(newest))

    async def _newest_session(self) -> dt.date:
        forecast = await self.forecast(None)
        return await self.states.get(("session", forecast.tag), lambda: session_of(json.loads(forecast.body)))

    async def _view(self, name: tuple[Any, ...], make: Callable[[], Any]) -> Answer:
        return await self.views.get(name, lambda: Answer.of(document_bytes(make())))


def _weight(answer: Answer | None) -> int:
    return answer.weight if answer else 64
