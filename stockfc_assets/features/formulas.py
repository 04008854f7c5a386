"""The 23 weekly features as formulas over a `Block`; docs/features.md lists them with unit and window.

Notation: t the target session; C, O, H, L prices and V the volume, brought to t's share basis; C(-k) the newest close
at or before t - k (at most 5 sessions older). "Weeks" are steps of five sessions back from t, except in the three
features of the calendar week so far. Sums and means run over the sessions on which the ticker traded; with fewer than
80 % of a window present the feature is missing. Undefined quotients (0 / 0, logarithm of 0) are missing, too.
Every function returns float64 arrays [targets, tickers], NaN = missing.
"""

from __future__ import annotations

import numpy as np

from stockfc_assets.features.names import SESSIONS_PER_WEEK as WEEK
from stockfc_assets.features.names import SESSIONS_PER_YEAR
from stockfc_assets.features.windows import (
    EMA_WEEKS,
    SIGNAL_WEEKS,
    Block,
    lag,
    observed,
    required,
    split_factors,
    window_deviation,
    window_mean,
    window_moments,
)

RETURN_WEEKS = {
    1: "log_return_1w",
    4: "log_return_4w",
    13: "log_return_13w",
    26: "log_return_26w",
    52: "log_return_52w",
}
SMA_WEEKS = {13: "price_to_sma_13w", 26: "price_to_sma_26w", 52: "price_to_sma_52w"}
VARIANCE_FLOOR = 1e-18
"""A variance of log returns or log volumes below this is rounding: nothing moved, nothing correlates."""

Features = dict[str, np.ndarray]


def weekly_tile(block: Block, week_position: np.ndarray, benchmark: np.ndarray) -> Features:
    """All 23 features of a block's targets.

    ``week_position`` int [targets, 1]: sessions of the calendar week before the target. ``benchmark`` float64
    [LOOKBACK + targets, 1]: weekly log return of the benchmark up to each session, NaN = unknown.
    """
    return {
        **log_returns(block),
        **week_so_far(block, week_position),
        **price_levels(block),
        "rsi_14w": relative_strength(block),
        "macd_histogram": macd_histogram(block),
        **volatilities(block),
        **volume_features(block),
        **market_features(block, benchmark),
    }


def log_returns(block: Block) -> Features:
    """log(C / C(-5 w)) for w = 1, 4, 13, 26, 52 weeks."""
    close = lag(block.close, 0, block.rows)
    result = {}
    for k, factor in split_factors(block.week_split, 53, block.rows, step=WEEK):
        if name := RETURN_WEEKS.get(k // WEEK):
            result[name] = np.log(close / (lag(block.newest, k, block.rows) / factor))
    return result


def week_so_far(block: Block, week_position: np.ndarray) -> Features:
    """The calendar week up to t, from the sessions on which the ticker traded.

    open_gap = log(first open of the week / newest close at or before the last session of the week before);
    high_low_range = log(highest high / lowest low); close_location = (C - L) / (H - L), 0 at the week's low and 1 at
    its high, missing when H = L (a locked price has no location).
    """
    rows = block.rows
    first_open, last_close, high, low = np.full((4, rows, block.close.shape[1]), np.nan)
    for k, factor in split_factors(block.split, int(week_position.max()) + 2, rows):
        in_week = week_position >= k
        opened = lag(block.open, k, rows) / factor
        np.copyto(first_open, opened, where=in_week & ~np.isnan(opened))
        np.copyto(high, np.fmax(high, lag(block.high, k, rows) / factor), where=in_week)
        np.copyto(low, np.fmin(low, lag(block.low, k, rows) / factor), where=in_week)
        np.copyto(last_close, lag(block.newest, k, rows) / factor, where=week_position + 1 == k)
    return {
        "open_gap": np.log(first_open / last_close),
        "high_low_range": np.log(high / low),
        "close_location": (lag(block.close, 0, rows) - low) / (high - low),
    }


def price_levels(block: Block) -> Features:
    """Where the close stands among the prices of up to a year.

    price_to_sma = C / mean of the closes of the last 65, 130, 260 sessions - 1; distance_to_52w_high = C / highest high
    of 260 sessions - 1 (<= 0); distance_to_52w_low = C / lowest low of 260 sessions - 1 (>= 0).
    """
    rows, width = block.rows, block.close.shape[1]
    closes, present = observed(block.close)
    highs = np.where(present > 0, block.high, -np.inf)
    lows = np.where(present > 0, block.low, np.inf)
    current = lag(block.close, 0, rows)
    total, count, price = np.zeros((3, rows, width))
    highest, lowest = np.full((rows, width), -np.inf), np.full((rows, width), np.inf)
    result = {}
    for k, factor in split_factors(block.split, 52 * WEEK, rows):
        total += np.divide(lag(closes, k, rows), factor, out=price)
        count += lag(present, k, rows)
        np.maximum(highest, np.divide(lag(highs, k, rows), factor, out=price), out=highest)
        np.minimum(lowest, np.divide(lag(lows, k, rows), factor, out=price), out=lowest)
        if name := SMA_WEEKS.get((k + 1) / WEEK):
            result[name] = np.where(count >= required(k + 1), current / (total / count) - 1, np.nan)
    enough = count >= required(52 * WEEK)
    result["distance_to_52w_high"] = np.where(enough, current / highest - 1, np.nan)
    result["distance_to_52w_low"] = np.where(enough, current / lowest - 1, np.nan)
    return result


def relative_strength(block: Block) -> np.ndarray:
    """RSI over 14 weekly changes, 0 to 100, in Cutler's form: simple sums instead of Wilder's (1978) recursion.

    100 x U / (U + D), U the sum of the rises and D of the falls of the weekly closes, in price. Wilder's smoothing has
    no end; Cutler's value depends on its window alone. Missing when no weekly close differs from the one before.
    """
    rows = block.rows
    rises, falls, count = np.zeros((3, rows, block.close.shape[1]))
    later = None
    for k, factor in split_factors(block.week_split, 15, rows, step=WEEK):
        price = lag(block.newest, k, rows) / factor
        if later is not None:
            change, present = observed(later - price)
            rises += np.maximum(change, 0.0)
            falls += np.maximum(-change, 0.0)
            count += present
        later = price
    return np.where(count >= required(14), 100.0 * rises / (rises + falls), np.nan)


def macd_histogram(block: Block) -> np.ndarray:
    """Appel's (1979) MACD histogram of weekly closes over price: (MACD - signal) / C.

    MACD = EMA12 - EMA26 and signal = EMA9 of MACD, in weeks, with EMA_n's usual weights (1 - a)^j, a = 2 / (n + 1),
    truncated to 36 weeks (signal: 18) and divided by the sum of the weights present, so that the window is finite.
    """
    rows = block.rows
    line = _macd_line(block, rows + WEEK * (SIGNAL_WEEKS - 1))
    value, present = observed(line)
    signal, weights, count = np.zeros((3, rows, block.close.shape[1]))
    for k, factor in split_factors(block.week_split, SIGNAL_WEEKS, rows, step=WEEK):
        weight = _ema_weight(9, k // WEEK)
        signal += lag(value, k, rows) / factor * weight
        weights += lag(present, k, rows) * weight
        count += lag(present, k, rows)
    histogram = (lag(line, 0, rows) - signal / weights) / lag(block.close, 0, rows)
    return np.where(count >= required(SIGNAL_WEEKS), histogram, np.nan)


def _macd_line(block: Block, rows: int) -> np.ndarray:
    """EMA12 - EMA26 of the weekly closes up to each of the last ``rows`` sessions, on that session's share basis."""
    value, present = observed(block.newest)
    fast, slow, fast_weights, slow_weights, count = np.zeros((5, rows, value.shape[1]))
    for k, factor in split_factors(block.week_split, EMA_WEEKS, rows, step=WEEK):
        price, here = lag(value, k, rows) / factor, lag(present, k, rows)
        fast_weight, slow_weight = _ema_weight(12, k // WEEK), _ema_weight(26, k // WEEK)
        fast += price * fast_weight
        slow += price * slow_weight
        fast_weights += here * fast_weight
        slow_weights += here * slow_weight
        count += here
    return np.where(count >= required(EMA_WEEKS), fast / fast_weights - slow / slow_weights, np.nan)


def _ema_weight(weeks: int, age: int) -> float:
    return (1 - 2 / (weeks + 1)) ** age


def volatilities(block: Block) -> Features:
    """Annualised volatilities (x sqrt(245 sessions a year)).

    volatility = sample standard deviation (n - 1) of the daily log returns of the last 20 and 65 sessions.
    yang_zhang = sqrt(V_O + k V_C + (1 - k) V_RS) over 20 sessions: Yang & Zhang (2000), "Drift-independent volatility
    estimation based on high, low, open, and close prices", J. of Business 73(3), 477-491, with V_O and V_C the sample
    variances of log(O / C(-1)) and log(C / O), V_RS the mean of u (u - c) + d (d - c) for u = log(H / O),
    d = log(L / O), c = log(C / O) (Rogers & Satchell 1991), and k = 0.34 / (1.34 + (n + 1) / (n - 1)), n the sessions
    present.
    """
    rows, year = block.rows, np.sqrt(float(SESSIONS_PER_YEAR))
    month, quarter = 4 * WEEK, 13 * WEEK
    recent = slice(len(block.close) - rows - month, None)
    overnight = block.overnight[recent]
    opened = np.where(np.isnan(overnight), np.nan, block.open[recent])
    up, down = np.log(block.high[recent] / opened), np.log(block.low[recent] / opened)
    intraday = np.log(block.close[recent] / opened)
    n, variance_open = window_deviation(overnight, month, rows)
    _, variance_close = window_deviation(intraday, month, rows)
    rogers_satchell = window_mean(up * (up - intraday) + down * (down - intraday), month, rows)
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    yang_zhang = variance_open + k * variance_close + (1 - k) * rogers_satchell
    return {
        "volatility_4w": np.sqrt(window_deviation(block.daily, month, rows)[1]) * year,
        "volatility_13w": np.sqrt(window_deviation(block.daily, quarter, rows)[1]) * year,
        "yang_zhang_volatility_4w": np.sqrt(np.maximum(yang_zhang, 0.0)) * year,
    }


def volume_features(block: Block) -> Features:
    """How much is traded, and how it goes with the price.

    log_volume_ratio_13w = log(mean volume of the last 5 sessions / mean volume of the last 65).
    amihud_illiquidity_13w = log(mean over 65 sessions of |r| / (C x V)), r the daily log return and C x V the turnover
    in listing currency; sessions of zero volume are left out: Amihud (2002), J. of Financial Markets 5, 31-56, eq. (1).
    volume_price_correlation_13w = Pearson correlation over 65 sessions of the daily log return and the daily change of
    log volume (Karpoff 1987, J. of Financial and Quantitative Analysis 22(1), 109-126, surveys the relation).
    """
    rows, quarter = block.rows, 13 * WEEK
    turnover = np.where(block.volume > 0, block.close * block.volume, np.nan)
    moments = window_moments(block.daily, block.volume_change, quarter, rows)
    moving = (moments.xx > VARIANCE_FLOOR * moments.n) & (moments.yy > VARIANCE_FLOOR * moments.n)
    correlation = np.clip(moments.xy / (np.sqrt(moments.xx) * np.sqrt(moments.yy)), -1.0, 1.0)
    return {
        "log_volume_ratio_13w": _log_volume_ratio(block, quarter),
        "amihud_illiquidity_13w": np.log(window_mean(np.abs(block.daily) / turnover, quarter, rows)),
        "volume_price_correlation_13w": np.where(moving, correlation, np.nan),
    }


def _log_volume_ratio(block: Block, window: int) -> np.ndarray:
    rows = block.rows
    value, present = observed(block.volume)
    total, count = np.zeros((2, rows, value.shape[1]))
    week_mean = None
    for k, factor in split_factors(block.split, window, rows):
        total += lag(value, k, rows) * factor
        count += lag(present, k, rows)
        if k + 1 == WEEK:
            week_mean = np.where(count >= required(WEEK), total / count, np.nan)
    return np.log(week_mean / np.where(count >= required(window), total / count, np.nan))


def market_features(block: Block, benchmark: np.ndarray) -> Features:
    """Against the benchmark.

    excess_return_1w = log return of one week - the benchmark's. beta_52w = covariance / variance of 52 weekly log
    returns (non-overlapping, stepping five sessions back from t) with the benchmark's: the market model's least-squares
    slope (Sharpe 1963).
    """
    rows = block.rows
    moments = window_moments(block.weekly, benchmark, 52, rows, step=WEEK)
    moving = moments.yy > VARIANCE_FLOOR * moments.n
    return {
        "excess_return_1w": lag(block.weekly, 0, rows) - lag(benchmark, 0, rows),
        "beta_52w": np.where(moving, moments.xy / moments.yy, np.nan),
    }
