"""What the local Yahoo knows of each stock: its history as traded, with the splits of the source and injected ones."""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from stockfc_assets.market.calendar import ExchangeProfile, trading_calendar
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA, MarketDataSource

PRICES = ("open", "high", "low", "close")
PER_SHARE = ("eps_ttm", "book_value_per_share", "dividend_per_share_ttm")
FIRST_DATE = dt.date(1970, 1, 1)
OPENING = {"XNYS": dt.time(9, 30)}
"""Start of trading by exchange, 09:00 for all others."""
KEPT_HISTORIES = 512
DIVIDEND_DECIMALS = 2


@dataclass(frozen=True)
class Split:
    """A split event as Yahoo lists it. ``applied``: whether prices before ``ex_date`` are divided by ``ratio``."""

    ex_date: dt.date
    ratio: float
    applied: bool = True


@dataclass(frozen=True)
class History:
    """One stock as traded, oldest row first: ``sessions`` datetime64[D] [T], ``columns`` of arrays [T], all splits."""

    ticker: str
    sessions: np.ndarray
    columns: dict[str, np.ndarray]
    splits: tuple[Split, ...]
    currency: str

    def until(self, today: dt.date) -> History:
        """The part that exists on ``today``."""
        rows = slice(0, int(np.searchsorted(self.sessions, np.datetime64(today), side="right")))
        return replace(
            self,
            sessions=self.sessions[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            splits=tuple(split for split in self.splits if split.ex_date <= today),
        )

    def later_ratios(self, dates: np.ndarray) -> np.ndarray:
        """For each of ``dates`` the product of the ratios of the applied splits after it."""
        applied = sorted((split for split in self.splits if split.applied), key=lambda split: split.ex_date)
        ex_dates = np.array([split.ex_date for split in applied], dtype="datetime64[D]")
        products = np.append(np.cumprod([split.ratio for split in applied][::-1])[::-1], 1.0)
        return products[np.searchsorted(ex_dates, dates, side="right")]

    def bars(self) -> pl.DataFrame:
        """The rows as `source.BARS_SCHEMA`, as traded; a split stands on the first row on or after its ex-date."""
        ratio = np.ones(len(self.sessions))
        for split in self.splits:
            row = int(np.searchsorted(self.sessions, np.datetime64(split.ex_date)))
            if split.applied and row < len(ratio):
                ratio[row] *= split.ratio
        frame = {"session": self.sessions, **self.columns, "split_ratio": ratio}
        return (
            pl.DataFrame(frame)
            .with_columns(ticker=pl.lit(self.ticker), currency=pl.lit(self.currency))
            .select(BARS_SCHEMA.names())
            .cast(BARS_SCHEMA)
        )


class Histories:
    """The histories of a source's stocks, each read once as a whole; safe to be asked from several threads.

    ``tickers``: read these with one question to the source; others are read when first asked for.
    """

    def __init__(self, source: MarketDataSource | None, exchange: str, tickers: Sequence[str] = ()) -> None:
        self._source = source
        self._calendar = trading_calendar(exchange)
        self._lock = threading.RLock()
        self._kept: OrderedDict[str, History | None] = OrderedDict()
        self._facts: dict[str, pl.DataFrame] = {}
        self._injected: dict[str, list[Split]] = {}
        self._room = max(KEPT_HISTORIES, len(tickers))
        self._openings: dict[dt.date, int] = {}
        if tickers:
            self._read(tickers)

    @property
    def profile(self) -> ExchangeProfile:
        return self._calendar.profile

    def opens_at(self, date: dt.date) -> int:
        """UTC seconds at which the exchange opens on ``date``: how Yahoo dates a daily row."""
        if date not in self._openings:
            self._openings[date] = self._seconds(date, OPENING.get(self.profile.code, dt.time(9)))
        return self._openings[date]

    def closes_at(self, date: dt.date) -> int:
        """UTC seconds at which trading ends on ``date``."""
        return self._seconds(date, self.profile.close)

    def _seconds(self, date: dt.date, time: dt.time) -> int:
        return int(dt.datetime.combine(date, time, ZoneInfo(self.profile.time_zone)).timestamp())

    def history(self, ticker: str) -> History | None:
        """The whole history of ``ticker``, the future included, or None if the source does not know it."""
        with self._lock:
            if ticker not in self._kept:
                self._read([ticker])
            self._kept.move_to_end(ticker)
            return self._kept[ticker]

    def facts(self, ticker: str) -> pl.DataFrame:
        """Every publication of ``ticker`` (`source.FACTS_SCHEMA`), oldest first, the future included.

        The source only tells the newest one before a date, so it is asked backwards, publication by publication. What
        was published on or after an injected split's ex-date stands on the basis after it.
        """
        with self._lock:
            if ticker not in self._facts:
                rows: list[pl.DataFrame] = [pl.DataFrame(schema=FACTS_SCHEMA)]
                as_of = self._calendar.last_known + dt.timedelta(days=1)
                while self._source is not None:
                    newest = self._source.fetch_facts([ticker], as_of).facts
                    if newest.is_empty():
                        break
                    rows.append(newest)
                    as_of = newest["published"][0]
                self._facts[ticker] = pl.concat(rows).sort("published")
            facts = self._facts[ticker]
            for split in self._injected.get(ticker, ()):
                if split.applied:
                    ratio = pl.when(pl.col("published") >= split.ex_date).then(split.ratio).otherwise(1.0)
                    facts = facts.with_columns(pl.col(PER_SHARE) / ratio, pl.col("shares_outstanding") * ratio)
            return facts

    def inject(self, ticker: str, split: Split) -> None:
        """Adds a split event to the ticker's history; an applied one changes the prices traded from its date on."""
        with self._lock:
            self._injected.setdefault(ticker, []).append(split)
            self._kept.pop(ticker, None)

    def _read(self, tickers: Sequence[str]) -> None:
        found: dict[str, pl.DataFrame] = {}
        if self._source is not None:
            bars = self._source.fetch_bars(list(tickers), FIRST_DATE, self._calendar.last_known).bars
            parts = bars.partition_by("ticker", as_dict=True, maintain_order=True)
            found = {str(key[0]): part for key, part in parts.items()}
        for ticker in tickers:
            history = _from_bars(ticker, found[ticker].sort("session")) if ticker in found else None
            for split in self._injected.get(ticker, ()):
                history = history and _with_split(history, split, self.profile)
            self._kept[ticker] = history
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)


def _from_bars(ticker: str, bars: pl.DataFrame) -> History:
    split = bars.filter(pl.col("split_ratio") != 1.0)
    return History(
        ticker=ticker,
        sessions=bars["session"].to_numpy().astype("datetime64[D]"),
        columns={name: bars[name].to_numpy() for name in (*PRICES, "volume", "dividend")},
        splits=tuple(Split(*row) for row in split.select("session", "split_ratio").iter_rows()),
        currency=str(bars["currency"][0]),
    )


def _with_split(history: History, split: Split, profile: ExchangeProfile) -> History:
    """The history of a stock that had this split, too: from its ex-date on more (or fewer) shares trade, cheaper.

    As-traded values stay what an exchange can show: prices of ``price_decimals``, volumes in whole lots.
    """
    columns = dict(history.columns)
    if split.applied:
        after = history.sessions >= np.datetime64(split.ex_date)
        tick = 10.0**-profile.price_decimals
        for name in PRICES:
            traded = np.maximum(np.round(history.columns[name] / split.ratio, profile.price_decimals), tick)
            columns[name] = np.where(after, traded, history.columns[name])
        lots = np.maximum(np.rint(history.columns["volume"] * split.ratio / profile.lot), 1).astype(np.int64)
        columns["volume"] = np.where(after, lots * profile.lot, history.columns["volume"])
        paid = np.round(history.columns["dividend"] / split.ratio, DIVIDEND_DECIMALS)
        columns["dividend"] = np.where(after, paid, history.columns["dividend"])
    return replace(history, columns=columns, splits=(*history.splits, split))
