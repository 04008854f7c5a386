"""Chart answers (v8/finance/chart): a history as Yahoo shows it on a day, divided by every split known by then."""

from __future__ import annotations

import bisect
import datetime as dt
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from stockfc_assets_tests.local_yahoo.histories import PRICES, Histories, History

VALID_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
DAYS_OF_RANGE = {"1mo": 30, "3mo": 91, "6mo": 182, "1y": 365, "2y": 730, "5y": 1826, "10y": 3652}
EXCHANGE_NAMES = {"XTKS": ("JPX", "Tokyo"), "XNYS": ("NYQ", "NYSE"), "XKRX": ("KSC", "KSE")}


@dataclass(frozen=True)
class Answer:
    """What goes back to the client: a JSON value, or a text."""

    status: int
    body: Any


def error(envelope: str, status: int, code: str, description: str) -> Answer:
    """An error as Yahoo words it."""
    return Answer(status, {envelope: {"result": None, "error": {"code": code, "description": description}}})


def chart_not_found() -> Answer:
    return error("chart", 404, "Not Found", "No data found, symbol may be delisted")


@dataclass(frozen=True)
class Adjusted:
    """A history divided by the splits known on a day: rows of `History`, prices float32 widened, volumes whole."""

    prices: dict[str, np.ndarray]
    volume: np.ndarray
    dividend: np.ndarray
    adjusted_close: np.ndarray


def adjust(history: History) -> Adjusted:
    """What Yahoo shows of ``history`` on its last day.

    Prices are divided by the later ratios and kept in float32; volumes are multiplied and rounded; dividends are
    divided and rounded to 6 decimals; the adjusted close is reduced by every later dividend as well.
    """
    ratio = history.later_ratios(history.sessions)
    prices = {name: _single(history.columns[name] / ratio) for name in PRICES}
    dividend = np.round(history.columns["dividend"] / ratio, 6)
    kept = np.ones(len(ratio))
    kept[1:] = 1.0 - dividend[1:] / prices["close"][:-1]
    later = np.append(np.cumprod(kept[::-1])[::-1][1:], 1.0) if len(kept) else kept
    volume = np.rint(history.columns["volume"] * ratio).astype(np.int64)
    return Adjusted(prices, volume, dividend, _single(prices["close"] * later))


def chart(histories: Histories, ticker: str, query: dict[str, str], today: dt.date) -> Answer:
    """The answer to a chart question about ``ticker``: rows with period1 <= opening < period2, or those of a range."""
    whole = histories.history(ticker)
    history = whole and whole.until(today)
    if history is None or not len(history.sessions):
        return chart_not_found()
    if query.get("interval", "1d") != "1d":
        return error(
            "chart", 422, "Unprocessable Entity", f"{query['interval']} data not available: only 1d is served."
        )
    dates = history.sessions.tolist()
    openings = [histories.opens_at(date) for date in dates]
    if "period1" in query or "period2" in query:
        start, end = int(query.get("period1", 0)), int(query.get("period2", openings[-1] + 1))
        if start > end:
            text = f"Invalid input - start date cannot be after end date. startDate = {start}, endDate = {end}"
            return error("chart", 400, "Bad Request", text)
        if start > openings[-1] or end <= openings[0]:
            text = f"Data doesn't exist for startDate = {start}, endDate = {end}"
            return error("chart", 400, "Bad Request", text)
    else:
        span = query.get("range", "1d")
        if span not in VALID_RANGES:
            text = f"Invalid input - range={span} is not supported. Valid ranges: [{', '.join(VALID_RANGES)}]"
            return error("chart", 400, "Bad Request", text)
        start, end = openings[_first_row(span, dates)], openings[-1] + 1
    first, last = bisect.bisect_left(openings, start), bisect.bisect_left(openings, end)
    shown = adjust(history)
    result: dict[str, Any] = {"meta": meta(histories, history, shown, first, query.get("range", ""))}
    if events := _events(histories, history, shown, query.get("events", ""), range(start, end)):
        result["events"] = events
    result |= _rows(openings, shown, slice(first, last))
    return Answer(200, {"chart": {"result": [result], "error": None}})


def _rows(openings: list[int], shown: Adjusted, rows: slice) -> dict[str, Any]:
    """Timestamps and indicators; Yahoo leaves the timestamps away where there is no row."""
    if rows.start == rows.stop:
        return {"indicators": {"quote": [{}], "adjclose": [{}]}}
    quote = {name: shown.prices[name][rows].tolist() for name in PRICES}
    quote["volume"] = shown.volume[rows].tolist()
    adjusted = {"adjclose": shown.adjusted_close[rows].tolist()}
    return {"timestamp": openings[rows], "indicators": {"quote": [quote], "adjclose": [adjusted]}}


def _events(histories: Histories, history: History, shown: Adjusted, wanted: str, seconds: range) -> dict[str, Any]:
    """Dividends and splits of the asked-for ``seconds``, keyed by their time as Yahoo does."""
    events: dict[str, Any] = {}
    paid = {
        histories.opens_at(history.sessions[row].item()): float(shown.dividend[row])
        for row in np.flatnonzero(shown.dividend > 0)
    }
    dividends = {str(date): {"amount": amount, "date": date} for date, amount in paid.items() if date in seconds}
    if "div" in wanted and dividends:
        events["dividends"] = dividends
    ratios: dict[int, float] = {}
    for split in sorted(history.splits, key=lambda split: split.ex_date):
        date = histories.opens_at(split.ex_date)
        ratios[date] = ratios.get(date, 1.0) * split.ratio
    splits = {str(date): _split_event(date, ratio) for date, ratio in ratios.items() if date in seconds}
    if "split" in wanted and splits:
        events["splits"] = splits
    return events


def _split_event(date: int, ratio: float) -> dict[str, Any]:
    top, bottom = Fraction(ratio).limit_denominator(1000).as_integer_ratio()
    return {"date": date, "numerator": top, "denominator": bottom, "splitRatio": f"{top}:{bottom}"}


def meta(histories: Histories, history: History, shown: Adjusted, first: int, span: str) -> dict[str, Any]:
    """The ``meta`` of a chart answer whose rows begin with number ``first``."""
    profile = histories.profile
    zone = ZoneInfo(profile.time_zone)
    newest = history.sessions[-1].item()
    local = dt.datetime.fromtimestamp(histories.opens_at(newest), zone)
    offset = local.utcoffset()
    year = history.sessions > np.datetime64(newest) - 365
    short, full = EXCHANGE_NAMES.get(profile.code, (profile.code, profile.code))
    place = {"timezone": local.tzname(), "gmtoffset": int(offset.total_seconds()) if offset else 0}
    opens, closes = histories.opens_at(newest), histories.closes_at(newest)
    previous = shown.prices["close"][max(first - 1, 0)] if first else None
    return {
        "currency": history.currency,
        "symbol": history.ticker,
        "exchangeName": short,
        "fullExchangeName": full,
        "instrumentType": "INDEX" if history.ticker.startswith("^") else "EQUITY",
        "firstTradeDate": histories.opens_at(history.sessions[0].item()),
        "regularMarketTime": closes,
        "hasPrePostMarketData": False,
        **place,
        "exchangeTimezoneName": profile.time_zone,
        "regularMarketPrice": float(shown.prices["close"][-1]),
        "fiftyTwoWeekHigh": float(shown.prices["high"][year].max()),
        "fiftyTwoWeekLow": float(shown.prices["low"][year].min()),
        "regularMarketDayHigh": float(shown.prices["high"][-1]),
        "regularMarketDayLow": float(shown.prices["low"][-1]),
        "regularMarketVolume": int(shown.volume[-1]),
        "longName": history.ticker,
        "shortName": history.ticker,
        **({"chartPreviousClose": float(previous)} if previous is not None else {}),
        "priceHint": 2,
        "currentTradingPeriod": {
            "pre": {**place, "start": opens, "end": opens},
            "regular": {**place, "start": opens, "end": closes},
            "post": {**place, "start": closes, "end": closes},
        },
        "dataGranularity": "1d",
        "range": span,
        "validRanges": VALID_RANGES,
    }


def _first_row(span: str, dates: list[dt.date]) -> int:
    if span == "max":
        return 0
    if span in ("1d", "5d"):
        return max(len(dates) - int(span[0]), 0)
    newest = dates[-1]
    start = dt.date(newest.year, 1, 1) if span == "ytd" else newest - dt.timedelta(days=DAYS_OF_RANGE[span])
    return bisect.bisect_left(dates, start)


def _single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)
