"""The backtest on ten years of real Core30 prices, and from the terminal on a small market."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from stockfc_assets import terminal_record
from stockfc_assets.errors import DataError, InputError
from stockfc_assets.evaluation.backtest_record import (
    BENCHMARK,
    backtest_document,
    backtest_frames,
    month_ends,
    trading_rules,
)
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Membership, Stock, Universe
from stockfc_assets.trading_rules import BacktestSettings
from stockfc_assets_tests.conftest import NOW

FIRST, LAST = dt.date(2017, 2, 28), dt.date(2026, 2, 6)
FREE = BacktestSettings(
    capital=1000, base_cost_bp=0, slippage_bp=0, impact_bp=0, borrow_bp=0, max_participation=1, sell_tax_bp={"XTKS": 0}
)
SOURCE = {"name": "files", "label": "real prices", "simulated": False}


@pytest.fixture(scope="module")
def core30(shared_data):
    """Bars with dividends (already on one share basis), the total-return closes, and the universe of all 45 tickers."""
    folder = shared_data / "jp_core30"
    daily = pl.read_parquet(folder / "core30_daily.parquet").with_columns(session=pl.col("date").cast(pl.Date))
    paid = pl.read_csv(folder / "implied_dividends.csv", try_parse_dates=True).select(
        "ticker", session="ex_date", dividend="dividend_split_adjusted_implied"
    )
    topix = (
        pl.read_parquet(folder / "index_topix_n225.parquet")
        .filter(pl.col("ticker") == "TOPIX")
        .with_columns(session=pl.col("date").cast(pl.Date))
    )
    columns = ["ticker", "session", "open", "high", "low", "close", "volume"]
    bars = pl.concat([daily.select(columns), topix.select(columns)]).join(paid, on=["ticker", "session"], how="left")
    bars = bars.with_columns(pl.col("dividend").fill_null(0.0), split_ratio=pl.lit(1.0))
    tickers = daily["ticker"].unique().sort().to_list()
    member = (Membership(member_from=dt.date(2016, 1, 1)),)
    stocks = tuple(Stock(ticker=ticker, name=ticker, sector="any", member=member) for ticker in tickers)
    return bars, daily.select("ticker", "session", "adj_close"), Universe(name="real", exchange="XTKS", stocks=stocks)


def momentum(bars: pl.DataFrame, sessions: list[dt.date]) -> pl.DataFrame:
    """12-1 momentum as a forecast: the log return from 252 to 21 sessions before."""
    known = (
        bars.filter(pl.col("ticker") != "TOPIX")
        .sort("ticker", "session")
        .with_columns(
            log_return=(pl.col("close").shift(21) / pl.col("close").shift(252)).log().over("ticker"), horizon=pl.lit(1)
        )
    )
    return known.filter(pl.col("session").is_in(sessions), pl.col("log_return").is_not_null())


def test_the_equal_weighted_universe_without_costs_is_that_of_the_vendors_total_returns(core30):
    bars, total, universe = core30
    calendar = trading_calendar("XTKS")
    ends = month_ends(calendar, FIRST, LAST)
    forecasts = momentum(bars, ends)
    sessions = calendar.between(FIRST, LAST)
    result = backtest_frames(bars, forecasts, universe, sessions, trading_rules(FREE, "XTKS"), 1, "TOPIX")
    # Independently: from each execution day to the next, the mean of the vendor's total returns of those with a forecast.
    wide = total.pivot(on="ticker", index="session", values="adj_close").sort("session")
    executions = [sessions[sessions.index(end) + 1] for end in ends] + [LAST]
    wealth = 1.0
    for end, start, stop in zip(ends, executions[:-1], executions[1:], strict=True):
        names = forecasts.filter(pl.col("session") == end)["ticker"].to_list()
        then, later = (wide.filter(pl.col("session") == day).select(names).row(0) for day in (start, stop))
        moves = [b / a for a, b in zip(then, later, strict=True) if a is not None and b is not None]
        wealth *= sum(moves) / len(moves)
    ours = np.prod(1 + result.paths["equal_weighted"].net_return)
    years = len(result.sessions) / 245
    # The vendor reinvests before the ex-date and counts a spin-off of Sony that prices alone do not show.
    assert math.log(ours) / years == pytest.approx(math.log(wealth) / years, abs=0.0002)
    index = bars.filter(pl.col("ticker") == "TOPIX", pl.col("session").is_in([executions[0], LAST])).sort("session")[
        "close"
    ]
    assert np.prod(1 + result.paths[BENCHMARK].net_return) == pytest.approx(index[1] / index[0], rel=1e-12)


def test_momentum_on_real_prices_has_sane_figures(core30):
    bars, _, universe = core30
    calendar = trading_calendar("XTKS")
    forecasts = momentum(bars, month_ends(calendar, FIRST, LAST))
    settings = BacktestSettings()
    rules = trading_rules(settings, "XTKS")
    result = backtest_frames(bars, forecasts, universe, calendar.between(FIRST, LAST), rules, 1, "TOPIX")
    document = backtest_document(result, settings, SOURCE)
    long_short, long_only, equal = (
        document["portfolios"][name] for name in ("long_short", "long_only", "equal_weighted")
    )
    assert len(result.decisions) == 108
    assert 2 * long_only["turnover_per_year"] < 12  # a group can be exchanged at most once a month
    for figures in (long_short, long_only, equal):
        assert figures["annual_return"] < figures["annual_return_gross"]
        assert figures["cvar_95"] < figures["var_95"] < 0
        assert figures["unfilled_share"] < 0.001  # 100 million yen move none of these stocks
        assert 0.0012 * 2 <= figures["cost_drag_per_year"] / figures["turnover_per_year"] <= 0.006
    assert equal["drawdown_to"][:4] == document["portfolios"]["benchmark"]["drawdown_to"][:4] == "2020"
    assert 0.12 < equal["volatility"] < 0.25


def test_the_terminal_command_trades_what_is_published(bench):
    with pytest.raises(DataError, match="no forecast is published yet; run `stockfc daily"):
        bench.backtest(None, None, None)
    warehouse, platform = bench.platform.warehouse, bench.platform
    start = dt.date(2023, 9, 29)
    raw = platform.source.fetch_bars(platform.known_tickers(), start, NOW.date()).bars
    for (session,), rows in raw.partition_by("session", as_dict=True).items():
        warehouse.write_table("raw_ohlcv", session.isoformat(), rows)
    generator = np.random.default_rng(0)
    for session in month_ends(platform.calendar, start, NOW.date()):
        tickers = bench.settings.universe.tickers
        rows = pl.DataFrame({"ticker": tickers, "session": [session] * len(tickers), "horizon": [1] * len(tickers)})
        noise = pl.Series(generator.normal(size=len(tickers)))
        warehouse.write_table("daily_predictions", session.isoformat(), rows.with_columns(log_return=noise))
    document = bench.backtest(None, None, None)
    assert document["decisions"] == ["2023-09-29", "2023-10-31", "2023-11-30", "2023-12-29", "2024-01-31", "2024-02-29"]
    assert (document["from"], document["to"]) == ("2023-10-02", "2024-03-01")
    assert document["benchmark"] == "1306.T"
    assert "SIMULATED DATA" in terminal_record.backtest_text(document)
    assert bench.backtest(start, dt.date(2024, 1, 31), None)["decisions"][-1] == "2023-12-29"
    with pytest.raises(InputError, match="is before --from"):
        bench.backtest(dt.date(2024, 2, 1), dt.date(2024, 1, 31), None)
