"""What stands before the routes: bounds of a request, the key, the rate limit, headers. Plain ASGI, a few microseconds each."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time
from collections.abc import Callable

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stockfc_assets.serving.problems import problem_response

MAX_PATH_BYTES = 512
MAX_QUERY_BYTES = 1024
MAX_HEADER_BYTES = 16_384
HEALTH = "/v1/health"
"""Open to everybody and never limited, because load balancers ask it."""

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The report is one file: it may use what it brings itself, and nothing else."""
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


class HeadAsGet:
    """A HEAD is a GET without its body (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_head)


class SafeHeaders:
    """Headers that tell a browser to take nothing for a page but the report, and that page for nothing more."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                headers["Content-Security-Policy"] = REPORT_POLICY if is_page else DATA_POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, send_safe)


class Bounds:
    """Refuses what no route needs: long paths, queries and headers, and any body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (refused := _beyond_bounds(scope)) is None:
            await self.app(scope, receive, send)
        else:
            status, detail = refused
            await problem_response(status, detail, {"Connection": "close"})(scope, receive, send)


def _beyond_bounds(scope: Scope) -> tuple[int, str] | None:
    if len(scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        return 400, f"the path is longer than {MAX_PATH_BYTES} bytes"
    if len(scope["query_string"]) > MAX_QUERY_BYTES:
        return 400, f"the query is longer than {MAX_QUERY_BYTES} bytes"
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        return 431, f"the headers are longer than {MAX_HEADER_BYTES} bytes together"
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0"):
            return 413, "no request here has a body"
    return None


class RateLimit:
    """So many requests per minute and client, counted in this process with a sliding window.

    A client is an IPv4 address, or the first 64 bits of an IPv6 one, which are what one customer gets.
    """

    def __init__(self, app: ASGIApp, *, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self.app = app
        self.limit = RateLimitItemPerMinute(per_minute)
        self.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH:
            await self.app(scope, receive, send)
            return
        client = client_network(scope)
        if self.limiter.hit(self.limit, client):
            await self.app(scope, receive, send)
            return
        reset = self.limiter.get_window_stats(self.limit, client).reset_time
        wait = str(max(1, math.ceil(reset - self.clock())))
        detail = f"more than {self.limit.amount} requests a minute; wait {wait} s"
        await problem_response(429, detail, {"Retry-After": wait})(scope, receive, send)


def client_network(scope: Scope) -> str:
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


class ApiKey:
    """Asks for the key in X-API-Key. Hashes are compared, in constant time: neither length nor content can be guessed."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self.app = app
        self.digest = hashlib.sha256(key.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH or self._is_known(scope):
            await self.app(scope, receive, send)
            return
        detail = "the header X-API-Key is missing or not the key"
        await problem_response(401, detail, {"WWW-Authenticate": "X-API-Key"})(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"x-api-key"), b"")
        return hmac.compare_digest(hashlib.sha256(given).digest(), self.digest)
