"""The user's own files: what is read, what is left out and named, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stockfc_assets import tables
from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA, FetchResult
from stockfc_assets.market.sources import files
from stockfc_assets.market.sources.files import FilesSource
from stockfc_assets.settings import FilesSettings, Membership, QualitySettings, Stock, Universe

D = dt.date
HEADER = "Date,Open,High,Low,Close,Volume\n"
DEFAULT_COLUMNS = {
    "session": "Date", "open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume",
}  # fmt: skip
ALWAYS = (Membership(member_from=D(2000, 1, 1)),)
UNIVERSE = Universe(
    name="test",
    exchange="XTKS",
    stocks=(
        Stock(ticker="7203.T", name="Toyota", sector="Cars", member=ALWAYS),
        Stock(ticker="AAPL.T", name="Foreign", sector="IT", currency="USD", member=ALWAYS),
    ),
)
EVER = (D(2000, 1, 4), D(2026, 12, 31))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def open_source(calendar: TradingCalendar, prices: Path, basis: str = "as_traded", **options) -> FilesSource:
    settings = FilesSettings(prices=prices, basis=basis, ticker_suffix=".T", **options)
    return FilesSource(settings, UNIVERSE, calendar, QualitySettings())


def named(result: FetchResult) -> list[tuple]:
    """The findings without ticker and severity."""
    return result.findings.select("session", "defect", "seen", "expected").rows()


# --- good input -------------------------------------------------------------------------------------------------------


def test_a_folder_of_csv_and_parquet(calendar: TradingCalendar, tmp_path: Path) -> None:
    write(tmp_path / "7203.csv", HEADER + "2026-02-06,3500,3550.5,3490,3510,1000\n2026-02-05,3490,3500,3480,3500,900\n")
    pl.DataFrame(
        {"Date": [dt.datetime(2026, 2, 6, tzinfo=ZoneInfo("Asia/Tokyo"))], "Open": [100], "High": [110.0],
         "Low": [99.0], "Close": [105.0], "Volume": [5.0]}
    ).write_parquet(tmp_path / "AAPL.T.parquet")  # fmt: skip
    write(tmp_path / "notes.txt", "not prices")
    result = open_source(calendar, tmp_path).fetch_bars(["AAPL.T", "7203.T", "9999.T"], *EVER)
    assert result.bars.rows() == [
        ("7203.T", D(2026, 2, 5), 3490.0, 3500.0, 3480.0, 3500.0, 900, 0.0, 1.0, "JPY"),
        ("7203.T", D(2026, 2, 6), 3500.0, 3550.5, 3490.0, 3510.0, 1000, 0.0, 1.0, "JPY"),
        ("AAPL.T", D(2026, 2, 6), 100.0, 110.0, 99.0, 105.0, 5, 0.0, 1.0, "USD"),
    ]
    assert result.bars.schema == BARS_SCHEMA
    assert result.failures == {"9999.T": f"no file named 9999.T or 9999 (.csv, .parquet) in the folder {tmp_path.name}"}
    assert named(result) == []


def test_one_file_with_a_ticker_column_and_other_names(calendar: TradingCalendar, tmp_path: Path) -> None:
    path = write(
        tmp_path / "all.csv",
        "Code,day,o,h,l,c,v,Stock Splits,Dividends\n"
        "7203,20210928,10000,10100,9900,10000,100,0,\n7203,20210929,2000,2010,1990,2005,500,5,24.5\n"
        "6501,2021/09/29,700,700,690,695,300,,0\n",
    )
    columns = {"ticker": "Code", "session": "day", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v",
               "split_ratio": "Stock Splits", "dividend": "Dividends"}  # fmt: skip
    source = open_source(calendar, path, columns=columns)
    result = source.fetch_bars(["7203.T", "6501.T", "1.T"], *EVER)
    assert result.bars.rows() == [
        ("7203.T", D(2021, 9, 28), 10000.0, 10100.0, 9900.0, 10000.0, 100, 0.0, 1.0, "JPY"),
        ("6501.T", D(2021, 9, 29), 700.0, 700.0, 690.0, 695.0, 300, 0.0, 1.0, "JPY"),
        ("7203.T", D(2021, 9, 29), 2000.0, 2010.0, 1990.0, 2005.0, 500, 24.5, 5.0, "JPY"),
    ]
    assert result.failures == {"1.T": "no rows in all.csv"}
    assert named(result) == []
    assert source.describe() == {
        "prices": str(path), "basis": "as_traded", "tickers": 2,
        "first_session": "2021-09-28", "last_session": "2021-09-29",
    }  # fmt: skip


def adjusted_folder(tmp_path: Path) -> Path:
    """5:1 on 2021-09-29, delivered split-adjusted."""
    write(
        tmp_path / "csv" / "7203.T.csv",
        HEADER + "2021-09-27,2000.1,2020,1990,2010,5000\n2021-09-28,2010,2080,2005,2077,10000\n"
        "2021-09-29,2052,2080.5,2040.5,2073,34900\n2021-09-30,2070,2080,2060,2065,20000\n",
    )
    return tmp_path / "csv"


def test_split_adjusted_files_become_as_traded(calendar: TradingCalendar, tmp_path: Path) -> None:
    folder = adjusted_folder(tmp_path)
    splits = write(
        tmp_path / "splits.csv",
        "ticker,ex_date,ratio,evidence\n7203,2021-09-29,5.0,x\n7203,2021-10-01,5.0,again\n6501,2021-09-29,2,\n",
    )
    dividends = write(tmp_path / "div.csv", "ticker,ex_date,amount\n7203,2021-09-28,24\n7203,2021-09-29,30\n")
    source = open_source(calendar, folder, "split_adjusted", splits=splits, dividends=dividends)
    result = source.fetch_bars(["7203.T"], *EVER)
    assert result.bars.select("open", "close", "volume", "dividend", "split_ratio").rows() == [
        (10000.5, 10050.0, 1000, 0.0, 1.0),
        (10050.0, 10385.0, 2000, 120.0, 1.0),
        (2052.0, 2073.0, 34900, 30.0, 5.0),
        (2070.0, 2065.0, 20000, 0.0, 1.0),
    ]
    assert named(result) == [
        (D(2021, 9, 28), "ex_date", "120 going ex", "ex-date 2021-09-29"),
        (D(2021, 10, 1), "duplicate_split", "5:1 again", "5:1 once, on 2021-09-29"),
    ]
    for day in result.bars["session"]:
        single = open_source(calendar, folder, "split_adjusted", splits=splits, dividends=dividends)
        expected = result.bars.filter(pl.col("session") == day)
        assert_frame_equal(single.fetch_bars(["7203.T"], day, day).bars, expected, check_exact=True)


def test_findings_belong_to_the_range_asked_for(calendar: TradingCalendar, tmp_path: Path) -> None:
    splits = write(tmp_path / "s.csv", "ticker,ex_date,ratio\n7203,2021-09-29,5\n7203,2021-10-01,5\n")
    source = open_source(calendar, adjusted_folder(tmp_path), "split_adjusted", splits=splits)
    assert named(source.fetch_bars(["7203.T"], D(2021, 9, 1), D(2021, 9, 30))) == []
    assert len(named(source.fetch_bars(["7203.T"], D(2021, 10, 1), D(2021, 10, 1)))) == 1


def test_a_split_after_the_last_price_is_not_applied_and_named(calendar: TradingCalendar, tmp_path: Path) -> None:
    splits = write(tmp_path / "s.csv", "ticker,ex_date,ratio\n7203,2021-09-29,5\n7203,2022-03-30,2\n")
    result = open_source(calendar, adjusted_folder(tmp_path), "split_adjusted", splits=splits).fetch_bars(
        ["7203.T"], *EVER
    )
    assert result.bars["close"][0] == 10050.0
    late = (D(2022, 3, 30), "unseen_split", "2:1 listed, but the prices end on 2021-09-30", "prices up to its ex-date")
    assert named(result) == [late]


def test_facts_of_the_newest_publication_before_a_date(calendar: TradingCalendar, tmp_path: Path) -> None:
    facts = write(
        tmp_path / "facts.csv",
        "ticker,as_of,eps_ttm,shares_outstanding,sector,note\n7203,2024-05-10,300,1e9,Cars,x\n7203,2024-08-10,,1e9,,x\n"
        "6501,2024-08-10,50,,IT,x\n",
    )
    source = open_source(calendar, adjusted_folder(tmp_path), facts=facts)
    result = source.fetch_facts(["7203.T", "6501.T", "1.T"], D(2024, 8, 10))
    assert result.facts.schema == FACTS_SCHEMA
    assert result.facts.select(
        "ticker", "published", "eps_ttm", "shares_outstanding", "sector", "profit_margin"
    ).rows() == [("7203.T", D(2024, 5, 10), 300.0, 1e9, "Cars", None)]
    later = source.fetch_facts(["7203.T", "6501.T"], D(2024, 8, 11)).facts
    assert later.select("ticker", "eps_ttm", "sector").rows() == [("6501.T", 50.0, "IT"), ("7203.T", None, None)]
    assert open_source(calendar, tmp_path / "csv").fetch_facts(["7203.T"], D(2024, 9, 1)).facts.schema == FACTS_SCHEMA


def test_the_cache_is_bounded_and_changes_nothing(
    calendar: TradingCalendar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ticker in ("1", "2", "3"):
        write(tmp_path / f"{ticker}.csv", HEADER + "2021-09-27,20,21,19,20,500\n2021-09-28,20,21,19,21,500\n")
    monkeypatch.setattr(files, "CACHED_ROWS", 2)
    source = open_source(calendar, tmp_path)
    first = source.fetch_bars(["1.T", "2.T", "3.T"], *EVER).bars
    assert_frame_equal(source.fetch_bars(["3.T", "1.T", "2.T"], *EVER).bars, first)
    assert first.height == 6
    assert len(source._cache) == 1


# --- rows left out, and named -----------------------------------------------------------------------------------------


def test_rows_without_a_session_are_named_once_with_the_session_that_follows(
    calendar: TradingCalendar, tmp_path: Path
) -> None:
    rows = "".join(f"{day},10,10,10,10,0\n" for day in ("2017-07-15", "2017-07-16", "2017-07-17"))
    write(tmp_path / "1.csv", HEADER + "2017-07-14,10,11,9,10,100\n" + rows + "2017-07-18,10,11,10,11,100\n")
    write(tmp_path / "2.csv", HEADER + "2017-07-17,10,10,10,10,0\n2017-07-18,10,11,10,11,100\n")
    source = open_source(calendar, tmp_path)
    result = source.fetch_bars(["1.T", "2.T"], D(2017, 7, 18), D(2017, 7, 18))
    assert result.bars["session"].to_list() == [D(2017, 7, 18)] * 2
    assert result.findings.select("ticker", "session", "defect", "severity", "expected").rows() == [
        ("1.T", D(2017, 7, 15), "phantom_row", "warning", "no row: Saturday"),
        ("1.T", D(2017, 7, 16), "phantom_row", "warning", "no row: Sunday"),
        ("1.T", D(2017, 7, 17), "phantom_row", "warning", "no row: Marine Day"),
        ("2.T", D(2017, 7, 17), "phantom_row", "warning", "no row: Marine Day"),
    ]
    assert named(source.fetch_bars(["1.T", "2.T"], D(2017, 7, 14), D(2017, 7, 14))) == []
    assert named(source.fetch_bars(["1.T", "2.T"], D(2017, 7, 19), D(2017, 7, 20))) == []


@pytest.mark.parametrize(
    ("row", "defect", "seen"),
    [
        ("0,0,0,0,0", "no_trade_row", "open 0, high 0, low 0, close 0, volume 0"),
        (",,,,0", "no_trade_row", "open nothing, high nothing, low nothing, close nothing, volume 0"),
        ("10,10,10,10,0", "no_trade_row", "open 10, high 10, low 10, close 10, volume 0"),
        ("10,11,9,-1,100", "invalid_price", "open 10, high 11, low 9, close -1, volume 100"),
        ("10,NaN,9,10,100", "invalid_price", "open 10, high nothing, low 9, close 10, volume 100"),
        ("10,11,9,#VALUE!,100", "invalid_price", "close '#VALUE!'"),
        ('"1,234",inf,9,10,100', "invalid_price", "open '1,234', high 'inf'"),
        ("10,11,10.5,10.5,100", "ohlc_contradiction", "open 10, high 11, low 10.5, close 10.5, volume 100"),
        ("10,11,9,12,100", "ohlc_contradiction", "open 10, high 11, low 9, close 12, volume 100"),
        ("10,11,9,10,", "invalid_volume", "open 10, high 11, low 9, close 10, volume nothing"),
        ("10,11,9,10,-5", "invalid_volume", "open 10, high 11, low 9, close 10, volume -5"),
        ("10,11,9,10,n.a.", "invalid_volume", "volume 'n.a.'"),
    ],
)
def test_a_bad_row_is_left_out_and_named(
    calendar: TradingCalendar, tmp_path: Path, row: str, defect: str, seen: str
) -> None:
    write(tmp_path / "1.csv", HEADER + f"2026-02-04,10,10,10,10,100\n2026-02-05,{row}\n2026-02-06,10,11,9,10,100\n")
    result = open_source(calendar, tmp_path).fetch_bars(["1.T"], *EVER)
    assert result.bars["session"].to_list() == [D(2026, 2, 4), D(2026, 2, 6)]
    assert [row[:3] for row in named(result)] == [(D(2026, 2, 5), defect, seen)]
    tables.RawOhlcv.validate(result.bars)


def test_two_rows_of_one_session(calendar: TradingCalendar, tmp_path: Path) -> None:
    twice = "2026-02-05,1,1,1,1,1\n" * 2 + "2026-02-06,1,1,1,1,1\n2026-02-06,1,2,1,1,1\n"
    write(tmp_path / "1.csv", HEADER + twice)
    result = open_source(calendar, tmp_path).fetch_bars(["1.T"], *EVER)
    assert result.bars["session"].to_list() == [D(2026, 2, 5)]
    assert result.findings.select("session", "defect", "severity").rows() == [
        (D(2026, 2, 5), "duplicate_row", "warning"),
        (D(2026, 2, 6), "duplicate_row", "error"),
    ]


def test_a_dividend_on_a_row_left_out_is_not_lost(calendar: TradingCalendar, tmp_path: Path) -> None:
    rows = "2026-01-27,10,11,9,10,100,\n2026-01-29,,,,,0,0.5\n2026-01-30,10,11,9,10,100,0\n"
    write(tmp_path / "1.csv", HEADER.strip() + ",Dividends\n" + rows)
    columns = {**DEFAULT_COLUMNS, "dividend": "Dividends"}
    result = open_source(calendar, tmp_path, columns=columns).fetch_bars(["1.T"], *EVER)
    assert result.bars.select("session", "dividend").rows() == [(D(2026, 1, 27), 0.0), (D(2026, 1, 30), 0.5)]


def test_a_dividend_listed_twice_counts_once(calendar: TradingCalendar, tmp_path: Path) -> None:
    write(tmp_path / "1.csv", HEADER + "".join(f"2020-12-{day},10,11,9,10,100\n" for day in (28, 29, 30)))
    dividends = write(tmp_path.parent / "twice.csv", "ticker,ex_date,amount\n1,2020-12-29,0.1\n1,2020-12-30,0.1\n")
    result = open_source(calendar, tmp_path, dividends=dividends).fetch_bars(["1.T"], *EVER)
    assert result.bars["dividend"].to_list() == [0.0, 0.1, 0.0]
    assert named(result) == [(D(2020, 12, 30), "duplicate_dividend", "0.1 again", "0.1 once, on 2020-12-29")]


def test_an_index_without_volume_is_kept(calendar: TradingCalendar, tmp_path: Path) -> None:
    write(tmp_path / "1.csv", HEADER + "2026-02-05,10,11,9,10,0\n2026-02-06,11,11,11,11,0\n")
    assert open_source(calendar, tmp_path).fetch_bars(["1.T"], *EVER).bars.height == 2


def test_a_split_that_as_traded_prices_do_not_show_is_named(calendar: TradingCalendar, tmp_path: Path) -> None:
    write(tmp_path / "1.csv", HEADER + "2026-02-05,10,11,9,10,100\n2026-02-06,10,11,9,10,100\n")
    splits = write(tmp_path.parent / "unseen.csv", "ticker,ex_date,ratio\n1,2026-02-06,5\n")
    result = open_source(calendar, tmp_path, splits=splits).fetch_bars(["1.T"], *EVER)
    assert result.bars["split_ratio"].to_list() == [1.0, 1.0]
    seen = "5:1 listed, but the price went from 10 to 10 (open) and 10 (close)"
    assert named(result) == [(D(2026, 2, 6), "unseen_split", seen, "about 2, or no split")]


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(calendar: TradingCalendar, prices: Path, **options) -> str:
    with pytest.raises((ConfigError, InputError)) as error:
        open_source(calendar, prices, **options).fetch_bars(["7203.T"], *EVER)
    return str(error.value)


def test_missing_folders_files_and_columns(calendar: TradingCalendar, tmp_path: Path) -> None:
    assert refused(calendar, tmp_path / "nowhere") == (
        f"sources.files.prices: there is no folder or file {tmp_path / 'nowhere'}; correct the path"
    )
    assert refused(calendar, tmp_path) == (
        f"sources.files.prices: no .csv or .parquet file in the folder {tmp_path}; correct the path"
    )
    path = write(tmp_path / "7203.csv", "Date,Open,High,Low,Last,Volume\n2026-02-06,1,1,1,1,1\n")
    assert refused(calendar, tmp_path) == (
        f"{path}: no column 'Close'; found: Date, Open, High, Low, Last, Volume; change sources.files.columns.close"
    )
    write(path, "")
    assert refused(calendar, tmp_path).startswith(f"{path}: cannot be read as CSV: ")
    write(tmp_path / "7203.parquet", "not parquet")
    path.unlink()
    assert refused(calendar, tmp_path).startswith(f"{tmp_path / '7203.parquet'}: cannot be read as PARQUET: ")
    write(path, HEADER)
    assert "are both 7203.T; remove one" in refused(calendar, tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("06.02.2026,1,1,1,1,1", "row 2: session: '06.02.2026' is not a date such as 2026-02-06"),
        (",1,1,1,1,1", "row 2: session: None is not a date"),
    ],
)
def test_cells_that_cannot_be_read(calendar: TradingCalendar, tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "7203.csv", HEADER + f"2026-02-05,1,1,1,1,1\n{row}\n")
    assert refused(calendar, tmp_path).startswith(f"{path}: {message}")


def test_a_column_without_any_number_is_refused(calendar: TradingCalendar, tmp_path: Path) -> None:
    path = write(tmp_path / "7203.csv", HEADER + '2026-02-05,1,1,1,,1\n2026-02-06,1,1,1,"1,234",1\n')
    assert refused(calendar, tmp_path) == (
        f"{path}: 2026-02-06: column 'Close': '1,234' is not a number; correct the cell, or leave it empty"
    )


def test_split_adjusted_prices_need_splits(calendar: TradingCalendar, tmp_path: Path) -> None:
    write(tmp_path / "7203.csv", HEADER + "2026-02-06,1,1,1,1,1\n")
    assert "sources.files.splits: needed with `basis: split_adjusted`" in refused(
        calendar, tmp_path, basis="split_adjusted"
    )
    missing = tmp_path / "splits.csv"
    assert f"sources.files.splits: there is no file {missing}" in refused(calendar, tmp_path, splits=missing)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ticker,ex_date,ratio\n7203,2021-09-29,0\n",
            "7203.T 2021-09-29: ratio 0.0 must be above 0 (new shares per old",
        ),
        ("ticker,ex_date,ratio\n7203,2021-09-29,-5\n", "7203.T 2021-09-29: ratio -5.0 must be above 0"),
        ("ticker,ex_date,ratio\n7203,2021-09-29,\n", "7203.T 2021-09-29: ratio None must be above 0"),
        ("ticker,ex_date,ratio\n7203,2021-09-29,5:1\n", "7203.T 2021-09-29: column 'ratio': '5:1' is not a number"),
        (
            "ticker,date,ratio\n7203,2021-09-29,5\n",
            "no column 'ex_date'; found: ticker, date, ratio (sources.files.splits)",
        ),
    ],
)
def test_bad_splits(calendar: TradingCalendar, tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "prices" / "7203.csv", HEADER + "2026-02-06,1,1,1,1,1\n")
    path = write(tmp_path / "splits.csv", text)
    assert refused(calendar, tmp_path / "prices", splits=path).startswith(f"{path}: {message}")


def test_bad_dividends_and_facts(calendar: TradingCalendar, tmp_path: Path) -> None:
    prices = write(tmp_path / "prices" / "7203.csv", HEADER + "2026-02-06,1,1,1,1,1\n").parent
    path = write(tmp_path / "d.csv", "ticker,ex_date,amount\n7203,2021-09-29,-3\n")
    assert refused(calendar, prices, dividends=path) == f"{path}: 7203.T 2021-09-29: amount -3.0 must be 0 or more"
    path = write(tmp_path / "f.csv", "ticker,as_of,shares_outstanding\n7203,2021-09-29,0\n")
    assert refused(calendar, prices, facts=path) == (
        f"{path}: 7203.T 2021-09-29: shares_outstanding cannot be 0.0; correct it"
    )
    path = write(tmp_path / "f.csv", "ticker,date,shares_outstanding\n7203,2021-09-29,0\n")
    assert "no column 'as_of'" in refused(calendar, prices, facts=path)


def test_column_maps_that_do_not_fit(calendar: TradingCalendar, tmp_path: Path) -> None:
    path = write(tmp_path / "7203.csv", HEADER + "2026-02-06,1,1,1,1,1\n")
    columns = DEFAULT_COLUMNS
    assert "columns.cloze: unknown key; allowed here: session, open" in refused(
        calendar, tmp_path, columns={**columns, "cloze": "Close"}
    )
    assert "columns.volume: missing; add `volume: " in refused(
        calendar, tmp_path, columns={key: value for key, value in columns.items() if key != "volume"}
    )
    assert "columns.ticker: missing" in refused(calendar, path)
    assert "is a folder with one file per ticker" in refused(calendar, tmp_path, columns={**columns, "ticker": "Code"})
    splits = write(tmp_path.parent / "s.csv", "ticker,ex_date,ratio\n")
    assert "remove one" in refused(calendar, tmp_path, splits=splits, columns={**columns, "split_ratio": "Splits"})
    dividends = write(tmp_path.parent / "d.csv", "ticker,ex_date,amount\n")
    assert "remove one" in refused(calendar, tmp_path, dividends=dividends, columns={**columns, "dividend": "Dividend"})
    write(path, HEADER.strip() + ",Splits\n2026-02-06,1,1,1,1,1,-2\n")
    assert refused(calendar, tmp_path, columns={**columns, "split_ratio": "Splits"}) == (
        f"{path}: 7203.T 2026-02-06: column 'Splits': -2.0 must be 0 (none) or above"
    )


# --- real data --------------------------------------------------------------------------------------------------------


def test_ten_years_of_core30(calendar: TradingCalendar, shared_data: Path) -> None:
    """Real, split-adjusted files: the as-traded rows must be what Tokyo's boards showed, in lots of 100 shares."""
    folder, splits = shared_data / "jp_core30" / "csv", shared_data / "facts" / "core30_splits_2016_2026.csv"
    source = open_source(calendar, folder, "split_adjusted", splits=splits)
    names = sorted(path.stem for path in folder.glob("*.csv"))
    result = source.fetch_bars(names, D(2016, 2, 4), D(2026, 2, 6))
    assert result.failures == {}
    assert result.findings.select("ticker", "session", "defect", "expected").rows() == [
        ("6594.T", D(2020, 4, 1), "duplicate_split", "2:1 once, on 2020-03-30"),
        ("7203.T", D(2021, 10, 1), "duplicate_split", "5:1 once, on 2021-09-29"),
    ]
    bars = result.bars
    tables.RawOhlcv.validate(bars)
    assert bars.height == 106_920
    assert bars.filter(pl.col("split_ratio") != 1).height == 38
    assert (bars["volume"] % 100 == 0).all()

    def close(ticker: str, day: dt.date) -> float:
        return bars.row(by_predicate=(pl.col("ticker") == ticker) & (pl.col("session") == day), named=True)["close"]

    assert (close("7203.T", D(2021, 9, 28)), close("7203.T", D(2021, 9, 29))) == (10385.0, 2073.0)
    assert (close("6501.T", D(2018, 9, 25)), close("6501.T", D(2018, 9, 26))) == (777.8, 3894.0)
    assert (close("6501.T", D(2024, 6, 26)), close("6501.T", D(2024, 6, 27))) == (17620.0, 3654.0)
    delivered = pl.read_csv(folder / "7203.T.csv", try_parse_dates=True).select(session="Date", delivered="Close")
    factor = bars.filter(pl.col("ticker") == "7203.T").join(delivered, on="session")
    ratio = (factor["close"] / factor["delivered"]).round(9)
    assert set(ratio.filter(factor["session"] < D(2021, 9, 29))) == {5.0}
    assert set(ratio.filter(factor["session"] >= D(2021, 9, 29))) == {1.0}
    per_session = bars.group_by("session").len()
    count = dict(per_session.iter_rows())
    assert (count[D(2016, 2, 5)], count[D(2018, 12, 19)], count[D(2025, 9, 29)], count[D(2026, 2, 6)]) == (
        43,
        44,
        45,
        45,
    )
    assert len(count) == len(calendar.between(D(2016, 2, 4), D(2026, 2, 6)))
