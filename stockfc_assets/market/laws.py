"""The laws that stored prices must obey, as messages: empty means obeyed (docs/data-contracts.md)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import polars as pl

from stockfc_assets.tables import RawOhlcv

SHOWN = 5


def price_problems(bars: pl.DataFrame, session: dt.date, tickers: Collection[str]) -> list[str]:
    """What is wrong with the rows of one session's partition.

    Checks the schema and its rules (low <= open, close <= high; prices > 0; volume >= 0; one row per ticker), that every
    row is of ``session`` and that every ticker is one of ``tickers`` (the universe and its benchmark).
    """
    problems = []
    if not RawOhlcv.is_valid(bars, cast=True):
        for rule, count in RawOhlcv.filter(bars, cast=True)[1].counts().items():
            problems.append(f"{session}: {count} rows break {rule}")
    strange = bars.filter(pl.col("session") != session)
    problems += [f"{session}: {row['ticker']} has a row of {row['session']}" for row in strange.head(SHOWN).to_dicts()]
    unknown = sorted(set(bars["ticker"]) - set(tickers))
    if unknown:
        problems.append(f"{session}: not in the universe: {', '.join(unknown[:SHOWN])}")
    return problems


def coverage(bars: pl.DataFrame, recent: pl.DataFrame, members: Collection[str]) -> tuple[float, list[str]]:
    """Share of the members traded lately that have a row in ``bars``, and those that do not.

    ``recent`` holds the sessions before: a member without any row there is not listed (yet, or any more) and is not
    expected. 1.0 when none is expected.
    """
    expected = set(recent["ticker"]) & set(members)
    missing = sorted(expected - set(bars["ticker"]))
    return (1 - len(missing) / len(expected) if expected else 1.0), missing
