"""The API as a real server on loopback, in a thread or as the process that `stockfc serve` starts."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from stockfc_assets.serving.server import server_options


@contextmanager
def running(app: Any) -> Iterator[int]:
    """Serves ``app`` on a free port, which it yields."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", **server_options()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    wait_until_alive(port)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()


def wait_until_alive(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if get(port, "/v1/health")[0] == 200:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def get(
    port: int, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(port: int, *pieces: bytes) -> bytes:
    """Sends bytes as they are; returns all that comes back until the server closes, or falls silent for a second."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
        answer = b""
        try:
            for piece in pieces:
                peer.sendall(piece)
            while part := peer.recv(65_536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
        return answer
