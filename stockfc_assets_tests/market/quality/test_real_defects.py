"""Every defect that real vendors have shown, written into real prices: the right check fires, there, and no other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import DEFECTS
from stockfc_assets_tests.market.quality.real_market import BAR, Market

TICKERS = ("2914.T", "4063.T", "6758.T", "7203.T", "7974.T", "8316.T", "8411.T", "8729.T", "9984.T")
OLD = tuple(ticker for ticker in TICKERS if ticker != "8729.T")
CLEAN = [
    # Toyota's split, which the service lists twice.
    ("7203.T", "2021-10-01", "duplicate_split", "warning"),
    # Sony Financial Group, handed out to Sony's shareholders; the table of dividends counts it as one.
    ("6758.T", "2025-09-29", "spin_off", "warning"),
]
CLEAN_OF_ALL = [
    # The table of dividends gives Murata's and Hitachi's of their splits' own days as paid per old share.
    ("6501.T", "2018-09-26", "dividend_basis", "warning"),
    ("6981.T", "2019-03-27", "dividend_basis", "warning"),
    ("6594.T", "2020-04-01", "duplicate_split", "warning"),
    *CLEAN,
]
Named = tuple[str, str, str]
Defect = tuple[str, Callable[[Market], object], list[Named]]


def keys(findings: pl.DataFrame) -> list[tuple[str, str, str, str]]:
    columns = ("ticker", pl.col("session").dt.to_string(), "defect", "severity")
    return findings.select(columns).rows()


def nothing_traded(market: Market) -> None:
    """2016-07-11 as one vendor has it: the close before, and no volume, for nearly every name."""
    for ticker in OLD[1:]:
        close = market.before(ticker, "2016-07-11")["Close"]
        market.set_row(ticker, "2016-07-11", {**dict.fromkeys(BAR[:4], close), "Volume": "0"})


def not_updated(market: Market) -> None:
    for ticker in OLD[1:]:
        before = market.before(ticker, "2022-05-11")
        market.set_row(ticker, "2022-05-11", {name: before[name] for name in BAR})


def another_company(market: Market) -> None:
    """Sony Financial Holdings, delisted in 2020, under the ticker that Sony Financial Group has now."""
    rows = market.prices["8411.T"].filter(pl.col("Date").is_between(pl.lit("2018-01-04"), pl.lit("2020-08-26")))
    market.add_rows("8729.T", *rows.rows())


def repeat(market: Market, ticker: str, date: str, **changed: str) -> None:
    row = {**market.row(ticker, date), **changed}
    market.add_rows(ticker, tuple(row[name] for name in ("Date", *BAR)))


def stale(market: Market) -> None:
    before = market.before("2914.T", "2022-05-11")
    market.set_row("2914.T", "2022-05-11", {name: before[name] for name in BAR})


def cells(ticker: str, date: str, **values: str | None) -> Callable[[Market], object]:
    return lambda market: market.set_row(ticker, date, values)


NO_TRADE = dict.fromkeys(BAR[:4], "0")
DAY = "2022-05-11"
INJECTED: list[Defect] = [
    ("holiday", lambda m: m.add_rows("7203.T", ("2018-12-24", "1300", "1300", "1300", "1300", "0")),
     [("7203.T", "2018-12-24", "phantom_row")]),
    ("Saturday", lambda m: m.add_rows("7974.T", ("2022-05-14", "5500", "5600", "5400", "5500", "100000")),
     [("7974.T", "2022-05-14", "phantom_row")]),
    ("halt of the exchange", lambda m: m.add_rows("7974.T", ("2020-10-01", None, None, None, None, "0")),
     [("7974.T", "2020-10-01", "phantom_row")]),
    ("stale row", stale, [("2914.T", DAY, "stale_row")]),
    ("stale session", not_updated, [(ticker, DAY, "stale_session") for ticker in OLD[1:]]),
    ("stale session without volume", nothing_traded,
     [(ticker, "2016-07-11", name) for ticker in OLD[1:] for name in ("no_trade_row", "stale_session")]),
    ("split listed twice", lambda m: m.add_split("4063.T", "2023-04-03", 5.0),
     [("4063.T", "2023-04-03", "duplicate_split")]),
    ("dividends not divided by a later split", lambda m: m.scale_dividends("8316.T", 3, last="2024-09-26"),
     [("8316.T", "2024-03-28", "dividend_basis")]),
    ("dividend of the split's own day not divided",
     lambda m: m.scale_dividends("4063.T", 5, first="2023-03-30", last="2023-03-30"),
     [("4063.T", "2023-03-30", "dividend_basis")]),
    ("dividend divided twice", lambda m: m.scale_dividends("7203.T", 0.2, first="2021-03-30", last="2021-03-30"),
     [("7203.T", "2021-03-30", "dividend_basis")]),
    ("dividend of a reverse split's own day not multiplied",
     lambda m: m.scale_dividends("8411.T", 0.1, first="2020-09-29", last="2020-09-29"),
     [("8411.T", "2020-09-29", "dividend_basis")]),
    ("dividends divided twice", lambda m: m.scale_dividends("7974.T", 0.1, last="2022-09-28"),
     [("7974.T", "2022-03-30", "dividend_basis")]),
    ("half-applied split", lambda m: m.scale("4063.T", 5, last="2023-03-28", volume=0.2),
     [("4063.T", "2023-03-29", "half_applied_split")]),
    ("one row rescaled", lambda m: m.scale("9984.T", 0.252, first="2025-12-29", last="2025-12-29"),
     [("9984.T", "2025-12-29", "half_applied_split"), ("9984.T", "2025-12-30", "half_applied_split")]),
    ("split not applied at all", lambda m: m.scale("7203.T", 5, last="2021-09-28", volume=0.2),
     [("7203.T", "2021-09-29", "half_applied_split")]),
    ("spin-off as a split", lambda m: m.add_split("6758.T", "2025-09-29", 1.042), [("6758.T", "2025-09-29", "spin_off")]),
    ("spin-off as a dividend", lambda m: m.add_dividend("2914.T", "2021-03-30", 300), [("2914.T", "2021-03-30", "spin_off")]),
    ("volume not multiplied by a split", lambda m: m.scale("7974.T", 1, last="2022-09-28", volume=0.1),
     [("7974.T", "2022-10-05", "volume_basis")]),
    ("odd volume", cells("2914.T", DAY, Volume="4567837"), [("2914.T", DAY, "volume_basis")]),
    ("ticker of another company", another_company, [("8729.T", "2025-09-29", "ticker_reuse")]),
    ("zero price", cells("2914.T", DAY, Low="0"), [("2914.T", DAY, "invalid_price")]),
    ("negative price", cells("2914.T", DAY, Open="-1"), [("2914.T", DAY, "invalid_price")]),
    ("text", cells("2914.T", DAY, Close="#VALUE!"), [("2914.T", DAY, "invalid_price")]),
    ("missing price", cells("2914.T", DAY, High=None), [("2914.T", DAY, "invalid_price")]),
    ("row of zeros", cells("2914.T", DAY, **NO_TRADE, Volume="0"), [("2914.T", DAY, "no_trade_row")]),
    ("row of nothing", cells("2914.T", DAY, **dict.fromkeys(BAR)), [("2914.T", DAY, "no_trade_row")]),
    ("negative volume", cells("2914.T", DAY, Volume="-100"), [("2914.T", DAY, "invalid_volume")]),
    ("high below close", cells("2914.T", DAY, High="1500"), [("2914.T", DAY, "ohlc_contradiction")]),
    ("equal rows", lambda m: repeat(m, "2914.T", DAY), [("2914.T", DAY, "duplicate_row")]),
    ("rows that differ", lambda m: repeat(m, "2914.T", DAY, Volume="100"), [("2914.T", DAY, "duplicate_row")]),
    ("ex-date off by one", lambda m: m.move_dividend("2914.T", "2020-12-29", "2020-12-30"),
     [("2914.T", "2020-12-30", "ex_date")]),
    ("both ex-dates", lambda m: m.add_dividend("2914.T", "2020-12-30", 80.54),
     [("2914.T", "2020-12-30", "duplicate_dividend")]),
    ("wrong unit", lambda m: m.scale("2914.T", 100, first=DAY, last=DAY),
     [("2914.T", DAY, "unexplained_jump"), ("2914.T", "2022-05-12", "unexplained_jump")]),
    ("price beyond the limit", cells("2914.T", DAY, High="2900"), [("2914.T", DAY, "unexplained_jump")]),
]  # fmt: skip
WARNED = {"equal rows": "warning"}
"""Severities that are not the defect's own."""


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Market:
    return Market.read(shared_data, TICKERS)


def test_ten_clean_years_of_all_core30(calendar: TradingCalendar, shared_data: Path, tmp_path: Path) -> None:
    market = Market.read(shared_data)
    assert len(market.prices) == 45
    assert sum(frame.height for frame in market.prices.values()) == 106_920
    assert keys(market.findings(tmp_path, calendar)) == CLEAN_OF_ALL


@pytest.mark.parametrize(("name", "inject", "expected"), INJECTED, ids=[each[0] for each in INJECTED])
def test_one_defect_and_nothing_else(
    calendar: TradingCalendar,
    real: Market,
    tmp_path: Path,
    name: str,
    inject: Callable[[Market], object],
    expected: list[Named],
) -> None:
    market = real.copy()
    inject(market)
    found = market.findings(tmp_path, calendar)
    wanted = [(*each, WARNED.get(name, DEFECTS[each[2]].severity)) for each in expected]
    assert sorted(keys(found)) == sorted([*CLEAN, *wanted])
    said = found.filter(pl.col("session").dt.to_string().is_in([each[1] for each in expected]))
    assert (said["seen"].str.len_chars() > 0).all()
    assert (said["expected"].str.len_chars() > 0).all()


def test_every_listed_price_defect_is_injected() -> None:
    """`unseen_split` needs prices as traded (test_files.py); `revised_history` and `not_fetched` come from ingest."""
    injected = {each[2] for _, _, expected in INJECTED for each in expected}
    listed = {name for name in DEFECTS if not name.startswith("facts_")}
    assert listed - injected == {"unseen_split", "revised_history", "not_fetched"}


def yahoo_history(path: Path) -> Market:
    """One of Yahoo's histories of 4063.T with defects, as `Market`."""
    frame = pl.read_csv(path, infer_schema=False)
    frame = frame.rename({frame.columns[0]: "Date"}).with_columns(pl.col("Date").str.slice(0, 10))
    number = {name: pl.col(name).cast(pl.Float64) for name in ("Dividends", "Stock Splits")}
    ticker = pl.lit("4063.T").alias("ticker")
    splits = frame.filter(number["Stock Splits"] > 0).select(ticker, ex_date="Date", ratio=number["Stock Splits"])
    dividends = frame.filter(number["Dividends"] > 0).select(ticker, ex_date="Date", amount=number["Dividends"])
    return Market({"4063.T": frame.select("Date", *BAR)}, splits, dividends)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("4063-T-1d-bad-div", [("4063.T", "2023-03-30", "dividend_basis", "warning")]),
        ("4063-T-1d-bad-stock-split", [("4063.T", "2023-03-29", "half_applied_split", "error")]),
    ],
)
def test_yahoos_own_defects(
    calendar: TradingCalendar, shared_data: Path, tmp_path: Path, file: str, expected: list[tuple]
) -> None:
    folder = shared_data / "yahoo" / "defects"
    assert keys(yahoo_history(folder / f"{file}.csv").findings(tmp_path / "bad", calendar)) == expected
    assert keys(yahoo_history(folder / f"{file}-fixed.csv").findings(tmp_path / "fixed", calendar)) == []


def test_what_is_said_of_yahoos_defects(calendar: TradingCalendar, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "yahoo" / "defects"
    dividend = yahoo_history(folder / "4063-T-1d-bad-div.csv").findings(tmp_path / "a", calendar).row(0, named=True)
    assert dividend["session"] == dt.date(2023, 3, 30)
    assert dividend["seen"].startswith("275 per share, 5.8 times")
    assert "55, if the split 5:1 of 2023-03-30" in dividend["expected"]
    split = (
        yahoo_history(folder / "4063-T-1d-bad-stock-split.csv").findings(tmp_path / "b", calendar).row(0, named=True)
    )
    assert split["seen"] == "from 103550 (2023-03-28) to 20730 (open) and 21030 (close)"
    assert split["expected"] == "no move: the split 5:1 is of 2023-03-30"
