"""The server around the app: uvicorn, with a bound on what it reads before it knows what is asked."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stockfc_assets.configuration import load_settings
from stockfc_assets.market.sources import effective_settings
from stockfc_assets.serving.app import create_app
from stockfc_assets.serving.problems import MEDIA_TYPE

FACTORY = "stockfc_assets.serving.server:app_from_environment"
MAX_HEAD_BYTES = 65_536
"""uvicorn's httptools keeps headers without end; h11 has the same bound. `protection.Bounds` has a lower one."""


WORKER_SECONDS = 60
"""A worker that does not answer its parent for so long is replaced; on a busy machine its imports alone take 5 s."""


class BoundedProtocol(HttpToolsProtocol):
    """A request whose line and headers do not end within `MAX_HEAD_BYTES` is refused and its connection closed."""

    _reads_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """The bytes with which a head began may belong to the request before it, and do not count."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._reads_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEAD_BYTES} bytes of headers")

    def on_message_begin(self) -> None:
        self._reads_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._reads_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def app_from_environment() -> FastAPI:
    """The app of the environment that STOCKFC_ENV names: what each worker makes for itself."""
    return create_app(effective_settings(load_settings()))


def server_options(**given: Any) -> dict[str, Any]:
    """uvicorn's options beside host, port and workers."""
    return {
        "http": BoundedProtocol,
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": 10,
        "timeout_worker_healthcheck": WORKER_SECONDS,
        **given,
    }


def serve(host: str, port: int, workers: int) -> None:
    """Answers until it is told to stop (SIGINT, SIGTERM)."""
    load_settings()
    uvicorn.run(FACTORY, factory=True, host=host, port=port, workers=workers, **server_options())
