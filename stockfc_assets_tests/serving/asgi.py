"""Asks an ASGI app directly, so that a test can send what no client library would."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> bytes:
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """``get`` sends the raw path as it is given, percent-encoding and all."""

    def __init__(self, app: Any, *, host: str = "203.0.113.7") -> None:
        self.app = app
        self.host = host

    def get(
        self, target: str, headers: dict[str, str] | None = None, *, method: str = "GET", body: bytes = b""
    ) -> Answered:
        return asyncio.run(self.ask(target, headers, method=method, body=body))

    async def ask(
        self, target: str, headers: dict[str, str] | None = None, *, method: str = "GET", body: bytes = b""
    ) -> Answered:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "query_string": query.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
            "client": (self.host, 50_000),
            "server": ("127.0.0.1", 8000),
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        names = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answered(start["status"], names, b"".join(message.get("body", b"") for message in sent[1:]))
