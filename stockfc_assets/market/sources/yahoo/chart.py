"""A chart answer (v8/finance/chart) as frames: rows, splits and dividends as they were sent.

yfinance puts the question and judges the answer, but its frame keeps only the first of two rows of a day, turns an
empty volume into 0, and moves an event of a day without a row to the row before. So the answer itself is read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

COLUMNS = ("open", "high", "low", "close", "volume")
ROWS_SCHEMA = pl.Schema({"session": pl.Date} | dict.fromkeys(COLUMNS, pl.Float64))
SPLITS_SCHEMA = pl.Schema({"ex_date": pl.Date, "ratio": pl.Float64})
DIVIDENDS_SCHEMA = pl.Schema({"ex_date": pl.Date, "amount": pl.Float64, "currency": pl.String})


@dataclass(frozen=True)
class Chart:
    """``rows`` (`ROWS_SCHEMA`, oldest first, split-adjusted, any cell may be null), ``splits`` and ``dividends``.

    ``first_trade`` and ``last_trade``: dates between which Yahoo says that the stock traded, where it says so.
    """

    rows: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    currency: str | None
    first_trade: dt.date | None
    last_trade: dt.date | None

    def may_have_rows(self, start: dt.date, end: dt.date) -> bool:
        """Whether, going by Yahoo's own dates, the stock could have traded from ``start`` to ``end``."""
        unlisted = self.first_trade is not None and self.first_trade > end
        ended = self.last_trade is not None and self.last_trade < start
        return not (unlisted or ended)


def parse_chart(answer: Mapping[str, Any], time_zone: str) -> Chart:
    """The one result of ``answer``; dates are those of ``time_zone``.

    Of the newest day the live row counts, which Yahoo appends under the time of the last trade. Raises KeyError,
    IndexError, TypeError or ValueError where the answer has another shape.
    """
    result = answer["chart"]["result"][0]
    meta = result["meta"]
    zone = ZoneInfo(time_zone)
    stamps = result.get("timestamp") or []
    quote = result["indicators"]["quote"][0] if stamps else {}
    cells = {name: quote[name] if stamps else [] for name in COLUMNS}
    rows = pl.DataFrame({"session": _dates(stamps, zone)} | cells, strict=False)
    if len(stamps) > 1 and stamps[-1] != stamps[-2] and rows["session"][-1] == rows["session"][-2]:
        rows = rows.filter(pl.int_range(pl.len()) != pl.len() - 2)
    events = result.get("events") or {}
    splits = list((events.get("splits") or {}).values())
    dividends = list((events.get("dividends") or {}).values())
    return Chart(
        rows.cast(dict(ROWS_SCHEMA)).sort("session", maintain_order=True),
        pl.DataFrame(
            {
                "ex_date": _dates([each["date"] for each in splits], zone),
                "ratio": [each["numerator"] / each["denominator"] for each in splits],
            },
            schema=SPLITS_SCHEMA,
        ).sort("ex_date", "ratio"),
        pl.DataFrame(
            {
                "ex_date": _dates([each["date"] for each in dividends], zone),
                "amount": [float(each["amount"]) for each in dividends],
                "currency": [each.get("currency") or None for each in dividends],
            },
            schema=DIVIDENDS_SCHEMA,
        ).sort("ex_date", "amount"),
        meta.get("currency"),
        _date(meta.get("firstTradeDate"), zone),
        _date(meta.get("regularMarketTime"), zone),
    )


def _dates(stamps: list[int], zone: ZoneInfo) -> list[dt.date]:
    return [dt.datetime.fromtimestamp(stamp, zone).date() for stamp in stamps]


def _date(stamp: int | None, zone: ZoneInfo) -> dt.date | None:
    return None if stamp is None else dt.datetime.fromtimestamp(stamp, zone).date()
