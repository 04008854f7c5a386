"""Numbers, scores and names as words that need no training in statistics."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from stockfc_assets.svg import MINUS, correlation, number, percent, share

SURE = 2.0
"""Beyond this size of t chance alone is unlikely: about one case in twenty."""

FORECASTERS = {
    "network": "the network",
    "no_change": "no change",
    "drift": "own long-run mean",
    "momentum_12_1": "12-1 momentum",
    "mean_reversion_1m": "1-month mean reversion",
    "ridge": "ridge regression",
    "gradient_boosting": "gradient boosting",
}
PARTS = {0.5: "half", 0.25: "quarter", 0.2: "fifth", 0.1: "tenth"}
FEATURES = {
    "log_return_1w": "return, 1 week",
    "log_return_4w": "return, 4 weeks",
    "log_return_13w": "return, 13 weeks",
    "log_return_26w": "return, 26 weeks",
    "log_return_52w": "return, 52 weeks",
    "open_gap": "gap at the week’s opening",
    "high_low_range": "range of the week",
    "close_location": "close within the week’s range",
    "price_to_sma_13w": "price against its 13-week average",
    "price_to_sma_26w": "price against its 26-week average",
    "price_to_sma_52w": "price against its 52-week average",
    "distance_to_52w_high": "distance to the 52-week high",
    "distance_to_52w_low": "distance to the 52-week low",
    "rsi_14w": "relative strength (RSI), 14 weeks",
    "macd_histogram": "MACD histogram",
    "volatility_4w": "volatility, 4 weeks",
    "volatility_13w": "volatility, 13 weeks",
    "yang_zhang_volatility_4w": "volatility from open to close, 4 weeks",
    "log_volume_ratio_13w": "volume against its 13-week average",
    "amihud_illiquidity_13w": "price move per money traded (illiquidity)",
    "volume_price_correlation_13w": "volume and price moving together",
    "excess_return_1w": "return beyond the market’s, 1 week",
    "beta_52w": "beta to the market, 52 weeks",
    "earnings_yield": "earnings yield",
    "book_to_price": "book value to price",
    "dividend_yield": "dividend yield",
    "return_on_equity": "return on equity",
    "profit_margin": "profit margin",
    "log_market_cap": "size of the company (log)",
    "day_of_week": "day of the week",
    "week_progress": "share of the week that is over",
    "sector": "sector",
}
GROUPS = {"benchmark": "beside the market"}
"""Groups of inputs (explanation.GROUPS) whose own name says too little."""
CHANGES = {
    *(name for name in FEATURES if name.startswith(("log_return", "price_to_sma", "distance_to", "excess_return"))),
    "open_gap",
}
"""Features that are returns, or shares above or below something: shown in percent with their sign."""
SHARES = {
    "high_low_range", "macd_histogram", "volatility_4w", "volatility_13w", "yang_zhang_volatility_4w",
    "earnings_yield", "dividend_yield", "return_on_equity", "profit_margin",
}  # fmt: skip
"""Features shown in percent."""


def feature_value(name: str, value: float | str | None) -> str:
    """The value of a feature as a reader would write it."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return value
    return percent(value) if name in CHANGES else share(value) if name in SHARES else decimal(value, 2)


def decimal(value: float, places: int = 3) -> str:
    shown = f"{value:,.{places}f}"
    return shown.lstrip("-") if float(shown.replace(",", "")) == 0 else shown.replace("-", MINUS)


def day(date: dt.date | str) -> str:
    date = dt.date.fromisoformat(date) if isinstance(date, str) else date
    return f"{date.day} {date:%B %Y}"


def months(count: int) -> str:
    return "1 month" if count == 1 else f"{count} months"


def ordinal(place: int) -> str:
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def anchor(ticker: str) -> str:
    return "stock-" + "".join(sign if sign.isalnum() else "-" for sign in ticker)


def skill_words(skill: float) -> str:
    """What a skill says, with “no change” as the measure."""
    if abs(skill) < 0.0005:
        return "as large as"
    return f"{share(abs(skill))} {'smaller' if skill > 0 else 'larger'} than"


def order_words(rank_ic: float) -> str:
    """How well a mean rank correlation orders stocks. 0.03 to 0.05 a month is good on real data (forecasting.md)."""
    if abs(rank_ic) < 0.01:
        return "no better than chance would"
    if rank_ic < 0:
        return "slightly worse than chance would" if rank_ic > -0.1 else "clearly worse than chance would"
    return "slightly better than chance would" if rank_ic < 0.1 else "clearly better than chance would"


def luck_words(t: float | None) -> str:
    if t is None:
        return "too few independent periods to tell it from luck"
    if abs(t) < SURE:
        return f"luck alone often does as much (t {decimal(t, 1)})"
    return f"more than luck alone usually does (t {decimal(t, 1)})"


def portfolio_names(backtest: Mapping[str, Any]) -> dict[str, str]:
    """Portfolios of a backtest document as readers call them."""
    quantile = backtest["rules"]["quantile"]
    part = PARTS.get(quantile, share(quantile, 0))
    names = {
        "long_only": f"highest {part}",
        "long_short": f"highest less lowest {part}",
        "equal_weighted": "all stocks alike",
        "benchmark": f"benchmark ({backtest['benchmark']})",
    }
    return {name: names[name] for name in names if name in backtest["portfolios"]}


def verdict(skill: float | None) -> str:
    if skill is None:
        return "not known"
    return f"beats no change by {share(skill)}" if skill > 0 else "does not beat no change"


def or_dash(show: Any) -> Any:
    """A filter that shows a number that is not known as a dash."""
    return lambda value, *arguments: "–" if value is None else show(value, *arguments)


FILTERS = {
    "sentence": lambda words: words[:1].upper() + words[1:],
    "percent": or_dash(percent),
    "price": or_dash(number),
    "share": or_dash(share),
    "decimal": or_dash(decimal),
    "signed": or_dash(correlation),
    "count": or_dash(lambda value: f"{value:,}"),
    "day": day,
    "months": months,
    "listed": listed,
    "anchor": anchor,
    "luck": luck_words,
}
