"""What a function says of a call: one line of JSON, for CloudWatch and whoever reads it."""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stockfc_assets.storage import S3Store, Store


class CallLog:
    """Collects the seconds of each phase of a call. Nothing of the environment or of the credentials is ever in it."""

    def __init__(self, request_id: str | None) -> None:
        self.request_id = request_id
        self.said: list[str] = []
        self._began = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = round(time.perf_counter() - began, 3)

    def line(self, **facts: Any) -> str:
        """``facts`` with the seconds of the call and of its phases, and the most memory that the process ever took."""
        document = {
            "request_id": self.request_id,
            **facts,
            "seconds": round(time.perf_counter() - self._began, 3),
            "phases": self._seconds,
            "peak_mb": peak_megabytes(),
        }
        if self.said:
            document["said"] = self.said
        return json.dumps(document, ensure_ascii=False)


def peak_megabytes() -> int:
    """The most memory that this process ever held, in MiB (VmHWM)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def count_requests(store: Store) -> Counter[str]:
    """Operation -> how often boto3 sends it from now on, retries included; Polars' own reads of tables are not seen."""
    count: Counter[str] = Counter()
    if isinstance(store, S3Store):
        store.client.meta.events.register(
            "before-send.s3", lambda event_name, **_: count.update([event_name.rpartition(".")[2]])
        )
    return count
