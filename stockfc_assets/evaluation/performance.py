"""What a series of daily returns was worth, with every convention stated.

Returns are simple, of one session each, float64 [T], never NaN. A year has `SESSIONS_PER_YEAR` sessions, the riskless
rate is 0. A figure that the data do not give (no loss, no variation, too few days) is None, never 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stockfc_assets.features.names import SESSIONS_PER_YEAR

TAIL = 0.05
"""VaR and CVaR are those of 95 %."""
NO_VARIATION = 1e-12


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall of wealth below its own peak; ``depth`` <= 0.

    ``peak`` and ``trough`` are positions in the returns, at the day's end; ``peak`` = -1 is the wealth before the first
    day. ``recovered`` is the first day at or above the peak again, None while there is none.
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None


def total_return(returns: np.ndarray) -> float:
    """prod(1 + r) - 1."""
    return float(np.prod(1 + returns) - 1)


def annual_return(returns: np.ndarray) -> float | None:
    """Compound growth a year: prod(1 + r)^(245 / T) - 1; -1 when all was lost."""
    if len(returns) == 0:
        return None
    wealth = max(1 + total_return(returns), 0.0)
    return wealth ** (SESSIONS_PER_YEAR / len(returns)) - 1


def volatility(returns: np.ndarray) -> float | None:
    """Standard deviation (divisor T - 1) x sqrt(245)."""
    if len(returns) < 2:
        return None
    return float(returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sharpe(returns: np.ndarray) -> float | None:
    """Mean / standard deviation (divisor T - 1) x sqrt(245) (Sharpe 1994, J. Portfolio Management 21)."""
    if len(returns) < 2 or np.ptp(returns) < NO_VARIATION:
        return None
    return float(returns.mean() / returns.std(ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sharpe_error(returns: np.ndarray) -> float | None:
    """Standard error of `sharpe` for independent returns: sqrt((1 + s^2 / 2) / T) x sqrt(245), s of one session.

    Lo (2002, Financial Analysts Journal 58), equation 9.
    """
    ratio = sharpe(returns)
    if ratio is None:
        return None
    daily = ratio / math.sqrt(SESSIONS_PER_YEAR)
    return math.sqrt((1 + daily**2 / 2) / len(returns) * SESSIONS_PER_YEAR)


def sortino(returns: np.ndarray) -> float | None:
    """Mean / sqrt(mean(min(r, 0)^2)) x sqrt(245); both means are over all days (Sortino and Price 1994, J. of Investing 3)."""
    if len(returns) < 2:
        return None
    downside = math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    return float(returns.mean()) / downside * math.sqrt(SESSIONS_PER_YEAR) if downside > NO_VARIATION else None


def below_peak(returns: np.ndarray) -> np.ndarray:
    """How far compounded wealth stands below its peak so far, at each day's end: shares in [0, 1], float64 [T].

    The wealth of 1 before the first day is a peak, too.
    """
    wealth, peak_so_far = _wealth_and_peak(returns)
    return (1 - wealth / peak_so_far)[1:]


def max_drawdown(returns: np.ndarray) -> Drawdown | None:
    """The deepest drawdown of compounded wealth, the wealth of 1 before the first day included; the first one of equals."""
    if len(returns) == 0:
        return None
    wealth, peak_so_far = _wealth_and_peak(returns)
    fall = wealth / peak_so_far - 1
    trough = int(fall.argmin())
    peak = int(np.flatnonzero(wealth[: trough + 1] == peak_so_far[trough])[-1])
    after = np.flatnonzero(wealth[trough:] >= peak_so_far[trough])
    recovered = trough + int(after[0]) - 1 if len(after) else None
    return Drawdown(float(fall[trough]), peak - 1, trough - 1, recovered if fall[trough] < 0 else None)


def calmar(returns: np.ndarray) -> float | None:
    """Annual return / -(maximum drawdown) over the whole period (Young 1991 took 36 months)."""
    worst = max_drawdown(returns)
    growth = annual_return(returns)
    return None if worst is None or growth is None or worst.depth == 0 else growth / -worst.depth


def value_at_risk(returns: np.ndarray) -> float | None:
    """The 5 % quantile of daily returns, linearly interpolated: usually negative. Historical, 95 %, one session."""
    return float(np.quantile(returns, TAIL)) if len(returns) else None


def conditional_value_at_risk(returns: np.ndarray) -> float | None:
    """Mean of the worst floor((T - 1) x 0.05) + 1 daily returns (Acerbi and Tasche 2002, expected shortfall)."""
    if len(returns) == 0:
        return None
    worst = int((len(returns) - 1) * TAIL) + 1
    return float(np.partition(returns, worst - 1)[:worst].mean())


def per_year(amounts: np.ndarray) -> float | None:
    """Mean a day x 245: of a cost drag or a turnover."""
    return float(amounts.mean()) * SESSIONS_PER_YEAR if len(amounts) else None


def t_statistic(returns: np.ndarray) -> float | None:
    """t of the mean daily return for independent days. Daily returns of portfolios hardly correlate with themselves."""
    ratio = sharpe(returns)
    return None if ratio is None else ratio * math.sqrt(len(returns) / SESSIONS_PER_YEAR)


def _wealth_and_peak(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wealth before the first day (1) and at each day's end, and its maximum so far; both [T + 1]."""
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return wealth, np.maximum.accumulate(wealth)
