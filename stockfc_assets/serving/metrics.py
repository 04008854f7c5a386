"""What Prometheus scrapes: requests, how long they took, how old the newest forecast is. One registry per app."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "OPTIONS"})
"""Others share one label, or a client could invent as many as it likes; HEAD counts as GET."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """``sessions_old`` of `text`: finished sessions after that of the newest forecast; NaN where there is none."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stockfc_api_requests", "Answered requests.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "stockfc_api_request_seconds", "Time to the end of the answer.", ["route"], buckets=BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.age = Gauge(
            "stockfc_newest_forecast_age_sessions",
            "Finished sessions after the one of the newest forecast; 0 = it is current, NaN = none can be read.",
            registry=self.registry,
        )

    def text(self, sessions_old: float) -> bytes:
        self.age.set(sessions_old)
        return generate_latest(self.registry)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self.seconds.labels(route).observe(seconds)


class Observe:
    """Counts each request by the template of its route, such as ``/v1/forecasts/{session}``."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.count(route, scope["method"], status, time.perf_counter() - began)
