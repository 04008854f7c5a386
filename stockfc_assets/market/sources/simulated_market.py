"""The simulated market: the stochastic model behind `SimulatedSource`, with a known truth about what can be predicted.

The log price of stock i is the sum of a market factor, its sector's factor and a part of its own:

    log P_i = log P_i(0) + beta_i M + F_sector(i) + I_i

- **Every factor is a martingale in logs without drift**: each day's return is volatility x an independent normal shock,
  so no function of the past says anything about the mean of a future log return. (The mean simple return is about half
  the variance, 2 to 8 % a year.) Dividends do not lower the price on their ex-date, because a yield that persists
  would predict such a drop.
- **Volatility clusters**: log volatility follows a stationary AR(1) process (Taylor 1986), for the market, each sector
  and each stock on its own. The size of tomorrow's move can be predicted, its direction cannot.
- **Predictability** p is the one exception, and it sits in the own part alone. Its daily return leans against its own
  past 13 weeks: x_t = -b (x_{t-1} + ... + x_{t-65}) + e_t, the same b > 0 for every stock. `reversal_strength` finds
  the b for which the past explains the share p of the variance of the next month's own return; p = 0 gives b = 0.
- **Splits, reverse splits, halts, listings, dividends, company facts** follow from past prices and independent draws.
  They change how prices are quoted, never where they go.

Every random number comes from a stream of its own, keyed by (seed, epoch, name, purpose) and read day by day. So a path
depends on nothing else: not on the other tickers, nor on how far the simulation runs. Across processors the last bits
of exp and log may differ; the rounding of quoted prices hides that.

Levels are those of Tokyo, in yen. `Quotation` says how another exchange writes the same market down: its currency's
size, its decimals and its lots.

Arrays are float64 of shape [T, B], days x tickers of a block, unless said otherwise. Every operation is elementwise in
B or runs along T, which is why the size of a block changes no bit of a result.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stockfc_assets.features.names import SESSIONS_PER_YEAR
from stockfc_assets.market.calendar import ExchangeProfile

REVERSAL_SESSIONS = 65
"""The own return of so many past sessions (13 weeks) drives the predictable part."""
MONTH_SESSIONS = 20
"""Sessions of a month, over which predictability is defined."""
MAX_REVERSAL = 0.3
"""Largest b, at which the share is 0.9; a higher ``predictability`` gives that. (The process would be stationary up to
b = 1, its characteristic polynomial having the coefficients 1 >= b >= ... >= b, but swings ever longer.)"""

MARKET_VOLATILITY = 0.18
SECTOR_VOLATILITY = 0.09
"""Annualised; with an own part of 24 % (the median company) a stock has about 31 %."""
LOG_VOLATILITY_SPREAD = 0.5
"""Stationary standard deviation of log volatility; daily returns of a part have the kurtosis 3 exp(4 x 0.5^2) = 8."""
LOG_VOLATILITY_MEMORY = 0.98
OVERNIGHT_SHARE = 0.3
"""Share of a day's variance that falls between close and open."""
VOLUME_MEMORY = 0.9
VOLUME_SPREAD = 0.35
VOLUME_RESPONSE = 0.35
"""A day that moves one standard deviation more trades exp(0.35) times as many shares."""
HALT_PROBABILITY = 0.0005

REVERSE_SPLIT_BELOW = 250.0
REVERSE_SPLIT_RATIO = 0.2

UNITS_PER_YEN = {"JPY": 1.0, "USD": 0.05, "KRW": 25.0}
"""A share's usual price abroad beside Tokyo's: 2,000 yen, 100 dollars, 50,000 won. Other currencies count as yen."""


@dataclass(frozen=True)
class Quotation:
    """How an exchange writes down what the model simulates in yen."""

    units_per_yen: float = 1.0
    decimals: int = 1
    """Of a price, and of a dividend per share, in the listing currency."""
    lot: int = 100

    @property
    def ticks_per_yen(self) -> float:
        """Smallest steps of a price that make one yen."""
        return self.units_per_yen * 10.0**self.decimals

    @classmethod
    def of(cls, profile: ExchangeProfile) -> Quotation:
        return cls(UNITS_PER_YEN.get(profile.currency, 1.0), profile.price_decimals, profile.lot)


def stream(seed: int, epoch: dt.date, name: str, purpose: str) -> np.random.Generator:
    """An independent random stream (Philox, Salmon et al. 2011), the same on every machine.

    ``name`` is a ticker or a factor. Draw arrays with the days first, so that more days never change earlier ones.
    """
    digest = hashlib.sha256(f"{seed}|{epoch}|{name}|{purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


# --- returns ----------------------------------------------------------------------------------------------------------


def autoregression(shocks: np.ndarray, memory: float) -> np.ndarray:
    """Stationary AR(1) of unit variance driven by standard normal ``shocks`` [T, ...]: y_t = memory y_{t-1} + ..."""
    state = np.empty_like(shocks)
    fresh = np.sqrt(1.0 - memory**2) * shocks
    state[0] = shocks[0]
    for day in range(1, len(shocks)):
        state[day] = memory * state[day - 1] + fresh[day]
    return state


def daily_volatility(shocks: np.ndarray, annual: float | np.ndarray) -> np.ndarray:
    """Clustered volatility: root mean square ``annual`` / sqrt(245) a day, log-normal around it."""
    level = np.exp(LOG_VOLATILITY_SPREAD * autoregression(shocks, LOG_VOLATILITY_MEMORY) - LOG_VOLATILITY_SPREAD**2)
    return annual / np.sqrt(SESSIONS_PER_YEAR) * level


@dataclass(frozen=True)
class Factor:
    """A common driver: ``level`` [T] (its log price, starting near 0) and ``volatility`` [T] (daily)."""

    level: np.ndarray
    volatility: np.ndarray


def simulate_factor(rng: np.random.Generator, days: int, annual: float) -> Factor:
    """A driftless log price of ``days`` days with clustered volatility."""
    shocks = rng.standard_normal((days, 2))
    volatility = daily_volatility(shocks[:, 0].copy(), annual)
    return Factor(np.cumsum(volatility * shocks[:, 1]), volatility)


def reversal_level(shocks: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
    """The own part I [T, B]: the running sum of x_t = -strength (x_{t-1} + ... + x_{t-65}) + ``shocks``_t."""
    level = np.zeros((len(shocks) + 1, *shocks.shape[1:]))
    for day, shock in enumerate(shocks):
        past = level[day] - level[max(0, day - REVERSAL_SESSIONS)]
        level[day + 1] = level[day] - strength * past + shock
    return level[1:]


def explained_share(strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share of the next month's variance that the past explains, that variance / its value without reversal).

    With the weights psi of the moving-average form x_t = sum psi_j e_{t-j}, the sum of the next h days holds each shock
    with the sum of h consecutive weights (from psi_0 for the shocks still to come). The forecast error is made of those
    h; everything else is known (Hamilton 1994, section 4.2). All arrays [K].
    """
    impulse = np.zeros((4000, len(strengths)))
    impulse[0] = 1.0
    response = reversal_level(impulse, strengths)
    weights = response - np.concatenate([np.zeros_like(impulse[:MONTH_SESSIONS]), response[:-MONTH_SESSIONS]])
    unknown = np.sum(weights[:MONTH_SESSIONS] ** 2, axis=0)
    total = np.sum(weights**2, axis=0)
    return 1.0 - unknown / total, total / MONTH_SESSIONS


@lru_cache(maxsize=8)
def reversal_strength(predictability: float) -> tuple[float, float]:
    """(b, scale of the shocks): the past explains ``predictability`` of the month, whose variance stays what it was.

    Inverts `explained_share`, which grows with b, up to `MAX_REVERSAL`. At 0 returns exactly (0, 1): a random walk.
    """
    if predictability == 0.0:
        return 0.0, 1.0
    strengths = np.linspace(0.0, MAX_REVERSAL, 301)
    shares, _ = explained_share(strengths)
    strength = round(float(np.interp(predictability, shares, strengths)), 9)
    _, variance = explained_share(np.array([strength]))
    return strength, round(float(variance[0]) ** -0.5, 9)


# --- bars -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shocks:
    """The random numbers of a block's days, each [T, B]: standard normal, except ``reach_*`` (standard exponential)
    and ``halt`` (uniform)."""

    own: np.ndarray
    volatility: np.ndarray
    overnight: np.ndarray
    volume: np.ndarray
    reach_up: np.ndarray
    reach_down: np.ndarray
    halt: np.ndarray


def draw_shocks(seed: int, epoch: dt.date, names: Sequence[str], days: int) -> Shocks:
    """Each ticker's numbers from its own streams, placed into its column."""
    normal = np.empty((4, days, len(names)))
    reach = np.empty((2, days, len(names)))
    halt = np.empty((days, len(names)))
    for column, name in enumerate(names):
        normal[:, :, column] = stream(seed, epoch, name, "days").standard_normal((days, 4)).T
        reach[:, :, column] = stream(seed, epoch, name, "range").standard_exponential((days, 2)).T
        halt[:, column] = stream(seed, epoch, name, "halts").random(days)
    return Shocks(*normal, *reach, halt)


def daily_path(level: np.ndarray, volatility: np.ndarray, shocks: Shocks) -> tuple[np.ndarray, ...]:
    """Log (open, high, low, close) [T, B] of days whose closes are ``level`` and whose volatility is ``volatility``.

    The open divides the day's return as two independent normal parts would, given their sum. From open to close the
    price is a Brownian bridge, whose extremes have a closed form in an exponential variable E: with length i and
    variance v, max = (i + sqrt(i^2 + 2 v E)) / 2 (Glasserman 2003, section 6.4), drawn independently for max and min.
    """
    before = np.concatenate([level[:1], level[:-1]])
    overnight_volatility = np.sqrt(OVERNIGHT_SHARE * (1.0 - OVERNIGHT_SHARE)) * volatility
    opened = before + OVERNIGHT_SHARE * (level - before) + overnight_volatility * shocks.overnight
    inside = level - opened
    variance = 2.0 * (1.0 - OVERNIGHT_SHARE) * volatility**2
    highest = opened + (inside + np.sqrt(inside**2 + variance * shocks.reach_up)) / 2
    lowest = opened + (inside - np.sqrt(inside**2 + variance * shocks.reach_down)) / 2
    return opened, highest, lowest, level


def quoted(log_price: np.ndarray, split_factor: np.ndarray, quotation: Quotation) -> np.ndarray:
    """Prices in the listing currency, at least one tick, after the splits so far."""
    ticks = np.rint(np.exp(log_price) / split_factor * quotation.ticks_per_yen)
    return np.maximum(ticks, 1.0) / 10.0**quotation.decimals


def split_ratios(
    level: np.ndarray, days: np.ndarray, allowed: np.ndarray, above: np.ndarray, ratio: np.ndarray
) -> np.ndarray:
    """Split ratios taking effect on each day [T, B], 1 = none, decided by the close of the day before.

    ``days`` [Q] are those on which a split can take effect, ``allowed`` [Q, B] for whom. Above the price ``above`` [B]
    a company splits by its ``ratio`` [B]; below 250 it merges five shares into one.
    """
    ratios = np.ones_like(level)
    factor = np.ones(level.shape[1])
    for day, may in zip(days, allowed, strict=True):
        price = np.exp(level[day - 1]) / factor
        wanted = np.where(price > above, ratio, np.where(price < REVERSE_SPLIT_BELOW, REVERSE_SPLIT_RATIO, 1.0))
        ratios[day] = np.where(may, wanted, 1.0)
        factor = factor * ratios[day]
    return ratios


def daily_volume(
    level: np.ndarray, volatility: np.ndarray, shocks: Shocks, median: np.ndarray, split_factor: np.ndarray, lot: int
) -> np.ndarray:
    """Shares traded, Int64 in multiples of ``lot``: a slow log-AR(1) swing, and more on days of large moves."""
    move = np.abs(np.diff(level, axis=0, prepend=level[:1])) / volatility
    swing = VOLUME_SPREAD * autoregression(shocks.volume, VOLUME_MEMORY) + VOLUME_RESPONSE * (move - 0.8)
    lots = np.rint(median * split_factor * np.exp(swing) / lot)
    return (np.maximum(lots, 1.0) * lot).astype(np.int64)
