"""The panel: labels and their maturity, sequences, membership, eligibility; and inference equal to it."""

import datetime as dt
import math
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.features.names import HORIZONS, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs, Panel, build_panel, gather, model_inputs
from stockfc_assets.features.weekly import weekly_features
from stockfc_assets.features.weeks import add_months, sequence_session_dates
from stockfc_assets_tests.features.random_market import (
    BENCHMARK,
    calendar_sessions,
    random_bars,
    random_facts,
    sessions_between,
    universe_of,
)

START, MONTH = dt.date(2016, 1, 4), dt.date(2019, 9, 1)
TICKERS = ("1111.T", "2222.T", "3333.T", "4444.T", "5555.T")
LATE, LEAVER = "4444.T", "5555.T"
LISTED = dt.date(2017, 3, 8)
SECTORS = {"Banks": 7, "Foods": 2}
SESSIONS = sessions_between(START, MONTH + dt.timedelta(days=60))
UNIVERSE = universe_of(
    (*TICKERS, BENCHMARK),
    members={
        LEAVER: [
            {"member_from": dt.date(2016, 1, 1), "member_to": dt.date(2019, 6, 14)},
            {"member_from": dt.date(2019, 7, 1), "member_to": dt.date(2019, 7, 31)},
        ]
    },
)


@cache
def market() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(raw, weekly features, facts) of nearly four years: gaps, splits, a late listing, a halt of three weeks."""
    raw = random_bars((*TICKERS, BENCHMARK), SESSIONS, split_share=0.003)
    halted = (pl.col("ticker") == TICKERS[2]) & pl.col("session").is_between(dt.date(2019, 7, 8), dt.date(2019, 7, 26))
    raw = raw.filter(~((pl.col("ticker") == LATE) & (pl.col("session") < LISTED)) & ~halted)
    months = [add_months(START.replace(day=1), m) for m in range(46) if m % 5 != 3]
    return raw, weekly_features(raw, SESSIONS, calendar_sessions(), UNIVERSE), random_facts(TICKERS, months)


def panel_of(month: dt.date, *, start: dt.date = START) -> Panel:
    raw, features, facts = market()
    return build_panel(features, raw, facts, UNIVERSE, SECTORS, calendar_sessions(), start, month)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return panel_of(MONTH)


def test_shapes_types_and_order(panel: Panel) -> None:
    n, s = 5, len(sessions_between(START, dt.date(2019, 8, 31)))
    assert panel.tickers == TICKERS
    assert panel.month == MONTH
    shapes = {
        "sessions": ("datetime64[D]", (s,)),
        "features": ("float32", (n, s, 23)),
        "static": ("float32", (n, s, 6)),
        "position": ("float32", (s, 2)),
        "labels": ("float32", (n, s, 12)),
        "label_end": ("datetime64[D]", (s, 12)),
        "sector_id": ("int64", (n,)),
        "traded": ("bool", (n, s)),
        "member": ("bool", (n, s)),
        "sequence_sessions": ("int32", (s, 156)),
        "last_row": ("int32", (n, s)),
        "weeks_of_history": ("int16", (n, s)),
        "eligible": ("bool", (n, s)),
    }
    for name, (dtype, shape) in shapes.items():
        array = getattr(panel, name)
        assert (str(array.dtype), array.shape) == (dtype, shape), name
    assert panel.sessions[-1].item() == dt.date(2019, 8, 30)
    assert panel.sector_id.tolist() == [7, 2, 7, 2, 7]


def test_features_stand_where_their_rows_say(panel: Panel) -> None:
    _, features, _ = market()
    rows = features.filter(pl.col("session") < MONTH)
    assert panel.traded.sum() == rows.height
    number = {session: j for j, session in enumerate(SESSIONS)}
    for row in rows.sample(200, seed=1).iter_rows(named=True):
        expected = np.array([row[name] for name in WEEKLY_FEATURES], dtype=np.float32)
        found = panel.features[TICKERS.index(row["ticker"]), number[row["session"]]]
        np.testing.assert_array_equal(found, expected)
    assert np.isnan(panel.features[~panel.traded]).all()


def test_labels_equal_naive_ones(panel: Panel) -> None:
    raw, _, _ = market()
    known = set()
    for i, ticker in enumerate(TICKERS):
        bars = {row["session"]: row for row in raw.filter(pl.col("ticker") == ticker).iter_rows(named=True)}
        for s in range(0, len(panel.sessions), 17):
            for h in HORIZONS:
                expected = naive_label(bars, SESSIONS[s], h)
                found = panel.labels[i, s, h - 1]
                if expected is None:
                    assert math.isnan(found), (ticker, SESSIONS[s], h)
                else:
                    known.add(h)
                    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6), (ticker, SESSIONS[s], h)
    assert known == set(HORIZONS)


def naive_label(bars: dict[dt.date, dict], as_of: dt.date, h: int) -> float | None:
    end = add_months(as_of, h)
    if as_of not in bars or end >= MONTH:
        return None
    last = max(j for j, session in enumerate(SESSIONS) if session <= end)
    for session in SESSIONS[last : last - 6 : -1]:
        if session in bars:
            between = [row["split_ratio"] for day, row in bars.items() if as_of < day <= session]
            return math.log(bars[session]["close"] * math.prod(between) / bars[as_of]["close"])
    return None


def test_label_ends_on_the_same_day_of_a_later_month(panel: Panel) -> None:
    s = SESSIONS.index(dt.date(2018, 8, 31))
    ends = panel.label_end[s].tolist()
    assert (ends[0], ends[5], ends[11]) == (dt.date(2018, 9, 30), dt.date(2019, 2, 28), dt.date(2019, 8, 31))
    assert not np.isnan(panel.labels[0, s, 11]), "a label that ends on the day before the month is known"
    s = SESSIONS.index(dt.date(2019, 8, 1))
    assert panel.label_end[s, 0].item() == MONTH
    assert np.isnan(panel.labels[:, s]).all(), "a label that ends on the month's first day is not"


@given(st.dates(dt.date(2016, 3, 1), dt.date(2019, 10, 1)).map(lambda day: day.replace(day=1)))
@settings(deadline=None, max_examples=25)
def test_no_label_reaches_into_the_month_and_later_data_change_nothing(month: dt.date) -> None:
    panel = panel_of(month)
    assert (panel.sessions < np.datetime64(month)).all()
    assert not (~np.isnan(panel.labels) & (panel.label_end >= np.datetime64(month))[None]).any()
    raw, features, facts = market()
    before = pl.col("session") < month
    alone = build_panel(
        features.filter(before), raw.filter(before), facts.filter(pl.col("as_of") < month),
        UNIVERSE, SECTORS, calendar_sessions(), START, month,
    )  # fmt: skip
    assert_same_panels(panel, alone)


@given(st.dates(dt.date(2016, 6, 1), dt.date(2019, 8, 31)).map(lambda day: day.replace(day=1)))
@settings(deadline=None, max_examples=15)
def test_a_later_month_extends_an_earlier_panel(panel: Panel, month: dt.date) -> None:
    """What was known stays as it was, to the bit; labels that have matured since are added."""
    earlier = panel_of(month)
    s = len(earlier.sessions)
    for name in ("features", "static", "traded", "member", "last_row", "weeks_of_history", "eligible"):
        assert getattr(panel, name)[:, :s].tobytes() == getattr(earlier, name).tobytes(), name
    known = ~np.isnan(earlier.labels)
    np.testing.assert_array_equal(panel.labels[:, :s][known], earlier.labels[known])
    added = ~np.isnan(panel.labels[:, :s]) & ~known
    later_end = np.broadcast_to(earlier.label_end >= np.datetime64(month), added.shape)
    assert later_end[added].all()


def assert_same_panels(left: Panel, right: Panel) -> None:
    for name in Panel.__dataclass_fields__:
        a, b = getattr(left, name), getattr(right, name)
        assert (a.tobytes() == b.tobytes()) if isinstance(a, np.ndarray) else a == b, name


def test_membership_and_history_make_a_sample(panel: Panel) -> None:
    first = panel.eligible.argmax(axis=1)
    # 4 January 2016 begins week 1; week 156 with a session (Golden Week 2019 is later) begins on 24 December 2018.
    assert panel.sessions[first[0]].item() >= dt.date(2018, 12, 25)
    assert panel.weeks_of_history[0, SESSIONS.index(dt.date(2018, 12, 21))] == 155
    assert panel.weeks_of_history[0, SESSIONS.index(dt.date(2018, 12, 25))] == 156
    assert not panel.eligible[TICKERS.index(LATE)].any()
    listed = SESSIONS.index(next(d for d in SESSIONS if d >= LISTED and panel.traded[3, SESSIONS.index(d)]))
    assert panel.weeks_of_history[3, listed - 1] == 0
    assert panel.weeks_of_history[3, listed] == 1
    assert panel.last_row[3, listed - 1] == -1
    leaver = TICKERS.index(LEAVER)
    left = [d for d in SESSIONS if dt.date(2019, 6, 3) <= d < MONTH and panel.member[leaver, SESSIONS.index(d)]]
    assert left == [
        d for d in sessions_between(dt.date(2019, 6, 3), dt.date(2019, 7, 31))
        if d <= dt.date(2019, 6, 14) or d >= dt.date(2019, 7, 1)
    ]  # fmt: skip
    expected = panel.traded & panel.member & (panel.weeks_of_history == 156)
    assert (panel.eligible == expected).all()


def test_in_a_week_without_a_trade_the_newest_earlier_row_stands(panel: Panel) -> None:
    """3333.T is halted from 8 to 26 July 2019: three weeks repeat its last row before."""
    i, s = 2, int(np.flatnonzero(panel.traded[2] & (panel.sessions >= np.datetime64("2019-08-05")))[0])
    sample = gather(panel, np.array([i]), np.array([s]))
    dates = sequence_session_dates(SESSIONS[s], calendar_sessions())
    assert sample.tickers == ("3333.T",)
    for week, date in enumerate(dates):
        upto = SESSIONS.index(date)
        row = max(j for j in range(upto + 1) if panel.traded[i, j])
        np.testing.assert_array_equal(sample.weekly_seq[0, week], panel.features[i, row])
    repeated = [week for week, date in enumerate(dates) if dt.date(2019, 7, 5) <= date <= dt.date(2019, 7, 26)]
    assert len(repeated) == 4
    for week in repeated[1:]:
        assert sample.weekly_seq[0, week].tobytes() == sample.weekly_seq[0, repeated[0]].tobytes()


def needed_rows(features: pl.DataFrame, session: dt.date) -> pl.DataFrame:
    """What a loader hands in: the rows on the sequence's dates, and the newest before where a ticker has none."""
    dates = sequence_session_dates(session, calendar_sessions())
    rows = [features.filter(pl.col("session").is_in(dates))]
    for date in dates[:-1]:
        there = features.filter(pl.col("session") == date)["ticker"]
        older = features.filter((pl.col("session") < date) & ~pl.col("ticker").is_in(there.to_list()))
        rows.append(older.sort("session").group_by("ticker").last().select(features.columns))
    return pl.concat(rows).unique(["ticker", "session"]).sample(fraction=1, shuffle=True, seed=3)


@given(number=st.integers(0, 165))
@settings(deadline=None, max_examples=10)
def test_inference_equals_the_panel_to_the_bit(panel: Panel, number: int) -> None:
    s = len(panel.sessions) - 1 - number
    session = panel.sessions[s].item()
    raw, features, facts = market()
    since = pl.col("session") >= add_months(session.replace(day=1), -14)
    inputs, skipped = model_inputs(
        needed_rows(features, session), raw.filter(since), facts, UNIVERSE, SECTORS, calendar_sessions(), session
    )
    chosen = np.flatnonzero(panel.eligible[:, s])
    expected = gather(panel, chosen, np.full(len(chosen), s))
    for name in ModelInputs.__dataclass_fields__:
        a, b = getattr(inputs, name), getattr(expected, name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            assert a.tobytes() == b.tobytes(), name
        else:
            assert a == b
    assert set(skipped) == set(TICKERS) - set(inputs.tickers)
    whole, same = model_inputs(features, raw, facts, UNIVERSE, SECTORS, calendar_sessions(), session)
    assert same == skipped
    assert whole.weekly_seq.tobytes() == inputs.weekly_seq.tobytes()


def test_reasons_for_having_no_sample() -> None:
    raw, features, facts = market()
    session = dt.date(2019, 7, 10)
    reasons = {}
    for day in (session, dt.date(2019, 6, 17)):
        _, skipped = model_inputs(features, raw, facts, UNIVERSE, SECTORS, calendar_sessions(), day)
        reasons[day] = skipped
    assert reasons[session][TICKERS[2]] == "no trade on 2019-07-10"
    # Weeks from the one of 6 March 2017 to that of 10 July 2019, less Golden Week: 122 + 1 - 1.
    assert reasons[session][LATE] == "122 of 156 weeks of history"
    assert reasons[dt.date(2019, 6, 17)][LEAVER] == "not a member on 2019-06-17"


def test_a_session_before_any_data_has_no_samples() -> None:
    raw, features, facts = market()
    session = dt.date(2015, 6, 1)
    inputs, skipped = model_inputs(features, raw, facts, UNIVERSE, SECTORS, calendar_sessions(), session)
    assert inputs.weekly_seq.shape == (0, 156, 23)
    assert inputs.static_features.shape == (0, 6)
    assert inputs.position_features.shape == (0, 2)
    assert set(skipped) == set(TICKERS)


def test_positions_without_a_row_are_missing(panel: Panel) -> None:
    sample = gather(panel, np.array([0, 3]), np.array([0, 0]))
    assert np.isnan(sample.weekly_seq[:, :-1]).all()
    assert np.isnan(sample.weekly_seq[1]).all()
    assert not np.isnan(sample.weekly_seq[0, -1, 6])


@pytest.mark.parametrize(
    ("start", "month", "sectors", "error", "message"),
    [
        (START, dt.date(2019, 9, 2), SECTORS, InputError, "such as 2019-09-01"),
        (MONTH, MONTH, SECTORS, InputError, "no session from 2019-09-01 to before 2019-09-01"),
        (START, MONTH, {"Banks": 0}, ConfigError, "2222.T: sector 'Foods' has no id"),
    ],
)
def test_what_cannot_be_built(
    start: dt.date, month: dt.date, sectors: dict[str, int], error: type[Exception], message: str
) -> None:
    raw, features, facts = market()
    with pytest.raises(error, match=message):
        build_panel(features, raw, facts, UNIVERSE, sectors, calendar_sessions(), start, month)
