"""Splits and dividends that are doubted, seen from a whole fetched history of as-traded rows.

A fetch knows every split and dividend up to the day of asking, so the findings here are those of that fetch; `stored`
looks at each session with what was known by then.
"""

from __future__ import annotations

import bisect
import calendar as month_lengths
import datetime as dt
import math
import statistics
from dataclasses import dataclass

import polars as pl

from stockfc_assets.market.as_traded import ratio_text
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import finding, findings_frame
from stockfc_assets.market.quality.moves import Finding, half_applied, jumped, with_moves
from stockfc_assets.settings import PriceQuality, QualitySettings

NEIGHBOURS = 3
"""Dividends on either side that one is compared with: the median of three stands over one odd interim dividend."""
STEP = 1.6
"""Dividends before a split count as not divided by it when they are at least so many times those after it: growth
hides a part of the ratio, and over the 37 splits of Core30 honest dividends fell by 1.31 at most."""
TWICE = 3.0
"""Dividends count as divided twice by splits from this ratio: companies that split 2:1 also double their dividends."""
LARGEST_TERM = 20
"""Splits are ratios of integers up to this one, or whole percents (stock dividends), or whole numbers to one."""
RATIO_ROUNDING = 6e-4
"""Ratios are listed with three decimals."""


def drop_duplicate_dividends(dividends: pl.DataFrame, settings: QualitySettings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``dividends`` (ticker, ex_date, amount) without repetitions, and a finding ``duplicate_dividend`` for each.

    The same ticker and amount within ``prices.duplicate_dividend_days`` of the entry before is a repetition: services
    list an ex-date that is off by one beside the right one.
    """
    marked = dividends.sort("ticker", "amount", "ex_date").with_columns(
        _previous=pl.col("ex_date").shift(1).over("ticker", "amount")
    )
    days = pl.duration(days=settings.prices.duplicate_dividend_days)
    again = (pl.col("ex_date") - pl.col("_previous") <= days).fill_null(False)
    rows = [
        finding(
            row["ticker"],
            row["ex_date"],
            "duplicate_dividend",
            seen=f"{row['amount']:g} again",
            expected=f"{row['amount']:g} once, on {row['_previous']}",
        )
        for row in marked.filter(again).iter_rows(named=True)
    ]
    return marked.filter(~again).select(dividends.columns).sort("ticker", "ex_date"), findings_frame(rows)


def doubtful_events(bars: pl.DataFrame, calendar: TradingCalendar, settings: QualitySettings) -> pl.DataFrame:
    """Findings about the splits and dividends of ``bars``: as-traded rows (tables.RawOhlcv) of whole histories.

    half_applied_split: the price moves by a split's ratio where it should not. spin_off: a split that is no ratio of
    small integers, or a dividend many times the usual. dividend_basis: a dividend that differs from its neighbours by a
    split's ratio. ex_date: a dividend one session beside the exchange's rule (calendar.ExchangeProfile.ex_dates).
    """
    prices = settings.prices
    splits = (
        bars.filter(pl.col("split_ratio") != 1.0).select("ticker", "session", "split_ratio").sort("ticker", "session")
    )
    found = [*_half_applied(bars, splits, prices), *_odd_ratios(splits)]
    by_ticker = splits.partition_by("ticker", as_dict=True)
    paid = (
        bars.filter(pl.col("dividend") > 0).select("ticker", "session", "dividend", "close").sort("ticker", "session")
    )
    for key, rows in paid.partition_by("ticker", as_dict=True, maintain_order=True).items():
        known = (
            [Split(*row) for row in by_ticker[key].select("session", "split_ratio").iter_rows()]
            if key in by_ticker
            else []
        )
        dividends = _on_one_basis(rows, known)
        wrong_basis = _dividend_basis(dividends, known, prices)
        found += [*wrong_basis, *_distributions(dividends, wrong_basis, prices)]
        found += _ex_dates(dividends, calendar)
    return findings_frame(found)


# --- splits -----------------------------------------------------------------------------------------------------------


def _half_applied(bars: pl.DataFrame, splits: pl.DataFrame, settings: PriceQuality) -> list[Finding]:
    if splits.is_empty():
        return []
    split_tickers = bars.filter(pl.col("ticker").is_in(splits["ticker"].unique().implode()))
    jumps = with_moves(split_tickers).filter(jumped(settings))
    pairs = jumps.join(splits.rename({"session": "ex_date", "split_ratio": "ratio"}), on="ticker")
    return half_applied(pairs, settings)


def _odd_ratios(splits: pl.DataFrame) -> list[Finding]:
    return [
        finding(
            ticker,
            session,
            "spin_off",
            seen=f"split {ratio_text(ratio)}",
            expected=f"a ratio of whole numbers up to {LARGEST_TERM}, such as 3:2, or a spin-off's own entry",
        )
        for ticker, session, ratio in splits.iter_rows()
        if not is_usual_ratio(ratio)
    ]


def is_usual_ratio(ratio: float) -> bool:
    """Whether a split's ratio is n:1, 1:n, whole percents (1.05:1), or p:q with both up to `LARGEST_TERM`."""
    larger = max(ratio, 1 / ratio)
    usual = [round(larger), round(larger * 100) / 100]
    usual += [round(larger * term) / term for term in range(2, LARGEST_TERM + 1) if larger * term < LARGEST_TERM + 0.5]
    return any(abs(larger - each) < RATIO_ROUNDING for each in usual)


# --- dividends --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    session: dt.date
    ratio: float


@dataclass(frozen=True)
class Dividend:
    """``amount`` as traded, ``level`` its logarithm on the share basis of the last row."""

    ticker: str
    session: dt.date
    amount: float
    close: float
    level: float


def _on_one_basis(rows: pl.DataFrame, splits: list[Split]) -> list[Dividend]:
    return [
        Dividend(
            *row, level=math.log(row[2]) - sum(math.log(split.ratio) for split in splits if split.session > row[1])
        )
        for row in rows.select("ticker", "session", "dividend", "close").iter_rows()
    ]


def _dividend_basis(dividends: list[Dividend], splits: list[Split], settings: PriceQuality) -> list[Finding]:
    """One finding per dividend that stands out by a split's ratio, or per split before which all of them do.

    Splits below ``settings.jump`` are left out: dividends of neighbouring years differ as much.
    """
    large = [split for split in splits if abs(math.log(split.ratio)) >= math.log(settings.jump)]
    if not large:
        return []
    single = [row for index in range(len(dividends)) if (row := _outlier(dividends, index, large, settings))]
    wrong = {row["session"] for row in single}
    usual = [dividend for dividend in dividends if dividend.session not in wrong]
    steps = [row for split in large if (row := _step(usual, split, settings))]
    return single + steps


def _outlier(dividends: list[Dividend], index: int, splits: list[Split], settings: PriceQuality) -> Finding | None:
    """A dividend that both its sides say is k or 1/k of what it should be; the newest has one side.

    Each neighbour must be nearer to that than to the dividend as it is: where dividends swing, nothing stands out.
    """
    own, tolerance = dividends[index], math.log(settings.dividend_tolerance)
    before, after = dividends[max(0, index - NEIGHBOURS) : index], dividends[index + 1 : index + 1 + NEIGHBOURS]
    if not before:
        return None
    sides = [[own.level - each.level for each in side] for side in (before, after) if side]
    medians = [statistics.median(side) for side in sides]
    for split in splits:
        if split.session < own.session:
            continue
        for k in (split.ratio, 1 / split.ratio):
            level = math.log(k)
            fits = all(abs(median - level) <= tolerance for median in medians)
            if fits and all(abs(each - level) < abs(each) for side in sides for each in side):
                counted = f"if the split {ratio_text(split.ratio)} of {split.session} was counted wrongly"
                usual = own.amount * math.exp(-statistics.fmean(medians))
                return finding(
                    own.ticker,
                    own.session,
                    "dividend_basis",
                    seen=f"{own.amount:g} per share, {math.exp(medians[0]):.2g} times the dividends before it",
                    expected=f"about {usual:.3g}: {own.amount / k:g}, {counted}",
                )
    return None


def _step(dividends: list[Dividend], split: Split, settings: PriceQuality) -> Finding | None:
    """The last dividend before a split, when the two before it differ from the two from it by the split's ratio.

    Each pair must be nearer to the ratio than to no step.
    """
    before = [each for each in dividends if each.session < split.session][-2:]
    after = [each for each in dividends if each.session >= split.session][:2]
    if len(before) < 2 or len(after) < 2:
        return None
    tolerance = math.log(settings.dividend_tolerance)
    steps = [(one.level - other.level) * math.copysign(1, math.log(split.ratio)) for one in before for other in after]
    step, k = statistics.fmean(steps), abs(math.log(split.ratio))
    undivided = max(math.log(STEP), k - tolerance) <= step <= k + tolerance
    twice = k >= math.log(TWICE) and abs(step + k) <= tolerance
    level = k if undivided else -k
    if not (undivided or twice) or any(abs(each - level) >= abs(each) for each in steps):
        return None
    last = before[-1]
    return finding(
        last.ticker,
        last.session,
        "dividend_basis",
        seen=f"{last.amount:g} per share; the dividends before the split {ratio_text(split.ratio)} of {split.session} are "
        f"{math.exp(step * math.copysign(1, math.log(split.ratio))):.2g} times those after it, on one share basis",
        expected="about the same dividends on both sides: "
        + ("they were not divided by the split" if undivided else "they were divided by the split twice"),
    )


def _distributions(dividends: list[Dividend], wrong_basis: list[Finding], settings: PriceQuality) -> list[Finding]:
    """Dividends many times those before them, unless one of the two stands on another basis than prices."""
    found = []
    wrong = {row["session"] for row in wrong_basis}
    for index, own in enumerate(dividends):
        before = dividends[max(0, index - NEIGHBOURS) : index]
        if not before or wrong & {own.session, *(each.session for each in before)}:
            continue
        multiple = math.exp(own.level - statistics.median(each.level for each in before))
        share = own.amount / own.close
        if multiple >= settings.spin_off_multiple and share >= settings.spin_off_share:
            found.append(
                finding(
                    own.ticker,
                    own.session,
                    "spin_off",
                    seen=f"{own.amount:g} per share, {multiple:.3g} times the usual and {share:.1%} of the price",
                    expected=f"about {own.amount / multiple:.3g}, or a distribution named as such",
                )
            )
    return found


def _ex_dates(dividends: list[Dividend], calendar: TradingCalendar) -> list[Finding]:
    found = []
    for own in dividends:
        rule = rule_ex_date(own.session, calendar)
        if (
            rule is not None
            and own.session != rule
            and calendar.before(max(own.session, rule), 1) == min(own.session, rule)
        ):
            found.append(
                finding(own.ticker, own.session, "ex_date", seen=f"{own.amount:g} going ex", expected=f"ex-date {rule}")
            )
    return found


def rule_ex_date(date: dt.date, calendar: TradingCalendar) -> dt.date | None:
    """The ex-date of record dates at the end of ``date``'s month; None where the exchange has no such rule."""
    since = [offset for start, offset in calendar.profile.ex_dates if start <= date]
    if not since:
        return None
    end = date.replace(day=month_lengths.monthrange(date.year, date.month)[1])
    return calendar.sessions[bisect.bisect_right(calendar.sessions, end) - 1 - since[-1]]
