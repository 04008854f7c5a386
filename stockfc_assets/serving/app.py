"""The HTTP API: read-only views of what was published, on any store.

Nothing is computed here that is not stored already, except a ranking, and the outcomes of one stock's forecasts. A
middleware that is added later stands further out: a request passes `HeadAsGet` first and `ApiKey` last.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from stockfc_assets import __version__
from stockfc_assets.market.sources import utc_now
from stockfc_assets.running_settings import ApiSettings
from stockfc_assets.serving.metrics import Metrics, Observe
from stockfc_assets.serving.parameters import known_parameters
from stockfc_assets.serving.problems import add_problem_handlers
from stockfc_assets.serving.protection import ApiKey, Bounds, HeadAsGet, RateLimit, SafeHeaders
from stockfc_assets.serving.published import Published
from stockfc_assets.serving.routes import (
    PREFIX,
    forecast_routes,
    operation_routes,
    record_routes,
    report_routes,
    stock_routes,
)
from stockfc_assets.serving.schemas import Problem
from stockfc_assets.serving.shelves import Shelves
from stockfc_assets.serving.watch import Watch
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Store, Warehouse, open_store

DESCRIPTION = """Monthly stock price forecasts, 1 to 12 months ahead, as they were published, with what they were worth.

Answers carry a strong ETag: send it back as If-None-Match and get 304 while nothing has changed. Errors are RFC 9457
problem documents. Not investment advice."""


def create_app(
    settings: Settings, *, store: Store | None = None, clock: Callable[[], dt.datetime] = utc_now
) -> FastAPI:
    """The app of one environment. ``store``: the environment's by default; ``clock`` tells an aware time."""
    api = settings.environment.api
    store = store or open_store(settings)
    warehouse = Warehouse(store)
    shelves = Shelves(
        Published(warehouse, settings, clock),
        refresh_seconds=api.refresh_seconds,
        cache_seconds=api.cache_seconds,
        private=api.key is not None,
    )
    metrics = Metrics()
    app = FastAPI(
        title="stockfc",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for routes in (forecast_routes, stock_routes, record_routes, report_routes):
        app.include_router(routes(shelves), dependencies=[Depends(known_parameters)])
    app.include_router(operation_routes(shelves, Watch(warehouse, settings, clock), metrics))
    add_problem_handlers(app, store)
    _add_protection(app, api, metrics)
    app.openapi = lambda: _schema(app, with_key=api.key is not None)  # type: ignore[method-assign]
    return app


def _add_protection(app: FastAPI, api: ApiSettings, metrics: Metrics) -> None:
    if api.key is not None:
        app.add_middleware(ApiKey, key=api.key.get_secret_value())
    if api.requests_per_minute is not None:
        app.add_middleware(RateLimit, per_minute=api.requests_per_minute)
    app.add_middleware(Bounds)
    if api.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=api.cors_origins,
            allow_methods=["GET", "HEAD"],
            allow_headers=["X-API-Key", "If-None-Match"],
            expose_headers=["ETag", "Retry-After"],
        )
    app.add_middleware(SafeHeaders)
    app.add_middleware(Observe, metrics=metrics)
    app.add_middleware(HeadAsGet)


def _schema(app: FastAPI, *, with_key: bool) -> dict[str, Any]:
    """The OpenAPI document, with the problem document's shape and, where one is asked for, the key."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        shapes = schema["components"]["schemas"]
        shapes["Problem"] = Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            shapes.pop(unused, None)
        if with_key:
            schema["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
            schema["security"] = [{"key": []}]
            schema["paths"][f"{PREFIX}/health"]["get"]["security"] = []
        app.openapi_schema = schema
    return app.openapi_schema
