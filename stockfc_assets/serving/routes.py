"""The routes under /v1, and how each is described."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request
from starlette.responses import Response

from stockfc_assets import __version__
from stockfc_assets.errors import StockfcError
from stockfc_assets.serving import parameters as ask
from stockfc_assets.serving import schemas
from stockfc_assets.serving.answers import HTML, JSON
from stockfc_assets.serving.metrics import Metrics
from stockfc_assets.serving.problems import Problem
from stockfc_assets.serving.schemas import described
from stockfc_assets.serving.shelves import Shelves
from stockfc_assets.serving.watch import Watch
from stockfc_assets.storage.warehouse import document_bytes

PREFIX = "/v1"
NO_STORE = {"Cache-Control": "no-store"}


def forecast_routes(shelves: Shelves) -> APIRouter:
    """The published files."""
    router = APIRouter(prefix=PREFIX, tags=["forecasts"])

    @router.get("/forecasts", **described("Sessions with a published forecast, newest first", schemas.Sessions))
    async def sessions(request: Request, before: ask.Before = None, limit: ask.Sessions = 100) -> Response:
        """Which sessions have a published forecast."""
        return shelves.send(request, await shelves.session_list(before, limit))

    @router.get(
        "/forecasts/latest",
        **described("predictions/latest.json, byte for byte", schemas.Forecast, missing="No forecast is published yet"),
    )
    async def latest(request: Request) -> Response:
        """The newest forecast."""
        return shelves.send(request, await shelves.forecast(None))

    @router.get(
        "/forecasts/{session}",
        **described(
            "The session's predictions file, byte for byte", schemas.Forecast, missing="The session has no forecast"
        ),
    )
    async def dated(request: Request, session: ask.Session) -> Response:
        """The forecast of a session."""
        return shelves.send(request, await shelves.forecast(session))

    return router


def stock_routes(shelves: Shelves) -> APIRouter:
    """The stocks of a forecast in order, and one stock over time."""
    router = APIRouter(prefix=PREFIX, tags=["forecasts"])

    @router.get(
        "/ranking",
        **described("The stocks, highest return first", schemas.Ranking, missing="The session has no forecast"),
    )
    async def ranking(
        request: Request, session: ask.SessionQuery = None, horizon: ask.Horizon = 12, top: ask.Top = None
    ) -> Response:
        """The stocks of a forecast, ranked by their return so many months ahead."""
        return shelves.send(request, await shelves.ranking(session, horizon, top))

    @router.get(
        "/tickers/{ticker}/history",
        **described("The stock's forecasts, newest first", schemas.History, missing="No such stock in the universe"),
    )
    async def history(
        request: Request, ticker: ask.Ticker, before: ask.Before = None, limit: ask.Sessions100 = 20
    ) -> Response:
        """What was forecast of one stock, session by session, and what happened as far as it is known.

        Every session counts, also one on which the stock had no forecast and is left out of ``history``.
        """
        return shelves.send(request, await shelves.history(ticker, before, limit))

    return router


def record_routes(shelves: Shelves) -> APIRouter:
    """What forecasts were worth, and the models behind them."""
    router = APIRouter(prefix=PREFIX, tags=["record"])

    @router.get(
        "/track-record",
        **described("forecast_scores/{month}.json", schemas.Document, missing="The month has no scores"),
    )
    async def track_record(request: Request, month: ask.MonthQuery = None) -> Response:
        """How the forecasts turned out that had matured when the month began, beside the baselines."""
        return shelves.send(request, await shelves.of_month("forecast_scores", month))

    @router.get(
        "/backtest",
        **described("backtest/{month}.json", schemas.Document, missing="The month has no backtest"),
    )
    async def backtest(request: Request, month: ask.MonthQuery = None) -> Response:
        """What trading on the forecasts published before the month would have brought, after costs."""
        return shelves.send(request, await shelves.of_month("backtest", month))

    @router.get(
        "/models/champion",
        **described("The newest record of the gate", schemas.Document, missing="No model was judged yet"),
    )
    async def champion(request: Request) -> Response:
        """Which model serves today, the gate's reason and its evidence."""
        return shelves.send(request, await shelves.champion())

    @router.get(
        "/models/{month}",
        **described("The model's card", schemas.Document, missing="The month has no model"),
    )
    async def model(request: Request, month: ask.MonthPath) -> Response:
        """The card of a month's model: its data, training, validation, intervals and file."""
        return shelves.send(request, await shelves.model_card(month))

    return router


def report_routes(shelves: Shelves) -> APIRouter:
    """The HTML report."""
    router = APIRouter(prefix=PREFIX, tags=["record"])

    @router.get("/reports/latest", **described("One HTML page", media=HTML, missing="There is no report yet"))
    async def latest_report(request: Request) -> Response:
        """The report of the newest forecast, one page that needs no network."""
        return shelves.send(request, await shelves.report(None))

    @router.get("/reports/{session}", **described("One HTML page", media=HTML, missing="The session has no report"))
    async def report(request: Request, session: ask.Session) -> Response:
        """The report of a session."""
        return shelves.send(request, await shelves.report(session))

    return router


def operation_routes(shelves: Shelves, watch: Watch, metrics: Metrics) -> APIRouter:
    """Is it alive, is everything as it should be, what does it do."""
    router = APIRouter(prefix=PREFIX, tags=["operation"])
    alive = document_bytes({"status": "alive", "version": __version__})

    @router.get("/health", **described("It is alive", schemas.Health, cached=False))
    async def health() -> Response:
        """Whether the server answers at all: what a load balancer asks. Needs no key and is never limited."""
        return Response(alive, headers=NO_STORE, media_type=JSON)

    @router.get(
        "/readiness",
        responses={
            **described("Nothing is amiss", schemas.Readiness, cached=False)["responses"],
            503: {
                "description": "A condition is not met, or what is stored cannot be read",
                "model": schemas.Readiness,
            },
        },
        response_class=Response,
    )
    async def readiness() -> Response:
        """Whether what is served is as it should be: the conditions that `stockfc status` tells, each with a remedy."""
        state = await shelves.conditions(watch)
        return Response(document_bytes(state), 200 if state["ready"] else 503, NO_STORE, JSON)

    @router.get("/metrics", **described("Prometheus's text format", media=metrics.content_type, cached=False))
    async def scraped() -> Response:
        """Requests by route, method and status, their duration, and the age of the newest forecast."""
        try:
            old = float(await shelves.sessions_behind(watch))
        except (Problem, StockfcError, OSError):
            old = math.nan
        return Response(metrics.text(old), headers={**NO_STORE, "Content-Type": metrics.content_type})

    return router
