"""Stored as-traded rows that are doubted, session by session, each from what was stored up to that session.

Nothing later is looked at, and nothing from more than `LOOKBACK_SESSIONS` sessions before: one session examined alone,
or as a part of ten years, has the same findings.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

import polars as pl

from stockfc_assets.market.as_traded import ratio_text
from stockfc_assets.market.calendar import ExchangeProfile
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.quality.moves import Finding, half_applied, jumped, move_text, previous, with_moves, without
from stockfc_assets.settings import PriceQuality, QualitySettings

LOOKBACK_SESSIONS = 60
"""Rows that reach back so many sessions before the first one examined are all that `stored_findings` needs."""
TURNOVER_BEFORE = 20
TURNOVER_AFTER = 5
"""Turnover over a split: median of so many rows before it, and from it; single days differ by more than splits do."""
AT_LIMIT = 0.98
"""A close so near to its price limit was at it; the exchange then widens the limit of the next session."""
BAR = ("open", "high", "low", "close", "volume")


def stored_findings(
    raw: pl.DataFrame,
    sessions: Sequence[dt.date],
    *,
    calendar_sessions: Sequence[dt.date],
    profile: ExchangeProfile,
    settings: QualitySettings,
    delivered: pl.DataFrame | None = None,
    last_traded: Mapping[str, dt.date] | None = None,
) -> pl.DataFrame:
    """Findings (findings.FINDINGS_SCHEMA) about the rows of ``sessions``, each from rows up to its session.

    ``raw``: as-traded rows (tables.RawOhlcv) that reach back `LOOKBACK_SESSIONS` sessions before the first of
    ``sessions``; later rows change nothing. ``calendar_sessions``: all sessions of the exchange, ascending.
    ``delivered``: findings made on arrival: rows without a trade count towards a stale session, and a half-applied
    split that was named there is not named again as a jump. ``last_traded``: of tickers that appear during ``raw``, the
    last session before ``raw`` with a row, if there was any.

    stale_row, stale_session, half_applied_split, unexplained_jump (also beyond the exchange's price limit),
    volume_basis, ticker_reuse.
    """
    prices = settings.prices
    delivered = findings_frame() if delivered is None else delivered
    rows = _with_history(raw, calendar_sessions, last_traded or {})
    wanted = pl.col("session").is_in(list(sessions))
    stale = _stale(rows.filter(wanted), delivered.filter(wanted), profile, prices)
    jumps = _jumps(rows, wanted, delivered, profile, prices)
    volumes = [*_odd_volumes(rows, wanted, profile, prices), *_turnover(rows, wanted, prices)]
    return findings_frame([*stale, *jumps, *volumes, *_reused(rows.filter(wanted), prices)])


def _with_history(
    raw: pl.DataFrame, calendar_sessions: Sequence[dt.date], last_traded: Mapping[str, dt.date]
) -> pl.DataFrame:
    """`moves.with_moves`, the ``number`` of each session and of the row before, and whether that row is ``repeated``.

    A row before that is too old to be looked at (`LOOKBACK_SESSIONS`) is forgotten but for its number.
    """
    calendar = pl.Series("session", list(calendar_sessions), dtype=pl.Date)
    last = {ticker: calendar.search_sorted(session) for ticker, session in last_traded.items()}
    older = (
        pl.col("ticker").replace_strict(last, default=None, return_dtype=pl.Int64) if last else pl.lit(None, pl.Int64)
    )
    rows = with_moves(raw)
    rows = rows.with_columns(number=calendar.search_sorted(rows["session"]).cast(pl.Int64))
    rows = rows.with_columns(previous_number=previous("number").fill_null(older))
    recent = pl.col("number") - pl.col("previous_number") <= LOOKBACK_SESSIONS
    forgotten = ("previous_close", "previous_session", "base", "open_move", "close_move")
    repeated = pl.all_horizontal(pl.col(name) == previous(name) for name in BAR)
    return rows.with_columns(
        *(pl.when(recent).then(pl.col(name)).alias(name) for name in forgotten),
        repeated=(recent & repeated).fill_null(False),
    )


# --- stale ------------------------------------------------------------------------------------------------------------


def _stale(
    rows: pl.DataFrame, delivered: pl.DataFrame, profile: ExchangeProfile, settings: PriceQuality
) -> list[Finding]:
    """stale_row, or stale_session for all of a session's stale names where they are too many."""
    untraded = delivered.filter(pl.col("defect") == "no_trade_row").select("ticker", "session").unique()
    repeated = rows.filter("repeated").filter(
        (pl.col("high") > pl.col("low")) | (pl.col("volume") >= settings.stale_lots * profile.lot)
    )
    counts = (
        pl.concat([rows.select("ticker", "session"), untraded])
        .unique()
        .group_by("session")
        .agg(names=pl.len())
        .join(
            pl.concat([repeated.select("ticker", "session"), untraded])
            .unique()
            .group_by("session")
            .agg(stale=pl.len()),
            on="session",
        )
        .filter((pl.col("stale") >= settings.stale_share * pl.col("names")) & (pl.col("names") >= settings.stale_names))
    )
    share = {row["session"]: f"{row['stale']} of {row['names']} names" for row in counts.iter_rows(named=True)}
    named = []
    for row in repeated.iter_rows(named=True):
        seen = (
            f"open to close and volume of {row['previous_session']} again ({row['close']:.10g}, {row['volume']} shares)"
        )
        if row["session"] in share:
            seen = f"{seen}, as {share[row['session']]}"
            named.append(_stale_session(row["ticker"], row["session"], seen))
        else:
            named.append(
                finding(
                    row["ticker"], row["session"], "stale_row", seen=seen, expected="prices and a volume of its own"
                )
            )
    for ticker, session in untraded.filter(pl.col("session").is_in(list(share))).iter_rows():
        named.append(_stale_session(ticker, session, f"no trade, as {share[session]} stale or without a trade"))
    return named


def _stale_session(ticker: str, session: dt.date, seen: str) -> Finding:
    return finding(ticker, session, "stale_session", seen=seen, expected="most names to trade")


# --- jumps ------------------------------------------------------------------------------------------------------------


def _jumps(
    rows: pl.DataFrame, wanted: pl.Expr, delivered: pl.DataFrame, profile: ExchangeProfile, settings: PriceQuality
) -> list[Finding]:
    """half_applied_split, or unexplained_jump for the other jumps and for prices beyond the exchange's limit."""
    follows = pl.col("number") - pl.col("previous_number") == 1
    at_limit = follows & ((pl.col("close") - pl.col("base")).abs() >= AT_LIMIT * pl.col("limit"))
    distance = pl.max_horizontal(pl.col("high") - pl.col("base"), pl.col("base") - pl.col("low"))
    beyond = follows & ~previous("at_limit").fill_null(False) & (distance > settings.limit_margin * pl.col("limit"))
    jumps = (
        rows.with_columns(limit=profile.price_limits(pl.col("base")).cast(pl.Float64))
        .with_columns(at_limit=at_limit.fill_null(False))
        .with_columns(jumped=jumped(settings).fill_null(False), beyond=beyond.fill_null(False))
        .filter(wanted & (pl.col("jumped") | pl.col("beyond")))
    )
    splits = rows.filter(pl.col("split_ratio") != 1.0).select(
        "ticker", ex_date="session", ratio="split_ratio", split_number="number"
    )
    pairs = jumps.filter("jumped").join(splits, on="ticker")
    recent = (pl.col("number") - pl.col("split_number")).is_between(0, LOOKBACK_SESSIONS)
    known = half_applied(pairs.filter(recent), settings)
    on_arrival = delivered.filter(pl.col("defect") == "half_applied_split").to_dicts()
    others = [_unexplained(row, settings) for row in jumps.iter_rows(named=True)]
    return [*without(known, on_arrival), *without(others, [*known, *on_arrival])]


def _unexplained(row: dict[str, object], settings: PriceQuality) -> Finding:
    if row["jumped"]:
        seen, expected = move_text(row), f"less than {settings.jump:g} times, or a split that explains it"
    else:
        seen = f"low {row['low']:.10g} and high {row['high']:.10g} after {row['base']:.10g}"
        expected = f"at most {row['limit']:g} away, the exchange's price limit"
    return finding(row["ticker"], row["session"], "unexplained_jump", seen=seen, expected=expected)


# --- volumes ----------------------------------------------------------------------------------------------------------


def _odd_volumes(
    rows: pl.DataFrame, wanted: pl.Expr, profile: ExchangeProfile, settings: PriceQuality
) -> list[Finding]:
    """volume_basis: the first odd volume after `PriceQuality.lot_rows` rows in whole lots."""
    whole = pl.col("volume") % profile.lot == 0
    odd = rows.filter(wanted & ~whole)["ticker"].unique()
    count = settings.lot_rows
    found = (
        rows.filter(pl.col("ticker").is_in(odd.implode()))
        .with_columns(_whole=whole.cast(pl.Int64))
        .with_columns(_before=pl.col("_whole").rolling_sum(count))
        .filter(
            wanted
            & ~whole
            & (previous("_before") == count)
            & (pl.col("number") - previous("number", count) <= LOOKBACK_SESSIONS)
        )
    )
    return [
        finding(
            row["ticker"],
            row["session"],
            "volume_basis",
            seen=f"volume {row['volume']}",
            expected=f"a multiple of {profile.lot}, like the {count} rows before",
        )
        for row in found.iter_rows(named=True)
    ]


def _turnover(rows: pl.DataFrame, wanted: pl.Expr, settings: PriceQuality) -> list[Finding]:
    """volume_basis: turnover that moves by a split's ratio; known, and named, at the fifth row from the split on."""
    least = math.log(settings.turnover_ratio)
    large = pl.col("split_ratio").log().abs() >= least
    tickers = rows.filter(large)["ticker"].unique()
    ranked = rows.filter(pl.col("ticker").is_in(tickers.implode())).with_columns(
        row=pl.int_range(pl.len()).over("ticker"), turnover=pl.col("close") * pl.col("volume")
    )
    splits = ranked.filter(large).select("ticker", ex_date="session", ratio="split_ratio", first="row")
    last = ranked.filter(wanted).select("ticker", "session", first=pl.col("row") - TURNOVER_AFTER + 1, end="number")
    after = pl.col("row").is_between(pl.col("first"), pl.col("first") + TURNOVER_AFTER - 1)
    before = pl.col("row").is_between(pl.col("first") - TURNOVER_BEFORE, pl.col("first") - 1)
    compared = (
        splits.join(last, on=["ticker", "first"])
        .join(ranked.select("ticker", "row", "number", "turnover", "split_ratio"), on="ticker")
        .filter((after | before) & (pl.col("end") - pl.col("number") <= LOOKBACK_SESSIONS))
        .group_by("ticker", "session", "ex_date", "ratio")
        .agg(
            rows_before=before.sum(),
            rows_after=after.sum(),
            splits=(after & (pl.col("split_ratio") != 1.0)).sum(),
            before=pl.col("turnover").filter(before).median(),
            after=pl.col("turnover").filter(after).median(),
        )
        .filter(
            (pl.col("rows_before") >= TURNOVER_AFTER)
            & (pl.col("rows_after") == TURNOVER_AFTER)
            & (pl.col("splits") == 1)
        )
        .with_columns(move=(pl.col("after") / pl.col("before")).log().abs() - pl.col("ratio").log().abs())
        .filter(pl.col("move").abs() <= math.log(settings.turnover_tolerance))
    )
    return [
        finding(
            row["ticker"],
            row["session"],
            "volume_basis",
            seen=f"turnover of {row['before']:.3g} a day before the split {ratio_text(row['ratio'])} of {row['ex_date']} and "
            f"{row['after']:.3g} since",
            expected="about the same turnover on both sides, if volume stands on the basis of prices",
        )
        for row in compared.iter_rows(named=True)
    ]


# --- reuse ------------------------------------------------------------------------------------------------------------


def _reused(rows: pl.DataFrame, settings: PriceQuality) -> list[Finding]:
    """ticker_reuse: the first row after a gap that no halt explains."""
    gap = pl.col("number") - pl.col("previous_number") - 1
    return [
        finding(
            row["ticker"],
            row["session"],
            "ticker_reuse",
            seen=f"the first row after {row['gap']} sessions without one",
            expected=f"fewer than {settings.reuse_gap_sessions}, or a ticker of its own for another company",
        )
        for row in rows.with_columns(gap=gap).filter(gap >= settings.reuse_gap_sessions).iter_rows(named=True)
    ]
