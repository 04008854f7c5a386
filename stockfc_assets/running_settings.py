"""How an environment is run: where its bytes go, what spreads its steps, who is told, what is served and kept."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from stockfc_assets.frozen import Frozen, Positive

# --- storage ----------------------------------------------------------------------------------------------------------


class LocalStorage(Frozen):
    """Folders under ``STOCKFC_DATA``."""

    kind: Literal["local"] = "local"


class S3Storage(Frozen):
    """A bucket, or a part of one. Credentials, region and endpoint come from AWS's own variables and files."""

    kind: Literal["s3"]
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._=-]*(/[A-Za-z0-9._=-]+)*$")] = ""
    """Every key begins with it; empty = the whole bucket."""
    encryption: Literal["AES256", "aws:kms"] | None = None
    """Server-side encryption of what is written; None leaves it to the bucket's own default."""
    kms_key: str | None = None
    """Id, ARN or alias of the key for ``aws:kms``; None = the account's own key for S3."""
    connections: Annotated[int, Field(ge=1, le=256)] = 32
    """So many requests at once."""
    attempts: Annotated[int, Field(ge=1)] = 6
    """A request that meets 5xx, "SlowDown" or a cut connection is made so often, with growing waits between."""

    @field_validator("encryption", "kms_key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """An environment variable that is set to nothing means: not set."""
        return value or None

    @model_validator(mode="after")
    def _key_needs_kms(self) -> S3Storage:
        if self.kms_key is not None and self.encryption != "aws:kms":
            raise ValueError("kms_key is given, but encryption is not aws:kms; set it, or leave kms_key out")
        return self


StorageSettings = Annotated[LocalStorage | S3Storage, Field(discriminator="kind")]


# --- steps ------------------------------------------------------------------------------------------------------------


class ExecutionSettings(Frozen):
    """What runs the steps of a run that can spread (docs/executors.md says which size wants which)."""

    executor: Literal["in_process", "processes", "dask"] = "in_process"
    workers: Annotated[int, Field(ge=1)] = 2
    """Parts into which work over many partitions is cut, and processes at once; a Dask cluster brings its own."""
    dask_address: str | None = None
    """Address of the Dask scheduler, such as tcp://scheduler:8786; needed with ``dask``."""

    @model_validator(mode="after")
    def _dask_needs_address(self) -> ExecutionSettings:
        if self.executor == "dask" and not self.dask_address:
            raise ValueError("executor is dask, but dask_address is missing; give the scheduler's address")
        return self


# --- alarms -----------------------------------------------------------------------------------------------------------


class AlarmSettings(Frozen):
    """When somebody is told, and where (docs/alarms.md)."""

    forecast_due: dt.time | None = dt.time(23, 45)
    """By this time of the exchange's day the forecast of a closed session is published, or it is stale; a time before the
    close is one of the day after. None = no forecast is awaited, as over price files that nobody adds to."""
    champion_months: Annotated[int, Field(ge=1)] = 2
    """A champion that is older than so many months is too old."""
    calendar_days: Positive = 60
    """The exchange's calendar is known for less than so many days: the package needs an update."""
    repeat_days: Positive | None = None
    """What is still wrong after so many days is told again; None = once is enough."""
    webhook_url: SecretStr | None = None
    """Gets Slack-compatible JSON. A secret: set STOCKFC_ALARM_WEBHOOK."""
    sns_topic: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$")] | None = (
        None
    )
    """ARN of an SNS topic (a standard one, not .fifo). STOCKFC_ALARM_TOPIC sets it, too."""

    @field_validator("webhook_url", "sns_topic", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("forecast_due", mode="before")
    @classmethod
    def _quoted(cls, value: object) -> object:
        if isinstance(value, int | float):
            raise ValueError('is a number: YAML reads 23:45 without quotes as 1425; write "23:45"')
        return value

    @field_validator("forecast_due")
    @classmethod
    def _without_zone(cls, value: dt.time | None) -> dt.time | None:
        if value is not None and value.tzinfo is not None:
            raise ValueError("is a time of the exchange's own clock; leave the zone out")
        return value

    # A check of the whole, so that a refusal does not show the address.
    @model_validator(mode="after")
    def _web_address(self) -> AlarmSettings:
        if self.webhook_url is not None:
            try:
                parts = urlsplit(self.webhook_url.get_secret_value())
                usable = parts.scheme in ("https", "http") and bool(parts.hostname)
            except ValueError:
                usable = False
            if not usable:
                raise ValueError("webhook_url is no http:// or https:// address; correct STOCKFC_ALARM_WEBHOOK")
        return self


# --- serving ----------------------------------------------------------------------------------------------------------


class ApiSettings(Frozen):
    """The HTTP API (docs/api.md)."""

    key: SecretStr | None = None
    """Asked for in the header X-API-Key, if set. A secret: set STOCKFC_API_KEY."""
    cors_origins: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")], ...] = ()
    """Web pages of these origins, such as https://desk.example.com, may call it; ``*`` = those of any."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Per client; None = no limit."""
    cache_seconds: Annotated[int, Field(ge=0)] = 60
    """For so long a client may use an answer without asking again."""
    refresh_seconds: Annotated[float, Field(ge=0)] = 5
    """The store is asked at most so often whether a file has changed since it was read."""

    @field_validator("key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


# --- retention --------------------------------------------------------------------------------------------------------


class RetentionSettings(Frozen):
    """What the job `retention` removes (docs/retention.md). None keeps it for ever."""

    reports_days: Annotated[int, Field(ge=1)] | None = 400
    """Reports of older sessions; `stockfc report --session` writes one again."""
    panels_months: Annotated[int, Field(ge=1)] | None = 3
    """Training panels of older months; materialising training_panel writes one again."""
    events_days: Annotated[int, Field(ge=1)] | None = 180
    """Dagster's log lines of runs that ended longer ago; what was materialised when stays known."""
