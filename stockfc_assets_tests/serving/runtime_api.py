"""Lambda's Runtime API on loopback, and the real runtime client as a process of its own that asks it for events.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import queue
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Answer:
    """``kind``: response, error or init/error. ``content``: what was posted."""

    kind: str
    content: Any
    seconds: float
    """From the event's delivery (of an init/error: 0) to its answer."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A function that is killed while it waits for an event cuts its connection."""


class RuntimeApi:
    """Hands out events one by one and keeps what is posted."""

    def __init__(self) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self._events: queue.Queue[Any] = queue.Queue()
        self._number = 0
        self._delivered = 0.0
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(self, event: Any, *, timeout: float = 300) -> Answer:
        self._events.put(event)
        return self.answers.get(timeout=timeout)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_event(self) -> tuple[Any, dict[str, str]]:
        event = self._events.get()
        self._number += 1
        self._delivered = time.monotonic()
        return event, {
            "Lambda-Runtime-Aws-Request-Id": f"request-{self._number}",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 300) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:local:0:function:stockfc",
        }

    def posted(self, path: str, body: bytes) -> None:
        kind = path.removeprefix(f"{ROOT}/")
        kind = kind if kind == "init/error" else kind.rpartition("/")[2]
        seconds = 0.0 if kind == "init/error" else time.monotonic() - self._delivered
        self.answers.put(Answer(kind, json.loads(body), seconds))

    def _handler(api) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                event, headers = api.next_event()
                self._say(200, json.dumps(event).encode(), headers)

            def do_POST(self) -> None:
                api.posted(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self._say(202, b"{}", {})

            def _say(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                own = {"Content-Type": "application/json", "Content-Length": str(len(body))}
                for name, value in {**headers, **own}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        return Handler


@dataclass
class Function:
    """A started function."""

    api: RuntimeApi
    process: subprocess.Popen[bytes]
    log: Path

    def invoke(self, event: Any) -> Answer:
        return self.api.invoke(event)

    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines that the function printed so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith('{"request_id"')]

    def peak_megabytes(self) -> float:
        """VmHWM: the most memory that the process ever held."""
        return status_megabytes(self.process.pid, "VmHWM")


def status_megabytes(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


@contextmanager
def started_function(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, *, data_megabytes: int | None = None
) -> Iterator[Function]:
    """Starts ``command`` (the runtime client) in ``folder``; at the end it is killed.

    ``data_megabytes``: RLIMIT_DATA, the memory that the process may write to and shares with nobody.
    """
    api = RuntimeApi()
    log = folder / "function.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**environ, "AWS_LAMBDA_RUNTIME_API": api.address},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_limited(data_megabytes) if data_megabytes else None,
        )
    try:
        yield Function(api, process, log)
    finally:
        process.kill()
        process.wait()
        api.close()


def _limited(megabytes: int) -> Callable[[], None]:
    def limit() -> None:
        os.nice(5)
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))

    return limit
