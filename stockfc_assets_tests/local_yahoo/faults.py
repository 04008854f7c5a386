"""Faults that the local Yahoo is told to show: refusals, broken transport, broken bodies, defects within a chart."""

from __future__ import annotations

import copy
import datetime as dt
import json
import threading
from dataclasses import dataclass, replace
from typing import Any

from stockfc_assets_tests.local_yahoo.charts import Answer, error

DATA_KINDS = ("chart", "quoteSummary", "timeseries", "quote")
ROW_FAULTS = ("nulls", "no_timestamps", "live_row", "duplicate_rows", "conflicting_rows")
TRANSPORT_FAULTS = ("cut", "stall", "malformed", "half")
STATUS_FAULTS = (401, 404, 422, 429, 500, 503)
ENVELOPES = {"chart": "chart", "quoteSummary": "quoteSummary", "timeseries": "timeseries", "quote": "quoteResponse"}


@dataclass(frozen=True)
class Fault:
    """One fault and the questions it strikes (None = all). ``times``: so many answers more, None = always.

    ``retry_after``: seconds or an HTTP date, sent along. ``seconds``: length of a stall. ``on``: the session that a row
    fault strikes; None = the row in the middle of the answer.
    """

    fault: int | str
    kind: str | None = None
    ticker: str | None = None
    times: int | None = None
    retry_after: int | str | None = None
    seconds: float = 60.0
    on: dt.date | None = None

    def strikes(self, kind: str, ticker: str | None) -> bool:
        kinds = ("chart",) if self.fault in ROW_FAULTS else DATA_KINDS
        asked = kind in kinds if self.kind is None else kind == self.kind
        return asked and self.ticker in (None, ticker) and self.times != 0


class FaultPlan:
    """The faults in force; the first that fits a question strikes. Safe to change while the server answers."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        fault: int | str,
        *,
        kind: str | None = None,
        ticker: str | None = None,
        times: int | None = None,
        retry_after: int | str | None = None,
        seconds: float = 60.0,
        on: dt.date | None = None,
    ) -> None:
        """Adds a `Fault`: a status (401, 404, 422, 429, 500, 503), or one of

        ``cut`` (connection closed in the middle of the body), ``stall`` (no answer for ``seconds``, then the true
        one), ``malformed`` (200 with HTML), ``half`` (half of the JSON, well delivered), and for charts ``nulls`` (a
        row of nulls), ``no_timestamps``, ``duplicate_rows`` (a row twice), ``conflicting_rows`` (again, otherwise),
        ``live_row`` (the newest row is dated by its last trade, as Yahoo does until some time after the close).

        ``kind`` None strikes every question for data; cookie, crumb and consent fail only by name.
        Raises ValueError for an unknown fault.
        """
        if fault not in (*STATUS_FAULTS, *TRANSPORT_FAULTS, *ROW_FAULTS):
            raise ValueError(f"unknown fault {fault!r}")
        with self._lock:
            self._faults.append(Fault(fault, kind, ticker, times, retry_after, seconds, on))

    def clear(self) -> None:
        """From now on nothing fails."""
        with self._lock:
            self._faults.clear()

    def strike(self, kind: str, ticker: str | None) -> Fault | None:
        """The fault of this answer, used up by one."""
        with self._lock:
            for place, fault in enumerate(self._faults):
                if fault.strikes(kind, ticker):
                    if fault.times is not None:
                        self._faults[place] = replace(fault, times=fault.times - 1)
                    return fault
        return None


def refusal(status: int, kind: str) -> Answer:
    """The body that Yahoo sends with a status, by kind of question: a 429 is plain text, a 503 a page."""
    envelope = ENVELOPES.get(kind, "finance")
    if status == 429:
        return Answer(429, "Too Many Requests")
    if status == 503:
        return Answer(503, "<html><head><title>Yahoo</title></head><body>Service Unavailable</body></html>")
    if status == 401:
        return error("finance", 401, "Unauthorized", "Invalid Crumb")
    if status == 404:
        text = "No data found, symbol may be delisted" if kind == "chart" else "Quote not found for symbol"
        return error(envelope, 404, "Not Found", text)
    if status == 422:
        return error(envelope, 422, "Unprocessable Entity", "1d data not available for the requested range.")
    return error(envelope, status, "Internal Server Error", "An internal error occurred, please try again later.")


def with_row_fault(answer: Answer, fault: Fault, opens_at: int | None) -> Answer:
    """The chart answer with one defect; ``opens_at``: the timestamp of the row that it strikes. Others pass unchanged.

    A defect on a session that the answer does not hold changes nothing.
    """
    results = answer.body["chart"]["result"] if answer.status == 200 else None
    if not results or not results[0].get("timestamp"):
        return answer
    body = copy.deepcopy(answer.body)
    result = body["chart"]["result"][0]
    if fault.fault == "no_timestamps":
        del result["timestamp"]
        return replace(answer, body=body)
    stamps: list[int] = result["timestamp"]
    if fault.fault == "live_row":
        stamps[-1] = result["meta"]["regularMarketTime"]
        return replace(answer, body=body)
    if opens_at is not None and opens_at not in stamps:
        return answer
    row = stamps.index(opens_at) if opens_at is not None else len(stamps) // 2
    for column in _columns(result):
        if fault.fault == "nulls":
            column[row] = None
        else:
            column.insert(row + 1, column[row])
    if fault.fault != "nulls":
        stamps.insert(row + 1, stamps[row])
    if fault.fault == "conflicting_rows":
        quote = result["indicators"]["quote"][0]
        quote["close"][row + 1] = quote["low"][row + 1]
        quote["volume"][row + 1] += 100
    return replace(answer, body=body)


def _columns(result: dict[str, Any]) -> list[list[Any]]:
    indicators = result["indicators"]
    adjusted = [part["adjclose"] for part in indicators.get("adjclose", [])]
    return [*indicators["quote"][0].values(), *adjusted]


def encode(answer: Answer) -> tuple[bytes, str]:
    """The body's bytes and content type."""
    if isinstance(answer.body, str):
        page = answer.body.lstrip().startswith("<")
        return answer.body.encode(), "text/html;charset=utf-8" if page else "text/plain;charset=utf-8"
    return json.dumps(answer.body, separators=(",", ":")).encode(), "application/json;charset=utf-8"
