"""The companies of the simulated market: their traits, dividends and published figures.

Earnings, book value and sales follow the *past* year's mean price and independent noise. They are consistent with the
price, and they know nothing of its future. Arrays are float64 [Q, B], quarters x companies, unless said otherwise;
"at par" means on the share basis of the simulation's first day, before any split. Amounts are in yen until they are
published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stockfc_assets.features.names import SESSIONS_PER_YEAR
from stockfc_assets.market.sources.simulated_market import Quotation, autoregression

EARNINGS_MEMORY = 0.8
EARNINGS_SPREAD = 0.45
"""Relative spread of a company's earnings around its norm; about one quarter in 75 shows a loss."""


@dataclass(frozen=True)
class Company:
    """What a company is from its first day to its last, drawn once from its own stream."""

    beta: float
    """Exposure to the market factor, 0.4 to 1.6."""
    own_volatility: float
    """Annualised volatility of the own part."""
    price: float
    """On the simulation's first day, in yen (`simulated_market.Quotation`)."""
    shares: float
    """Outstanding on that day."""
    turnover: float
    """Median share of them that trades in a day."""
    split_above: float
    """Splits its shares when they cost more than this,"""
    split_ratio: float
    """into so many each."""
    listed_after: int
    """Sessions between the epoch and the first day of trading: 0 for 24 of 25."""
    half_years: int
    """Quarters that end a half-year: 3 = March and September, 0 = June and December (month modulo 6)."""
    publication_lag: int
    """Calendar days from a quarter's end to the publication of its figures."""
    earnings_to_price: float
    book_to_price: float
    sales_to_price: float
    payout: float
    """Share of (positive) earnings paid out."""
    publishes: bool
    """Whether company facts can be had at all: 29 of 30."""


def draw_company(rng: np.random.Generator) -> Company:
    """The order of the draws is part of the market: append, never reorder."""
    normal = rng.standard_normal(6)
    uniform = rng.random(10)
    return Company(
        beta=float(np.clip(1.0 + 0.25 * normal[0], 0.4, 1.6)),
        own_volatility=float(0.24 * np.exp(np.clip(0.2 * normal[1], -0.4, 0.4))),
        price=float(np.clip(2000.0 * np.exp(0.7 * normal[2]), 300.0, 9000.0)),
        shares=float(np.round(np.exp(19.5 + 0.9 * normal[3]), -5)),
        turnover=float(0.003 * np.exp(0.5 * normal[4])),
        split_above=3000.0 + 3000.0 * float(uniform[8]),
        split_ratio=(2.0, 2.0, 2.0, 3.0, 3.0, 5.0, 5.0, 10.0)[int(uniform[9] * 8)],
        listed_after=int(uniform[1] * 10 * SESSIONS_PER_YEAR) if uniform[0] < 0.04 else 0,
        half_years=3 if uniform[2] < 0.75 else 0,
        publication_lag=35 + int(uniform[3] * 15),
        earnings_to_price=0.04 + 0.05 * float(uniform[4]),
        book_to_price=float(0.9 * np.exp(0.4 * normal[5])),
        sales_to_price=0.4 + 1.6 * float(uniform[5]),
        payout=0.2 + 0.3 * float(uniform[6]),
        publishes=bool(uniform[7] >= 1 / 30),
    )


BENCHMARK = Company(
    beta=1.0, own_volatility=0.0, price=1500.0, shares=5e9, turnover=0.001, split_above=np.inf, split_ratio=1.0,
    listed_after=0, half_years=3, publication_lag=0, earnings_to_price=0.0, book_to_price=1.0, sales_to_price=1.0,
    payout=0.0, publishes=False,
)  # fmt: skip
"""A fund that holds the market: the market factor as an ETF, without a sector or a part of its own."""


@dataclass(frozen=True)
class Quarters:
    """The calendar quarters of a simulation. All arrays [Q]."""

    ends: np.ndarray
    """datetime64[D], the last calendar day of each."""
    days: np.ndarray
    """Index of the last session of each."""

    @property
    def ex_days(self) -> np.ndarray:
        """Index of the sessions on which splits and dividends of a quarter take effect: the last but one."""
        return self.days - 1

    def is_half_year(self, half_years: np.ndarray) -> np.ndarray:
        """[Q, B] bool: whether the quarter ends a half-year of the company."""
        month = self.ends.astype("datetime64[M]").astype(int) % 12 + 1
        return (month % 6)[:, None] == half_years[None, :]


@dataclass(frozen=True)
class Accounts:
    """Per quarter and company, at par: trailing earnings, book value and sales per share, and the dividend paid."""

    earnings: np.ndarray
    book_value: np.ndarray
    sales: np.ndarray
    dividend: np.ndarray


def keep_accounts(
    price: np.ndarray,
    quarters: Quarters,
    traits: dict[str, np.ndarray],
    shocks: np.ndarray,
    split_factor: np.ndarray,
    quotation: Quotation,
) -> Accounts:
    """Accounts from the past year's mean of ``price`` (closes at par, [T, B]); ``shocks`` [Q, B] standard normal.

    The dividend of a half-year is half the payout of the earnings known by then, those of the quarter before, rounded
    to a price's decimals on the share basis of its ex-date.
    """
    total = np.cumsum(price, axis=0)
    start = np.maximum(quarters.days - SESSIONS_PER_YEAR, 0)
    mean_price = (total[quarters.days] - total[start]) / (quarters.days - start)[:, None]
    surprise = 1.0 + EARNINGS_SPREAD * autoregression(shocks, EARNINGS_MEMORY)
    earnings = mean_price * traits["earnings_to_price"] * surprise
    known = np.concatenate([np.zeros_like(earnings[:1]), earnings[:-1]])
    factor = split_factor[quarters.ex_days]
    ticks = quotation.ticks_per_yen
    dividend = np.rint(traits["payout"] * np.maximum(known, 0.0) / 2.0 / factor * ticks) / ticks * factor
    return Accounts(
        earnings=earnings,
        book_value=mean_price * traits["book_to_price"],
        sales=mean_price * traits["sales_to_price"],
        dividend=np.where(quarters.is_half_year(traits["half_years"]), dividend, 0.0),
    )


@dataclass(frozen=True)
class PublishedFacts:
    """What each quarter's publication says, on the share basis of its date. All arrays [Q, B]."""

    published: np.ndarray
    """datetime64[D]; NaT where nothing is published (within the simulated days)."""
    values: dict[str, np.ndarray]
    """By column of source.FACTS_SCHEMA."""


def publish(
    accounts: Accounts,
    quarters: Quarters,
    traits: dict[str, np.ndarray],
    dates: np.ndarray,
    listed: np.ndarray,
    split_factor: np.ndarray,
    quotation: Quotation,
) -> PublishedFacts:
    """Publications, in the listing currency, from the listing (day index ``listed`` [B]) on; ``dates`` [T] are the
    simulated sessions."""
    published = quarters.ends[:, None] + traits["publication_lag"].astype("timedelta64[D]")[None, :]
    seen = (published <= dates[-1]) & (published >= dates[listed][None, :]) & traits["publishes"].astype(bool)[None, :]
    day = np.clip(np.searchsorted(dates, published, side="right") - 1, 0, None)
    factor = np.take_along_axis(split_factor, day, axis=0)
    trailing = accounts.dividend.copy()
    for quarter in range(1, 4):
        trailing[quarter:] += accounts.dividend[:-quarter]
    unit = quotation.units_per_yen
    values = {
        "shares_outstanding": np.rint(traits["shares"] * factor),
        "eps_ttm": np.round(accounts.earnings / factor * unit, 2),
        "book_value_per_share": np.round(accounts.book_value / factor * unit, 2),
        "dividend_per_share_ttm": np.round(trailing / factor * unit, 4),
        "return_on_equity": np.round(accounts.earnings / accounts.book_value, 4),
        "profit_margin": np.round(accounts.earnings / accounts.sales, 4),
    }
    return PublishedFacts(np.where(seen, published, np.datetime64("NaT", "D")), values)
