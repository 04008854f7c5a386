"""What earlier forecasts said of a session's stocks, on that session's share basis, and what happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stockfc_assets.features.grids import STALE_SESSIONS
from stockfc_assets.features.weeks import add_months
from stockfc_assets.market.as_traded import adjusted_bars

MONTHS_BEFORE = (3, 6, 9, 12)
MOST_SESSIONS_OLDER = 5
"""A session without a stored forecast is stood in for by one at most so many sessions before it."""


@dataclass(frozen=True)
class EarlierForecast:
    """One forecast of one stock that matured by now. Prices are on the share basis of the session that looks back."""

    as_of: dt.date
    months: int
    """The horizon that is compared: the one that ended last."""
    price: float
    """Close of ``as_of``."""
    points: tuple[tuple[dt.date, float], ...]
    """(end of horizon, forecast price) for 1 to ``months`` months ahead."""
    lower: float | None
    upper: float | None
    happened: float | None
    """Close at the end of the compared horizon; None where the stock had none (see `said_earlier`)."""

    @property
    def end(self) -> dt.date:
        return self.points[-1][0]

    @property
    def said(self) -> float:
        return self.points[-1][1]

    @property
    def inside(self) -> bool | None:
        """Whether the interval held what happened; None where either is not known."""
        if self.lower is None or self.upper is None or self.happened is None:
            return None
        return self.lower <= self.happened <= self.upper


def earlier_sessions(published: Sequence[dt.date], sessions: Sequence[dt.date], session: dt.date) -> dict[int, dt.date]:
    """Months before ``session`` -> the newest published session at or before that date, of `MONTHS_BEFORE`.

    ``sessions``: all of the exchange, ascending, from two years before ``session``. Left out where none of the date's
    own session and the `MOST_SESSIONS_OLDER` before it is published.
    """
    stored = set(published)
    chosen = {}
    for months in MONTHS_BEFORE:
        wanted = add_months(session, -months)
        near = [day for day in sessions if day <= wanted][-1 - MOST_SESSIONS_OLDER :]
        found = [day for day in near if day in stored]
        if found:
            chosen[months] = found[-1]
    return chosen


def said_earlier(
    forecasts: pl.DataFrame, raw: pl.DataFrame, session: dt.date, chosen: Mapping[int, dt.date]
) -> dict[str, tuple[EarlierForecast, ...]]:
    """Ticker -> what the forecasts of the ``chosen`` sessions (`earlier_sessions`) said of it, oldest first.

    ``forecasts``: tables.Predictions of those sessions; ``raw``: tables.RawOhlcv of all sessions from the first of them
    to ``session``; what is later is not looked at. Published prices are divided by the splits since. What happened is
    the newest close at most `STALE_SESSIONS` sessions before the end of the horizon, as in the labels of training.
    """
    bars = adjusted_bars(raw, session).select("ticker", "session", "close")
    days = bars["session"].unique().sort().to_list()
    closes = {
        ticker: dict(zip(dates, prices, strict=True))
        for ticker, dates, prices in bars.group_by("ticker").agg("session", "close").iter_rows()
    }
    traded = raw.select("ticker", "session", traded="close")
    bases = bars.join(traded, on=["ticker", "session"]).select(
        "ticker", "session", _basis=pl.col("close") / pl.col("traded")
    )
    prices = ["current_price", "predicted_price", "lower", "upper"]
    rebased = (
        forecasts.join(bases, on=["ticker", "session"])
        .with_columns(pl.col(prices) * pl.col("_basis"))
        .sort("ticker", "session", "horizon")
    )
    said: dict[str, list[EarlierForecast]] = {}
    for months, as_of in sorted(chosen.items(), reverse=True):
        near = [day for day in days if as_of < day <= add_months(as_of, months)][-1 - STALE_SESSIONS :]
        paths = rebased.filter(pl.col("session") == as_of, pl.col("horizon") <= months)
        for (ticker,), path in paths.group_by("ticker", maintain_order=True):
            happened = next((closes[ticker][day] for day in reversed(near) if day in closes[ticker]), None)
            said.setdefault(str(ticker), []).append(_forecast(path.to_dicts(), happened))
    return {ticker: tuple(forecasts) for ticker, forecasts in sorted(said.items())}


def _forecast(path: list[dict[str, Any]], happened: float | None) -> EarlierForecast:
    """``path``: the rebased rows of one stock and session, by horizon."""
    last = path[-1]
    return EarlierForecast(
        as_of=last["session"],
        months=last["horizon"],
        price=last["current_price"],
        points=tuple((add_months(row["session"], row["horizon"]), row["predicted_price"]) for row in path),
        lower=last["lower"],
        upper=last["upper"],
        happened=happened,
    )
