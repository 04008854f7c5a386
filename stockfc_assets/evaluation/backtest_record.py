"""The backtest of published forecasts: stored tables as arrays, and its result as a document and a table.

Reads ``daily_predictions`` of each month's last session and ``raw_ohlcv``. What was published is traded, nothing else:
a month whose last session has no stored forecast is skipped, and said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
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
from stockfc_assets.features.weeks import session_days
from stockfc_assets.market.as_traded import adjusted_bars
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import Settings, Universe
from stockfc_assets.storage import Warehouse
from stockfc_assets.trading_rules import BacktestSettings

BENCHMARK = "benchmark"
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


def backtest_stored(
    warehouse: Warehouse,
    calendar: TradingCalendar,
    settings: Settings,
    start: dt.date,
    end: dt.date,
    *,
    horizon: int | None = None,
) -> BacktestResult:
    """Trades the forecasts published from ``start`` to ``end`` and follows them until ``end`` (both inclusive sessions).

    The universe's benchmark is shown beside where it is a ticker whose prices are stored. Raises DataError when no
    forecast that could be traded, or no price, is stored, InputError for a horizon outside 1 to 12.
    """
    horizon = settings.backtest.horizon if horizon is None else horizon
    if not 1 <= horizon <= 12:
        raise InputError(f"horizon {horizon}: forecasts reach from 1 to 12 months ahead")
    asked = month_ends(calendar, start, end)
    stored = set(warehouse.partitions("daily_predictions"))
    dates = [date for date in asked if date.isoformat() in stored]
    if not dates or dates[0] >= end:
        raise DataError(
            f"no forecast of a month's last session is stored between {start} and {end} that could be traded by then; "
            "run `stockfc daily --from ... --to ...` over past sessions first"
        )
    keys = [session.isoformat() for session in calendar.between(dates[0], end)]
    raw = warehouse.read_tables("raw_ohlcv", keys)
    forecasts = warehouse.read_tables("daily_predictions", [date.isoformat() for date in dates])
    if raw is None or forecasts is None:
        raise DataError(
            f"no prices are stored from {dates[0]} to {end}; run `stockfc backfill --from {dates[0]}` first"
        )
    rules = trading_rules(settings.backtest, settings.universe.exchange)
    result = backtest_frames(
        raw, forecasts, settings.universe, calendar.between(dates[0], end), rules, horizon, settings.benchmark
    )
    skipped = tuple(date for date in asked if date not in dates and date < end)
    return replace(result, skipped=skipped)


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
    """The result for people and for JSON: rules, figures per portfolio, wealth at each month's end.

    ``source`` is how the prices' source is named in every file. Returns are shares (0.01 = 1 %), figures that the data
    do not give are null.
    """
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
        "wealth": _wealth(result),
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


def _wealth(result: BacktestResult) -> dict[str, Any]:
    """Net wealth of 1 at each month's last session and at the end; of what begins with 1 on the first day before costs."""
    months = [session.replace(day=1) for session in result.sessions]
    last = [i for i, month in enumerate(months) if i + 1 == len(months) or months[i + 1] != month]
    curves = {name: np.cumprod(1 + path.net_return)[last] for name, path in result.paths.items()}
    return {
        "sessions": [result.sessions[i].isoformat() for i in last],
        **{name: [round(float(value), DECIMALS) for value in curve] for name, curve in curves.items()},
    }


def _date(result: BacktestResult, position: int) -> str:
    return result.sessions[max(position, 0)].isoformat()


def _rounded(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, DECIMALS) if isinstance(value, float) else value for key, value in scores.items()}
