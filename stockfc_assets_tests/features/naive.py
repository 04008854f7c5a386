"""The 23 weekly features a second time, session by session in plain Python, to check the vectorised ones against.

Deliberately slow and literal: for one target the whole history is put on the target's share basis first.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import statistics

Row = dict


def on_basis_of(rows: dict[int, Row], target: int) -> dict[int, Row]:
    """Bars by session number up to ``target``, prices and volumes on the target's share basis."""
    adjusted = {}
    for number, row in rows.items():
        if number > target:
            continue
        factor = math.prod(rows[j]["split_ratio"] for j in range(number + 1, target + 1) if j in rows)
        prices = {name: row[name] / factor for name in ("open", "high", "low", "close")}
        adjusted[number] = {**prices, "volume": row["volume"] * factor}
    return adjusted


def newest(bars: dict[int, Row], number: int, name: str = "close") -> float | None:
    for j in range(number, number - 6, -1):
        if j in bars and (name == "close" or bars[j][name] > 0):
            return bars[j][name]
    return None


def log_ratio(later: float | None, earlier: float | None) -> float | None:
    return None if not later or not earlier else math.log(later / earlier)


def enough(values: list, window: int) -> list | None:
    values = [value for value in values if value is not None]
    return values if len(values) >= 0.8 * window - 1e-9 else None


def naive_features(
    rows: dict[int, Row], target: int, sessions: list[dt.date], market: dict[int, float | None]
) -> dict[str, float | None]:
    """``rows``: a ticker's RawOhlcv rows by session number. ``market``: weekly log return of the benchmark."""
    bars = on_basis_of(rows, target)
    close = bars[target]["close"]
    result: dict[str, float | None] = {}
    for weeks in (1, 4, 13, 26, 52):
        result[f"log_return_{weeks}w"] = log_ratio(close, newest(bars, target - 5 * weeks))
    result |= _week_so_far(bars, target, sessions)
    for weeks in (13, 26, 52):
        closes = enough(_window(bars, target, 5 * weeks, "close"), 5 * weeks)
        result[f"price_to_sma_{weeks}w"] = close / statistics.fmean(closes) - 1 if closes else None
    highs = enough(_window(bars, target, 260, "high"), 260)
    lows = enough(_window(bars, target, 260, "low"), 260)
    result["distance_to_52w_high"] = close / max(highs) - 1 if highs else None
    result["distance_to_52w_low"] = close / min(lows) - 1 if lows else None
    result["rsi_14w"] = _rsi(bars, target)
    result["macd_histogram"] = _macd(rows, target)
    result |= _volatility(bars, target)
    result |= _volume(bars, target)
    weekly = {k: log_ratio(newest(bars, target - k), newest(bars, target - k - 5)) for k in range(0, 260, 5)}
    own, other = weekly[0], market.get(target)
    result["excess_return_1w"] = None if own is None or other is None else own - other
    pairs = enough([_pair(weekly[k], market.get(target - k)) for k in weekly], 52)
    result["beta_52w"] = _slope(pairs) if pairs else None
    return result


def naive_market(rows_by_member: list[dict[int, Row]], last: int) -> dict[int, float | None]:
    """Weekly log return of the equal-weighted mean of the given tickers, by session number."""
    daily = {}
    for number in range(last + 1):
        recent = range(number - 6, number + 1)
        bars = [on_basis_of({j: rows[j] for j in recent if j in rows}, number) for rows in rows_by_member]
        returns = [r for member in bars if (r := _daily(member, number)) is not None]
        daily[number] = statistics.fmean(returns) if returns else None
    weekly = {}
    for number in range(4, last + 1):
        week = enough([daily[j] for j in range(number - 4, number + 1)], 5)
        weekly[number] = sum(week) if week else None
    return weekly


def naive_benchmark(rows: dict[int, Row], last: int) -> dict[int, float | None]:
    """Weekly log return of one ticker by session number."""
    weekly = {}
    for number in range(5, last + 1):
        bars = on_basis_of({j: rows[j] for j in range(number - 10, number + 1) if j in rows}, number)
        weekly[number] = log_ratio(newest(bars, number), newest(bars, number - 5))
    return weekly


def _pair(x: float | None, y: float | None) -> tuple[float, float] | None:
    return None if x is None or y is None else (x, y)


def _slope(pairs: list[tuple[float, float]]) -> float | None:
    x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    variance = statistics.variance(y)
    return statistics.covariance(x, y) / variance if variance > 1e-15 else None


def _window(bars: dict[int, Row], target: int, window: int, name: str) -> list[float | None]:
    return [bars[j][name] if j in bars else None for j in range(target - window + 1, target + 1)]


def _daily(bars: dict[int, Row], number: int) -> float | None:
    return log_ratio(bars[number]["close"], newest(bars, number - 1)) if number in bars else None


def _week_so_far(bars: dict[int, Row], target: int, sessions: list[dt.date]) -> dict[str, float | None]:
    monday = sessions[target] - dt.timedelta(days=sessions[target].weekday())
    first = min(j for j in range(max(0, target - 7), target + 1) if sessions[j] >= monday)
    week = [bars[j] for j in range(first, target + 1) if j in bars]
    high, low, close = max(b["high"] for b in week), min(b["low"] for b in week), bars[target]["close"]
    return {
        "open_gap": log_ratio(week[0]["open"], newest(bars, first - 1)),
        "high_low_range": math.log(high / low),
        "close_location": (close - low) / (high - low) if high > low else None,
    }


def _rsi(bars: dict[int, Row], target: int) -> float | None:
    closes = [newest(bars, target - 5 * j) for j in range(15)]
    changes = [None if a is None or b is None else a - b for a, b in itertools.pairwise(closes)]
    known = enough(changes, 14)
    if not known:
        return None
    up, down = sum(c for c in known if c > 0), -sum(c for c in known if c < 0)
    return 100 - 100 / (1 + up / down) if down else (100.0 if up else None)


def _ema(values: list[float | None], span: int) -> float | None:
    """``values`` newest first; the weights of the missing ones go to the others."""
    known = [(value, (1 - 2 / (span + 1)) ** age) for age, value in enumerate(values) if value is not None]
    if len(known) < 0.8 * len(values) - 1e-9:
        return None
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known)


def _macd(rows: dict[int, Row], target: int) -> float | None:
    bars = on_basis_of(rows, target)
    lines = []
    for j in range(18):
        closes = [newest(bars, target - 5 * (j + i)) for i in range(36)]
        fast, slow = _ema(closes, 12), _ema(closes, 26)
        lines.append(None if fast is None or slow is None else fast - slow)
    signal = _ema(lines, 9)
    return None if signal is None or lines[0] is None else (lines[0] - signal) / bars[target]["close"]


def _volatility(bars: dict[int, Row], target: int) -> dict[str, float | None]:
    result = {}
    for weeks in (4, 13):
        returns = enough([_daily(bars, j) for j in range(target - 5 * weeks + 1, target + 1)], 5 * weeks)
        result[f"volatility_{weeks}w"] = statistics.stdev(returns) * math.sqrt(245) if returns else None
    terms = []
    for j in range(target - 19, target + 1):
        overnight = log_ratio(bars[j]["open"], newest(bars, j - 1)) if j in bars else None
        if overnight is not None:
            o, h, low, c = (math.log(bars[j][name]) for name in ("open", "high", "low", "close"))
            terms.append((overnight, c - o, (h - o) * (h - c) + (low - o) * (low - c)))
    result["yang_zhang_volatility_4w"] = None
    if enough(terms, 20):
        n = len(terms)
        k = 0.34 / (1.34 + (n + 1) / (n - 1))
        v_open, v_close = (statistics.variance([t[i] for t in terms]) for i in (0, 1))
        v_rs = statistics.fmean([t[2] for t in terms])
        result["yang_zhang_volatility_4w"] = math.sqrt(245 * (v_open + k * v_close + (1 - k) * v_rs))
    return result


def _volume(bars: dict[int, Row], target: int) -> dict[str, float | None]:
    window = range(target - 64, target + 1)
    week, quarter = (enough(_window(bars, target, w, "volume"), w) for w in (5, 65))
    ratio = math.log(statistics.fmean(week) / statistics.fmean(quarter)) if week and quarter and any(week) else None
    impact, pairs = [], []
    for j in window:
        r = _daily(bars, j)
        if r is None or bars[j]["volume"] <= 0:
            continue
        impact.append(abs(r) / (bars[j]["close"] * bars[j]["volume"]))
        pairs.append(_pair(r, log_ratio(bars[j]["volume"], newest(bars, j - 1, "volume"))))
    pairs = enough(pairs, 65)
    return {
        "log_volume_ratio_13w": ratio,
        "amihud_illiquidity_13w": math.log(statistics.fmean(impact)) if enough(impact, 65) else None,
        "volume_price_correlation_13w": statistics.correlation(*zip(*pairs, strict=True)) if pairs else None,
    }
