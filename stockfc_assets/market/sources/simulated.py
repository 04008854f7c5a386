"""A market made from a seed: the default source, which needs no network and no account.

`simulated_market` holds the stochastic model and says what in it can be predicted; `simulated_companies` the dividends
and company facts. Here both are put together for blocks of tickers, kept for the next question, and handed out.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stockfc_assets.errors import ConfigError
from stockfc_assets.market.calendar import TradingCalendar, profile_of
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA, FactsResult, FetchResult
from stockfc_assets.market.sources.simulated_companies import (
    BENCHMARK,
    Company,
    PublishedFacts,
    Quarters,
    draw_company,
    keep_accounts,
    publish,
)
from stockfc_assets.market.sources.simulated_market import (
    HALT_PROBABILITY,
    MARKET_VOLATILITY,
    SECTOR_VOLATILITY,
    Factor,
    Quotation,
    daily_path,
    daily_volatility,
    daily_volume,
    draw_shocks,
    quoted,
    reversal_level,
    reversal_strength,
    simulate_factor,
    split_ratios,
    stream,
)
from stockfc_assets.settings import Membership, SimulatedSettings, Stock, Universe

WARM_UP_SESSIONS = 265
"""Simulated before the epoch and never shown: company facts and the predictable part need a past."""
BLOCK_TICKERS = 256
CACHED_CELLS = 20_000_000
"""Bound of what is kept for the next question: sessions x tickers, about 60 bytes each."""


@dataclass(frozen=True)
class Timeline:
    """The simulated days: ``dates`` [T] datetime64[D], of which the first ``warm_up`` lie before the epoch."""

    dates: np.ndarray
    warm_up: int
    quarters: Quarters


@dataclass(frozen=True)
class Block:
    """The simulated market of some tickers: arrays [sessions since the epoch, B], as traded."""

    sessions: np.ndarray
    traded: np.ndarray
    columns: dict[str, np.ndarray]
    facts: PublishedFacts


class SimulatedSource:
    """Prices and company facts of an invented market for the tickers of ``universe`` and its benchmark.

    Prices and volumes are written in the decimals, lots and currency of ``calendar``'s exchange. They depend on (seed,
    epoch, ticker, the ticker's sector) and on nothing else: other tickers, another range or another order of questions
    change no bit. Raises ConfigError for an epoch without a year of calendar before it, or a stock whose sector is not
    among ``sectors``.
    """

    name = "simulated"
    is_simulated = SimulatedSettings.is_simulated
    is_remote = False

    def __init__(
        self,
        settings: SimulatedSettings,
        universe: Universe,
        sectors: dict[str, int],
        calendar: TradingCalendar,
        *,
        block_tickers: int = BLOCK_TICKERS,
    ) -> None:
        self.settings = settings
        self.label = settings.label
        self._calendar = calendar
        self._sector = {stock.ticker: stock.sector for stock in universe.stocks}
        self._currency = {stock.ticker: stock.currency or calendar.profile.currency for stock in universe.stocks}
        for stock in universe.stocks:
            if stock.sector not in sectors:
                raise ConfigError(f"{stock.ticker}: sector {stock.sector!r} is not in config/sectors.yaml; append it")
        if calendar.before(settings.epoch, WARM_UP_SESSIONS) == calendar.sessions[0]:
            raise ConfigError(
                f"sources.simulated.epoch: {settings.epoch} is too early; "
                f"the first possible epoch is {calendar.sessions[WARM_UP_SESSIONS + 1]}"
            )
        names = list(self._sector)
        if universe.benchmark != "equal_weighted" and universe.benchmark not in self._sector:
            names.append(universe.benchmark)
        self._blocks = [tuple(names[i : i + block_tickers]) for i in range(0, len(names), block_tickers)]
        self._place = {name: divmod(number, block_tickers) for number, name in enumerate(names)}
        self._timelines: dict[dt.date, Timeline] = {}
        self._factors: dict[tuple[str, int], Factor] = {}
        self._cache: OrderedDict[int, Block] = OrderedDict()

    # --- questions ---

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        """As-traded bars; nothing before the epoch. A ticker outside the universe is a failure."""
        wanted, failures = self._known(tickers)
        if not wanted or end < start:
            return FetchResult(pl.DataFrame(schema=BARS_SCHEMA), failures)
        by_block: dict[int, list[int]] = {}
        for ticker in wanted:
            number, column = self._place[ticker]
            by_block.setdefault(number, []).append(column)
        pieces = [self._piece(number, columns, start, end) for number, columns in by_block.items()]
        names = [self._blocks[number][column] for number, columns in by_block.items() for column in columns]
        return FetchResult(
            self._frame(pieces, names, self._calendar.between(max(start, self.settings.epoch), end)), failures
        )

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        """The newest quarter that each ticker had published before ``as_of``."""
        wanted, failures = self._known(tickers)
        horizon = self._horizon(as_of)
        rows = []
        for ticker in wanted:
            number, column = self._place[ticker]
            facts = self._block(number, horizon).facts
            quarters = np.flatnonzero(facts.published[:, column] < np.datetime64(as_of))
            if quarters.size:
                newest = quarters[-1]
                sector = self._sector[ticker]
                row = {name: float(value[newest, column]) for name, value in facts.values.items()}
                published = facts.published[newest, column].item()
                rows.append({"ticker": ticker, "published": published, "sector": sector, "industry": sector, **row})
        return FactsResult(pl.DataFrame(rows, schema=FACTS_SCHEMA), as_of, failures)

    def describe(self) -> dict[str, Any]:
        return {
            "tickers": len(self._place),
            "first_session": self._calendar.between(self.settings.epoch, self._calendar.last_known)[0].isoformat(),
            "last_session": self._calendar.last_known.isoformat(),
            "seed": self.settings.seed,
            "predictability": self.settings.predictability,
        }

    def _known(self, tickers: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        failures = {
            ticker: "not in the simulated market, which has the universe's tickers and its benchmark"
            for ticker in tickers
            if ticker not in self._place
        }
        return sorted({ticker for ticker in tickers if ticker in self._place}), failures

    def _piece(self, number: int, columns: list[int], start: dt.date, end: dt.date) -> dict[str, np.ndarray]:
        """Copies of some columns of a block, from ``start`` to ``end``: arrays [sessions, columns]."""
        block = self._block(number, self._horizon(end))
        first, last = np.searchsorted(block.sessions, [np.datetime64(start), np.datetime64(end) + 1])
        return {
            name: values[first:last][:, columns] for name, values in {"traded": block.traded, **block.columns}.items()
        }

    def _frame(
        self, pieces: list[dict[str, np.ndarray]], names: list[str], sessions: Sequence[dt.date]
    ) -> pl.DataFrame:
        """The pieces' rows, sorted by session and ticker by construction. ``names``: their columns, in order."""
        order = np.argsort(names)
        gathered = {
            key: np.concatenate([piece.pop(key) for piece in pieces], axis=1)[:, order] for key in list(pieces[0])
        }
        traded = gathered.pop("traded")
        day, column = np.nonzero(traded)
        ordered = [names[i] for i in order]
        currency = [self._currency.get(name, self._calendar.profile.currency) for name in ordered]
        return pl.DataFrame(
            {
                "ticker": pl.Series(ordered, dtype=pl.String).gather(column),
                "session": np.array(sessions, dtype="datetime64[D]")[day],
                **{key: gathered.pop(key)[traded] for key in list(gathered)},
                "currency": pl.Series(currency, dtype=pl.String).gather(column),
            },
            schema_overrides=BARS_SCHEMA,
        ).select(BARS_SCHEMA.names())

    # --- simulation ---

    def _horizon(self, date: dt.date) -> dt.date:
        """How far to simulate for a question about ``date``: to the end of its year, so the next days are there."""
        return dt.date(max(date, self.settings.epoch).year, 12, 31)

    def _block(self, number: int, horizon: dt.date) -> Block:
        """A block simulated at least to ``horizon``, from the cache where possible."""
        last = self._timeline(horizon).dates[-1]
        block = self._cache.get(number)
        if block is None or block.sessions[-1] < last:
            block = self._simulate(self._blocks[number], self._timeline(horizon))
            self._cache[number] = block
        self._cache.move_to_end(number)
        while len(self._cache) > 1 and sum(kept.traded.size for kept in self._cache.values()) > CACHED_CELLS:
            self._cache.popitem(last=False)
        return block

    def _timeline(self, horizon: dt.date) -> Timeline:
        if horizon not in self._timelines:
            start = self._calendar.before(self.settings.epoch, WARM_UP_SESSIONS)
            end = min(horizon, self._calendar.last_known)
            dates = np.array(self._calendar.between(start, end), dtype="datetime64[D]")
            months = np.arange(np.datetime64(start, "M"), np.datetime64(end, "M") + 1)
            ends = (months[months.astype(int) % 3 == 2] + 1).astype("datetime64[D]") - 1
            ends = ends[ends <= np.datetime64(end)]
            days = np.searchsorted(dates, ends, side="right") - 1
            has_past = days > 1  # the first simulated days may lie at a quarter's end
            self._timelines[horizon] = Timeline(dates, WARM_UP_SESSIONS, Quarters(ends[has_past], days[has_past]))
        return self._timelines[horizon]

    def _factor(self, name: str, days: int, annual: float) -> Factor:
        key = (name, days)
        if key not in self._factors:
            rng = stream(self.settings.seed, self.settings.epoch, name, "factor")
            self._factors[key] = simulate_factor(rng, days, annual)
        return self._factors[key]

    def _company(self, name: str) -> Company:
        if name not in self._sector:
            return BENCHMARK
        return draw_company(stream(self.settings.seed, self.settings.epoch, name, "company"))

    def _common(self, names: Sequence[str], days: int, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(log level, variance) [T, B] of what each ticker shares with others: the market and its sector."""
        market = self._factor("market", days, MARKET_VOLATILITY)
        level = beta * market.level[:, None]
        variance = (beta * market.volatility[:, None]) ** 2
        for column, name in enumerate(names):
            if sector := self._sector.get(name):
                factor = self._factor(f"sector {sector}", days, SECTOR_VOLATILITY)
                level[:, column] += factor.level
                variance[:, column] += factor.volatility**2
        return level, variance

    def _simulate(self, names: tuple[str, ...], timeline: Timeline) -> Block:
        seed, epoch, days, quarters = self.settings.seed, self.settings.epoch, len(timeline.dates), timeline.quarters
        quotation = Quotation.of(self._calendar.profile)
        companies = [self._company(name) for name in names]
        traits = {key: np.array([getattr(each, key) for each in companies]) for key in Company.__dataclass_fields__}
        strength, scale = reversal_strength(self.settings.predictability)
        shocks = draw_shocks(seed, epoch, names, days)

        common, variance = self._common(names, days, traits["beta"])
        own = daily_volatility(shocks.volatility, traits["own_volatility"]) * scale
        level = np.log(traits["price"]) + common + reversal_level(own * shocks.own, strength)
        volatility = np.sqrt(variance + own**2)

        half_year = quarters.is_half_year(traits["half_years"]) & (traits["own_volatility"] > 0)
        ratios = split_ratios(level, quarters.ex_days, half_year, traits["split_above"], traits["split_ratio"])
        factor = np.cumprod(ratios, axis=0)
        noise = [stream(seed, epoch, name, "quarters").standard_normal(len(quarters.ends)) for name in names]
        accounts = keep_accounts(np.exp(level), quarters, traits, np.stack(noise, axis=1), factor, quotation)
        per_share = accounts.dividend / factor[quarters.ex_days] * quotation.units_per_yen
        dividend = np.zeros_like(level)
        dividend[quarters.ex_days] = np.round(per_share, quotation.decimals)

        listed = timeline.warm_up + traits["listed_after"]
        on_event = (ratios != 1.0) | (dividend > 0.0)
        halted = (shocks.halt < HALT_PROBABILITY) & ~on_event & (traits["own_volatility"] > 0)
        opened, high, low, close = (quoted(path, factor, quotation) for path in daily_path(level, volatility, shocks))
        volume = daily_volume(level, volatility, shocks, traits["shares"] * traits["turnover"], factor, quotation.lot)
        columns = {
            "open": opened, "high": high, "low": low, "close": close,
            "volume": volume, "dividend": dividend, "split_ratio": ratios,
        }  # fmt: skip
        shown = slice(timeline.warm_up, None)
        return Block(
            sessions=timeline.dates[shown],
            traded=(np.arange(days)[:, None] >= listed)[shown] & ~halted[shown],
            columns={name: np.ascontiguousarray(values[shown]) for name, values in columns.items()},
            facts=publish(accounts, quarters, traits, timeline.dates, np.minimum(listed, days - 1), factor, quotation),
        )


def simulated_universe(count: int, sectors: dict[str, int], exchange: str) -> Universe:
    """``count`` invented stocks that belong at all times, and a fund as benchmark; tickers carry the exchange's suffix.

    In Tokyo they are ``S00001.T``, ... and ``S00000.T``. The stocks take the sectors in turn (not ``Unknown``, unless
    there is no other).
    """
    suffix = profile_of(exchange).ticker_suffix
    names = [name for name in sectors if name != "Unknown"] or list(sectors)
    always = (Membership(member_from=dt.date(2000, 1, 1)),)
    stocks = tuple(
        Stock(
            ticker=f"S{number:05d}{suffix}",
            name=f"Simulated company {number}",
            sector=names[(number - 1) % len(names)],
            member=always,
        )
        for number in range(1, count + 1)
    )
    return Universe(
        name=f"{count} simulated companies",
        exchange=exchange,
        benchmark=f"S00000{suffix}",
        note="Invented: no company of this list exists.",
        stocks=stocks,
    )
