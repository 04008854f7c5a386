"""The names, order and sizes of the network's inputs and outputs: declared once, checked before every use.

The order is part of a trained model: it is written into the model's JSON and compared before inference.
"""

from typing import Final

WEEKLY_FEATURES: Final[tuple[str, ...]] = (
    "log_return_1w",
    "log_return_4w",
    "log_return_13w",
    "log_return_26w",
    "log_return_52w",
    "open_gap",
    "high_low_range",
    "close_location",
    "price_to_sma_13w",
    "price_to_sma_26w",
    "price_to_sma_52w",
    "distance_to_52w_high",
    "distance_to_52w_low",
    "rsi_14w",
    "macd_histogram",
    "volatility_4w",
    "volatility_13w",
    "yang_zhang_volatility_4w",
    "log_volume_ratio_13w",
    "amihud_illiquidity_13w",
    "volume_price_correlation_13w",
    "excess_return_1w",
    "beta_52w",
)
STATIC_FEATURES: Final[tuple[str, ...]] = (
    "earnings_yield",
    "book_to_price",
    "dividend_yield",
    "return_on_equity",
    "profit_margin",
    "log_market_cap",
)
POSITION_FEATURES: Final[tuple[str, ...]] = ("day_of_week", "week_progress")

SEQUENCE_WEEKS: Final = 156
"""Rows of ``weekly_seq``: the ends of 155 earlier calendar weeks, then the as-of session itself."""

HORIZONS: Final[tuple[int, ...]] = tuple(range(1, 13))
"""Forecast horizons, in calendar months."""

SESSIONS_PER_WEEK: Final = 5
SESSIONS_PER_YEAR: Final = 245
"""Trading sessions of a Tokyo year (244 to 246 since 2010), used to annualise daily volatility."""

VOLATILITY_FEATURE: Final = "volatility_13w"
"""The trailing volatility (annualised) by which targets and intervals are scaled."""

MIN_VOLATILITY: Final = 0.05
"""Annualised. Below it a stock has hardly traded: targets and intervals are scaled as if it were this."""
