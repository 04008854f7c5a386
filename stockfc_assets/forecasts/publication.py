"""The published predictions file: built, read back, and judged before it goes out.

The shape is the one that consumers already read (docs/data-contracts.md): keys may be added, none removed.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stockfc_assets.errors import DataError
from stockfc_assets.features.names import HORIZONS

LATEST = "predictions/latest.json"
MAX_LOG_RETURN = 2.0
"""A 12-month log return beyond this (a factor of 7.4) is a fault, not a forecast."""

LAST_HORIZON = HORIZONS[-1]


# --- writing ----------------------------------------------------------------------------------------------------------


def predictions_document(
    frame: pl.DataFrame,
    *,
    timestamp: dt.datetime,
    model: Mapping[str, Any],
    track_record: Mapping[str, Any],
    source: Mapping[str, Any],
    skipped: Sequence[Mapping[str, str]],
    names: Mapping[str, str],
    interval: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of predictions/{session}.json.

    ``frame`` is the table of one session (tables.Predictions). ``timestamp`` is the session's own 23:00 in the
    exchange's time zone, never the clock, so that the same session gives the same bytes. ``model`` holds id, month,
    trained_through, status and kind; ``source`` holds name, label and simulated; ``skipped`` holds ticker and reason of
    the stocks without a forecast; ``names`` are the company names by ticker; ``interval`` says what lower to upper
    should hold (intervals.py, `interval_entry`; None = there are none). Stocks are sorted by ticker; returns are simple
    and rounded to 6 decimals, prices to 4 (8 below one currency unit); a number that is not known is null.
    """
    stocks = [
        _stock_entry(group.sort("horizon").to_dicts(), names)
        for _, group in frame.sort("ticker", "horizon").group_by("ticker", maintain_order=True)
    ]
    return {
        "timestamp": timestamp.replace(tzinfo=None).isoformat(timespec="seconds"),
        "session": (timestamp.date() if frame.is_empty() else frame["session"][0]).isoformat(),
        "num_predictions": len(stocks),
        "source": dict(source),
        "model": dict(model),
        "interval_level": interval["level"] if interval else None,
        "interval": dict(interval) if interval else None,
        "predictions": stocks,
        "skipped": sorted(
            ({**entry, "name": names.get(entry["ticker"], entry["ticker"])} for entry in skipped),
            key=lambda entry: entry["ticker"],
        ),
        "track_record": dict(track_record),
    }


def _stock_entry(rows: list[dict[str, Any]], names: Mapping[str, str]) -> dict[str, Any]:
    months = [
        {
            "month": row["horizon"],
            "predicted_price": rounded_price(row["predicted_price"]),
            "return": round(math.expm1(row["log_return"]), 6),
            "lower": rounded_price(row["lower"]),
            "upper": rounded_price(row["upper"]),
        }
        for row in rows
    ]
    first, last = rows[0], months[-1]
    return {
        "ticker": first["ticker"],
        "name": names.get(first["ticker"], first["ticker"]),
        "as_of_date": first["session"].isoformat(),
        "current_price": rounded_price(first["current_price"]),
        "predictions": months,
        "predicted_12m_price": last["predicted_price"],
        "predicted_12m_return": last["return"],
        "sector": first["sector"],
    }


def rounded_price(value: float | None) -> float | None:
    """A price as it is published: 4 decimals, 8 below one currency unit; None stays None."""
    return None if value is None else round(value, 4 if value >= 1 else 8)


# --- reading ----------------------------------------------------------------------------------------------------------

FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]
Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]
REMEDY = "materialise daily_predictions of its session again"


class _Open(BaseModel):
    """Keys that are not named here are allowed: later versions add some."""

    model_config = ConfigDict(extra="allow")


class _Month(_Open):
    month: Annotated[int, Field(ge=1, le=LAST_HORIZON)]
    predicted_price: Price
    simple_return: Annotated[float, Field(alias="return", ge=-1, allow_inf_nan=False)]
    lower: Price | None = None
    upper: Price | None = None


class _Stock(_Open):
    ticker: Annotated[str, Field(min_length=1)]
    as_of_date: dt.date
    current_price: Price
    predictions: list[_Month]
    predicted_12m_price: Price
    predicted_12m_return: FiniteNumber
    sector: str


class _Skipped(_Open):
    ticker: Annotated[str, Field(min_length=1)]
    reason: str


class _Document(_Open):
    timestamp: dt.datetime
    num_predictions: Annotated[int, Field(ge=0)]
    predictions: list[_Stock]
    session: dt.date | None = None
    skipped: list[_Skipped] = []


def read_document(data: bytes, *, location: str = "predictions file") -> dict[str, Any]:
    """The content of a predictions file, checked against its shape (added keys are kept, missing ones named).

    Raises DataError naming ``location``, the key and the value.
    """
    try:
        content = json.loads(data, parse_constant=_refuse_constant)
    except ValueError as error:
        raise DataError(
            f"{location}: not valid JSON: {error}; materialise daily_predictions of its session again"
        ) from None
    try:
        _Document.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(document)"
        value = "" if isinstance(first["input"], (dict, list)) else f" {first['input']!r}"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise DataError(f"{location}: {key}:{value} {first['msg']}{more}; {REMEDY}") from None
    return content


def latest_may_move(current_latest: bytes | None, new_session: dt.date) -> bool:
    """Whether latest.json may be replaced by the file of ``new_session``: it only ever moves forward in time.

    The same session may be written again. No file, or one that cannot be read, may always be replaced, so that writing
    a forecast heals a damaged latest.json.
    """
    if current_latest is None:
        return True
    try:
        return new_session >= _session_of(read_document(current_latest))
    except DataError:
        return True


def _session_of(document: Mapping[str, Any]) -> dt.date:
    """The session of a document; older files without the key have it as their stocks' newest as-of date."""
    if "session" in document:
        return dt.date.fromisoformat(document["session"])
    dates = [dt.date.fromisoformat(stock["as_of_date"]) for stock in document["predictions"]]
    return max(dates, default=dt.datetime.fromisoformat(document["timestamp"]).date())


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


# --- judging ----------------------------------------------------------------------------------------------------------


def document_problems(document: Mapping[str, Any], expected_tickers: Iterable[str]) -> list[str]:
    """What forbids publishing ``document``, one message per problem; empty when it is complete and sane.

    Complete: each of ``expected_tickers`` (the members) is either forecast or skipped with a reason, none twice, and no
    other is forecast; horizons are 1 to 12. Sane: numbers are finite, lower <= forecast <= upper, prices are current
    price x (1 + return), the 12-month log return is within `MAX_LOG_RETURN`, and the stocks differ.
    """
    stocks = document["predictions"]
    problems = _completeness_problems(document, set(expected_tickers))
    for stock in stocks:
        problems += [f"{stock['ticker']}: {message}" for message in _stock_problems(stock)]
    distinct = {tuple(month["return"] for month in stock["predictions"]) for stock in stocks}
    if len(stocks) > 1 and len(distinct) == 1:
        problems.append(f"all {len(stocks)} stocks have the same forecast: the model has collapsed to a constant")
    return problems


def _completeness_problems(document: Mapping[str, Any], expected: set[str]) -> list[str]:
    forecast = [stock["ticker"] for stock in document["predictions"]]
    skipped = [entry["ticker"] for entry in document["skipped"]]
    count = Counter(forecast + skipped)
    problems = [f"{ticker}: neither forecast nor skipped with a reason" for ticker in sorted(expected - set(count))]
    problems += [f"{ticker}: forecast, but not a member on this session" for ticker in sorted(set(forecast) - expected)]
    problems += [f"{ticker}: listed {times} times" for ticker, times in sorted(count.items()) if times > 1]
    problems += [
        f"{entry['ticker']}: skipped without a reason" for entry in document["skipped"] if not entry["reason"].strip()
    ]
    if document["num_predictions"] != len(forecast):
        problems.append(f"num_predictions is {document['num_predictions']}, the file holds {len(forecast)}")
    return problems


def _stock_problems(stock: Mapping[str, Any]) -> list[str]:
    months = stock["predictions"]
    if [month["month"] for month in months] != list(HORIZONS):
        return [f"horizons are {[month['month'] for month in months]}, not 1 to {LAST_HORIZON}"]
    problems = [f"month {month['month']}: {what}" for month in months for what in _month_problems(month, stock)]
    if problems:
        return problems
    last = months[-1]
    if abs(math.log(last["predicted_price"] / stock["current_price"])) > MAX_LOG_RETURN:
        problems.append(
            f"12-month return {last['return']:+.1%} is beyond a factor of {math.exp(MAX_LOG_RETURN):.1f} either way"
        )
    if (stock["predicted_12m_price"], stock["predicted_12m_return"]) != (last["predicted_price"], last["return"]):
        problems.append("predicted_12m_price or predicted_12m_return is not that of month 12")
    return problems


def _month_problems(month: Mapping[str, Any], stock: Mapping[str, Any]) -> list[str]:
    price, now = month["predicted_price"], stock["current_price"]
    ends = [month.get("lower"), month.get("upper")]
    known = [value for value in (price, now, month["return"], *ends) if value is not None]
    if not all(math.isfinite(value) for value in known):
        return ["a number is not finite"]
    if price <= 0 or now <= 0:
        return [f"price {price} or current price {now} is not positive"]
    problems = []
    if ends.count(None) == 1:
        problems.append("only one end of the interval is given")
    if None not in ends and not ends[0] <= price <= ends[1]:
        problems.append(f"interval {ends[0]} to {ends[1]} does not hold the forecast {price}")
    implied = now * (1 + month["return"])
    # Half a unit in the last place of each rounded number: price (4 decimals) and return (6 decimals) of both prices.
    if abs(implied - price) > 1e-4 + 1e-6 * max(now, price):
        problems.append(f"price {price} is not {now} x (1 {month['return']:+})")
    return problems
