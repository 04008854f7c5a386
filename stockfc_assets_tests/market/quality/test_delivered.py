"""Rows as delivered: which are refused, in whose words, and that a slow row-by-row reading agrees."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.market.quality.delivered import refuse_rows

D = dt.date
SCHEMA = {
    "ticker": pl.String, "session": pl.Date, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
    "close": pl.Float64, "volume": pl.Float64,
}  # fmt: skip
BAR = ("open", "high", "low", "close", "volume")
FRIDAY, SATURDAY, HOLIDAY, TUESDAY = D(2017, 7, 14), D(2017, 7, 15), D(2017, 7, 17), D(2017, 7, 18)
GOOD = (10.0, 11.0, 9.0, 10.5, 100.0)


def rows_of(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def test_words_severity_and_order(calendar: TradingCalendar) -> None:
    rows = rows_of(
        ("2.T", TUESDAY, 10.5, 10.5, 10.5, 10.5, 0.0),
        ("2.T", FRIDAY, *GOOD),
        ("2.T", HOLIDAY, 10.5, 10.5, 10.5, 10.5, 0.0),
        ("1.T", SATURDAY, None, None, None, None, None),
        ("1.T", TUESDAY, 10.0, 10.4, 9.0, 10.5, 100.0),
    )
    kept, findings = refuse_rows(rows, calendar)
    assert kept.rows() == [("2.T", FRIDAY, *GOOD)]
    assert findings.rows() == [
        ("1.T", SATURDAY, "phantom_row", "warning",
         "open nothing, high nothing, low nothing, close nothing, volume nothing", "no row: Saturday"),
        ("2.T", HOLIDAY, "phantom_row", "warning",
         "open 10.5, high 10.5, low 10.5, close 10.5, volume 0", "no row: Marine Day"),
        ("1.T", TUESDAY, "ohlc_contradiction", "error",
         "open 10, high 10.4, low 9, close 10.5, volume 100", "low <= open, close <= high"),
        ("2.T", TUESDAY, "no_trade_row", "warning",
         "open 10.5, high 10.5, low 10.5, close 10.5, volume 0", "no row, because a session without a trade has none"),
    ]  # fmt: skip


def test_the_close_before_is_the_tickers_own_and_reaches_over_gaps(calendar: TradingCalendar) -> None:
    repeated = (10.5, 10.5, 10.5, 10.5, 0.0)
    rows = rows_of(
        ("1.T", FRIDAY, *GOOD),
        ("1.T", TUESDAY, 10.0, 11.0, 9.0, None, 100.0),
        ("1.T", D(2017, 7, 19), *repeated),
        ("1.T", D(2017, 7, 20), *repeated),
        ("2.T", TUESDAY, *repeated),
        ("3.T", TUESDAY, *repeated),
        ("3.T", D(2017, 7, 19), 10.6, 10.6, 10.6, 10.6, 0.0),
    )
    kept, findings = refuse_rows(rows, calendar)
    # The first row of a ticker repeats nothing, and an index has no volume but moves.
    assert kept.select("ticker", "session").rows() == [
        ("1.T", FRIDAY), ("2.T", TUESDAY), ("3.T", TUESDAY), ("3.T", D(2017, 7, 19)),
    ]  # fmt: skip
    assert findings.select("session", "defect").rows() == [
        (TUESDAY, "invalid_price"), (D(2017, 7, 19), "no_trade_row"), (D(2017, 7, 20), "no_trade_row"),
    ]  # fmt: skip


def test_rounding_of_32_bit_prices_is_no_contradiction(calendar: TradingCalendar) -> None:
    noise = 1 + 6e-8
    kept, findings = refuse_rows(rows_of(("1.T", FRIDAY, 100.0, 100.0, 100.0 * noise, 100.0 * noise, 1.0)), calendar)
    assert findings.is_empty()
    assert kept.row(0)[2:] == (100.0, 100.0 * noise, 100.0, 100.0 * noise, 1.0)
    for low in (100.0 * (1 + 2e-6), 101.0):
        row = ("1.T", FRIDAY, 100.0, 102.0, low, 102.0, 1.0)
        assert refuse_rows(rows_of(row), calendar)[1]["defect"].to_list() == ["ohlc_contradiction"]


def test_duplicates(calendar: TradingCalendar) -> None:
    rows = rows_of(
        ("1.T", FRIDAY, *GOOD), ("1.T", FRIDAY, *GOOD), ("1.T", FRIDAY, *GOOD),
        ("1.T", TUESDAY, *GOOD), ("1.T", TUESDAY, *GOOD), ("1.T", TUESDAY, *GOOD[:4], 200.0),
        ("2.T", TUESDAY, *GOOD), ("1.T", HOLIDAY, *GOOD), ("1.T", HOLIDAY, *GOOD),
    )  # fmt: skip
    kept, findings = refuse_rows(rows, calendar)
    assert kept.select("ticker", "session").rows() == [("1.T", FRIDAY), ("2.T", TUESDAY)]
    first = "open 10, high 11, low 9, close 10.5, volume"
    assert findings.select("session", "defect", "severity", "seen").rows() == [
        (FRIDAY, "duplicate_row", "warning", "3 equal rows"),
        (HOLIDAY, "phantom_row", "warning", f"{first} 100"),
        (TUESDAY, "duplicate_row", "error", f"3 rows: {first} 100; {first} 200"),
    ]


def test_other_columns_are_kept_and_unreadable_cells_quoted(calendar: TradingCalendar) -> None:
    rows = rows_of(("1.T", FRIDAY, *GOOD), ("1.T", TUESDAY, None, None, None, None, None)).with_columns(
        dividend=pl.Series([1.5, 0.0]), unreadable=pl.Series([None, "open '#VALUE!'"])
    )
    kept, findings = refuse_rows(rows, calendar)
    assert kept.columns == [*SCHEMA, "dividend"]
    assert kept["dividend"].to_list() == [1.5]
    assert findings.select("defect", "seen").rows() == [("invalid_price", "open '#VALUE!'")]
    assert refuse_rows(rows.clear(), calendar)[0].columns == kept.columns


def test_whole_numbers_are_read_as_well(calendar: TradingCalendar) -> None:
    rows = rows_of(("1.T", FRIDAY, *GOOD)).with_columns(pl.col("volume").cast(pl.Int64))
    assert refuse_rows(rows, calendar)[0]["volume"].to_list() == [100.0]


# --- the slow way -----------------------------------------------------------------------------------------------------


def naive(rows: list[dict], calendar: TradingCalendar) -> tuple[list[dict], list[tuple]]:
    """What `refuse_rows` says it does, one row after the other."""
    kept, named = [], []
    by_key: dict[tuple, list[dict]] = {}
    for row in rows:
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        by_key.setdefault((row["ticker"], row["session"]), []).append(clean)
    last: dict[str, float] = {}
    for (ticker, session), same in sorted(by_key.items()):
        if calendar.why_closed(session):
            named += [(ticker, session, "phantom_row")]
            continue
        if len(same) > 1:
            named.append((ticker, session, "duplicate_row"))
        row = same[0]
        if any(each != row for each in same):
            continue
        prices = [row[name] for name in BAR[:4]]
        before = last.get(ticker)
        if prices[3] is not None and prices[3] > 0:
            last[ticker] = prices[3]
        empty = all(price is None or price == 0 for price in prices)
        repeated = before is not None and all(price == before for price in prices)
        if (row["volume"] is None or row["volume"] == 0) and (empty or repeated):
            named.append((ticker, session, "no_trade_row"))
        elif any(price is None or price <= 0 for price in prices):
            named.append((ticker, session, "invalid_price"))
        elif row["low"] > min(prices) * (1 + 1e-6) or row["high"] * (1 + 1e-6) < max(prices):
            named.append((ticker, session, "ohlc_contradiction"))
        elif row["volume"] is None or row["volume"] < 0:
            named.append((ticker, session, "invalid_volume"))
        else:
            kept.append({**row, "low": min(prices), "high": max(prices)})
    return kept, named


price = st.sampled_from([10.0, 10.0, 10.0, 11.0, 9.0, 0.0, -1.0, None, math.nan, math.inf, 10.0 * (1 + 6e-8)])
row_strategy = st.fixed_dictionaries(
    {
        "ticker": st.sampled_from(["1.T", "2.T"]),
        "session": st.integers(0, 9).map(lambda day: FRIDAY + dt.timedelta(days=day)),
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": st.sampled_from([0.0, 0.0, 100.0, None, -5.0]),
    }
)


@settings(deadline=None, max_examples=150)
@given(st.lists(row_strategy, max_size=14), st.randoms())
def test_a_slow_reading_agrees(rows: list[dict], random: object) -> None:
    calendar = trading_calendar("XTKS")
    kept, findings = refuse_rows(pl.DataFrame(rows, schema=SCHEMA), calendar)
    expected, named = naive(rows, calendar)
    assert_frame_equal(kept, pl.DataFrame(expected, schema=SCHEMA), check_exact=True)
    assert sorted(set(findings.select("ticker", "session", "defect").rows())) == sorted(set(named))
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = refuse_rows(pl.DataFrame(shuffled, schema=SCHEMA), calendar)
    assert_frame_equal(again[0], kept, check_exact=True)
    assert (
        again[1].select("ticker", "session", "defect", "severity").rows()
        == findings.select("ticker", "session", "defect", "severity").rows()
    )


@pytest.mark.parametrize("session", [D(1999, 12, 30), D(2090, 1, 4)])
def test_rows_outside_the_calendar_are_no_sessions(calendar: TradingCalendar, session: dt.date) -> None:
    findings = refuse_rows(rows_of(("1.T", session, *GOOD)), calendar)[1]
    assert findings["defect"].to_list() == ["phantom_row"]
    assert findings["expected"][0].startswith("no row: outside the XTKS calendar")
