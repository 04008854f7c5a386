"""What happened to a forecast: its outcome, once the horizon is over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from stockfc_assets.features.grids import STALE_SESSIONS
from stockfc_assets.features.weeks import months_later
from stockfc_assets.market.as_traded import adjusted_bars

KEY = ["ticker", "session", "horizon"]


def realised_outcomes(
    raw: pl.DataFrame, forecasts: pl.DataFrame, known_before: dt.date, *, sessions: Sequence[dt.date] | None = None
) -> pl.DataFrame:
    """What happened to each forecast whose horizon was over before ``known_before``.

    ``raw`` (tables.RawOhlcv) holds every session from the first forecast to the last before ``known_before``, without
    gaps; ``forecasts`` has columns ticker, session, horizon. Returns ticker, session, horizon and realised_log_return,
    sorted: the split-adjusted log return from the session to the last one on or before session + horizon months, or to
    the ticker's newest close at most `STALE_SESSIONS` sessions before it (as the labels of the panel). No row where the
    label ends on or after ``known_before``, or where the ticker has no price at either end. ``sessions`` (ascending) are
    the exchange's where ``raw`` holds too few tickers to show them all; what is not before ``known_before`` is not used.
    """
    bars = adjusted_bars(raw, known_before - dt.timedelta(days=1)).select(
        "ticker", "session", log_close=pl.col("close").log()
    )
    days = (
        bars["session"]
        if sessions is None
        else pl.Series([day for day in sessions if day < known_before], dtype=pl.Date)
    )
    ends = _label_ends(forecasts, days, known_before)
    ended = bars.select("ticker", last_session="session", last_log_close="log_close").sort("last_session")
    # One horizon after the other: all at once need several times the memory, and the function has 512 MB.
    parts = [
        forecasts.filter(pl.col("horizon") == horizon)
        .select(KEY)
        .join(ends.filter(pl.col("horizon") == horizon), on=["session", "horizon"])
        .join(bars, on=["ticker", "session"])
        .sort("end")
        .join_asof(ended, left_on="end", right_on="last_session", by="ticker", check_sortedness=False)
        .filter(pl.col("last_session") >= pl.col("oldest"), pl.col("last_session") > pl.col("session"))
        .select(*KEY, realised_log_return=pl.col("last_log_close") - pl.col("log_close"))
        for horizon in forecasts["horizon"].unique().sort()
    ]
    nothing = forecasts.select(KEY).clear().with_columns(realised_log_return=pl.lit(None, pl.Float64))
    return pl.concat([nothing, *parts]).sort(KEY)


def _label_ends(forecasts: pl.DataFrame, sessions: pl.Series, known_before: dt.date) -> pl.DataFrame:
    """session, horizon, end, oldest: when each matured label is over, and the oldest session that may stand in."""
    days = np.unique(sessions.to_numpy())
    pairs = forecasts.select("session", "horizon").unique()
    ends = pl.concat(
        [
            group.with_columns(end=pl.Series(months_later(group["session"].to_numpy(), horizon)))
            for (horizon,), group in pairs.group_by("horizon")
        ]
        or [pairs.with_columns(end=pl.lit(None, pl.Date))]
    ).filter(pl.col("end") < known_before)
    newest = np.searchsorted(days, ends["end"].to_numpy(), side="right") - 1
    oldest = days[np.maximum(newest - STALE_SESSIONS, 0)] if len(days) else ends["end"].to_numpy()
    return ends.with_columns(oldest=pl.Series(oldest, dtype=pl.Date))
