"""What trading on published forecasts would have brought: one function on arrays, `backtest`.

The rules (docs/backtest.md says why):

- A forecast of session d, published after its close, is traded at the close of the session after d. No trade ever happens
  at a price that the forecast saw.
- Between trades nothing is rebalanced: weights drift with prices. Dividends are reinvested at the close of their
  ex-date; a short position pays them.
- A trade costs (base + slippage + k x sqrt(participation)) of its money, a sale the exchange's tax as well, a short
  position a yearly fee. Costs are paid in cash, which may fall below zero by them until the next trade; cash earns nothing.
- An order is filled up to a share of the value that the stock turned over that day. The rest stays unfilled.
- A stock that does not trade keeps its last price. What should have been closed is closed when it trades again; after a
  number of sessions a holding is written down and a short position closed at the last price.

Arrays are float64 [sessions, stocks] on the exchange's sessions, ascending, without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from stockfc_assets.errors import InputError
from stockfc_assets.features.names import SESSIONS_PER_YEAR

BASIS_POINT = 1e-4
LONG_SHORT, LONG_ONLY, EQUAL_WEIGHTED = "long_short", "long_only", "equal_weighted"


@dataclass(frozen=True)
class TradingRules:
    """Rates are shares of the money traded (0.001 = 10 bp); ``capital`` is in the currency of the prices."""

    capital: float
    quantile: float
    cost: float
    """Of every trade, whatever its size."""
    impact: float
    """Times sqrt(participation)."""
    max_participation: float
    sell_tax: float
    borrow: float
    """A year, of the value sold short."""
    write_down_sessions: int
    write_down: float


@dataclass(frozen=True)
class Market:
    """What was paid. All arrays are [S, N]; ``close`` and ``dividend`` are split-adjusted to one and the same day.

    ``close``: NaN = no row. ``dividend``: per share, on its ex-date, NaN or 0 = none; a day without a close has none.
    ``turnover``: money traded that day (close x volume); a stock trades on a day with a close and a turnover above 0.
    """

    close: np.ndarray
    dividend: np.ndarray
    turnover: np.ndarray


@dataclass(frozen=True)
class Path:
    """A portfolio day by day, float64 [T], beginning with the day of the first trade; at the day's end unless said.

    ``net_return`` = ``gross_return`` - ``cost_drag``, all three over the wealth of the evening before (the capital, on
    the first day, whose gross return is 0). Both returns are of the same positions. A portfolio that has lost all its
    wealth returns -1 on that day and 0 from then on.
    """

    gross_return: np.ndarray
    net_return: np.ndarray
    cost_drag: np.ndarray
    turnover: np.ndarray
    """(bought + sold) / 2, over the wealth of the evening before."""
    ordered: np.ndarray
    """Money that orders were for, over the same wealth."""
    unfilled: np.ndarray
    """The part of ``ordered`` that was not filled."""
    long: np.ndarray
    """Value held long, over wealth."""
    short: np.ndarray
    """Value sold short, over wealth; >= 0."""
    largest: np.ndarray
    """The largest absolute weight."""
    positions: np.ndarray
    """Stocks held or sold short."""
    written_down: np.ndarray
    """Positions closed that day because their stock had stopped trading."""


FIELD_NAMES = tuple(field.name for field in fields(Path))


def quantile_weights(scores: np.ndarray, share: float) -> np.ndarray:
    """Equal weights of the highest ``share`` of ``scores`` [N] (NaN = not ranked): float64 [N], sum 1, or 0 without scores.

    The group has floor(n x share) places, at least one. Stocks that tie for its last places divide them evenly, so that
    the weights depend neither on the order of the stocks nor on chance; where all scores are equal, so are all weights.
    """
    ranked = np.flatnonzero(~np.isnan(scores))
    weights = np.zeros(len(scores))
    if len(ranked) == 0:
        return weights
    places = max(1, int(len(ranked) * share + 1e-9))
    values = scores[ranked]
    limit = np.partition(values, len(values) - places)[len(values) - places]
    above, tied = values > limit, values == limit
    weights[ranked[above]] = 1 / places
    weights[ranked[tied]] = (places - above.sum()) / tied.sum() / places
    return weights


def portfolio_weights(forecast: np.ndarray, member: np.ndarray, share: float) -> dict[str, np.ndarray]:
    """The weights that each portfolio wants, float64 [R, N], from ``forecast`` [R, N] and ``member`` (bool [R, N]).

    long_short: +1 over the top group, -1 over the bottom one, so its money at work is twice its wealth; long_only: the
    top group; equal_weighted: every member with a forecast. A row is one decision; one without any forecast wants nothing.
    """
    known = np.where(member, forecast, np.nan)
    top = np.array([quantile_weights(row, share) for row in known]).reshape(known.shape)
    bottom = np.array([quantile_weights(-row, share) for row in known]).reshape(known.shape)
    ranked = ~np.isnan(known)
    equal = ranked / np.maximum(ranked.sum(axis=1, keepdims=True), 1)
    return {LONG_SHORT: top - bottom, LONG_ONLY: top, EQUAL_WEIGHTED: equal}


def backtest(
    market: Market, decisions: np.ndarray, forecast: np.ndarray, member: np.ndarray, rules: TradingRules
) -> dict[str, Path]:
    """The portfolios of `portfolio_weights`, traded on ``market``; all begin on the session after the first decision.

    - decisions: int64 [R], strictly ascending: rows of ``market`` after whose close ``forecast`` [R, N] (NaN = none) was
      published. A decision on the market's last session is not traded: the session after it is not known.
    - member: bool [R, N], whether the stock may be traded on the strength of that decision.

    Raises InputError for shapes that do not match, or without any decision that can be traded.
    """
    _check(market, decisions, forecast, member)
    tradable = decisions < len(market.close) - 1
    wanted = portfolio_weights(forecast[tradable], member[tradable], rules.quantile)
    quotes = Quotes.of(market)
    return {name: trade(quotes, decisions[tradable] + 1, weights, rules) for name, weights in wanted.items()}


@dataclass(frozen=True)
class Quotes:
    """A market as holdings see it, [S, N].

    ``index``: the last price, times the shares into which one share has grown by reinvested dividends; NaN before the
    first price. ``turnover``: 0 where the stock did not trade. ``idle``: sessions since the last trade (int32).
    """

    index: np.ndarray
    turnover: np.ndarray
    idle: np.ndarray

    @classmethod
    def of(cls, market: Market) -> Quotes:
        days, stocks = market.close.shape
        index, turnover = np.empty((days, stocks)), np.empty((days, stocks))
        idle = np.empty((days, stocks), dtype=np.int32)
        price, shares, waited = np.full(stocks, np.nan), np.ones(stocks), np.zeros(stocks, dtype=np.int32)
        for day, close in enumerate(market.close):
            known = close > 0
            np.copyto(price, close, where=known)
            paid = np.flatnonzero(known & (market.dividend[day] > 0))
            shares[paid] *= 1 + market.dividend[day, paid] / price[paid]
            np.multiply(price, shares, out=index[day])
            traded = known & (market.turnover[day] > 0)
            turnover[day] = np.where(traded, market.turnover[day], 0.0)
            waited = np.where(traded, 0, waited + 1)
            idle[day] = waited
        return cls(index, turnover, idle)


def trade(quotes: Quotes, executions: np.ndarray, weights: np.ndarray, rules: TradingRules) -> Path:
    """Trades to ``weights`` [R, N] (shares of wealth) at the closes of ``executions`` (int64 [R], ascending rows)."""
    account = _Account(quotes, rules, int(executions[0]))
    following = [*executions[1:], len(quotes.index)]
    for today, target, tomorrow in zip(executions, weights, following, strict=True):
        account.rebalance(int(today), target)
        account.carry(int(today), int(tomorrow))
    return account.path()


class _Account:
    """Holdings in units of ``quotes.index``, cash, and what is written down of each day."""

    def __init__(self, quotes: Quotes, rules: TradingRules, start: int) -> None:
        self.quotes, self.rules, self.start = quotes, rules, start
        days, stocks = quotes.index.shape
        self.units = np.zeros(stocks)
        self.cash = rules.capital
        self.leaving = np.zeros(stocks, dtype=bool)
        self.wealth = np.full(days, rules.capital)
        names = ("gain", "cost", "traded", "ordered", "unfilled", "long", "short", "largest", "positions", "written")
        self.log = {name: np.zeros(days) for name in names}

    def rebalance(self, day: int, target: np.ndarray) -> None:
        """Orders what lacks to ``target``; what must be closed and cannot trade waits."""
        wealth = self.wealth[day]
        if wealth <= 0:
            return
        held = self.units != 0
        involved = np.flatnonzero(held | (target != 0))
        value = self._value(day, involved)
        self.leaving = held & (target == 0) & (self.quotes.turnover[day] == 0)
        self._fill(day, involved, target[involved] * wealth - value)

    def carry(self, first: int, following: int) -> None:
        """From the evening of ``first`` to the close of ``following``, the next decision's day or the one beyond the last.

        It stops where a stock that waits trades again, or one has been idle for too long.
        """
        last = min(following, len(self.quotes.index) - 1)
        while first < last:
            stop = self._next_event(first, last)
            self._drift(first, stop)
            self._write_down(stop)
            self._stop_when_ruined(first, stop)
            if stop < following:
                self._close_waiting(stop)
            first = stop

    def path(self) -> Path:
        """The days from the first trade on."""
        before = np.concatenate([[self.rules.capital], self.wealth[self.start : -1]])
        after = self.wealth[self.start :]
        logged = {name: values[self.start :] for name, values in self.log.items()}
        gross, cost = _over(logged["gain"], before), _over(logged["cost"], before)
        return Path(
            gross_return=gross,
            net_return=gross - cost,
            cost_drag=cost,
            turnover=_over(logged["traded"] / 2, before),
            ordered=_over(logged["ordered"], before),
            unfilled=_over(logged["unfilled"], before),
            long=_over(logged["long"], after),
            short=_over(logged["short"], after),
            largest=_over(logged["largest"], after),
            positions=logged["positions"],
            written_down=logged["written"],
        )

    def _value(self, day: int, stocks: np.ndarray) -> np.ndarray:
        """Value of the positions in ``stocks``; 0 where nothing is held, also before the first price."""
        units = self.units[stocks]
        return np.multiply(units, self.quotes.index[day, stocks], out=np.zeros(len(stocks)), where=units != 0)

    def _fill(self, day: int, stocks: np.ndarray, order: np.ndarray) -> None:
        """Trades ``order`` (money, > 0 buys) in ``stocks`` as far as the day's turnover allows, and pays for it."""
        turnover = self.quotes.turnover[day, stocks]
        most = self.rules.max_participation * turnover
        filled = np.clip(order, -most, most)
        lacking = float((np.abs(order) - np.abs(filled)).sum())
        done = filled != 0
        stocks, filled, size = stocks[done], filled[done], np.abs(filled[done])
        closed = filled == -self._value(day, stocks)
        self.units[stocks] += filled / self.quotes.index[day, stocks]
        self.units[stocks[closed]] = 0.0  # not the last bit that a division leaves over
        rate = self.rules.cost + self.rules.impact * np.sqrt(size / turnover[done])
        cost = float((size * rate).sum() + self.rules.sell_tax * size[filled < 0].sum())
        self.cash -= float(filled.sum()) + cost
        self.wealth[day] -= cost
        for name, amount in (
            ("cost", cost),
            ("traded", size.sum()),
            ("ordered", np.abs(order).sum()),
            ("unfilled", lacking),
        ):
            self.log[name][day] += amount
        self._describe(day)
        self._stop_when_ruined(day - 1, day)

    def _describe(self, day: int) -> None:
        held = np.flatnonzero(self.units)
        self._record(slice(day, day + 1), self._value(day, held)[None, :])

    def _record(self, days: slice, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Writes down what ``values`` [days, held stocks] sum to; returns value long and value short."""
        long, short = np.maximum(values, 0).sum(axis=1), -np.minimum(values, 0).sum(axis=1)
        self.log["long"][days], self.log["short"][days] = long, short
        self.log["largest"][days] = np.abs(values).max(axis=1, initial=0)
        self.log["positions"][days] = values.shape[1]
        return long, short

    def _next_event(self, first: int, last: int) -> int:
        """The first day after ``first``, at most ``last``, that changes a position without a decision."""
        days = slice(first + 1, last + 1)
        held, waiting = np.flatnonzero(self.units), np.flatnonzero(self.leaving)
        gone = (self.quotes.idle[days, held] == self.rules.write_down_sessions).any(axis=1)
        back = (self.quotes.turnover[days, waiting] > 0).any(axis=1)
        events = np.flatnonzero(gone | back)
        return first + 1 + int(events[0]) if len(events) else last

    def _drift(self, first: int, last: int) -> None:
        """Holdings gain and lose with prices; borrowed shares cost their fee."""
        held = np.flatnonzero(self.units)
        values = self.quotes.index[first : last + 1, held] * self.units[held]
        days = slice(first + 1, last + 1)
        short_before = -np.minimum(values[:-1], 0).sum(axis=1)
        long, short = self._record(days, values[1:])
        fee = short_before * (self.rules.borrow / SESSIONS_PER_YEAR)
        cash = self.cash - np.cumsum(fee)
        self.log["gain"][days] = np.diff(values, axis=0).sum(axis=1)
        self.log["cost"][days] = fee
        self.wealth[days] = cash + long - short
        self.cash = float(cash[-1])

    def _stop_when_ruined(self, first: int, last: int) -> None:
        """The first day after ``first`` on which nothing is left ends the loss at -1, and trading."""
        ruined = np.flatnonzero(self.wealth[first + 1 : last + 1] <= 0)
        if len(ruined) == 0:
            return
        day = first + 1 + int(ruined[0])
        for values in self.log.values():
            values[day + 1 :] = 0
        self.log["gain"][day] = self.log["cost"][day] - self.wealth[day - 1]
        for name in ("long", "short", "largest", "positions"):
            self.log[name][day] = 0
        self.wealth[day:] = 0
        self.units[:], self.leaving[:], self.cash = 0, False, 0.0

    def _write_down(self, day: int) -> None:
        gone = np.flatnonzero((self.units != 0) & (self.quotes.idle[day] == self.rules.write_down_sessions))
        if len(gone) == 0:
            return
        value = self._value(day, gone)
        loss = self.rules.write_down * float(np.maximum(value, 0).sum())
        self.cash += float(value.sum()) - loss
        self.log["gain"][day] -= loss
        self.wealth[day] -= loss
        self.log["written"][day] += len(gone)
        self.units[gone], self.leaving[gone] = 0, False
        self._describe(day)

    def _close_waiting(self, day: int) -> None:
        back = np.flatnonzero(self.leaving & (self.quotes.turnover[day] > 0))
        if len(back):
            self.leaving[back] = False
            self._fill(day, back, -self._value(day, back))


def held_index(quotes: Quotes, start: int) -> Path:
    """One stock or index ([S, 1] quotes), bought at the close of row ``start`` and held: no costs, dividends reinvested.

    Raises InputError when it has no price by then.
    """
    level = quotes.index[start:, 0]
    if np.isnan(level[0]):
        raise InputError("the benchmark has no price when the backtest begins; begin later, or store its prices")
    returns = np.concatenate([[0.0], level[1:] / level[:-1] - 1])
    nothing, all_of_it = np.zeros(len(level)), np.ones(len(level))
    held = dict.fromkeys(("long", "largest", "positions"), all_of_it)
    other: Mapping[str, np.ndarray] = {"gross_return": returns, "net_return": returns, **held}
    return Path(**{name: other.get(name, nothing) for name in FIELD_NAMES})


def _over(amount: np.ndarray, wealth: np.ndarray) -> np.ndarray:
    """``amount`` / ``wealth``; 0 where all wealth is lost."""
    return np.divide(amount, wealth, out=np.zeros(len(amount)), where=wealth > 0)


def _check(market: Market, decisions: np.ndarray, forecast: np.ndarray, member: np.ndarray) -> None:
    days, stocks = market.close.shape
    if market.dividend.shape != (days, stocks) or market.turnover.shape != (days, stocks):
        raise InputError(
            f"close {market.close.shape}, dividend {market.dividend.shape} and turnover {market.turnover.shape} "
            "must have the same shape [sessions, stocks]"
        )
    if forecast.shape != (len(decisions), stocks) or member.shape != forecast.shape:
        raise InputError(
            f"forecast {forecast.shape} and member {member.shape} must both be [{len(decisions)} decisions, {stocks} stocks]"
        )
    if len(decisions) and (np.diff(decisions).min(initial=1) < 1 or decisions[0] < 0 or decisions[-1] >= days):
        raise InputError(f"decisions must be ascending rows of the market's {days} sessions")
    if not (decisions < days - 1).any():
        raise InputError("no forecast that could be traded: there is none before the last session")
