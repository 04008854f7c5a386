"""The laws that stored prices must obey, as messages: empty means obeyed (docs/data-contracts.md)."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from stockfc_assets.tables import RawOhlcv

SHOWN = 5


def price_problems(bars: pl.DataFrame, tickers: Collection[str]) -> list[str]:
    """What is wrong with stored rows of one or many sessions.

    ``bars`` are tables.RawOhlcv rows with one column more, ``partition``: the ISO date of the partition that holds the
    row. Checks the schema and its rules (low <= open, close <= high; prices > 0; volume >= 0; one row per ticker and
    session), that every row is of its partition's session, and that every ticker is one of ``tickers``.
    """
    rows = bars.drop("partition")
    problems = []
    if not RawOhlcv.is_valid(rows):
        broken = RawOhlcv.filter(rows)[1]
        first = broken.invalid().head(SHOWN)
        named = ", ".join(f"{row['ticker']} {row['session']}" for row in first.to_dicts())
        problems += [f"{count} rows break {rule}; first rows: {named}" for rule, count in broken.counts().items()]
    strange = bars.filter(pl.col("session").dt.to_string() != pl.col("partition"))
    problems += [
        f"{row['partition']}: {row['ticker']} has a row of {row['session']}" for row in strange.head(SHOWN).to_dicts()
    ]
    unknown = bars.filter(~pl.col("ticker").is_in(list(tickers)))
    problems += [
        f"{row['partition']}: {row['ticker']} is not in the universe" for row in unknown.head(SHOWN).to_dicts()
    ]
    return problems


def coverage(
    traded: Collection[str], recent: Collection[str], members: Collection[str], failed: Collection[str] = ()
) -> tuple[float, list[str]]:
    """Share of the expected members that ``traded`` (have a row of the session), and those that did not.

    ``recent`` are the tickers with a row in the sessions before: a member without any is not listed (yet, or any more)
    and is not expected, unless the source could not deliver it (``failed``). 1.0 when none is expected.
    """
    expected = {*recent, *traded, *failed} & set(members)
    missing = sorted(expected - set(traded))
    return (1 - len(missing) / len(expected) if expected else 1.0), missing
