"""A store in an S3 bucket. An object is replaced whole, so a reader never sees half of one.

boto3 lists, writes and reads single objects; tables are scanned by Polars' own reader of S3, which asks for the footers
and the wanted columns of many objects at once (`S3Store.scan_options`).
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from stockfc_assets.errors import ConfigError, StorageError
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage.behind import WriteBehind
from stockfc_assets.storage.store import is_between

Item = TypeVar("Item")
Answer = TypeVar("Answer")
CONNECT_SECONDS = 10
READ_SECONDS = 60
FIRST_BACKOFF_SECONDS = 0.2
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
OVERTAKEN = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})
REFUSED = frozenset({"403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


class S3Store:
    """Objects under ``s3://{bucket}/{prefix}``; see `Store` for the interface. One store may serve many threads.

    5xx, "SlowDown" and cut connections are tried again ``settings.attempts`` times. What still fails then, and what is
    refused, raises StorageError naming the location and the cause; missing credentials raise ConfigError.
    """

    def __init__(self, settings: S3Storage) -> None:
        self.settings = settings
        self.prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._behind = WriteBehind(self._put, settings.connections)

    # --- one file -----------------------------------------------------------------------------------------------------

    def read_bytes(self, key: str) -> bytes:
        self._behind.settle(key)
        return self._ask(key, lambda: self._whole_body(key))

    def write_bytes(self, key: str, data: bytes) -> None:
        self._behind.send(key, data)

    def replace_if(self, key: str, data: bytes, version: str | None) -> bool:
        self._behind.settle(key)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        request = {**self._object(key), **self._encryption, **condition}
        try:
            self._ask(key, lambda: self.client.put_object(**request, Body=data))
        except (_Overtaken, FileNotFoundError):
            return False
        return True

    def exists(self, key: str) -> bool:
        return self.version(key) is not None

    def version(self, key: str) -> str | None:
        self._behind.settle(key)
        try:
            return str(self._ask(key, lambda: self.client.head_object(**self._object(key)))["ETag"])
        except FileNotFoundError:
            return self._absent

    @cached_property
    def _absent(self) -> None:
        """The version of what is not there. A HEAD does not tell a missing object from a missing bucket: asked for once."""
        try:
            self._ask("", lambda: self.client.head_bucket(Bucket=self.settings.bucket))
        except FileNotFoundError:
            raise self._no_bucket("") from None

    def delete(self, key: str) -> None:
        self._behind.settle(key)
        self._ask(key, lambda: self.client.delete_object(**self._object(key)))

    @contextlib.contextmanager
    def near(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="stockfc-") as folder:
            path = Path(folder) / key.replace("/", "-")
            path.write_bytes(self.read_bytes(key))
            yield path

    def location(self, key: str) -> str:
        return f"s3://{self.settings.bucket}/{self.prefix}{key}"

    # --- many files ---------------------------------------------------------------------------------------------------

    def list(self, prefix: str, *, first: str = "", last: str | None = None) -> Sequence[str]:
        folder = f"{prefix.rstrip('/')}/"
        if first or last is not None:
            self._behind.settle()
            page = self._page(folder, start=first)
            told = [key.removeprefix(self.prefix) for key in _sizes(page)]
            if not page["IsTruncated"] or (told and not is_between(told[-1].removeprefix(folder), first, last)):
                return [key for key in told if is_between(key.removeprefix(folder), first, last)]
        return sorted(key for key in self.sizes(prefix) if is_between(key.removeprefix(folder), first, last))

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """As `Store.sizes`. One request tells 1,000 names: of a folder that holds more, the names that begin alike up to
        their first hyphen (those of a year) are asked for side by side."""
        self._behind.settle()
        folder = f"{prefix.rstrip('/')}/"
        page = self._page(folder)
        found = _sizes(page)
        if page["IsTruncated"]:
            last = max(found, default="")
            groups = self._pages(folder, delimiter="-")
            years = [each["Prefix"] for group in groups for each in group.get("CommonPrefixes", ())]
            wanted = [year.removeprefix(self.prefix) for year in years if year >= last[: len(year)]]
            for pages in [groups, *self.map(self._pages, wanted)]:
                for each in pages:
                    found |= _sizes(each)
        return {key.removeprefix(self.prefix): size for key, size in found.items()}

    def map(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
        with ThreadPoolExecutor(self.settings.connections) as pool:
            return list(pool.map(function, items))

    def written_behind(self, items: Iterable[Item]) -> Iterator[Item]:
        return self._behind.follow(items)

    def scan_source(self, key: str) -> str:
        self._behind.settle(key)
        return self.location(key)

    def scan_options(self) -> dict[str, Any]:
        """Polars' name for what boto3 found: credentials (as they are now), region, endpoint."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise _no_credentials(self.location(""))
        frozen = credentials.get_frozen_credentials()
        endpoint = self.client.meta.endpoint_url
        options = {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
            "aws_session_token": frozen.token,
            "aws_region": self.client.meta.region_name,
            "aws_endpoint_url": endpoint,
            "aws_allow_http": str(endpoint.startswith("http://")).lower(),
            "max_retries": self.settings.attempts,
        }
        return {name: value for name, value in options.items() if value is not None}

    # --- S3 -----------------------------------------------------------------------------------------------------------

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session()

    @cached_property
    def client(self) -> Any:
        """boto3's client of S3, configured by AWS's own variables and files. Its region is us-east-1 where none is set."""
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=self.settings.connections,
            retries={"mode": "standard", "total_max_attempts": self.settings.attempts},
        )
        return self._session.client("s3", region_name=self._session.region_name or "us-east-1", config=config)

    @property
    def _encryption(self) -> dict[str, str]:
        chosen = {"ServerSideEncryption": self.settings.encryption, "SSEKMSKeyId": self.settings.kms_key}
        return {name: value for name, value in chosen.items() if value is not None}

    def _put(self, key: str, data: bytes) -> None:
        self._ask(key, lambda: self.client.put_object(**self._object(key), Body=data, **self._encryption))

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self.settings.bucket, "Key": f"{self.prefix}{key}"}

    def _whole_body(self, key: str) -> bytes:
        """boto3 tries a request again, but not a body that ends too early."""
        from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError

        for attempt in range(1, self.settings.attempts + 1):
            body = self.client.get_object(**self._object(key))["Body"]
            try:
                return body.read()
            except (HTTPClientError, IncompleteReadError, FlexibleChecksumError):
                if attempt == self.settings.attempts:
                    raise
                time.sleep(FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _page(self, prefix: str, *, delimiter: str = "/", after: str | None = None, start: str = "") -> dict[str, Any]:
        """``after``: the token of the page before; ``start``: only names after this one."""
        continuation = {} if after is None else {"ContinuationToken": after}
        if start:
            continuation["StartAfter"] = f"{self.prefix}{prefix}{start}"
        wanted = {"Bucket": self.settings.bucket, "Prefix": f"{self.prefix}{prefix}", "Delimiter": delimiter}
        return self._ask(prefix, lambda: self.client.list_objects_v2(**wanted, **continuation))

    def _pages(self, prefix: str, *, delimiter: str = "/") -> list[dict[str, Any]]:
        pages = [self._page(prefix, delimiter=delimiter)]
        while pages[-1]["IsTruncated"]:
            pages.append(self._page(prefix, delimiter=delimiter, after=pages[-1]["NextContinuationToken"]))
        return pages

    def _ask(self, key: str, request: Callable[[], Answer]) -> Answer:
        """``request``, its failures in our words."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            return request()
        except ClientError as error:
            raise self._failure(key, error) from None
        except NoCredentialsError:
            raise _no_credentials(self.location(key)) from None
        except BotoCoreError as error:
            raise StorageError(
                f"{self.location(key)}: S3 cannot be reached ({str(error).strip()}); check the network and AWS_ENDPOINT_URL, "
                "then run it again: what is stored stays"
            ) from None

    def _failure(self, key: str, error: Any) -> Exception:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        place = self.location(key)
        if code in ABSENT:
            return FileNotFoundError(place)
        if code in OVERTAKEN:
            return _Overtaken(place)
        if code == "NoSuchBucket":
            return self._no_bucket(key)
        said = f"{error.operation_name}: {code}{f', {message}' if message else ''}"
        if code in REFUSED:
            return StorageError(
                f"{place}: access denied ({said}); docs/aws.md has the rights that the role or key needs"
            )
        return StorageError(
            f"{place}: S3 failed ({said}) in {self.settings.attempts} attempts; run it again later: what is stored stays"
        )

    def _no_bucket(self, key: str) -> StorageError:
        return StorageError(f"{self.location(key)}: there is no such bucket; create it, or correct STOCKFC_S3_BUCKET")


class _Overtaken(Exception):
    """Another process replaced the object first."""


def _sizes(page: Mapping[str, Any]) -> dict[str, int]:
    return {each["Key"]: each["Size"] for each in page.get("Contents", ())}


def _no_credentials(place: str) -> ConfigError:
    return ConfigError(f"{place}: no AWS credentials; set AWS_PROFILE, or run where a role gives them (docs/aws.md)")
