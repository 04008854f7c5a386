"""The laws that stored features must obey, as messages: empty means obeyed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.tables import WeeklyFeatures

RANGES: dict[str, tuple[float, float]] = {
    # Log returns and gaps: a factor of e^3 = 20 within a year is beyond any large stock that trades.
    **{f"log_return_{weeks}w": (-3.0, 3.0) for weeks in (1, 4, 13, 26, 52)},
    "open_gap": (-1.0, 1.0),
    "high_low_range": (0.0, 2.0),
    "close_location": (0.0, 1.0),
    "rsi_14w": (0.0, 100.0),
    "volatility_4w": (0.0, 5.0),
    "volatility_13w": (0.0, 5.0),
    "yang_zhang_volatility_4w": (0.0, 5.0),
    "volume_price_correlation_13w": (-1.0, 1.0),
    "excess_return_1w": (-3.0, 3.0),
}
TOLERANCE = 1e-5
SHOWN = 5


def feature_problems(rows: pl.DataFrame) -> list[str]:
    """What is wrong with stored rows of one or many sessions: schema, infinite values, values outside `RANGES`."""
    if not WeeklyFeatures.is_valid(rows):
        counts = WeeklyFeatures.filter(rows)[1].counts()
        return [f"{count} rows break {rule}" for rule, count in counts.items()]
    strange = rows.filter(
        pl.any_horizontal(pl.col(name).is_infinite() | pl.col(name).is_nan() for name in WEEKLY_FEATURES)
    )
    problems = [
        f"{row['session']}: {row['ticker']} has infinite or NaN features" for row in strange.head(SHOWN).to_dicts()
    ]
    for name, (low, high) in RANGES.items():
        outside = rows.filter(~pl.col(name).is_between(low - TOLERANCE, high + TOLERANCE))
        problems += [
            f"{row['session']}: {row['ticker']} {name} = {row[name]:.4g}, expected {low:g} to {high:g}"
            for row in outside.head(SHOWN).to_dicts()
        ]
    return problems


def null_shares(rows: pl.DataFrame, settled_from: pl.DataFrame) -> pl.DataFrame:
    """Per session, the share of feature values that are null among tickers that have traded for long enough.

    ``settled_from`` holds ticker and settled (the first session by which a ticker is expected to have all features).
    Returns session, null_share (0..1); sessions without a settled ticker are left out.
    """
    nulls = pl.sum_horizontal(pl.col(name).is_null() for name in WEEKLY_FEATURES)
    settled = rows.join(settled_from, on="ticker").filter(pl.col("session") >= pl.col("settled"))
    return (
        settled.group_by("session")
        .agg((nulls.sum() / (pl.len() * len(WEEKLY_FEATURES))).alias("null_share"))
        .sort("session")
    )


def settled_from(raw: pl.DataFrame, calendar_sessions: Sequence[dt.date], count: int) -> pl.DataFrame:
    """Per ticker, the session ``count`` sessions after its first row in ``raw``: ticker, settled."""
    position = {session: number for number, session in enumerate(calendar_sessions)}
    first = raw.group_by("ticker").agg(pl.col("session").min()).sort("ticker")
    last = len(calendar_sessions) - 1
    settled = [calendar_sessions[min(position[session] + count, last)] for session in first["session"]]
    return first.select("ticker").with_columns(pl.Series("settled", settled, dtype=pl.Date))
