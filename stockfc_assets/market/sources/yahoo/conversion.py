"""Yahoo's split-adjusted history of one ticker, turned back into what was traded.

Yahoo divides prices by every split up to the moment of asking, keeps them as 32-bit numbers, multiplies volumes and
rounds them to whole shares, and divides dividends. All of it is undone, the rounding too: prices to the exchange's
decimals, volumes to its lot, dividends to 6 significant digits. So a session fetched before a later split and after it
gives the same rows (market/as_traded.py states the law).

Which of the listed splits have the rows been divided by? (`divided_by`)
- A price that moves by the ratio on the ex-date has not been: the split is real, and Yahoo has not worked it in yet.
- Without such a move it has been. Volumes are no witness here: Tokyo's lots were 1, 10, 100 or 1,000 until 2018, and
  many a change of lot came together with a split of the same ratio.
- Where no row follows the ex-date (a halt; the morning of the day itself), the volumes' lots decide, and if they cannot,
  it has been: Yahoo lists a split on its day and works it in with it. One whose day is still to come has not been.
"""

from __future__ import annotations

import datetime as dt
import math
from functools import reduce
from operator import mul
from typing import Any

import polars as pl

from stockfc_assets.market.as_traded import (
    JUMP,
    PRICE_COLUMNS,
    attach_dividends,
    attach_splits,
    drop_duplicate_splits,
    drop_unseen_splits,
    ratio_text,
    to_as_traded,
)
from stockfc_assets.market.calendar import ExchangeProfile
from stockfc_assets.market.findings import WARNING, finding, findings_frame, in_order

DIVIDEND_DIGITS = 6
"""A 32-bit number holds 7 significant digits; the last is spent on the division and on undoing it."""
LOT_ROWS = 60
"""So many newest volumes are compared with the exchange's lot, at least `ENOUGH_ROWS`."""
ENOUGH_ROWS = 10
OFF_LOT = 0.1
"""Up to this share of volumes may lie beside the lots by other causes."""
CLEAR_LOT = 4
"""Lots of fewer shares than this do not show through the rounding to whole shares."""


def as_traded(
    rows: pl.DataFrame, splits: pl.DataFrame, dividends: pl.DataFrame, profile: ExchangeProfile, today: dt.date
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(bars of source.BARS_SCHEMA without ``currency``, findings about the splits).

    ``rows``: ticker, session, open, high, low, close, volume of one ticker, sorted, laws kept
    (quality.delivered.refuse_rows), as Yahoo shows them on ``today``. ``splits`` (ticker, ex_date, ratio) and
    ``dividends`` (ticker, ex_date, amount) as listed. An event of a day without a row belongs to the next row; one from
    before the first row is left out. Findings: duplicate_split and unseen_split for a split that is not applied, and
    half_applied_split, as a warning, for one that Yahoo has not worked in and that is read accordingly.
    """
    splits, repeated = drop_duplicate_splits(splits)
    divided, pending = divided_by(rows, splits, profile.lot, today)
    delivered = attach_dividends(rows, dividends)
    bars = to_as_traded(delivered, divided).with_columns(
        pl.col(PRICE_COLUMNS).round(profile.price_decimals),
        pl.col("dividend").round_sig_figs(DIVIDEND_DIGITS),
        volume=delivered.select(_whole_lots(divided, profile.lot)).to_series(),
    )
    seen, unseen = drop_unseen_splits(bars, splits)
    return attach_splits(bars, seen), in_order(pl.concat([repeated, unseen, _not_worked_in(rows, pending)]))


def divided_by(rows: pl.DataFrame, splits: pl.DataFrame, lot: int, today: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the splits that ``rows`` have been divided by, the others); the rule stands in the module's text."""
    divided: list[dict[str, Any]] = []
    pending: list[dict[str, Any]] = []
    later = 1.0
    for split in splits.sort("ex_date", descending=True).iter_rows(named=True):
        before = rows.filter(pl.col("session") < split["ex_date"])
        after = rows.filter(pl.col("session") >= split["ex_date"])
        if after.height:
            been = not _moved_by(before, after, split["ratio"])
        else:
            been = split["ex_date"] <= today and _lots_allow(before["volume"], split["ratio"], later * lot)
        (divided if been else pending).append(split)
        later *= split["ratio"] if been else 1.0
    frames = [pl.DataFrame(part, schema=splits.schema).sort("ex_date") for part in (divided, pending)]
    return frames[0], frames[1]


def _moved_by(before: pl.DataFrame, after: pl.DataFrame, ratio: float) -> bool:
    """Whether open and close of the ex-date lie nearer to the close before / ``ratio`` than to that close itself.

    A ratio below `JUMP` cannot be told from an ordinary move.
    """
    if before.is_empty() or abs(math.log(ratio)) < math.log(JUMP):
        return False
    moves = [math.log(after[name][0] / before["close"][-1]) for name in ("open", "close")]
    return all(abs(move + math.log(ratio)) < abs(move) for move in moves)


def _lots_allow(volumes: pl.Series, ratio: float, lot: float) -> bool:
    """Whether ``volumes`` could be whole lots times ``ratio``: False only where lots show that they are not.

    Of two explanations that both hold, the coarser lots are believed: chance does not produce them.
    """
    traded = volumes.filter(volumes > 0).tail(LOT_ROWS)
    if len(traded) < ENOUGH_ROWS or max(lot, lot * ratio) < CLEAR_LOT:
        return True
    if ratio > 1:
        return _on_lots(traded, lot * ratio) or not _on_lots(traded, lot)
    return not _on_lots(traded, lot)


def _on_lots(volumes: pl.Series, lot: float) -> bool:
    """Whether nearly all ``volumes`` are multiples of ``lot``, rounded to shares."""
    off = (volumes - (volumes / lot).round() * lot).abs() > 0.5 + 1e-9
    return off.mean() <= OFF_LOT


def _not_worked_in(rows: pl.DataFrame, pending: pl.DataFrame) -> pl.DataFrame:
    findings = []
    for split in pending.iter_rows(named=True):
        before = rows.filter(pl.col("session") < split["ex_date"])["close"]
        after = rows.filter(pl.col("session") >= split["ex_date"])["close"]
        if len(before) and len(after):
            findings.append(
                finding(
                    split["ticker"],
                    split["ex_date"],
                    "half_applied_split",
                    seen=f"{ratio_text(split['ratio'])} listed, but closes of {before[-1]:.10g} before and {after[0]:.10g} "
                    "after it: earlier rows are not divided by it",
                    expected=f"about {before[-1] / split['ratio']:.10g} before it",
                    severity=WARNING,
                )
            )
    return findings_frame(findings)


def _whole_lots(divided: pl.DataFrame, lot: int) -> pl.Expr:
    """Traded volume (Int64): the multiple of ``lot``, if Yahoo's rounding to whole shares explains the difference."""
    ratios = [
        pl.when(pl.col("session") < split["ex_date"]).then(split["ratio"]).otherwise(1.0)
        for split in divided.iter_rows(named=True)
    ]
    factor = reduce(mul, ratios, pl.lit(1.0))
    shares = pl.col("volume") / factor
    lots = (shares / lot).round() * lot
    explained = (lots - shares).abs() <= (0.5 / factor) * (1 + 1e-9)
    return pl.when(explained).then(lots).otherwise(shares.round()).cast(pl.Int64).alias("volume")
