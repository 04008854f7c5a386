"""The training panel: every sample of a month's model in dense arrays, and single samples for inference.

Sequences are never copied out: a sample (ticker i, session s) is features[i, last_row[i, sequence_sessions[s]]],
gathered per batch. A panel of month m holds nothing that was not known when m began: sessions before m, labels that end
before m.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.features.grids import locate, member_mask, newest_close, split_events
from stockfc_assets.features.names import HORIZONS, SEQUENCE_WEEKS, WEEKLY_FEATURES
from stockfc_assets.features.static import static_features
from stockfc_assets.features.weeks import (
    months_later,
    position_features,
    sequence_indices,
    sequence_session_dates,
    session_days,
)
from stockfc_assets.settings import Universe


@dataclass(frozen=True)
class Panel:
    """N tickers, S sessions. Arrays may be read-only views of a file; write to none of them."""

    month: dt.date
    """First day of the month whose model may know this panel."""
    tickers: tuple[str, ...]
    """[N], in the order of the universe, without the benchmark."""
    sessions: np.ndarray
    """datetime64[D] [S]: all exchange sessions from the panel's start to the last before ``month``, ascending."""
    features: np.ndarray
    """float32 [N, S, 23]: weekly_features; NaN = missing or no row."""
    static: np.ndarray
    """float32 [N, S, 6]: raw static features; NaN = missing."""
    position: np.ndarray
    """float32 [S, 2]: position features; never missing."""
    labels: np.ndarray
    """float32 [N, S, 12]: forward log returns, split-adjusted; NaN = not known when ``month`` began, or no price."""
    label_end: np.ndarray
    """datetime64[D] [S, 12]: session + h calendar months; matured for ``month`` iff this lies before it."""
    sector_id: np.ndarray
    """int64 [N]: row of the sector embedding."""
    traded: np.ndarray
    """bool [N, S]: has a weekly_features row."""
    member: np.ndarray
    """bool [N, S]: belongs to the universe on that session."""
    sequence_sessions: np.ndarray
    """int32 [S, 156]: session indices of the sequence, oldest first; -1 where the panel does not reach back."""
    last_row: np.ndarray
    """int32 [N, S]: index of the ticker's newest row at or before that session; -1 = none."""
    weeks_of_history: np.ndarray
    """int16 [N, S]: how many of the 156 positions have a row at or before them."""
    eligible: np.ndarray
    """bool [N, S]: traded, member and 156 weeks of history: the samples."""


@dataclass(frozen=True)
class ModelInputs:
    """What the network reads, raw: NaN = missing. n samples."""

    tickers: tuple[str, ...]
    """[n]"""
    weekly_seq: np.ndarray
    """float32 [n, 156, 23], oldest week first."""
    static_features: np.ndarray
    """float32 [n, 6]"""
    position_features: np.ndarray
    """float32 [n, 2]"""
    sector_id: np.ndarray
    """int64 [n]"""


def build_panel(
    features: pl.DataFrame,
    raw: pl.DataFrame,
    enrichment: pl.DataFrame,
    universe: Universe,
    sectors: dict[str, int],
    calendar_sessions: Sequence[dt.date],
    start: dt.date,
    month: dt.date,
    *,
    benchmark: str | None = None,
) -> Panel:
    """The panel of ``month`` (its first day) over all sessions from ``start`` (inclusive) to before ``month``.

    features: weekly_features rows; raw: raw_ohlcv rows; enrichment: universe_enrichment rows of all months, one below
    the other; rows outside the range or the universe are ignored, so later data change nothing. benchmark: left out
    when it is one of the universe's tickers; default: the universe's.
    Labels: log(C(as_of + h months) / C(as_of)), the later close on the earlier one's share basis, taken from the last
    session on or before that date, or the ticker's newest close at most 5 sessions before.
    Raises InputError for a month that is not a first day or has no session before it, ConfigError for an unknown
    sector.
    """
    if month.day != 1:
        raise InputError(f"month {month}: a panel belongs to a month's first day, such as {month.replace(day=1)}")
    first, last = bisect.bisect_left(calendar_sessions, start), bisect.bisect_left(calendar_sessions, month)
    if first >= last:
        raise InputError(f"panel of {month:%Y-%m}: no session from {start} to before {month}; choose a later month")
    days = session_days(calendar_sessions[first:last])
    enrichment = enrichment.filter(pl.col("as_of") < month)
    raw = raw.filter(pl.col("session") < month)
    tickers = _panel_tickers(universe, benchmark)
    dense, traded = _dense_features(features, tickers, days)
    last_row = _newest_index(traded)
    sequences = sequence_indices(days)
    weeks = _weeks_of_history(last_row, sequences)
    member = _membership(universe, tickers, days)
    label_end = np.stack([months_later(days, h) for h in HORIZONS], axis=1)
    return Panel(
        month=month,
        tickers=tickers,
        sessions=days,
        features=dense,
        static=static_features(enrichment, raw, tickers, days),
        position=position_features(calendar_sessions[first:last], calendar_sessions),
        labels=_labels(raw, tickers, days, label_end, month),
        label_end=label_end,
        sector_id=_sector_ids(universe, tickers, sectors),
        traded=traded,
        member=member,
        sequence_sessions=sequences,
        last_row=last_row,
        weeks_of_history=weeks,
        eligible=traded & member & (weeks == SEQUENCE_WEEKS),
    )


def gather(panel: Panel, ticker_index: np.ndarray, session_index: np.ndarray) -> ModelInputs:
    """The samples (ticker_index[j], session_index[j]) (int [n] each) of a panel, eligible or not, as copies.

    Positions of the sequence without a row are NaN.
    """
    positions = panel.sequence_sessions[session_index]
    rows = np.where(positions >= 0, panel.last_row[ticker_index[:, None], positions], -1)
    return ModelInputs(
        tickers=tuple(panel.tickers[i] for i in ticker_index),
        weekly_seq=np.where((rows >= 0)[:, :, None], panel.features[ticker_index[:, None], rows], np.float32(np.nan)),
        static_features=panel.static[ticker_index, session_index],
        position_features=panel.position[session_index],
        sector_id=panel.sector_id[ticker_index],
    )


def model_inputs(
    features: pl.DataFrame,
    raw: pl.DataFrame,
    enrichment: pl.DataFrame,
    universe: Universe,
    sectors: dict[str, int],
    calendar_sessions: Sequence[dt.date],
    session: dt.date,
    *,
    benchmark: str | None = None,
) -> tuple[ModelInputs, dict[str, str]]:
    """The samples of one session for inference, and {ticker: reason} of those that have none; universe order.

    Bit-identical to `gather` of the same samples from a `Panel`.
    features: weekly_features rows at the `sequence_session_dates` of ``session`` and, for a ticker that did not trade
    on one of them, its newest row before; further rows change nothing. raw: raw_ohlcv rows of ``session`` and of every
    session since the ``as_of`` of the newest facts (their splits count). enrichment: universe_enrichment rows.
    Reasons: "not a member on 2026-02-06", "no trade on 2026-02-06", "100 of 156 weeks of history".
    Raises InputError when ``session`` is not in the calendar, ConfigError for an unknown sector.
    """
    dates = session_days(sequence_session_dates(session, calendar_sessions))
    tickers = _panel_tickers(universe, benchmark)
    matrix, rows = _sequence_rows(features, tickers, dates)
    today = session_days([session])
    member = _membership(universe, tickers, today)[:, 0]
    traded = np.zeros(len(tickers), dtype=bool)
    traded[locate(features, tickers, today).ticker] = True
    weeks = (rows >= 0).sum(axis=1)
    skipped: dict[str, str] = {}
    for i, ticker in enumerate(tickers):
        if not member[i]:
            skipped[ticker] = f"not a member on {session}"
        elif not traded[i]:
            skipped[ticker] = f"no trade on {session}"
        elif weeks[i] < SEQUENCE_WEEKS:
            skipped[ticker] = f"{weeks[i]} of {SEQUENCE_WEEKS} weeks of history"
    names = tuple(ticker for ticker in tickers if ticker not in skipped)
    chosen = np.array([i for i, ticker in enumerate(tickers) if ticker not in skipped], dtype=np.int64)
    inputs = ModelInputs(
        tickers=names,
        weekly_seq=matrix[rows[chosen]],
        static_features=static_features(enrichment, raw, names, today)[:, 0],
        position_features=np.repeat(position_features([session], calendar_sessions), len(names), axis=0),
        sector_id=_sector_ids(universe, names, sectors),
    )
    return inputs, skipped


def _panel_tickers(universe: Universe, benchmark: str | None) -> tuple[str, ...]:
    return tuple(ticker for ticker in universe.tickers if ticker != (benchmark or universe.benchmark))


def _sector_ids(universe: Universe, tickers: Sequence[str], sectors: dict[str, int]) -> np.ndarray:
    sector_of = {stock.ticker: stock.sector for stock in universe.stocks}
    for ticker in tickers:
        if sector_of[ticker] not in sectors:
            raise ConfigError(
                f"universe {universe.name}: {ticker}: sector {sector_of[ticker]!r} has no id; append it to sectors.yaml"
            )
    return np.array([sectors[sector_of[ticker]] for ticker in tickers], dtype=np.int64)


def _membership(universe: Universe, tickers: Sequence[str], days: np.ndarray) -> np.ndarray:
    stocks = {stock.ticker: stock for stock in universe.stocks}
    member = np.zeros((len(tickers), len(days)), dtype=bool)
    for i, ticker in enumerate(tickers):
        member[i] = member_mask(stocks[ticker], days)
    return member


def _dense_features(features: pl.DataFrame, tickers: Sequence[str], days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(features float32 [N, S, 23], whether there is a row bool [N, S])."""
    cells = locate(features, tickers, days)
    dense = np.full((len(tickers), len(days), len(WEEKLY_FEATURES)), np.nan, dtype=np.float32)
    for number, name in enumerate(WEEKLY_FEATURES):
        dense[cells.ticker, cells.session, number] = cells.column(name)
    traded = np.zeros(dense.shape[:2], dtype=bool)
    traded[cells.ticker, cells.session] = True
    return dense, traded


def _newest_index(traded: np.ndarray) -> np.ndarray:
    """Index of the newest True at or before each position of the last axis; int32, -1 = none."""
    index = np.where(traded, np.arange(traded.shape[1], dtype=np.int32), np.int32(-1))
    return np.maximum.accumulate(index, axis=1)


def _weeks_of_history(last_row: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """How many sequence positions have a row at or before them: those from the ticker's first row on; int16 [N, S]."""
    first_row = (last_row < 0).sum(axis=1)
    distinct, which = np.unique(first_row, return_inverse=True)
    return np.stack([(sequences >= first).sum(axis=1) for first in distinct]).astype(np.int16)[which]


def _labels(
    raw: pl.DataFrame, tickers: Sequence[str], days: np.ndarray, label_end: np.ndarray, month: dt.date
) -> np.ndarray:
    close = locate(raw, tickers, days).dense("close", (len(tickers), len(days)))
    newest = newest_close(close.T).T
    splits = split_events(raw, tickers)
    labels = np.full((*close.shape, len(HORIZONS)), np.nan, dtype=np.float32)
    for number in range(len(HORIZONS)):
        matured = int((label_end[:, number] < np.datetime64(month, "D")).sum())
        end = np.searchsorted(days, label_end[:matured, number], side="right") - 1
        later = newest[:, end]
        for split in splits:
            effective = int(np.searchsorted(days, split.day, side="left"))
            spanned = slice(int(np.searchsorted(end, effective, side="left")), effective)
            later[split.ticker, spanned] *= split.ratio
        labels[:, :matured, number] = np.log(later / close[:, :matured])
    return labels


def _sequence_rows(features: pl.DataFrame, tickers: Sequence[str], dates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(feature rows float32 [rows + 1, 23] of which the last is NaN, their numbers int64 [N, 156], -1 = no row)."""
    seen = features["session"].unique().sort().to_numpy().astype("datetime64[D]")
    cells = locate(features, tickers, seen)
    number = np.full((len(tickers), len(seen) + 1), -1, dtype=np.int64)
    number[cells.ticker, cells.session + 1] = np.arange(len(cells.session))
    newest = _newest_index(number >= 0)
    at = np.zeros(SEQUENCE_WEEKS, dtype=np.int64)
    at[SEQUENCE_WEEKS - len(dates) :] = np.searchsorted(seen, dates, side="right")
    rows = np.take_along_axis(number, np.maximum(newest[:, at], 0), axis=1)
    matrix = np.full((len(cells.session) + 1, len(WEEKLY_FEATURES)), np.nan, dtype=np.float32)
    for column, name in enumerate(WEEKLY_FEATURES):
        matrix[:-1, column] = cells.column(name)
    return matrix, rows
