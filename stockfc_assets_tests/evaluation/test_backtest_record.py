"""The backtest of stored tables: which forecasts are traded, on what prices, and what people are told."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pathlib
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets import terminal_record
from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError, DataError, InputError
from stockfc_assets.evaluation.backtest import FIELD_NAMES, Path
from stockfc_assets.evaluation.backtest_laws import backtest_problems
from stockfc_assets.evaluation.backtest_record import (
    BENCHMARK,
    BacktestResult,
    backtest_document,
    backtest_frames,
    backtest_rankings,
    daily_frame,
    month_backtest,
    month_ends,
    rankings_before,
    stored_rankings,
    trading_rules,
)
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import RawOhlcv
from stockfc_assets.trading_rules import BacktestSettings

CONFIG = pathlib.Path(__file__).parents[2] / "config"
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


def store(folder: pathlib.Path, raw: pl.DataFrame, published: pl.DataFrame) -> Warehouse:
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
    result = backtest_rankings(stored_rankings(warehouse, calendar, START, END), small, horizon=3)
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
        backtest_rankings(stored_rankings(warehouse, calendar, START, dt.date(2023, 5, 31)), chosen)
    rankings = stored_rankings(warehouse, calendar, START, END)
    with pytest.raises(InputError, match="horizon 13"):
        backtest_rankings(rankings, chosen, horizon=13)
    with pytest.raises(DataError, match=r"no prices are stored after the first forecast .* run `stockfc backfill"):
        backtest_rankings(replace(rankings, raw=rankings.raw.clear()), chosen)


def test_the_document_is_json_with_every_figure_and_the_terminal_shows_it(chosen):
    tickers = list(chosen.universe.tickers)
    published = forecasts(tickers, [dt.date(2023, 1, 31), dt.date(2023, 2, 28), dt.date(2023, 3, 31)])
    rules = trading_rules(chosen.backtest, "XTKS")
    result = backtest_frames(bars([*tickers, "1306.T"]), published, chosen.universe, SESSIONS, rules, 1, "1306.T")
    document = json.loads(json.dumps(backtest_document(result, chosen.backtest, SOURCE), allow_nan=False))
    assert set(document["portfolios"]) == {"long_short", "long_only", "equal_weighted", "benchmark"}
    ends = document["wealth"]["sessions"]
    assert (ends[:4], ends[-3:]) == (
        ["2023-02-03", "2023-02-10", "2023-02-17", "2023-02-24"], ["2023-06-02", "2023-06-09", "2023-06-14"],
    )  # fmt: skip
    assert len(ends) == 20  # one a week, in Golden Week that of Tuesday 2023-05-02
    assert "2023-05-02" in ends
    at = [result.sessions.index(dt.date.fromisoformat(end)) for end in ends]
    for name, path in result.paths.items():
        wealth = np.prod(1 + path.net_return)
        assert document["wealth"][name][-1] == pytest.approx(wealth, abs=1e-8)
        daily, peak = [1.0], [1.0]
        for move in path.net_return:
            daily.append(daily[-1] * (1 + move))
            peak.append(max(peak[-1], daily[-1]))
        assert document["wealth"][name] == pytest.approx([daily[i + 1] for i in at], abs=1e-8)
        assert document["drawdown"][name] == pytest.approx([1 - daily[i + 1] / peak[i + 1] for i in at], abs=1e-8)
        (year,) = document["portfolios"][name]["years"]
        assert year == {
            "year": 2023, "return": document["portfolios"][name]["total_return"],
            "cost_drag": pytest.approx(sum(path.cost_drag), abs=1e-8),
            "turnover": pytest.approx(sum(path.turnover), abs=1e-8),
        }  # fmt: skip
        assert document["portfolios"][name]["total_return"] == pytest.approx(wealth - 1, abs=1e-8)
        figures = document["portfolios"][name]
        assert figures["drawdown_from"] <= figures["drawdown_to"]
    assert backtest_problems({"month": "2023-07-01", **document}) == []
    assert document["portfolios"]["long_only"]["excess_t"] is not None
    assert document["portfolios"]["long_short"]["cost_drag_per_year"] > 0
    text = terminal_record.backtest_text(document)
    assert "Backtest of 3 monthly rankings by the 1-month forecast, 2023-02-01 to 2023-06-14" in text
    assert "1306.T" in text
    assert f"{document['portfolios']['long_short']['sharpe']:+.2f}" in text
    assert "The top group against the universe: 3 monthly rankings are too few" in text
    frame = daily_frame(result)
    assert frame.height == 4 * len(result.sessions)
    assert frame.columns == ["portfolio", "session", *FIELD_NAMES]


def test_curves_have_a_point_a_week_and_years_hold_their_own_days():
    """Two days before New Year and two after it, in their own weeks; by hand."""
    sessions = (dt.date(2023, 12, 28), dt.date(2023, 12, 29), dt.date(2024, 1, 4), dt.date(2024, 1, 5))
    fields = {name: np.zeros(4) for name in FIELD_NAMES}
    fields |= {
        "net_return": np.array([0.1, -0.5, 0.2, 0.0]), "gross_return": np.array([0.11, -0.5, 0.23, 0.0]),
        "cost_drag": np.array([0.01, 0.0, 0.03, 0.0]), "turnover": np.array([0.5, 0.0, 0.25, 0.125]),
    }  # fmt: skip
    paths = dict.fromkeys(("long_short", "long_only", "equal_weighted"), Path(**fields))
    result = BacktestResult(sessions, (dt.date(2023, 12, 27),), (), 1, paths, None)
    document = backtest_document(result, BacktestSettings(), SOURCE)
    assert document["wealth"]["sessions"] == document["drawdown"]["sessions"] == ["2023-12-29", "2024-01-05"]
    assert document["wealth"]["long_only"] == [0.55, 0.66]
    assert document["drawdown"]["long_only"] == [0.5, 0.4]
    assert document["portfolios"]["long_only"]["years"] == [
        {"year": 2023, "return": -0.45, "cost_drag": 0.01, "turnover": 0.5},
        {"year": 2024, "return": 0.2, "cost_drag": 0.03, "turnover": 0.375},
    ]
    assert backtest_problems({"month": "2024-02-01", **document}) == []


# --- the month's document ---------------------------------------------------------------------------------------------

ENDS = month_ends(trading_calendar("XTKS"), START, END)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> tuple[Settings, Warehouse]:
    """Forecasts of 2023-01-16, of the month ends of January, February, April and May, and of 2023-06-05; prices."""
    chosen = load_settings({"STOCKFC_CONFIG": str(CONFIG)})
    tickers = list(chosen.universe.tickers[:12])
    sessions = [dt.date(2023, 1, 16), *(end for end in ENDS if end.month != 3), dt.date(2023, 6, 5)]
    raw = bars([*tickers, "1306.T"])
    return chosen, store(tmp_path_factory.mktemp("published"), raw, forecasts(tickers, sessions))


def test_a_month_s_backtest_ends_before_it_and_names_what_was_not_published(published):
    chosen, warehouse = published
    month = dt.date(2023, 6, 1)
    rankings = rankings_before(warehouse, trading_calendar("XTKS"), month)
    document = month_backtest(rankings, month, chosen, SOURCE)
    assert backtest_problems(document) == []
    assert (document["month"], document["from"], document["to"]) == ("2023-06-01", "2023-02-01", "2023-05-31")
    assert document["decisions"] == ["2023-01-31", "2023-02-28", "2023-04-28"]  # that of May 31 is traded on June 1
    assert document["skipped"] == ["2023-03-31"]
    assert document["note"] is None
    asked = stored_rankings(warehouse, trading_calendar("XTKS"), START, dt.date(2023, 5, 31))
    on_demand = backtest_document(backtest_rankings(asked, chosen), chosen.backtest, SOURCE)
    assert document == {"month": "2023-06-01", **on_demand}


@pytest.mark.parametrize("month", [dt.date(2022, 12, 1), dt.date(2023, 1, 1), dt.date(2023, 2, 1)])
def test_a_month_before_anything_could_be_traded_says_so(published, month):
    """The forecast of 31 January is traded on 1 February, which February's document does not know."""
    chosen, warehouse = published
    document = month_backtest(rankings_before(warehouse, trading_calendar("XTKS"), month), month, chosen, SOURCE)
    assert document["note"] == "no forecast of a month's last session is published that could be traded by then"
    assert (document["portfolios"], document["decisions"], document["wealth"]) == ({}, [], {"sessions": []})
    assert (document["from"], document["to"], document["sessions"]) == (None, None, 0)
    assert backtest_problems(document) == []
    assert set(document) == set(month_backtest(rankings_of_june(published), dt.date(2023, 6, 1), chosen, SOURCE))


def rankings_of_june(published):
    return rankings_before(published[1], trading_calendar("XTKS"), dt.date(2023, 6, 1))


@given(month=st.integers(1, 7))
@settings(deadline=None, max_examples=7)
def test_what_was_not_known_when_the_month_began_changes_no_byte(published, month):
    """A run over many months reads once, to the end of the last one; each month's bytes are those of a run of its own."""
    chosen, warehouse = published
    first = dt.date(2023, month, 1)
    calendar = trading_calendar("XTKS")
    alone = month_backtest(rankings_before(warehouse, calendar, first), first, chosen, SOURCE)
    ranged = month_backtest(rankings_before(warehouse, calendar, dt.date(2023, 7, 1)), first, chosen, SOURCE)
    assert document_bytes(alone) == document_bytes(ranged)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.update(month="2023-05-31"), "it reaches to 2023-05-31, the month begins on 2023-05-31"),
        (lambda d: d["decisions"].append("2023-05-31"), "cannot be traded from 2023-02-01 to 2023-05-31"),
        (lambda d: d["decisions"].insert(0, "2023-02-01"), "forecasts of 2023-02-01, 2023-01-31, 2023-02-28"),
        (lambda d: d["decisions"].reverse(), "decisions are not in the order of time"),
        (lambda d: d.update(decisions=[]), "forecasts of no session cannot be traded"),
        (lambda d: d["wealth"]["sessions"].reverse(), "wealth: its sessions do not lead from"),
        (lambda d: d["drawdown"]["sessions"].pop(), "drawdown: its sessions do not lead from"),
        (lambda d: d["wealth"].pop("long_only"), "long_only: 0 points of wealth"),
        (lambda d: d["wealth"]["long_short"].__setitem__(3, -0.1), "long_short: wealth falls to -0.1"),
        (lambda d: d["wealth"]["long_only"].__setitem__(-1, 1.7), "long_only: wealth: 1 became 1.7"),
        (lambda d: d["drawdown"]["long_only"].__setitem__(0, -0.01), "long_only: drawdowns from -0.01"),
        (lambda d: d["drawdown"]["long_only"].__setitem__(0, 0.99), "long_only: drawdowns from"),
        (lambda d: d["portfolios"]["long_short"].update(max_drawdown=-1.2), "the deepest is 1.2: outside 0 to 1"),
        (lambda d: d["portfolios"]["long_only"]["years"][0].update({"return": 3.0}), "the years: 1 became 4.0"),
        (lambda d: d["portfolios"]["long_only"]["years"][0].update(cost_drag=-0.1), "cost_drag of 2023 is -0.1"),
        (lambda d: d["portfolios"]["long_only"].update(cost_drag_per_year=-0.1), "cost_drag_per_year is -0.1"),
        (lambda d: d["portfolios"]["long_only"].update(annual_return_gross=-1.0), "a year after costs, -1.0 before"),
        (lambda d: d.update(portfolios={}), "no portfolio, and no note that says why"),
    ],
)  # fmt: skip
def test_a_backtest_that_cannot_be_is_named(published, change, named):
    document = month_backtest(rankings_of_june(published), dt.date(2023, 6, 1), published[0], SOURCE)
    document = copy.deepcopy(document)
    change(document)
    assert any(named in problem for problem in backtest_problems(document)), backtest_problems(document)


def test_a_ruined_portfolio_is_no_problem(published):
    """What is short a stock that rises without end is lost: wealth 0, drawdown 1, and that can be."""
    chosen, _ = published
    rankings = rankings_of_june(published)
    worst = rankings.forecasts.filter(pl.col("horizon") == 1).sort("session", "log_return")["ticker"][:2].to_list()
    day = pl.col("session").rank("dense") - 1
    prices = ["open", "high", "low", "close"]
    rising = rankings.raw.with_columns(
        pl.when(pl.col("ticker").is_in(worst)).then(pl.col(name) * 1.2**day).otherwise(pl.col(name)).alias(name)
        for name in prices
    )
    document = month_backtest(replace(rankings, raw=rising), dt.date(2023, 6, 1), chosen, SOURCE)
    assert document["wealth"]["long_short"][-1] == 0
    assert document["drawdown"]["long_short"][-1] == 1
    assert backtest_problems(document) == []


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
    config = pathlib.Path(shutil.copytree(CONFIG, tmp_path / "config"))
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
