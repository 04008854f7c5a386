"""The backtest of stored tables: which forecasts are traded, on what prices, and what people are told."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stockfc_assets import terminal
from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError, DataError, InputError
from stockfc_assets.evaluation.backtest import FIELD_NAMES
from stockfc_assets.evaluation.backtest_record import (
    BENCHMARK,
    backtest_document,
    backtest_frames,
    backtest_stored,
    daily_frame,
    month_ends,
    trading_rules,
)
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.tables import RawOhlcv
from stockfc_assets.trading_rules import BacktestSettings

CONFIG = Path(__file__).parents[2] / "config"
START, END = dt.date(2023, 1, 4), dt.date(2023, 6, 14)
SOURCE = {"name": "files", "label": "Prices from files", "simulated": False}
SESSIONS = trading_calendar("XTKS").between(START, END)


@pytest.fixture
def chosen() -> Settings:
    return load_settings({"STOCKFC_CONFIG": str(CONFIG)})


def bars(tickers: list[str], seed: int = 0) -> pl.DataFrame:
    """RawOhlcv rows of random walks of ``tickers``."""
    generator = np.random.default_rng(seed)
    days = len(SESSIONS)
    frames = []
    for ticker in tickers:
        close = 1000 * np.exp(np.cumsum(generator.normal(0, 0.02, days)))
        frames.append(
            pl.DataFrame(
                {
                    "ticker": [ticker] * days, "session": SESSIONS, "open": close, "high": close, "low": close,
                    "close": close, "volume": generator.integers(10_000, 1_000_000, days),
                    "dividend": np.where(np.arange(days) == 57, 20.0, 0.0), "split_ratio": np.ones(days),
                    "currency": ["JPY"] * days,
                },
                schema_overrides={"volume": pl.Int64},
            )
        )  # fmt: skip
    return RawOhlcv.validate(pl.concat(frames))


def forecasts(tickers: list[str], sessions: list[dt.date], seed: int = 1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    keys = pl.DataFrame({"session": sessions}).join(pl.DataFrame({"ticker": tickers}), how="cross")
    keys = keys.join(pl.DataFrame({"horizon": np.arange(1, 13)}), how="cross")
    return keys.with_columns(log_return=pl.Series(generator.normal(size=keys.height)))


def store(folder: Path, raw: pl.DataFrame, published: pl.DataFrame) -> Warehouse:
    warehouse = Warehouse(LocalStore(folder))
    for asset, frame in (("raw_ohlcv", raw), ("daily_predictions", published)):
        for (session,), rows in frame.partition_by("session", as_dict=True).items():
            warehouse.write_table(asset, session.isoformat(), rows)
    return warehouse


def test_month_ends_are_the_last_sessions_of_finished_months():
    calendar = trading_calendar("XTKS")
    assert month_ends(calendar, START, END) == [
        dt.date(2023, m, d) for m, d in ((1, 31), (2, 28), (3, 31), (4, 28), (5, 31))
    ]
    assert month_ends(calendar, dt.date(2023, 2, 1), dt.date(2023, 2, 28)) == [dt.date(2023, 2, 28)]
    assert month_ends(calendar, dt.date(2023, 2, 1), dt.date(2023, 2, 27)) == []
    assert month_ends(calendar, dt.date(2025, 12, 1), dt.date(2025, 12, 31)) == [dt.date(2025, 12, 30)]


def test_only_forecasts_of_month_ends_are_traded_and_missing_ones_are_named(tmp_path, chosen):
    tickers = list(chosen.universe.tickers[:12])
    calendar = trading_calendar("XTKS")
    ends = month_ends(calendar, START, END)
    published = [dt.date(2023, 1, 16), ends[0], dt.date(2023, 2, 10), ends[1], ends[3], ends[4], dt.date(2023, 6, 5)]
    raw, table = bars([*tickers, "1306.T"]), forecasts(tickers, published)
    warehouse = store(tmp_path, raw, table)
    small = chosen.model_copy(update={"backtest": BacktestSettings(capital=1000)})  # no order meets the volume limit
    result = backtest_stored(warehouse, calendar, small, START, END, horizon=3)
    assert result.decisions == (ends[0], ends[1], ends[3], ends[4])
    assert result.skipped == (ends[2],)
    assert result.sessions == calendar.between(dt.date(2023, 2, 1), END)
    assert (result.horizon, result.benchmark) == (3, "1306.T")
    trades = [result.sessions[i] for i in np.flatnonzero(result.paths["long_only"].turnover)]
    assert trades == [dt.date(2023, 2, 1), dt.date(2023, 3, 1), dt.date(2023, 5, 1), dt.date(2023, 6, 1)]
    # By hand: the two best of the members with a forecast, from the close of 2023-02-01 to that of the day after.
    first = table.filter(pl.col("session") == ends[0], pl.col("horizon") == 3)
    members = [t for t in tickers if t in chosen.universe.members(ends[0])]
    best = first.filter(pl.col("ticker").is_in(members)).sort("log_return")["ticker"][-(len(members) // 5) :]
    moves = [
        raw.filter(pl.col("ticker") == t, pl.col("session").is_in(result.sessions[:2])).sort("session")["close"]
        for t in best
    ]
    wealth = 1 - result.paths["long_only"].cost_drag[0]
    expected = np.mean([close[1] / close[0] - 1 for close in moves]) / wealth
    assert result.paths["long_only"].gross_return[1] == pytest.approx(expected, rel=1e-9)
    index = raw.filter(pl.col("ticker") == "1306.T").sort("session")["close"].to_numpy()
    at = SESSIONS.index(result.sessions[0])
    np.testing.assert_allclose(
        np.cumprod(1 + result.paths[BENCHMARK].net_return)[-1],
        index[-1] / index[at] * (1 + 20 / index[57]),
        rtol=1e-12,
    )


def test_a_split_changes_nothing(chosen):
    """As-traded rows around a 3:1 split are the same money as rows without it."""
    tickers = list(chosen.universe.tickers[1:9])
    plain = bars(tickers)
    cut = SESSIONS[50]
    mine = (pl.col("ticker") == tickers[2]) & (pl.col("session") >= cut)
    prices = ["open", "high", "low", "close", "dividend"]
    split = plain.with_columns(
        *[pl.when(mine).then(pl.col(name) / 4).otherwise(pl.col(name)).alias(name) for name in prices],
        pl.when(mine).then(pl.col("volume") * 4).otherwise(pl.col("volume")).alias("volume"),
        pl.when(mine & (pl.col("session") == cut)).then(4.0).otherwise(1.0).alias("split_ratio"),
    )
    published = forecasts(tickers, [dt.date(2023, 1, 31), dt.date(2023, 3, 31)])
    rules = trading_rules(BacktestSettings(), "XTKS")
    one, other = (backtest_frames(raw, published, chosen.universe, SESSIONS, rules, 1) for raw in (plain, split))
    for name in one.paths:
        np.testing.assert_allclose(one.paths[name].net_return, other.paths[name].net_return, atol=1e-12)


def test_without_a_forecast_that_can_be_traded_the_remedy_is_named(tmp_path, chosen):
    tickers = list(chosen.universe.tickers[:6])
    calendar = trading_calendar("XTKS")
    warehouse = store(tmp_path, bars(tickers), forecasts(tickers, [dt.date(2023, 1, 16), dt.date(2023, 5, 31)]))
    with pytest.raises(DataError, match=r"no forecast of a month's last session .* run `stockfc daily --from"):
        backtest_stored(warehouse, calendar, chosen, START, dt.date(2023, 5, 31))
    with pytest.raises(InputError, match="horizon 13"):
        backtest_stored(warehouse, calendar, chosen, START, END, horizon=13)


def test_the_document_is_json_with_every_figure_and_the_terminal_shows_it(chosen):
    tickers = list(chosen.universe.tickers)
    published = forecasts(tickers, [dt.date(2023, 1, 31), dt.date(2023, 2, 28), dt.date(2023, 3, 31)])
    rules = trading_rules(chosen.backtest, "XTKS")
    result = backtest_frames(bars([*tickers, "1306.T"]), published, chosen.universe, SESSIONS, rules, 1, "1306.T")
    document = json.loads(json.dumps(backtest_document(result, chosen.backtest, SOURCE), allow_nan=False))
    assert set(document["portfolios"]) == {"long_short", "long_only", "equal_weighted", "benchmark"}
    assert document["wealth"]["sessions"] == ["2023-02-28", "2023-03-31", "2023-04-28", "2023-05-31", "2023-06-14"]
    for name, path in result.paths.items():
        wealth = np.prod(1 + path.net_return)
        assert document["wealth"][name][-1] == pytest.approx(wealth, abs=1e-8)
        assert document["portfolios"][name]["total_return"] == pytest.approx(wealth - 1, abs=1e-8)
        figures = document["portfolios"][name]
        assert figures["drawdown_from"] <= figures["drawdown_to"]
    assert document["portfolios"]["long_only"]["excess_t"] is not None
    assert document["portfolios"]["long_short"]["cost_drag_per_year"] > 0
    text = terminal.backtest_text(document)
    assert "Backtest of 3 monthly rankings by the 1-month forecast, 2023-02-01 to 2023-06-14" in text
    assert "1306.T" in text
    assert f"{document['portfolios']['long_short']['sharpe']:+.2f}" in text
    assert "The top group against the equal-weighted universe" in text
    frame = daily_frame(result)
    assert frame.height == 4 * len(result.sessions)
    assert frame.columns == ["portfolio", "session", *FIELD_NAMES]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_file_names_every_key_with_its_default(chosen):
    import yaml

    content = yaml.safe_load((CONFIG / "backtest.yaml").read_text())
    assert set(content) == set(BacktestSettings.model_fields)
    assert BacktestSettings.model_validate(content) == BacktestSettings() == chosen.backtest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("captial: 1", "captial: unknown key; allowed here: base_cost_bp, "),
        ("quantile: 0.6", "quantile: 0.6 Input should be less than or equal to 0.5"),
        ("sell_tax_bp: {XTKS: -1}", "sell_tax_bp.XTKS: -1 Input should be greater than or equal to 0"),
        ("horizon: 13", "horizon: 13 Input should be less than or equal to 12"),
    ],
)
def test_wrong_rules_are_refused(tmp_path, text, message):
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    (config / "backtest.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings({"STOCKFC_CONFIG": str(config)})
    assert str(error.value).startswith(f"{config / 'backtest.yaml'}: {message}")


def test_basis_points_become_rates_and_an_exchange_without_a_tax_is_refused():
    rules = trading_rules(BacktestSettings(), "XKRX")
    assert rules.cost == pytest.approx(0.0012)
    assert (rules.sell_tax, rules.impact, rules.borrow) == pytest.approx((0.002, 0.01, 0.005))
    with pytest.raises(ConfigError, match=r"sell_tax_bp: 'XLON' is missing \(known: XKRX, XNYS, XTKS\); add it"):
        trading_rules(BacktestSettings(), "XLON")
