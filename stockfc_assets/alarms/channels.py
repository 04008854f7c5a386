"""Who is told: a webhook, an SNS topic, the log. A channel either has delivered, or raises DeliveryError.

The webhook's address is a secret: no error and no log line holds it.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from stockfc_assets.alarms.incidents import News
from stockfc_assets.alarms.messages import Message, Wording
from stockfc_assets.errors import StockfcError
from stockfc_assets.market.calendar import profile_of
from stockfc_assets.settings import Settings

TIMEOUT_SECONDS = 5.0
BUDGET_SECONDS = 15.0
"""A webhook is tried for so long; what fails then is tried again at the next evaluation. Dagster ends a sensor after 60 s."""
FIRST_BACKOFF_SECONDS = 1.0
SUBJECT_CHARACTERS = 100
"""Amazon allows a subject no more."""


class DeliveryError(StockfcError):
    """A channel could not be told; the message names it and the cause."""


class Channel(Protocol):
    def send(self, news: Sequence[News]) -> None:
        """Delivers one message with all of ``news``. Raises DeliveryError."""
        ...


class LogChannel:
    """Lines for the log of whoever evaluates."""

    def __init__(self, wording: Wording, say: Callable[[str], Any]) -> None:
        self.wording = wording
        self.say = say

    def send(self, news: Sequence[News]) -> None:
        self.say(self.wording.message(news).text)


class WebhookChannel:
    """POSTs ``{"text": ...}``, as Slack, Mattermost and others read it.

    429, 5xx and connections that break or stay silent are tried again with growing waits, or after the time that
    Retry-After names, while `BUDGET_SECONDS` last. Other answers are final; a redirection is one of them, because the
    message would not be sent along.
    """

    def __init__(
        self,
        url: str,
        wording: Wording,
        *,
        timeout: float = TIMEOUT_SECONDS,
        budget: float = BUDGET_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self.wording = wording
        self.timeout = timeout
        self.budget = budget
        self._sleep = sleep
        self._clock = clock

    def send(self, news: Sequence[News]) -> None:
        body = json.dumps({"text": _for_slack(self.wording.message(news))}, ensure_ascii=False).encode()
        deadline = self._clock() + self.budget
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            problem, wait = self._post(body)
            if problem is None:
                return
            if wait is None:
                raise DeliveryError(f"webhook: {problem}; check STOCKFC_ALARM_WEBHOOK")
            wait = max(wait, backoff)
            if self._clock() + wait > deadline:
                raise DeliveryError(f"webhook: {problem}")
            self._sleep(wait)
            backoff *= 2

    def _post(self, body: bytes) -> tuple[str | None, float | None]:
        """(problem, least seconds to wait); no problem = delivered, no seconds = not worth another try."""
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "stockfc"}
        try:
            request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")
            with _OPENER.open(request, timeout=self.timeout):
                return None, None
        except urllib.error.HTTPError as error:
            with error:
                told = f"it answered {error.code}"
                again = error.code == 429 or error.code >= 500
                return told, _retry_after(error.headers.get("Retry-After")) if again else None
        except urllib.error.URLError as error:
            return f"no connection ({type(error.reason).__name__})", 0.0
        except (OSError, http.client.HTTPException) as error:
            return f"no answer ({type(error).__name__})", 0.0
        except ValueError:
            return "its address cannot be used", None


class SnsChannel:
    """Publishes to an SNS topic. Credentials and endpoint are AWS's own variables; the region is the topic's."""

    def __init__(self, topic: str, wording: Wording) -> None:
        self.topic = topic
        self.wording = wording

    def send(self, news: Sequence[News]) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError:
            raise DeliveryError(
                "SNS: the package boto3 is not installed; `.venv/bin/pip install -c constraints.txt -e '.[aws]'`"
            ) from None
        message = self.wording.message(news)
        limits = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
        try:
            client = boto3.client("sns", region_name=self.topic.split(":")[3], config=limits)
            client.publish(TopicArn=self.topic, Subject=_sns_subject(message.title), Message=message.text)
        except ClientError as error:
            said = error.response["Error"]
            raise DeliveryError(f"SNS topic {self.topic}: {said['Code']}: {said.get('Message', '')}") from None
        except BotoCoreError as error:
            raise DeliveryError(f"SNS topic {self.topic}: {error}") from None


def configured_channels(settings: Settings, say: Callable[[str], Any]) -> dict[str, Channel]:
    """The channels in use by name: the log always, the others where they are set."""
    alarms = settings.environment.alarms
    wording = Wording(settings.env, ZoneInfo(profile_of(settings.universe.exchange).time_zone))
    channels: dict[str, Channel] = {"log": LogChannel(wording, say)}
    if alarms.webhook_url is not None:
        channels["webhook"] = WebhookChannel(alarms.webhook_url.get_secret_value(), wording)
    if alarms.sns_topic is not None:
        channels["sns"] = SnsChannel(alarms.sns_topic, wording)
    return channels


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirection)


def _for_slack(message: Message) -> str:
    """Slack reads <, > and & as markup (https://docs.slack.dev/messaging/formatting-message-text)."""
    text = f"*{message.title}*\n\n" + "\n\n".join(message.paragraphs)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _sns_subject(title: str) -> str:
    """One line of printable ASCII, as Amazon requires."""
    line = "".join(char if " " <= char <= "~" else " " for char in title)
    return line if len(line) <= SUBJECT_CHARACTERS else f"{line[: SUBJECT_CHARACTERS - 3]}..."


def _retry_after(value: str | None) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: a number, or a date); 0 where it says nothing."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    until = until if until.tzinfo is not None else until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - dt.datetime.now(dt.UTC)).total_seconds())
