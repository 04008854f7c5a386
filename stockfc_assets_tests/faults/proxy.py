"""Between S3's clients and the local server: forwards requests, and does wrong to those that it is told to."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERRORS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "403": (403, "AccessDenied", "Access Denied"),
}
FAULTS = (*ERRORS, "refused", "cut", "short", "slow")
"""``refused``: the connection closes without an answer; ``cut``: it closes in the middle of the body; ``short``: the body
ends too early and its length says so, as if it were whole; ``slow``: the answer takes a second."""

Plan = Callable[[str, str], str | None]
"""Method and path of a request -> the fault that it meets; None: it is forwarded as it is."""


class FaultProxy:
    def __init__(self, address: str) -> None:
        self.plan: Plan = lambda _method, _path: None
        self.met: list[str] = []
        """The faults that requests have met."""
        self._lock = threading.Lock()
        upstream = urlsplit(address).netloc

        class Handler(_Handler):
            proxy = self
            server_address = upstream

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def fault(self, method: str, path: str) -> str | None:
        with self._lock:
            fault = self.plan(method, path)
            if fault:
                self.met.append(fault)
            return fault

    def always(self, fault: str, *, method: str = "", path: str = "") -> None:
        self.plan = lambda verb, where: fault if method in verb and path in where else None

    def times(self, fault: str, number: int, *, method: str = "", path: str = "") -> None:
        """The first ``number`` requests that match meet the fault."""
        left = number

        def plan(verb: str, where: str) -> str | None:
            nonlocal left
            if left and method in verb and path in where:
                left -= 1
                return fault
            return None

        self.plan = plan


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy
    server_address: str

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault(self.command, self.path)
        if fault == "refused":
            self.close_connection = True
            return
        if fault in ERRORS:
            self._refuse(*ERRORS[fault])
            return
        if fault == "slow":
            time.sleep(1)
        upstream = http.client.HTTPConnection(self.server_address, timeout=60)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        self._answer(answer, answer.read(), fault)
        upstream.close()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve

    def _answer(self, answer: http.client.HTTPResponse, body: bytes, fault: str | None) -> None:
        half = body[: len(body) // 2]
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(len(half) if fault == "short" else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(half if fault in ("cut", "short") else body)
        self.close_connection = fault == "cut"

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def fault_proxy(address: str) -> Iterator[FaultProxy]:
    proxy = FaultProxy(address)
    thread = threading.Thread(target=proxy.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        thread.join()
        proxy.server.server_close()
