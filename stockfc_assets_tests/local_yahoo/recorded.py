"""Recorded answers of the real service (shared/data/yahoo), found by what they answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stockfc_assets_tests.local_yahoo.charts import Answer


@dataclass(frozen=True)
class RecordedChart:
    symbol: str
    interval: str
    timestamps: tuple[int, ...]
    answer: Answer


@dataclass(frozen=True)
class Recordings:
    """Charts by symbol and interval, quoteSummary answers by symbol."""

    charts: tuple[RecordedChart, ...] = ()
    summaries: dict[str, Answer] | None = None

    def chart(self, ticker: str, query: dict[str, str]) -> Answer | None:
        """The recorded chart of ``ticker`` with most rows in the range asked for, whole and unchanged."""
        start, end = int(query.get("period1", 0)), int(query.get("period2", 2**40))
        interval = query.get("interval", "1d")
        fitting = [chart for chart in self.charts if chart.symbol == ticker and chart.interval == interval]
        if not fitting:
            return None
        return max(fitting, key=lambda chart: sum(start <= stamp < end for stamp in chart.timestamps)).answer

    def summary(self, ticker: str) -> Answer | None:
        return (self.summaries or {}).get(ticker)


@lru_cache(maxsize=4)
def read_recordings(folder: Path) -> Recordings:
    """All recordings of ``folder``: recorded/*.json are exchanges (those called fake are left out), tokyo/*.json bodies."""
    charts: list[RecordedChart] = []
    summaries: dict[str, Answer] = {}
    for file in sorted((folder / "recorded").glob("*.json")):
        exchange = json.loads(file.read_text())
        if ".fake" in file.name or "bodyJson" not in exchange["response"]:
            continue
        answer = Answer(exchange["response"]["status"], exchange["response"]["bodyJson"])
        if "chart" in answer.body:
            charts += _charts(answer)
        elif "quoteSummary" in answer.body:
            path = exchange["request"]["url"].partition("?")[0]
            summaries[path.rpartition("/")[2]] = answer
    for file in sorted((folder / "tokyo").glob("chart_*.json")):
        charts += _charts(Answer(200, json.loads(file.read_text())))
    return Recordings(tuple(charts), summaries)


def _charts(answer: Answer) -> list[RecordedChart]:
    results: list[dict[str, Any]] = answer.body["chart"]["result"] or []
    return [
        RecordedChart(
            result["meta"]["symbol"], result["meta"]["dataGranularity"], tuple(result.get("timestamp", ())), answer
        )
        for result in results
    ]
