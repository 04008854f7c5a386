"""The laws that stored features must obey, as messages: empty means obeyed."""

from __future__ import annotations

import datetime as dt

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


def feature_problems(rows: pl.DataFrame, session: dt.date) -> list[str]:
    """What is wrong with the rows of one session's partition: schema, infinite values, values outside `RANGES`."""
    if not WeeklyFeatures.is_valid(rows):
        counts = WeeklyFeatures.filter(rows)[1].counts()
        return [f"{session}: {count} rows break {rule}" for rule, count in counts.items()]
    problems = []
    strange = rows.filter(
        pl.any_horizontal(pl.col(name).is_infinite() | pl.col(name).is_nan() for name in WEEKLY_FEATURES)
    )
    if strange.height:
        problems.append(f"{session}: infinite or NaN features for {', '.join(strange['ticker'].head(SHOWN))}")
    for name, (low, high) in RANGES.items():
        outside = rows.filter(~pl.col(name).is_between(low - TOLERANCE, high + TOLERANCE))
        problems += [
            f"{session}: {row['ticker']} {name} = {row[name]:.4g}, expected {low:g} to {high:g}"
            for row in outside.head(SHOWN).to_dicts()
        ]
    return problems


def null_share(rows: pl.DataFrame, tickers: list[str] | None = None) -> float:
    """Share of feature values that are null, in 0..1, among ``tickers`` (all by default); 0 without rows."""
    chosen = rows if tickers is None else rows.filter(pl.col("ticker").is_in(tickers))
    cells = chosen.height * len(WEEKLY_FEATURES)
    return sum(chosen.select(WEEKLY_FEATURES).null_count().row(0)) / cells if cells else 0.0
