"""Stored rows that are doubted: as of each session, alone or in a batch, and at the edges of each rule."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stockfc_assets.market.calendar import profile_of, trading_calendar
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.quality.stored import LOOKBACK_SESSIONS, stored_findings
from stockfc_assets.market.source import BARS_SCHEMA
from stockfc_assets.settings import PriceQuality, QualitySettings

SESSIONS = trading_calendar("XTKS").between(dt.date(2021, 1, 4), dt.date(2023, 12, 29))
TOKYO = profile_of("XTKS")
Row = tuple[str, int, float, float, float, float, int, float]
"""Ticker, number of the session, open, high, low, close, volume, split_ratio."""


def raw_of(rows: Sequence[Row]) -> pl.DataFrame:
    full = [(t, SESSIONS[n], o, h, low, c, v, 0.0, ratio, "JPY") for t, n, o, h, low, c, v, ratio in rows]
    return pl.DataFrame(full, schema=BARS_SCHEMA, orient="row").sort("session", "ticker")


def steady(ticker: str, count: int, *, price: float = 1000.0, volume: int = 50_000) -> dict[int, Row]:
    """Rows that nobody doubts; by number of the session."""
    return {
        n: (ticker, n, price, price + 10, price - 10, price + n % 7, volume + 100 * (n % 11), 1.0) for n in range(count)
    }


def examine(
    raw: pl.DataFrame,
    sessions: Sequence[dt.date] = SESSIONS,
    *,
    quality: PriceQuality | None = None,
    exchange: str = "XTKS",
    **known: object,
) -> pl.DataFrame:
    return stored_findings(
        raw,
        sessions,
        calendar_sessions=SESSIONS,
        profile=profile_of(exchange),
        settings=QualitySettings(prices=quality or PriceQuality()),
        **known,
    )


def named(found: pl.DataFrame) -> list[tuple[str, int, str]]:
    return [(t, SESSIONS.index(s), d) for t, s, d in found.select("ticker", "session", "defect").rows()]


# --- laws -------------------------------------------------------------------------------------------------------------


@st.composite
def markets(draw: st.DrawFn) -> list[Row]:
    """Three tickers with everything that the rules look at: repeats, gaps, jumps, splits, odd volumes."""
    rows: list[Row] = []
    for ticker in ("1.T", "2.T", "3.T"):
        number, close, volume = 0, 1000.0, 10_000
        for _ in range(draw(st.integers(20, 45))):
            number += draw(st.sampled_from([1] * 12 + [2, 59, 60, 61, 255]))
            if number >= len(SESSIONS):
                break
            kind = draw(st.sampled_from(["usual"] * 12 + ["repeat", "jump", "split", "hidden", "odd"]))
            if kind == "repeat" and rows and rows[-1][0] == ticker:
                rows.append((ticker, number, *rows[-1][2:7], 1.0))
                continue
            ratio = draw(st.sampled_from([5.0, 3.0, 0.2])) if kind in ("split", "hidden") else 1.0
            move = {"jump": draw(st.sampled_from([5.0, 0.2, 1.3])), "hidden": ratio}.get(kind, 1.01)
            close = max(5.0, round(close * move / (ratio if kind == "split" else 1.0), 1))
            volume = 100 * draw(st.integers(1, 300)) + (37 if kind == "odd" else 0)
            rows.append((ticker, number, close, close * 1.01, close * 0.99, close, volume, ratio))
    return rows


@settings(deadline=None, max_examples=50)
@given(markets(), st.integers(0, 200))
def test_nothing_later_changes_a_finding(rows: list[Row], day: int) -> None:
    raw, cut = raw_of(rows), SESSIONS[day]
    whole = examine(raw).filter(pl.col("session") <= cut)
    assert_frame_equal(examine(raw.filter(pl.col("session") <= cut)), whole)


@settings(deadline=None, max_examples=40)
@given(markets(), st.data())
def test_a_session_alone_has_the_findings_that_it_has_in_a_batch(rows: list[Row], data: st.DataObject) -> None:
    quality = PriceQuality(stale_names=2)
    raw = raw_of(rows)
    whole = examine(raw, quality=quality)
    doubted = whole["session"].unique().sort().to_list()
    traded = raw["session"].unique().sort().to_list()
    chosen = data.draw(st.sets(st.sampled_from(traded), min_size=3, max_size=6))
    chosen |= data.draw(st.sets(st.sampled_from(doubted), max_size=3)) if doubted else set()
    alone = []
    for session in sorted(chosen):
        first = SESSIONS[max(0, SESSIONS.index(session) - LOOKBACK_SESSIONS)]
        before = raw.filter(pl.col("session") < first).group_by("ticker").agg(pl.col("session").max())
        recent = raw.filter(pl.col("session") >= first)
        alone.append(examine(recent, [session], quality=quality, last_traded=dict(before.iter_rows())))
    assert_frame_equal(pl.concat(alone), whole.filter(pl.col("session").is_in(chosen)))


@settings(deadline=None, max_examples=40)
@given(markets())
def test_a_slow_reading_agrees_on_repeats_jumps_and_gaps(rows: list[Row]) -> None:
    """Rows one by one, in plain Python: what repeats, what moves beyond 1.4, and what follows a year's gap."""
    expected = []
    for before, row in itertools.pairwise(rows):
        if before[0] != row[0]:
            continue
        gap = row[1] - before[1]
        if gap > 250:
            expected.append((row[0], row[1], "ticker_reuse"))
        if gap > LOOKBACK_SESSIONS:
            continue
        if before[2:7] == row[2:7]:
            expected.append((row[0], row[1], "stale_row"))
        factor = row[5] * row[7] / before[5]
        if not 1 / 1.4 <= factor <= 1.4:
            expected.append((row[0], row[1], "jump"))
    quality = PriceQuality(stale_names=4, limit_margin=1e9)
    found = examine(raw_of(rows), quality=quality).filter(pl.col("defect") != "volume_basis")
    jumps = ("unexplained_jump", "half_applied_split")
    got = [(t, n, "jump" if d in jumps else d) for t, n, d in named(found)]
    assert sorted(got) == sorted(expected)


def test_rows_that_nobody_doubts() -> None:
    rows = [row for name in "123456" for row in steady(f"{name}.T", 300).values()]
    assert examine(raw_of(rows)).is_empty()
    assert examine(raw_of([])).is_empty()


# --- stale ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stale", "defect"), [(2, "stale_row"), (3, "stale_session")])
def test_a_session_is_stale_from_half_of_the_names(stale: int, defect: str) -> None:
    markets = {f"{name}.T": steady(f"{name}.T", 40) for name in range(1, 7)}
    for ticker in list(markets)[:stale]:
        markets[ticker][30] = (ticker, 30, *markets[ticker][29][2:])
    found = examine(raw_of([row for rows in markets.values() for row in rows.values()]))
    assert named(found) == [(f"{name}.T", 30, defect) for name in range(1, stale + 1)]
    assert found["severity"].unique().to_list() == ["error" if stale == 3 else "warning"]
    if stale == 3:
        assert found["seen"][0].endswith(", as 3 of 6 names")


def test_names_without_a_trade_count_and_few_names_do_not() -> None:
    markets = {f"{name}.T": steady(f"{name}.T", 40) for name in range(1, 6)}
    untraded = []
    for ticker in list(markets)[:3]:
        del markets[ticker][30]
        untraded.append(finding(ticker, SESSIONS[30], "no_trade_row", seen="x", expected="y"))
    raw = raw_of([row for rows in markets.values() for row in rows.values()])
    found = examine(raw, delivered=findings_frame(untraded))
    assert named(found) == [(f"{name}.T", 30, "stale_session") for name in (1, 2, 3)]
    assert found["seen"][0] == "no trade, as 3 of 5 names stale or without a trade"
    assert examine(raw, delivered=findings_frame(untraded), quality=PriceQuality(stale_names=6)).is_empty()
    assert examine(raw).is_empty()


@pytest.mark.parametrize(("volume", "doubted"), [(900, False), (1000, True)])
def test_one_price_repeats_by_chance_below_ten_lots(volume: int, doubted: bool) -> None:
    rows = steady("1.T", 40)
    rows[30] = ("1.T", 30, 1000, 1000, 1000, 1000, volume, 1.0)
    rows[31] = ("1.T", 31, 1000, 1000, 1000, 1000, volume, 1.0)
    assert named(examine(raw_of(list(rows.values())))) == ([("1.T", 31, "stale_row")] if doubted else [])


# --- jumps ------------------------------------------------------------------------------------------------------------


def scaled(rows: dict[int, Row], since: int, factor: float, *, split: tuple[int, float] | None = None) -> list[Row]:
    """Prices times ``factor`` from row ``since`` on, and a split ratio at a row."""
    done = []
    for n, (ticker, number, *prices, volume, ratio) in rows.items():
        k = factor if n >= since else 1.0
        ratio = split[1] if split and split[0] == n else ratio
        done.append((ticker, number, *(price * k for price in prices), volume, ratio))
    return done


@pytest.mark.parametrize(
    ("since", "factor", "split", "expected"),
    [
        (30, 0.2, (30, 5.0), []),
        (30, 0.2, None, [("1.T", 30, "unexplained_jump")]),
        # Known from the row of the split on, not before it.
        (30, 0.2, (28, 5.0), [("1.T", 28, "half_applied_split"), ("1.T", 30, "half_applied_split")]),
        (30, 0.2, (32, 5.0), [("1.T", 30, "unexplained_jump"), ("1.T", 32, "half_applied_split")]),
        (30, 0.04, (30, 5.0), [("1.T", 30, "half_applied_split")]),
        (30, 0.5, (30, 5.0), [("1.T", 30, "unexplained_jump")]),
        (
            30,
            0.75,
            None,
            [("1.T", 30, "unexplained_jump")],
        ),  # 250 yen; the limit of a 1,001-yen stock is 300, of 999, 150
        (30, 0.96, None, []),
    ],
)
def test_jumps_and_the_splits_that_explain_them(
    since: int, factor: float, split: tuple[int, float] | None, expected: list[tuple]
) -> None:
    rows = steady("1.T", 60, price=990.0, volume=1000)
    found = examine(raw_of(scaled(rows, since, factor, split=split)))
    assert [each for each in named(found) if each[2] != "volume_basis"] == expected


def test_what_was_named_on_arrival_is_not_named_again() -> None:
    raw = raw_of(scaled(steady("1.T", 40), 30, 0.2))
    assert named(examine(raw)) == [("1.T", 30, "unexplained_jump")]
    arrived = findings_frame([finding("1.T", SESSIONS[30], "half_applied_split", seen="x", expected="y")])
    assert examine(raw, delivered=arrived).is_empty()
    other = findings_frame([finding("2.T", SESSIONS[30], "half_applied_split", seen="x", expected="y")])
    assert named(examine(raw, delivered=other)) == [("1.T", 30, "unexplained_jump")]


def test_the_exchanges_price_limit() -> None:
    def after(high: float, *, previous: float = 990.0, exchange: str = "XTKS") -> list[str]:
        rows = [("1.T", 29, 990, 990, 990, 990, 100, 1.0), ("1.T", 30, previous, previous, previous, previous, 100, 1.0),
                ("1.T", 31, previous, high, previous, previous, 100, 1.0)]  # fmt: skip
        return examine(raw_of(rows), [SESSIONS[31]], exchange=exchange)["seen"].to_list()

    assert after(990 + 150 * 1.02) == []
    assert after(1144.0) == ["low 990 and high 1144 after 990"]
    assert after(1144.0, exchange="XNYS") == []
    assert after(1287.0, exchange="XKRX") == []
    assert after(1297.0, exchange="XKRX") == ["low 990 and high 1297 after 990"]
    # A close at the limit widens that of the next session.
    assert after(1800.0, previous=1140.0) == []
    assert after(1800.0, previous=1130.0) == ["low 1130 and high 1800 after 1130"]


def test_the_limit_is_that_of_the_session_before_only() -> None:
    rows = [("1.T", 29, 990, 990, 990, 990, 100, 1.0), ("1.T", 31, 990, 1200, 990, 990, 100, 1.0)]
    assert examine(raw_of(rows)).is_empty()


# --- volumes and tickers ----------------------------------------------------------------------------------------------


def test_the_first_odd_volume_after_ten_whole_ones() -> None:
    rows = steady("1.T", 60)
    for n in (5, 30, 31, 35, 50):
        rows[n] = (*rows[n][:6], 50_037, 1.0)
    found = examine(raw_of(list(rows.values())))
    assert named(found) == [("1.T", 30, "volume_basis"), ("1.T", 50, "volume_basis")]
    assert found.row(0)[4:] == ("volume 50037", "a multiple of 100, like the 10 rows before")
    assert examine(raw_of(list(rows.values())), exchange="XNYS").is_empty()
    fund = [(*row[:6], row[6] + 1 + n % 7, 1.0) for n, row in steady("1.T", 60).items()]
    assert examine(raw_of(fund)).is_empty()


@pytest.mark.parametrize(
    ("ratio", "volume", "doubted"),
    [(5.0, 5.0, False), (5.0, 1.0, True), (5.0, 25.0, True), (5.0, 2.0, False), (2.0, 1.0, False), (0.2, 1.0, True)],
)
def test_turnover_over_a_split(ratio: float, volume: float, doubted: bool) -> None:
    """Volume must be multiplied by the ratio where the price is divided by it."""
    done = scaled(steady("1.T", 60), 30, 1 / ratio, split=(30, ratio))
    rows = [(*row[:6], round(row[6] * volume / 100) * 100 if row[1] >= 30 else row[6], row[7]) for row in done]
    found = examine(raw_of(rows))
    assert named(found) == ([("1.T", 34, "volume_basis")] if doubted else [])
    if doubted:
        assert f"of {SESSIONS[30]} and" in found["seen"][0]
    assert examine(raw_of(rows), SESSIONS[30:34]).is_empty()


def test_turnover_from_before_a_long_halt_is_not_compared() -> None:
    def halted(sessions: int) -> list[tuple[str, int, str]]:
        early = list(steady("1.T", 20).values())
        late = [("1.T", 20 + sessions + n, 200, 200, 200, 200, 50_000, 5.0 if n == 0 else 1.0) for n in range(5)]
        found = examine(raw_of([*early, *late]))
        return [each for each in named(found) if each[2] == "volume_basis"]

    # The fifth row from the split sees 60 sessions back: five rows of those before it, or four.
    assert halted(LOOKBACK_SESSIONS - 9) == [("1.T", LOOKBACK_SESSIONS + 15, "volume_basis")]
    assert halted(LOOKBACK_SESSIONS - 8) == []


def test_a_ticker_that_comes_back_after_a_year() -> None:
    rows = [row for n, row in steady("1.T", 600).items() if n < 100 or n >= 351]
    found = examine(raw_of(rows))
    assert named(found) == [("1.T", 351, "ticker_reuse")]
    assert found["seen"][0] == "the first row after 251 sessions without one"
    halted = [row for n, row in steady("1.T", 600).items() if n < 100 or n >= 349]
    assert examine(raw_of(halted)).is_empty()
    listed = [row for n, row in steady("2.T", 600).items() if n >= 351]
    assert examine(raw_of(listed)).is_empty()
    assert named(examine(raw_of(listed), last_traded={"2.T": SESSIONS[100]})) == [("2.T", 351, "ticker_reuse")]
    assert examine(raw_of(listed), last_traded={"2.T": SESSIONS[101]}).is_empty()
    assert examine(raw_of(listed), last_traded={"9.T": SESSIONS[1]}).is_empty()
