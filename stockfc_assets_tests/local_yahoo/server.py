"""The server: routes Yahoo's paths to answers, counts the questions, and strikes with the planned faults."""

from __future__ import annotations

import datetime as dt
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import polars as pl

from stockfc_assets.market.source import BARS_SCHEMA, MarketDataSource
from stockfc_assets_tests.local_yahoo import consent, facts
from stockfc_assets_tests.local_yahoo.charts import Answer, chart
from stockfc_assets_tests.local_yahoo.faults import ROW_FAULTS, Fault, FaultPlan, encode, refusal, with_row_fault
from stockfc_assets_tests.local_yahoo.histories import Histories, Split
from stockfc_assets_tests.local_yahoo.recorded import Recordings, read_recordings

CRUMB = "l0calCrumb1"
KINDS_BY_PATH = {
    "/v8/finance/chart/": "chart",
    "/v10/finance/quoteSummary/": "quoteSummary",
    "/ws/fundamentals-timeseries/v1/finance/timeseries/": "timeseries",
    "/v7/finance/quote": "quote",
    "/v1/test/getcrumb": "crumb",
}
KINDS_BY_HOST = {"fc.yahoo.com": "cookie", "guce.yahoo.com": "consent", "consent.yahoo.com": "consent"}


@dataclass
class Request:
    """One question in the order of arrival. ``status`` 0: not answered (yet)."""

    host: str
    path: str
    query: dict[str, str]
    kind: str
    ticker: str | None
    status: int = 0


class LocalYahoo:
    """A Yahoo Finance on 127.0.0.1 that serves the history of ``source`` as Yahoo would show it on ``today``.

    A context manager; ``url`` is its address, and a client asks ``{url}/HOST/PATH?QUERY`` for ``https://HOST/PATH?QUERY``.
    Data after ``today`` does not exist yet, and splits after it are not applied; it may be set while the server runs.
    ``recorded``: a folder of recorded answers (shared/data/yahoo), which take precedence. ``tickers``: read their
    histories from the source at the start with one question; others are read when first asked for.
    """

    def __init__(
        self,
        source: MarketDataSource | None,
        *,
        today: dt.date,
        exchange: str = "XTKS",
        recorded: Path | None = None,
        tickers: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self.today = today
        self.faults = FaultPlan()
        self.requests: list[Request] = []
        self.crumb = CRUMB
        self._histories = Histories(source, exchange, tickers)
        self._recordings = read_recordings(recorded) if recorded else Recordings()
        self._stopped = threading.Event()
        self._broken: list[Exception] = []
        self._server = _Server(("127.0.0.1", port), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> LocalYahoo:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()
        if self._broken and error is None:
            raise self._broken[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def count(self, kind: str, ticker: str | None = None) -> int:
        """Questions of a kind so far (chart, quoteSummary, timeseries, quote, cookie, crumb, consent, other)."""
        return sum(asked.kind == kind and ticker in (None, asked.ticker) for asked in list(self.requests))

    def add_split(
        self,
        ticker: str,
        ex_date: dt.date,
        ratio: float,
        *,
        listed_twice_on: dt.date | None = None,
        applied: bool = True,
    ) -> None:
        """A split that the source does not know, of ``ratio`` new shares per old one.

        An applied one is real: from ``ex_date`` on the stock trades at the source's prices / ratio, as many times more
        shares, and from the day ``today`` reaches it all earlier prices, volumes and dividends are shown on its basis.
        One that is not applied is listed and nothing else. ``listed_twice_on``: the same event again, on that date.
        """
        self._histories.inject(ticker, Split(ex_date, ratio, applied))
        if listed_twice_on is not None:
            self._histories.inject(ticker, Split(listed_twice_on, ratio, applied=False))

    def as_traded(self, ticker: str) -> pl.DataFrame:
        """The truth behind the charts until ``today``: `source.BARS_SCHEMA`, oldest first, injected splits included."""
        history = self._histories.history(ticker)
        return pl.DataFrame(schema=BARS_SCHEMA) if history is None else history.until(self.today).bars()

    def opens_at(self, session: dt.date) -> int:
        """UTC seconds with which Yahoo dates the row of ``session``."""
        return self._histories.opens_at(session)

    # --- answering ---

    def _log(self, method: str, target: str) -> Request:
        parts = urlsplit(target)
        host, _, rest = parts.path.lstrip("/").partition("/")
        path, query = "/" + rest, dict(parse_qsl(parts.query, keep_blank_values=True))
        kind, ticker = KINDS_BY_HOST.get(host, "other"), None
        for prefix, name in KINDS_BY_PATH.items():
            if path.startswith(prefix):
                kind = name
                ticker = unquote(path.removeprefix(prefix)) if prefix.endswith("/") else query.get("symbols")
        request = Request(host, path, query, kind, ticker)
        self.requests.append(request)
        return request

    def _answer_or_break(self, asked: Request) -> Answer:
        """The answer; what breaks in here is told to the client as 500 and raised when the server stops."""
        try:
            return self._answer(asked)
        except Exception as problem:
            self._broken.append(problem)
            return refusal(500, asked.kind)

    def _answer(self, asked: Request) -> Answer:
        ticker, query = asked.ticker or "", asked.query
        if asked.kind == "chart":
            return self._recordings.chart(ticker, query) or chart(self._histories, ticker, query, self.today)
        if asked.kind in ("quoteSummary", "quote") and query.get("crumb") != self.crumb:
            return refusal(401, asked.kind)
        if asked.kind == "quoteSummary":
            modules = query.get("modules", "").split(",")
            recorded = self._recordings.summary(ticker)
            return recorded or facts.summary(self._histories, ticker, modules, self.today)
        if asked.kind == "quote":
            return facts.quotes(self._histories, query.get("symbols", "").split(","), self.today)
        if asked.kind == "timeseries":
            return facts.time_series(self._histories, ticker, query, self.today)
        if asked.kind == "crumb":
            return Answer(200, self.crumb)
        if asked.kind in ("cookie", "consent"):
            return consent.page(asked.host, asked.path)
        return refusal(404, asked.kind)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours."""

    def close_connections(self) -> None:
        """Ends the connections that clients keep alive, as a server that stops does."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _handler_of(yahoo: LocalYahoo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            # The library's consent questions are GETs that carry a body.
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = yahoo._log(self.command, self.path)
            fault = yahoo.faults.strike(asked.kind, asked.ticker)
            if fault is not None and fault.fault == "stall" and yahoo._stopped.wait(fault.seconds):
                self.close_connection = True
                return
            self._send(asked, fault, self._struck(asked, fault))

        do_POST = do_GET

        def _struck(self, asked: Request, fault: Fault | None) -> Answer:
            if fault is not None and isinstance(fault.fault, int):
                return refusal(fault.fault, asked.kind)
            if fault is not None and fault.fault == "malformed":
                return Answer(200, "<html><body>This is no JSON.</body></html>")
            answer = yahoo._answer_or_break(asked)
            if fault is not None and fault.fault in ROW_FAULTS:
                return with_row_fault(answer, fault, yahoo.opens_at(fault.on) if fault.on else None)
            return answer

        def _send(self, asked: Request, fault: Fault | None, answer: Answer) -> None:
            body, content_type = encode(answer)
            if fault is not None and fault.fault == "half":
                body = body[: len(body) // 2]
            asked.status = answer.status
            self.send_response(answer.status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if asked.kind in ("cookie", "consent"):
                self.send_header("Set-Cookie", consent.COOKIE)
            if fault is not None and fault.retry_after is not None:
                self.send_header("Retry-After", str(fault.retry_after))
            self.end_headers()
            if fault is not None and fault.fault == "cut":
                body = body[: len(body) // 2]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Silent: `LocalYahoo.requests` is the log."""

    return Handler
