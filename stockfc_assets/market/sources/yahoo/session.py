"""The polite session: what yfinance asks Yahoo goes out spaced, waits when told to, and gives up in time.

yfinance takes a session but has no address of its own to change, so the session also sends the real client's requests
to a server on this machine when an endpoint is set.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from curl_cffi import CurlECode, requests

from stockfc_assets.settings import YahooSettings

logger = logging.getLogger(__name__)

COOKIE_HOST = "fc.yahoo.com"
DATA_HOSTS = ("query1.finance.yahoo.com", "query2.finance.yahoo.com")
CRUMB_PATH = "/v1/test/getcrumb"
TRIES = 4
"""Faults other than a rate limit may belong to one ticker: so many tries, then the next one has its turn."""
FAILURES_IN_A_ROW = 3
"""So many requests in a row that fail without budget left mean that the service is not there."""
UNAUTHORIZED = 401
TOO_MANY_REQUESTS = 429


class ServiceError(Exception):
    """Yahoo did not answer, or not with what can be used; ``reason`` says why in a few words, its own where it has any.

    No OSError, because yfinance keeps some of those to itself.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class _Again(Exception):
    """A fault that may be gone in a while: its reason, and for how many seconds the service asks to be left alone."""

    def __init__(self, reason: str, *, limited: bool = False, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.limited = limited
        self.after = after


class PoliteSession(requests.Session):
    """A session as yfinance would make it, with manners. One thread.

    Requests start at least 60 s / ``requests_per_minute`` apart, and a random part of ``jitter_seconds`` more. After a
    429, a 5xx, a connection that is cut or silent, or an answer that is no JSON, a question for data is put again: after
    ``Retry-After`` where given, else after ``first_backoff_seconds``, doubled each time up to ``longest_backoff_seconds``,
    with up to a quarter more at random. A rate limit concerns us as a whole and is waited for as long as the budget
    lasts; other faults get `TRIES` tries. Once ``budget_seconds`` of waiting are used up nothing is waited for any more,
    and after `FAILURES_IN_A_ROW` failures every further question fails at once, with the reason of the last.

    Answers with another 4xx fail at once with Yahoo's own words, because yfinance would change its cookie and ask again.
    A 401 is left to it the first time: it asks for a new cookie and crumb. Questions for cookie and crumb are never put
    again here: charts need neither. yfinance would ask for the cookie before every question, so until a 401 it is told
    what came of the first time.

    ``answer`` is the newest answer to a question for data, parsed. ``requests_made`` counts what went out, and
    ``seconds_waited`` the back-off. ``clock`` and ``sleep`` are in seconds.
    """

    def __init__(
        self,
        settings: YahooSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        super().__init__(impersonate="chrome")
        self.answer: Any = None
        self.requests_made = 0
        self.seconds_waited = 0.0
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._chance = chance or random.Random()
        self._next_start = clock()
        self._budget = settings.budget_seconds
        self._failures = 0
        self._reason = ""
        self._unauthorized = ""
        self._cookie: requests.Response | requests.exceptions.RequestException | None = None

    def begin(self) -> None:
        """Starts a fetch: with a full budget where the service answered last, else with what the fetch before left."""
        if not self._failures:
            self._budget = self._settings.budget_seconds
        self._failures = 0

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        """One question, asked as often as it takes. Raises ServiceError for a question for data without an answer."""
        kwargs["timeout"] = self._settings.timeout_seconds
        self._refuse_when_given_up()
        place = urlsplit(url)
        if place.hostname == COOKIE_HOST:
            return self._cookie_answer(method, url, *args, **kwargs)
        if place.hostname not in DATA_HOSTS or place.path == CRUMB_PATH:
            return self._send(method, url, *args, **kwargs)
        waits = faults = 0
        while True:
            try:
                response = self._ask(method, url, *args, **kwargs)
            except _Again as fault:
                waits, faults = waits + 1, faults + (not fault.limited)
                if faults == TRIES or not self._wait(fault, waits):
                    self._failures += self._budget <= 0
                    self._reason = fault.reason
                    raise ServiceError(fault.reason) from None
                continue
            self._failures = 0
            return self._checked(response, place.path)

    def _refuse_when_given_up(self) -> None:
        if self._budget <= 0 and self._failures >= FAILURES_IN_A_ROW:
            raise ServiceError(f"{self._reason}; not asked, after {self.seconds_waited:.0f} s of waiting")

    def _ask(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        """An answer that is JSON, or a refusal other than a rate limit; raises _Again for anything else."""
        self.answer = None
        try:
            response = self._send(method, url, *args, **kwargs)
        except requests.exceptions.RequestException as error:
            if self._settings.endpoint is not None and error.code == CurlECode.COULDNT_CONNECT:
                raise ServiceError(
                    f"there is no server at {self._settings.endpoint} (sources.yahoo.endpoint)"
                ) from None
            raise _Again(self._transport_reason(error)) from None
        status = response.status_code
        if status == TOO_MANY_REQUESTS or status >= 500:
            raise _Again(_reason(response), limited=status == TOO_MANY_REQUESTS, after=_retry_after(response))
        if status < 400:
            try:
                self.answer = json.loads(response.content)
            except ValueError:
                raise _Again("the answer is not JSON") from None
        return response

    def _checked(self, response: requests.Response, path: str) -> requests.Response:
        status = response.status_code
        first = status == UNAUTHORIZED and self._unauthorized != path
        self._unauthorized = path if first else ""
        if first:
            self._cookie = None
        if status >= 400 and not first:
            raise ServiceError(_reason(response), status)
        return response

    def _cookie_answer(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        if self._cookie is None:
            try:
                self._cookie = self._send(method, url, *args, **kwargs)
            except requests.exceptions.RequestException as error:
                self._cookie = error
        if isinstance(self._cookie, requests.exceptions.RequestException):
            raise self._cookie
        return self._cookie

    def _send(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Puts the question once, not before its time."""
        if (early := self._next_start - self._clock()) > 0:
            self._sleep(early)
        apart = 60 / self._settings.requests_per_minute + self._chance.uniform(0, self._settings.jitter_seconds)
        self._next_start = self._clock() + apart
        self.requests_made += 1
        if self._settings.endpoint is not None:
            url = f"{self._settings.endpoint}/{url.removeprefix('https://')}"
        return super().request(method, url, *args, **kwargs)

    def _wait(self, fault: _Again, number: int) -> bool:
        """Whether the question may be put again, after the wait that this took: the ``number``-th for it."""
        settings = self._settings
        wait = min(settings.first_backoff_seconds * 2.0 ** (number - 1), settings.longest_backoff_seconds)
        wait *= 1 + self._chance.uniform(0, 0.25)
        if fault.after is not None:
            wait = max(fault.after, settings.first_backoff_seconds)
        if wait > self._budget:
            self._budget = 0
            return False
        logger.warning("Yahoo: %s; asking again in %.0f s (%.0f s left)", fault.reason, wait, self._budget - wait)
        self._sleep(wait)
        self._budget -= wait
        self.seconds_waited += wait
        return True

    def _transport_reason(self, error: requests.exceptions.RequestException) -> str:
        if isinstance(error, requests.exceptions.Timeout):
            return f"no answer within {self._settings.timeout_seconds:g} s"
        if isinstance(error, requests.exceptions.DNSError):
            return "host name not found: no network?"
        return f"connection failed: {str(error).partition('. See ')[0]}"


def _reason(response: requests.Response) -> str:
    """Status and Yahoo's own words, such as ``404 Not Found: No data found, symbol may be delisted``."""
    phrases = {429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
    phrase = response.reason or phrases.get(response.status_code, "")
    status = f"{response.status_code} {phrase}".strip()
    try:
        content = json.loads(response.content)
        texts = [part["error"]["description"] for part in content.values() if part.get("error")]
    except (ValueError, AttributeError, KeyError, TypeError):
        texts = []
    return ": ".join([status, *texts[:1]])


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the service asks for, as a number or as a date after the answer's own (RFC 9110, 10.2.3)."""
    text = (response.headers.get("Retry-After") or "").strip()
    if text.isdigit():
        return float(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(response.headers.get("Date") or "")
    except (ValueError, TypeError):
        return None
    return wait.total_seconds()
