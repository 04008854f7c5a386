"""Static features: which facts count, on which share basis, at which price."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from stockfc_assets.features.static import static_features
from stockfc_assets.features.weeks import session_days
from stockfc_assets_tests.features.random_market import random_bars, random_facts, sessions_between

FACTS = {
    "shares_outstanding": 1e6,
    "eps_ttm": 100.0,
    "book_value_per_share": 800.0,
    "dividend_per_share_ttm": 20.0,
    "return_on_equity": 0.125,
    "profit_margin": 0.05,
}
AUGUST, SEPTEMBER = dt.date(2024, 8, 1), dt.date(2024, 9, 1)
SESSIONS = sessions_between(dt.date(2024, 7, 30), dt.date(2024, 9, 4))


def facts(as_of: dt.date, **changes: float | None) -> pl.DataFrame:
    schema = {"ticker": pl.String, "as_of": pl.Date} | dict.fromkeys(FACTS, pl.Float64)
    return pl.DataFrame([{"ticker": "1111.T", "as_of": as_of, **FACTS, **changes}], schema=schema)


def bars(close: float = 1000.0, splits: dict[dt.date, float] | None = None, without: tuple = ()) -> pl.DataFrame:
    splits, basis, rows = splits or {}, 1.0, []
    for session in SESSIONS:
        basis *= splits.get(session, 1.0)
        if session not in without:
            row = {"ticker": "1111.T", "session": session, "close": close / basis}
            rows.append(row | {"split_ratio": splits.get(session, 1.0)})
    return pl.DataFrame(rows)


def by_session(enrichment: pl.DataFrame, raw: pl.DataFrame) -> dict[dt.date, list[float]]:
    values = static_features(enrichment, raw, ["1111.T"], session_days(SESSIONS))
    assert values.dtype == np.float32
    return dict(zip(SESSIONS, values[0].tolist(), strict=True))


def test_values_without_splits_and_nothing_before_they_were_known() -> None:
    found = by_session(facts(AUGUST), bars())
    assert np.isnan([found[day] for day in SESSIONS if day < AUGUST]).all()
    for day in SESSIONS[2:]:
        assert found[day] == pytest.approx([0.1, 0.8, 0.02, 0.125, 0.05, math.log(1e9)], rel=1e-6)


@pytest.mark.parametrize("day", [AUGUST, dt.date(2024, 8, 2), dt.date(2024, 8, 20), dt.date(2024, 9, 2)])
def test_a_split_on_or_after_as_of_moves_the_facts(day: dt.date) -> None:
    """Also on as_of itself: facts stand on the basis of the last session before it."""
    found = by_session(facts(AUGUST), bars(splits={day: 5.0}))
    for session in SESSIONS[2:]:
        assert found[session] == pytest.approx([0.1, 0.8, 0.02, 0.125, 0.05, math.log(1e9)], rel=1e-6), session


def test_a_split_before_as_of_is_in_the_facts_already() -> None:
    found = by_session(facts(AUGUST), bars(splits={dt.date(2024, 7, 31): 5.0}))
    assert found[AUGUST] == pytest.approx([0.5, 4.0, 0.1, 0.125, 0.05, math.log(2e8)], rel=1e-6)


def test_newer_facts_replace_older_ones_and_their_basis() -> None:
    """A split in August is in September's facts: it moves August's only."""
    later = facts(SEPTEMBER, eps_ttm=30.0, book_value_per_share=160.0, shares_outstanding=5e6, profit_margin=None)
    found = by_session(pl.concat([later, facts(AUGUST)]), bars(splits={dt.date(2024, 8, 20): 5.0}))
    assert found[dt.date(2024, 8, 30)] == pytest.approx([0.1, 0.8, 0.02, 0.125, 0.05, math.log(1e9)], rel=1e-6)
    september = found[dt.date(2024, 9, 2)]
    assert september[:4] == pytest.approx([0.15, 0.8, 0.1, 0.125], rel=1e-6)
    assert math.isnan(september[4]), "a null of the newest facts is missing, not taken from older ones"
    assert september[5] == pytest.approx(math.log(1e9), rel=1e-6)


def test_without_a_trade_ratios_to_price_are_missing() -> None:
    day = dt.date(2024, 8, 8)
    found = by_session(facts(AUGUST), bars(without=(day,)))[day]
    assert np.isnan(found).tolist() == [True, True, True, False, False, True]


def test_one_session_alone_equals_the_range_to_the_bit() -> None:
    tickers = ["1111.T", "2222.T", "3333.T", "9999.T"]
    raw = random_bars(tickers[:3], SESSIONS, split_share=0.1)
    enrichment = random_facts(tickers, [dt.date(2024, 7, 1), AUGUST, SEPTEMBER])
    whole = static_features(enrichment, raw, tickers, session_days(SESSIONS))
    for number, session in enumerate(SESSIONS):
        known = raw.filter(pl.col("session") <= session)
        alone = static_features(enrichment, known, tickers, session_days([session]))
        assert alone[:, 0].tobytes() == whole[:, number].tobytes()


def test_no_facts_at_all() -> None:
    values = static_features(facts(AUGUST).clear(), bars(), ["1111.T"], session_days(SESSIONS))
    assert values.shape == (1, len(SESSIONS), 6)
    assert np.isnan(values).all()
