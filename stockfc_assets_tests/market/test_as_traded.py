"""The law: a session fetched before a later split and after it gives the same stored rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stockfc_assets import tables
from stockfc_assets.market.as_traded import (
    DIVIDENDS_SCHEMA,
    SPLITS_SCHEMA,
    adjusted_bars,
    attach_dividends,
    attach_splits,
    drop_duplicate_splits,
    drop_unseen_splits,
    to_as_traded,
)
from stockfc_assets.market.source import BARS_SCHEMA

D = dt.date
START = D(2020, 1, 1)
DAYS = 25
PRICES = ("open", "high", "low", "close")


def splits_of(*rows: tuple[str, dt.date, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SPLITS_SCHEMA, orient="row")


def bars_of(*rows: tuple[str, dt.date, float, float], volume: int = 1000, dividend: float = 0.0) -> pl.DataFrame:
    """Rows of (ticker, session, open, close)."""
    return pl.DataFrame(
        [(t, s, o, max(o, c), min(o, c), c, volume, dividend, 1.0, "JPY") for t, s, o, c in rows],
        schema=BARS_SCHEMA,
        orient="row",
    )


# --- a price service, written the slow way ----------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """What was paid, on which days, and every split there ever was."""

    traded: list[dict]
    splits: list[tuple[str, dt.date, float]]

    def delivered(self, day: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What the service hands out at the end of ``day``: divided by every split until then, and those splits."""
        known = [split for split in self.splits if split[1] <= day]
        rows = []
        for row in self.traded:
            if row["session"] > day:
                continue
            factor = 1.0
            for ticker, ex_date, ratio in known:
                if ticker == row["ticker"] and ex_date > row["session"]:
                    factor *= ratio
            scaled = {name: row[name] / factor for name in (*PRICES, "dividend")}
            rows.append({**row, **scaled, "volume": row["volume"] * factor})
        schema = {**BARS_SCHEMA, "volume": pl.Float64}
        del schema["split_ratio"]
        return pl.DataFrame(rows, schema=schema), splits_of(*known)

    def stored(self, day: dt.date) -> pl.DataFrame:
        bars, splits = self.delivered(day)
        return attach_splits(to_as_traded(bars, splits), splits).select(BARS_SCHEMA.names())


@st.composite
def worlds(draw: st.DrawFn) -> World:
    ratio = st.sampled_from([2.0, 3.0, 5.0, 10.0, 25.0, 1.5, 1.1, 1.02, 0.5, 0.2, 0.1, 1 / 3, 0.001])
    offset = st.integers(1, DAYS - 1)
    splits, traded = [], []
    for ticker in ("1.T", "2.T"):
        days = sorted(draw(st.sets(st.integers(0, DAYS - 1), min_size=3, max_size=12)))
        chosen = draw(st.lists(st.tuples(offset, ratio), max_size=5))
        splits += [(ticker, START + dt.timedelta(days=day), value) for day, value in chosen if day > days[0]]
        for day in days:
            ticks = sorted(draw(st.lists(st.integers(1, 999_999), min_size=4, max_size=4)))
            low, open_, close, high = (tick / 10 for tick in ticks)
            traded.append(
                {"ticker": ticker, "session": START + dt.timedelta(days=day), "open": open_, "high": high, "low": low,
                 "close": close, "volume": draw(st.integers(0, 10**9)), "dividend": draw(st.sampled_from([0.0, 12.5])),
                 "currency": "JPY"}
            )  # fmt: skip
    return World(traded, draw(st.permutations(splits)))


@settings(deadline=None, max_examples=100)
@given(worlds(), st.integers(0, DAYS), st.integers(0, DAYS))
def test_law_a_later_fetch_gives_the_same_rows(world: World, one: int, other: int) -> None:
    early, late = (START + dt.timedelta(days=day) for day in sorted((one, other)))
    before, after = world.stored(early), world.stored(late)
    assert_frame_equal(before, after.filter(pl.col("session") <= early), check_exact=True)


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_stored_prices_are_what_was_paid(world: World) -> None:
    stored = world.stored(START + dt.timedelta(days=DAYS))
    paid = pl.DataFrame(world.traded, schema={name: BARS_SCHEMA[name] for name in world.traded[0]})
    assert_frame_equal(stored.select(paid.columns), paid, check_exact=True)
    tables.RawOhlcv.validate(stored.filter(pl.col("low") > 0))


@settings(deadline=None, max_examples=40)
@given(worlds(), st.integers(0, DAYS))
def test_adjusted_bars_are_what_the_service_would_deliver(world: World, day: int) -> None:
    """Against the naive service above, at any as-of date; splits that fell into a halt count from the next row on."""
    as_of = START + dt.timedelta(days=day)
    adjusted = adjusted_bars(world.stored(START + dt.timedelta(days=DAYS)), as_of)
    rows = {(row["ticker"], row["session"]) for row in world.traded if row["session"] <= as_of}
    last = {ticker: max((s for t, s in rows if t == ticker), default=START) for ticker in ("1.T", "2.T")}
    effective = World(world.traded, [split for split in world.splits if split[1] <= last[split[0]]])
    delivered, _ = effective.delivered(as_of)
    expected = delivered.sort("ticker", "session").select(adjusted.columns)
    assert_frame_equal(adjusted, expected, rel_tol=1e-12)


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_round_trip(world: World) -> None:
    end = START + dt.timedelta(days=DAYS)
    raw = world.stored(end).sort("ticker", "session")
    splits = raw.filter(pl.col("split_ratio") != 1.0).select("ticker", ex_date="session", ratio="split_ratio")
    again = attach_splits(to_as_traded(adjusted_bars(raw, end), splits), splits)
    assert_frame_equal(again.select(raw.columns), raw, check_exact=True)


def test_adjusted_prices_are_continuous_over_splits() -> None:
    days = [START + dt.timedelta(days=n) for n in range(6)]
    raw = bars_of(*(("1.T", day, price, price) for day, price in zip(days, [900, 910, 91, 92, 920, 184], strict=True)))
    raw = raw.with_columns(split_ratio=pl.Series([1.0, 1.0, 10.0, 1.0, 0.1, 5.0]))
    adjusted = adjusted_bars(raw, days[-1])
    assert adjusted["close"].to_list() == [180.0, 182.0, 182.0, 184.0, 184.0, 184.0]
    assert adjusted["volume"].to_list() == [5000.0, 5000.0, 500.0, 500.0, 5000.0, 1000.0]
    assert "split_ratio" not in adjusted.columns
    # As known three days earlier: only the first split had happened.
    assert adjusted_bars(raw, days[3])["close"].to_list() == [90.0, 91.0, 91.0, 92.0]


# --- single rules -----------------------------------------------------------------------------------------------------


def test_a_split_on_the_ex_date_leaves_that_day_alone() -> None:
    bars = bars_of(("1.T", D(2021, 9, 28), 2000, 2077), ("1.T", D(2021, 9, 29), 2052, 2073), volume=5000, dividend=24.0)
    stored = to_as_traded(bars, splits_of(("1.T", D(2021, 9, 29), 5.0)))
    assert stored["close"].to_list() == [10385.0, 2073.0]
    assert stored["volume"].to_list() == [1000, 5000]
    assert stored["volume"].dtype == pl.Int64
    assert stored["dividend"].to_list() == [120.0, 24.0]


def test_a_split_of_another_ticker_changes_nothing() -> None:
    bars = bars_of(("1.T", D(2021, 9, 28), 2000, 2077))
    assert_frame_equal(to_as_traded(bars, splits_of(("2.T", D(2021, 9, 29), 5.0))), bars)


def test_splits_attach_to_the_first_row_after_a_halt_and_multiply() -> None:
    days = [D(2021, 9, 27), D(2021, 9, 30), D(2021, 10, 1)]
    bars = bars_of(*(("1.T", day, 100, 100) for day in days)).drop("split_ratio")
    splits = splits_of(("1.T", D(2021, 9, 28), 2.0), ("1.T", D(2021, 9, 29), 5.0), ("1.T", D(2021, 10, 4), 3.0))
    assert attach_splits(bars, splits)["split_ratio"].to_list() == [1.0, 10.0, 1.0]


def test_a_split_before_the_first_row_is_not_moved_onto_it() -> None:
    bars = bars_of(("1.T", D(2021, 9, 29), 100, 100), ("1.T", D(2021, 9, 30), 100, 100))
    assert attach_splits(bars, splits_of(("1.T", D(2020, 1, 6), 2.0)))["split_ratio"].to_list() == [1.0, 1.0]
    assert attach_splits(bars, splits_of(("1.T", D(2021, 9, 29), 2.0)))["split_ratio"].to_list() == [2.0, 1.0]


def test_no_splits_and_no_rows() -> None:
    empty = pl.DataFrame(schema=BARS_SCHEMA)
    assert attach_splits(to_as_traded(empty, splits_of()), splits_of()).height == 0
    assert adjusted_bars(empty, START).height == 0


def test_dividends_attach_to_the_first_row_after_a_halt_and_add_up() -> None:
    days = [D(2021, 9, 27), D(2021, 9, 30), D(2021, 10, 1)]
    bars = bars_of(*(("1.T", day, 100, 100) for day in days)).drop("dividend")
    rows = [("1.T", D(2021, 9, 24), 7.0), ("1.T", D(2021, 9, 28), 2.0), ("1.T", D(2021, 9, 29), 0.5),
            ("1.T", D(2021, 10, 4), 3.0), ("2.T", D(2021, 9, 30), 9.0)]  # fmt: skip
    dividends = pl.DataFrame(rows, schema=DIVIDENDS_SCHEMA, orient="row")
    assert attach_dividends(bars, dividends)["dividend"].to_list() == [0.0, 2.5, 0.0]
    assert attach_dividends(bars[2:], dividends[3:]).select("session", "dividend").rows() == [(days[2], 0.0)]
    assert attach_dividends(bars, dividends.clear())["dividend"].to_list() == [0.0] * 3


def test_duplicates_as_yahoo_lists_them_are_dropped_and_named() -> None:
    splits = splits_of(
        ("6594.T", D(2020, 3, 30), 2.0), ("6594.T", D(2020, 4, 1), 2.0), ("6594.T", D(2024, 9, 27), 2.0),
        ("7203.T", D(2021, 10, 1), 5.0), ("7203.T", D(2021, 9, 29), 5.0), ("8001.T", D(2021, 10, 1), 5.0),
    )  # fmt: skip
    kept, findings = drop_duplicate_splits(splits)
    assert kept.rows() == [
        ("6594.T", D(2020, 3, 30), 2.0), ("6594.T", D(2024, 9, 27), 2.0),
        ("7203.T", D(2021, 9, 29), 5.0), ("8001.T", D(2021, 10, 1), 5.0),
    ]  # fmt: skip
    assert findings.rows() == [
        ("6594.T", D(2020, 4, 1), "duplicate_split", "warning", "2:1 again", "2:1 once, on 2020-03-30"),
        ("7203.T", D(2021, 10, 1), "duplicate_split", "warning", "5:1 again", "5:1 once, on 2021-09-29"),
    ]


@pytest.mark.parametrize(("days", "ratio", "kept"), [(0, 3.0, 1), (7, 3.0, 1), (8, 3.0, 2), (2, 2.0, 2)])
def test_duplicate_means_same_ratio_within_a_week(days: int, ratio: float, kept: int) -> None:
    splits = splits_of(("1.T", START, 3.0), ("1.T", START + dt.timedelta(days=days), ratio))
    assert drop_duplicate_splits(splits)[0].height == kept


@pytest.mark.parametrize(
    ("price", "ratio", "seen"),
    [
        (200.0, 5.0, True),
        (1000.0, 5.0, False),
        (130.0, 5.0, True),  # a crash of 35 % on the ex-date hides no split
        (9800.0, 0.1, True),
        (1000.0, 0.1, False),
        (990.0, 1.1, True),  # too small to be told from a move: believed
    ],
)
def test_a_split_that_prices_do_not_show_is_dropped(price: float, ratio: float, seen: bool) -> None:
    bars = bars_of(("1.T", D(2021, 9, 28), 1000, 1000), ("1.T", D(2021, 9, 29), price, price * 1.01))
    splits = splits_of(("1.T", D(2021, 9, 29), ratio), ("2.T", D(2021, 9, 29), 3.0))
    kept, findings = drop_unseen_splits(bars, splits)
    assert kept.rows() == (splits.rows() if seen else splits.rows()[1:])
    assert findings.select("ticker", "session", "defect").rows() == (
        [] if seen else [("1.T", D(2021, 9, 29), "unseen_split")]
    )
    if not seen:
        assert f"from 1000 to {price:g} (open)" in findings["seen"][0]
        assert findings["expected"][0] == f"about {1000 / ratio:g}, or no split"


def test_large_histories_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"{n}.T", START + dt.timedelta(days=int(d)), 10.0, 10.0) for n in range(5) for d in rng.permutation(9)]
    bars = bars_of(*rows)
    splits = splits_of(("3.T", START + dt.timedelta(days=4), 2.0))
    assert to_as_traded(bars, splits).select("ticker", "session").rows() == bars.select("ticker", "session").rows()
    assert attach_splits(bars, splits).select("ticker", "session").rows() == bars.select("ticker", "session").rows()
