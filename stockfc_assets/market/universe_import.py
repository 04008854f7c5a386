"""A universe file from the exchange's list of issues, or from dated lists of an index's members.

Two tables are understood (`jpx.read_table`). A **list of issues** of one date gives all domestic common stocks, members
from that date on. **Dated lists** of members give membership as it was known: on every day the members are those of the
newest list of that day or before. So a stock joins on the date of the first list that shows it, and leaves on the day
before the first list that no longer does: the list before could not know it yet.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market import jpx
from stockfc_assets.market.calendar import profile_of
from stockfc_assets.settings import Membership, Stock, Universe

EXAMPLES = 4
SHOWN_UNMAPPED = 5


@dataclass(frozen=True)
class Group:
    """Issues of a table that were kept, or left out, for one reason."""

    kept: bool
    reason: str
    issues: int
    examples: tuple[str, ...]
    """Code and name of the first few."""


@dataclass(frozen=True)
class UniverseImport:
    """A universe, how it came about, and what a person should know before using it."""

    universe: Universe
    source: str
    groups: tuple[Group, ...]
    remarks: tuple[str, ...] = ()


def universe_name(text: str) -> str:
    """``text`` as the name of a universe and of its file: small letters, digits and underscores. Raises InputError."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not name:
        raise InputError(f"--name {text!r}: has no letter or digit; choose a name such as tokyo_all")
    return name


def import_universe(
    path: Path, *, name: str, sector_names: Mapping[str, str], since: dt.date | None = None
) -> UniverseImport:
    """The universe ``name`` of the table at ``path``, stocks sorted by code.

    ``sector_names``: sector as the table names it -> ours. ``since``: the first date on which the issues of a list are
    taken as members; by default the list's own date. Raises InputError for a table that cannot be used, ConfigError for
    sectors that ``sector_names`` lacks.
    """
    kind, rows = jpx.read_table(path)
    if kind == "listed":
        return _from_listed_issues(rows, path, name, sector_names, since)
    if since is not None:
        raise InputError(f"--since {since}: {path.name} dates the membership itself; leave --since out")
    return _from_snapshots(rows, path, name, sector_names)


# --- the exchange's list of issues ------------------------------------------------------------------------------------


def _from_listed_issues(
    rows: pl.DataFrame, path: Path, name: str, sector_names: Mapping[str, str], since: dt.date | None
) -> UniverseImport:
    dates = rows["as_of"].unique().sort().to_list()
    if len(dates) > 1:
        raise InputError(f"{path}: holds lists of {len(dates)} dates ({dates[0]} to {dates[-1]}); import one list")
    as_of = dates[0]
    if since is not None and since > as_of:
        raise InputError(f"--since {since} is after the list's date {as_of}; choose an earlier date")
    issues = jpx.classify(rows, path)
    common = issues.filter(pl.col("reason") == jpx.COMMON_STOCK)
    if common.is_empty():
        raise InputError(f"{path}: none of its {issues.height} issues is a domestic common stock")
    member = (Membership(member_from=since or as_of),)
    stocks = _stocks(common, dict.fromkeys(common["code"], member), sector_names, path)
    note = f"The domestic common stocks that were listed in Tokyo on {as_of}. "
    if since is None:
        note += "Membership begins on that date; nothing is said about the time before it."
        remark = (
            f"members begin on {as_of}, so nothing before it is trained on; --since DATE assumes that all of them "
            "belonged earlier (survivorship-biased)"
        )
    else:
        note += (
            f"That they belonged since {since} is assumed, not known: companies that left the exchange before {as_of} "
            "are missing, so past scores are survivorship-biased."
        )
        remark = f"membership from {since} to {as_of} is assumed: scores of that time are survivorship-biased"
    universe = _universe(name, note, stocks)
    source = f"{path.name}: {issues.height:,} issues listed on {as_of}"
    return UniverseImport(universe, source, _groups(issues), (remark,))


def _groups(issues: pl.DataFrame) -> tuple[Group, ...]:
    """What was kept, by segment, and what was left out, by reason; larger groups first."""
    is_kept = pl.col("reason") == jpx.COMMON_STOCK
    counted = (
        issues.sort("code")
        .with_columns(
            kept=is_kept,
            reason=pl.when(is_kept).then(pl.format("{}, {}", "reason", "segment")).otherwise("reason"),
            label=pl.format("{} {}", "code", "name"),
        )
        .group_by("kept", "reason")
        .agg(issues=pl.len(), examples=pl.col("label").head(EXAMPLES))
        .sort("kept", "issues", "reason", descending=[True, True, False])
    )
    return tuple(Group(row["kept"], row["reason"], row["issues"], tuple(row["examples"])) for row in counted.to_dicts())


# --- dated lists of members -------------------------------------------------------------------------------------------


def _from_snapshots(rows: pl.DataFrame, path: Path, name: str, sector_names: Mapping[str, str]) -> UniverseImport:
    dates: list[dt.date] = rows["as_of"].unique().sort().to_list()
    seen = {code: set(days) for code, days in rows.group_by("code").agg("as_of").iter_rows()}
    intervals = {code: membership(days, dates) for code, days in seen.items()}
    newest = rows.unique("code", keep="last", maintain_order=True).sort("code")
    stocks = _stocks(newest, intervals, sector_names, path)
    note = (
        f"Members as {len(dates)} lists from {dates[0]} to {dates[-1]} showed them: on every day those of the newest list. "
        f"A change is dated by the first list that shows it{_lateness(dates)}; who came and went between two lists is "
        "missing. Names and sectors are the newest."
    )
    current = newest.filter(pl.col("as_of") == dates[-1])
    former = newest.filter(pl.col("as_of") != dates[-1])
    groups = (
        Group(True, f"members on {dates[-1]}", current.height, _labels(current)),
        Group(True, "former members", former.height, _labels(former)),
    )
    source = f"{path.name}: {len(dates)} lists from {dates[0]} to {dates[-1]}"
    return UniverseImport(_universe(name, note, stocks), source, groups, _changes(rows, intervals))


def membership(seen: set[dt.date], dates: list[dt.date]) -> tuple[Membership, ...]:
    """Intervals of a stock that is on the lists of the dates ``seen``, among all lists' ``dates`` (ascending).

    An interval begins with the first list that shows the stock and ends on the day before the first list that does not;
    one that reaches the last list is open.
    """
    intervals = []
    start = None
    for date in dates:
        if date in seen:
            start = start or date
        elif start is not None:
            intervals.append(Membership(member_from=start, member_to=date - dt.timedelta(days=1)))
            start = None
    if start is not None:
        intervals.append(Membership(member_from=start))
    return tuple(intervals)


def _lateness(dates: list[dt.date]) -> str:
    if len(dates) == 1:
        return ""
    gap, earlier, later = max((later - earlier, earlier, later) for earlier, later in pairwise(dates))
    return f", up to {gap.days} days late ({earlier} to {later})"


def _changes(rows: pl.DataFrame, intervals: Mapping[str, tuple[Membership, ...]]) -> tuple[str, ...]:
    """Codes whose name or sector changed between lists: perhaps another company took the code over."""
    remarks = []
    for what in ("name", "sector"):
        changed = (
            rows.group_by("code").agg(pl.col(what).unique(maintain_order=True)).filter(pl.col(what).list.len() > 1)
        )
        for code, values in changed.sort("code").iter_rows():
            away = what == "name" and len(intervals[code]) > 1
            doubt = "; it was away in between: is it the same company?" if away else ""
            remarks.append(f"{code}: {what} changed: {' -> '.join(values)}{doubt}")
    return tuple(remarks)


def _labels(rows: pl.DataFrame) -> tuple[str, ...]:
    return tuple(f"{code} {name}" for code, name in rows.select("code", "name").head(EXAMPLES).iter_rows())


# --- the universe -----------------------------------------------------------------------------------------------------


def _universe(name: str, note: str, stocks: tuple[Stock, ...]) -> Universe:
    return Universe(name=name, exchange=jpx.EXCHANGE, benchmark=jpx.BENCHMARK, note=note, stocks=stocks)


def _stocks(
    rows: pl.DataFrame, member: Mapping[str, tuple[Membership, ...]], sector_names: Mapping[str, str], path: Path
) -> tuple[Stock, ...]:
    """One stock per row of ``rows`` (code, name, sector). Raises ConfigError naming what ``sector_names`` lacks."""
    ours = {jpx.plain(theirs): sector for theirs, sector in sector_names.items()}
    unmapped = rows.filter(~pl.col("sector").is_in(list(ours)))
    if unmapped.height:
        shown = [f"{row['code']} {row['name']}: {row['sector']!r}" for row in unmapped.head(SHOWN_UNMAPPED).to_dicts()]
        raise ConfigError(
            f"{path}: {unmapped.height} issues have a sector that config/sector_names.yaml does not map, such as "
            f"{'; '.join(shown)}. Add each there, with the sector of config/sectors.yaml that it belongs to"
        )
    suffix = profile_of(jpx.EXCHANGE).ticker_suffix
    return tuple(
        Stock(ticker=code + suffix, name=name, sector=ours[sector], member=member[code])
        for code, name, sector in rows.select("code", "name", "sector").iter_rows()
    )


def universe_yaml(universe: Universe, comment: str) -> str:
    """The universe as a file of config/universes: one stock per line. The same universe gives the same text."""
    head = {
        "name": universe.name,
        "exchange": universe.exchange,
        "benchmark": universe.benchmark,
        "note": universe.note,
    }
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [_dump(head, flow=False), "stocks:"]
    lines += [f"  - {_dump(stock.model_dump(exclude_none=True), flow=True)}" for stock in universe.stocks]
    return "\n".join(lines) + "\n"


def _dump(content: Mapping[str, Any], *, flow: bool) -> str:
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}
    text = yaml.safe_dump(values, default_flow_style=flow, allow_unicode=True, sort_keys=False, width=float("inf"))
    return text.strip()
