"""The stocks of a session as one horizon ranks them, and what that ranking is worth in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.words import luck_words, months, skill_words
from stockfc_assets.svg import percent, share

SHOWN_HORIZONS = (1, 3, 6, 12)
RANKED_FIRST = 12
"""The horizon that ranks the page as long as the reader picks no other."""
NARROW = 1 / 100
"""Where the middle half of the forecasts is narrower than this part of a typical interval, they order next to nothing. Those
of a forecaster that is worth something, a twentieth to a tenth of the size of outcomes, come to three or four hundredths."""
NARROW_WITHOUT_INTERVAL = 0.002
VISIBLE = 0.0005
"""A return that is not shown as 0.0 %."""


@dataclass(frozen=True)
class Outlook:
    """What the forecasts of one horizon say of all stocks; returns are simple."""

    horizon: int
    ranked: tuple[str, ...]
    """Tickers, the highest forecast first; ties by ticker."""
    returns: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """Of the stocks that have one."""
    score: Mapping[str, Any]
    """The row of this horizon in the track record."""

    @property
    def middle(self) -> float:
        return statistics.median(self.returns.values())

    @property
    def typical_interval(self) -> tuple[float, float] | None:
        if not self.intervals:
            return None
        low, high = zip(*self.intervals.values(), strict=True)
        return statistics.median(low), statistics.median(high)

    @property
    def typical_difference(self) -> float:
        """Between the stocks at the upper and at the lower quartile of the forecasts."""
        values = list(self.returns.values())
        if len(values) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
        return upper - lower

    @property
    def open_ended(self) -> int:
        """Stocks whose interval holds both a rise and a fall."""
        return sum(low <= 0 <= high for low, high in self.intervals.values())

    @property
    def is_flat(self) -> bool:
        """Whether the forecasts hardly tell one stock from another."""
        interval = self.typical_interval
        limit = NARROW_WITHOUT_INTERVAL if interval is None else NARROW * (interval[1] - interval[0])
        return self.typical_difference < limit

    @property
    def is_no_change(self) -> bool:
        """Whether these forecasts are to be read as “no change”."""
        skill = self.score["skill"]
        return self.is_flat or (skill is not None and skill <= 0)

    def reading(self) -> str:
        """How to take this ranking, in a sentence."""
        skill, over = self.score["skill"], months(self.horizon)
        if self.is_flat:
            width = self.typical_interval
            against = f", while a typical interval is {share(width[1] - width[0], 0)} wide" if width else ""
            return (
                f"Read this as practically no change between stocks: the forecasts of the middle half lie within "
                f"{share(self.typical_difference)}{against}."
            )
        if skill is None:
            return f"No forecast over {over} has matured yet, so nobody knows what this ranking is worth."
        if skill <= 0:
            return (
                f"Read this as practically no change: so far the squared error of forecasts over {over} was "
                f"{skill_words(skill)} that of saying that every price stays as it is."
            )
        return (
            f"So far the squared error of forecasts over {over} was {skill_words(skill)} that of “no change”; "
            f"{luck_words(self.score.get('skill_hac_t'))}."
        )

    def headline(self, data: ReportData) -> str:
        """What the forecasts of this horizon say, in a sentence."""
        rises = sum(value >= VISIBLE for value in self.returns.values())
        falls = sum(value <= -VISIBLE for value in self.returns.values())
        highest, lowest = self.ranked[0], self.ranked[-1]
        return (
            f"Over {months(self.horizon)} the model expects {rises} of {len(self.ranked)} stocks to rise and {falls} to "
            f"fall. The middle forecast is {percent(self.middle)}; the highest is {data.name(highest)} "
            f"({percent(self.returns[highest])}), the lowest {data.name(lowest)} ({percent(self.returns[lowest])})."
        )


def outlooks(data: ReportData) -> list[Outlook]:
    """One per shown horizon; none without a forecast."""
    stocks = data.document["predictions"]
    return [_outlook(stocks, horizon, data.record) for horizon in SHOWN_HORIZONS] if stocks else []


def _outlook(stocks: Sequence[Mapping[str, Any]], horizon: int, record: Mapping[str, Any]) -> Outlook:
    months_ahead = {stock["ticker"]: month_of(stock, horizon) for stock in stocks}
    prices = {stock["ticker"]: stock["current_price"] for stock in stocks}
    returns = {ticker: month["return"] for ticker, month in months_ahead.items()}
    return Outlook(
        horizon=horizon,
        ranked=tuple(sorted(returns, key=lambda ticker: (-returns[ticker], ticker))),
        returns=returns,
        intervals={
            ticker: (month["lower"] / prices[ticker] - 1, month["upper"] / prices[ticker] - 1)
            for ticker, month in months_ahead.items()
            if month["lower"] is not None and month["upper"] is not None
        },
        score=next(row for row in record["horizons"] if row["horizon"] == horizon),
    )


def month_of(stock: Mapping[str, Any], horizon: int) -> Mapping[str, Any]:
    """The forecast of one stock (an entry of the predictions file) at ``horizon`` months."""
    return next(month for month in stock["predictions"] if month["month"] == horizon)
