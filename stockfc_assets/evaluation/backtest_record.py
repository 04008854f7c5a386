"""The backtest of published forecasts: stored tables as arrays, and its result as a document and a table.

Reads ``daily_predictions`` of each month's last session and ``raw_ohlcv``. What was published is traded, nothing else:
a month whose last session has no stored forecast is skipped, and said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from stockfc_assets.errors import DataError, InputError
from stockfc_assets.evaluation import performance
from stockfc_assets.evaluation.backtest import (
    BASIS_POINT,
    EQUAL_WEIGHTED,
    FIELD_NAMES,
    LONG_ONLY,
    Market,
    Path,
    Quotes,
    TradingRules,
    backtest,
    held_index,
)
from stockfc_assets.features.grids import locate, member_mask
from stockfc_assets.features.weeks import session_days, week_ends
from stockfc_assets.market.as_traded import adjusted_bars
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import Settings, Universe
from stockfc_assets.storage import Warehouse
from stockfc_assets.tables import Predictions, RawOhlcv
from stockfc_assets.trading_rules import BacktestSettings

BENCHMARK = "benchmark"
NOTHING_TO_TRADE = "no forecast of a month's last session is published that could be traded by then"
NO_PRICES = "no prices are stored after the first forecast of a month's last session"
REMEDIES = {
    NOTHING_TO_TRADE: "run `stockfc daily --from ... --to ...` over past sessions first",
    NO_PRICES: "run `stockfc backfill --from ... --to ...` over them first",
}
DECIMALS = 8
"""Of published figures: beyond the last bits, which may differ between machines."""


@dataclass(frozen=True)
class BacktestResult:
    """``sessions`` [T] begin with the first trade; ``decisions`` are the as-of sessions that were traded."""

    sessions: tuple[dt.date, ...]
    decisions: tuple[dt.date, ...]
    skipped: tuple[dt.date, ...]
    """Last sessions of months that were asked for and have no stored forecast."""
    horizon: int
    paths: dict[str, Path]
    benchmark: str | None
    """The ticker behind the path ``benchmark``; None where the universe names none or its prices are not stored."""


def trading_rules(settings: BacktestSettings, exchange: str) -> TradingRules:
    """The settings as rates. Raises ConfigError where they do not say what ``exchange`` takes of sales."""
    return TradingRules(
        capital=settings.capital,
        quantile=settings.quantile,
        cost=(settings.base_cost_bp + settings.slippage_bp) * BASIS_POINT,
        impact=settings.impact_bp * BASIS_POINT,
        max_participation=settings.max_participation,
        sell_tax=settings.sell_tax(exchange) * BASIS_POINT,
        borrow=settings.borrow_bp * BASIS_POINT,
        write_down_sessions=settings.write_down_sessions,
        write_down=settings.write_down,
    )


def month_ends(calendar: TradingCalendar, start: dt.date, end: dt.date) -> list[dt.date]:
    """The last session of each calendar month, of those from ``start`` to ``end``; a month still under way has none."""
    beyond = calendar.between(start, end + dt.timedelta(days=31))
    return [one for one, following in pairwise(beyond) if one.month != following.month and one <= end]


@dataclass(frozen=True)
class Rankings:
    """What was published at the ends of months, and the prices that followed, until the last of ``sessions``."""

    sessions: tuple[dt.date, ...]
    """All of the exchange from the first that was asked for."""
    month_ends: tuple[dt.date, ...]
    """Those of ``sessions`` that end a month."""
    forecasts: pl.DataFrame
    """tables.Predictions of the stored ones of ``month_ends``."""
    raw: pl.DataFrame
    """tables.RawOhlcv of the sessions since the first stored forecast."""

    def before(self, date: dt.date) -> Rankings:
        """What of it was known when ``date`` began."""
        return Rankings(
            tuple(session for session in self.sessions if session < date),
            tuple(session for session in self.month_ends if session < date),
            self.forecasts.filter(pl.col("session") < date),
            self.raw.filter(pl.col("session") < date),
        )

    def why_untraded(self) -> str | None:
        """None where something can be traded; otherwise the reason."""
        decisions = self.forecasts["session"]
        if decisions.is_empty() or decisions.min() >= self.sessions[-1]:
            return NOTHING_TO_TRADE
        return NO_PRICES if self.raw.filter(pl.col("session") > decisions.min()).is_empty() else None


def stored_rankings(warehouse: Warehouse, calendar: TradingCalendar, start: dt.date, end: dt.date) -> Rankings:
    """The forecasts published at the ends of months from ``start`` to ``end`` (both inclusive), and the prices since."""
    ends = month_ends(calendar, start, end)
    stored = set(warehouse.partitions("daily_predictions"))
    dates = [date for date in ends if date.isoformat() in stored]
    forecasts = warehouse.read_tables("daily_predictions", [date.isoformat() for date in dates])
    traded = calendar.between(dates[0], end) if dates else ()
    raw = warehouse.read_tables("raw_ohlcv", [session.isoformat() for session in traded])
    return Rankings(
        calendar.between(start, end),
        tuple(ends),
        Predictions.create_empty() if forecasts is None else forecasts,
        RawOhlcv.create_empty() if raw is None else raw,
    )


def rankings_before(warehouse: Warehouse, calendar: TradingCalendar, month: dt.date) -> Rankings:
    """`stored_rankings` of everything that was published before ``month`` (its first day) began."""
    published = [key for key in warehouse.partitions("daily_predictions") if key < month.isoformat()]
    start = dt.date.fromisoformat(published[0]) if published else month
    return stored_rankings(warehouse, calendar, start, month - dt.timedelta(days=1))


def backtest_rankings(rankings: Rankings, settings: Settings, *, horizon: int | None = None) -> BacktestResult:
    """Trades ``rankings`` by their forecast of ``horizon`` (default: the settings') and follows them to the last session.

    The universe's benchmark is shown beside where it is a ticker that has prices. Raises DataError when nothing can be
    traded, InputError for a horizon outside 1 to 12.
    """
    horizon = settings.backtest.horizon if horizon is None else horizon
    if not 1 <= horizon <= 12:
        raise InputError(f"horizon {horizon}: forecasts reach from 1 to 12 months ahead")
    reason = rankings.why_untraded()
    if reason:
        span = f"{rankings.sessions[0]} to {rankings.sessions[-1]}" if rankings.sessions else "no session"
        raise DataError(f"{span}: {reason}; {REMEDIES[reason]}")
    stored = set(rankings.forecasts["session"])
    result = backtest_frames(
        rankings.raw,
        rankings.forecasts,
        settings.universe,
        [session for session in rankings.sessions if session >= min(stored)],
        trading_rules(settings.backtest, settings.universe.exchange),
        horizon,
        settings.benchmark,
    )
    missing = [date for date in rankings.month_ends if date < rankings.sessions[-1] and date not in stored]
    return replace(result, skipped=tuple(missing))


def month_backtest(rankings: Rankings, month: dt.date, settings: Settings, source: dict[str, Any]) -> dict[str, Any]:
    """The content of backtest/{month}.json: what trading on everything published before ``month`` would have brought.

    ``rankings`` may reach beyond ``month`` (its first day): what was not known before it changes nothing. Keys: month
    (ISO date) and those of `backtest_document`, which are empty, with the reason under note, where nothing could be
    traded yet.
    """
    known = rankings.before(month)
    reason = known.why_untraded()
    if reason is None:
        document = backtest_document(backtest_rankings(known, settings), settings.backtest, source)
    else:
        document = _untraded_document(reason, settings.backtest, source)
    return {"month": month.isoformat(), **document}


def backtest_frames(
    raw: pl.DataFrame,
    forecasts: pl.DataFrame,
    universe: Universe,
    sessions: Sequence[dt.date],
    rules: TradingRules,
    horizon: int,
    benchmark: str | None = None,
) -> BacktestResult:
    """Every session of ``forecasts`` (tables.Predictions) is a decision, traded on ``raw`` (tables.RawOhlcv).

    ``sessions``: all of the exchange from the first forecast to the day on which the backtest ends.
    """
    days = session_days(sessions)
    tickers = [stock.ticker for stock in universe.stocks]
    chosen = forecasts.filter(pl.col("horizon") == horizon, pl.col("session") < sessions[-1])
    dates = chosen["session"].unique().sort()
    rows = np.searchsorted(days, dates.to_numpy())
    matrix = locate(chosen, tickers, days).dense("log_return", (len(tickers), len(days))).T[rows]
    member = np.array([member_mask(stock, days[rows]) for stock in universe.stocks]).T
    bars = adjusted_bars(raw, sessions[-1])
    paths = backtest(market_arrays(bars, tickers, days), rows, matrix, member, rules)
    first = int(rows[0]) + 1
    priced = benchmark is not None and _is_priced(bars, benchmark, sessions[first])
    if benchmark is not None and priced:
        paths[BENCHMARK] = held_index(Quotes.of(market_arrays(bars, [benchmark], days)), first)
    return BacktestResult(
        tuple(sessions[first:]), tuple(dates.to_list()), (), horizon, paths, benchmark if priced else None
    )


def market_arrays(bars: pl.DataFrame, tickers: Sequence[str], days: np.ndarray) -> Market:
    """Split-adjusted ``bars`` (`adjusted_bars`) of ``tickers`` on ``days`` (datetime64[D], ascending) as a Market."""
    cells = locate(bars.with_columns(_turnover=pl.col("close") * pl.col("volume")), tickers, days)
    shape = (len(tickers), len(days))
    close, dividend, turnover = (
        np.ascontiguousarray(cells.dense(name, shape).T) for name in ("close", "dividend", "_turnover")
    )
    return Market(close, dividend, turnover)


def _is_priced(bars: pl.DataFrame, ticker: str, session: dt.date) -> bool:
    """Whether ``ticker`` has a price on or before ``session``."""
    return not bars.filter(pl.col("ticker") == ticker, pl.col("session") <= session).is_empty()


def daily_frame(result: BacktestResult) -> pl.DataFrame:
    """Every day of every portfolio: portfolio, session, and the fields of `backtest.Path`, sorted as computed."""
    return pl.concat(
        pl.DataFrame(
            {"portfolio": [name] * len(result.sessions), "session": result.sessions}
            | {name: getattr(path, name) for name in FIELD_NAMES}
        )
        for name, path in result.paths.items()
    )


def backtest_document(result: BacktestResult, rules: BacktestSettings, source: dict[str, Any]) -> dict[str, Any]:
    """The result for people and for JSON: rules, figures per portfolio, weekly wealth and drawdown.

    ``source`` is how the prices' source is named in every file. Returns are shares (0.01 = 1 %), figures that the data
    do not give are null. ``wealth`` and ``drawdown`` hold ``sessions`` (the last one of each calendar week, and the last
    of all) and per portfolio a number for each: net wealth of 1 before the first day, and the share that wealth stands
    below its daily peak so far, in [0, 1].
    """
    at = np.flatnonzero(week_ends(session_days(result.sessions)))
    return {
        "from": result.sessions[0].isoformat(),
        "to": result.sessions[-1].isoformat(),
        "sessions": len(result.sessions),
        "horizon": result.horizon,
        "decisions": [date.isoformat() for date in result.decisions],
        "skipped": [date.isoformat() for date in result.skipped],
        "benchmark": result.benchmark,
        "rules": rules.model_dump(mode="json"),
        "source": source,
        "portfolios": {name: _rounded(figures(result, name)) for name in result.paths},
        "wealth": _curves(result, at, lambda net: np.cumprod(1 + net)),
        "drawdown": _curves(result, at, performance.below_peak),
        "note": None,
    }


def _untraded_document(reason: str, rules: BacktestSettings, source: dict[str, Any]) -> dict[str, Any]:
    """The keys of `backtest_document` where nothing was traded, for the ``reason`` under note."""
    return {
        "from": None,
        "to": None,
        "sessions": 0,
        "horizon": rules.horizon,
        "decisions": [],
        "skipped": [],
        "benchmark": None,
        "rules": rules.model_dump(mode="json"),
        "source": source,
        "portfolios": {},
        "wealth": {"sessions": []},
        "drawdown": {"sessions": []},
        "note": reason,
    }


def figures(result: BacktestResult, name: str) -> dict[str, Any]:
    """What the portfolio ``name`` was worth, of net returns unless said; conventions in performance.py."""
    path = result.paths[name]
    net = path.net_return
    fall = performance.max_drawdown(net)
    ordered = float(path.ordered.sum())
    return {
        "total_return": performance.total_return(net),
        "annual_return": performance.annual_return(net),
        "annual_return_gross": performance.annual_return(path.gross_return),
        "volatility": performance.volatility(net),
        "sharpe": performance.sharpe(net),
        "sharpe_error": performance.sharpe_error(net),
        "sortino": performance.sortino(net),
        "calmar": performance.calmar(net),
        "max_drawdown": None if fall is None else fall.depth,
        "drawdown_from": None if fall is None else _date(result, fall.peak),
        "drawdown_to": None if fall is None else _date(result, fall.trough),
        "drawdown_recovered": None if fall is None or fall.recovered is None else _date(result, fall.recovered),
        "var_95": performance.value_at_risk(net),
        "cvar_95": performance.conditional_value_at_risk(net),
        "turnover_per_year": performance.per_year(path.turnover),
        "cost_drag_per_year": performance.per_year(path.cost_drag),
        "unfilled_share": float(path.unfilled.sum()) / ordered if ordered else None,
        "written_down": int(path.written_down.sum()),
        "mean_positions": float(path.positions.mean()),
        "largest_weight": float(path.largest.max()),
        "years": _years(result.sessions, path),
        **(_against(net, result.paths[EQUAL_WEIGHTED].net_return) if name == LONG_ONLY else {}),
    }


def _against(net: np.ndarray, market: np.ndarray) -> dict[str, Any]:
    """The daily difference to the equal-weighted universe: mean a year, its volatility, its t."""
    excess = net - market
    return {
        "excess_per_year": performance.per_year(excess),
        "tracking_error": performance.volatility(excess),
        "excess_t": performance.t_statistic(excess),
    }


def _years(sessions: Sequence[dt.date], path: Path) -> list[dict[str, Any]]:
    """Per calendar year: net return, cost drag and turnover of the days that the backtest has in it, not a full year's."""
    years = np.array([session.year for session in sessions])
    return [
        _rounded(
            {
                "year": int(year),
                "return": performance.total_return(path.net_return[years == year]),
                "cost_drag": float(path.cost_drag[years == year].sum()),
                "turnover": float(path.turnover[years == year].sum()),
            }
        )
        for year in np.unique(years)
    ]


def _curves(result: BacktestResult, at: np.ndarray, curve: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """``curve`` of each portfolio's daily net returns, at the days ``at``, with their sessions."""
    return {
        "sessions": [result.sessions[i].isoformat() for i in at],
        **{
            name: [round(float(value), DECIMALS) for value in curve(path.net_return)[at]]
            for name, path in result.paths.items()
        },
    }


def _date(result: BacktestResult, position: int) -> str:
    return result.sessions[max(position, 0)].isoformat()


def _rounded(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, DECIMALS) if isinstance(value, float) else value for key, value in scores.items()}
