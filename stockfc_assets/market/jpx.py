"""Tables of Tokyo's listed issues: the exchange's monthly list, and dated lists of an index's members.

Which issues are domestic common stocks is read from the list's own fields, never from the shape of a code: class shares
have five digits today, new common stocks have letters, and both may change.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import polars as pl

from stockfc_assets.errors import InputError
from stockfc_assets.market.sources.user_tables import parse_dates

EXCHANGE = "XTKS"
BENCHMARK = "1306.T"
"""NEXT FUNDS TOPIX ETF."""

LISTED_ISSUES = {
    "日付": "as_of", "コード": "code", "銘柄名": "name", "市場・商品区分": "segment", "17業種区分": "sector",
}  # fmt: skip
"""Columns read from the exchange's list (https://www.jpx.co.jp/english/markets/statistics-equities/misc/01.html)."""
SNAPSHOTS = {"as_of": "as_of", "code": "code", "name": "name", "sector17": "sector"}
"""Columns read from dated lists of members: one row per date and member."""

COMMON_STOCK = "domestic common stocks"
EXCLUSIONS = (
    ("funds (ETF, ETN)", "segment", "ETF"),
    ("funds (REIT, venture, country, infrastructure)", "segment", "REIT"),
    ("PRO Market (for professional investors)", "segment", "PRO Market"),
    ("investment securities", "segment", "出資証券"),
    ("foreign shares", "segment", "外国株"),
    ("preferred and class shares", "name", "優先株|種類株|優先出資|後配株"),
)
"""Why an issue is left out: the first whose pattern is found in its field."""
DOMESTIC = "内国株"
"""What the segment of every domestic share says, today and before the reform of 2022."""


def read_table(path: Path) -> tuple[str, pl.DataFrame]:
    """The kind of table, ``listed`` or ``snapshots`` (told by its header), and its rows.

    Columns ``as_of`` (Date), ``code``, ``name``, ``sector`` and, in a list of issues, ``segment`` (String): full-width
    letters as plain ones (Unicode NFKC), sorted by date and code. Raises InputError for a file that is no CSV in UTF-8, lacks
    a column, has an empty cell, or names a code twice on one date.
    """
    frame = _read_csv(path)
    frame = frame.rename({name: plain(name) for name in frame.columns})
    for kind, columns in (("listed", LISTED_ISSUES), ("snapshots", SNAPSHOTS)):
        wanted = {plain(theirs): ours for theirs, ours in columns.items()}
        if wanted.keys() <= set(frame.columns):
            rows = frame.select(pl.col(theirs).alias(ours) for theirs, ours in wanted.items())
            return kind, _checked(rows, path)
    raise InputError(
        f"{path}: found the columns {', '.join(frame.columns)}; expected those of the exchange's list "
        f"({', '.join(LISTED_ISSUES)}) or of dated member lists ({', '.join(SNAPSHOTS)})"
    )


def classify(issues: pl.DataFrame, path: Path) -> pl.DataFrame:
    """``issues`` with ``reason``: `COMMON_STOCK` for those to keep, else why not (`EXCLUSIONS`).

    Raises InputError for a segment that is none of the known ones: nothing is kept or left out by guess.
    """
    reason = pl.coalesce(
        *(pl.when(pl.col(field).str.contains(pattern)).then(pl.lit(why)) for why, field, pattern in EXCLUSIONS),
        pl.when(pl.col("segment").str.contains(DOMESTIC)).then(pl.lit(COMMON_STOCK)),
    )
    classified = issues.with_columns(reason=reason)
    unknown = classified.filter(pl.col("reason").is_null())
    if unknown.height:
        row = unknown.row(0, named=True)
        raise InputError(
            f"{path}: {row['code']} {row['name']}: the segment {row['segment']!r} is unknown ({unknown.height} issues); "
            "correct the cell, or add it to EXCLUSIONS in stockfc_assets/market/jpx.py"
        )
    return classified


def plain(text: str) -> str:
    """``text`` with full-width letters and digits as plain ones, and single spaces: ``ＮＴＴ　データ`` is ``NTT データ``."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _read_csv(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; correct the path")
    remedy = "save it as 'CSV UTF-8' in a spreadsheet program and import that"
    if path.suffix.lower() in (".xls", ".xlsx"):
        raise InputError(f"{path}: spreadsheets are not read; {remedy}")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text in UTF-8; {remedy}") from None
    try:
        return pl.read_csv(content.encode(), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path}: cannot be read as CSV: {reason}") from None


def _checked(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    for name in rows.columns:
        empty = rows[name].str.strip_chars().fill_null("") == ""
        if empty.any():
            raise InputError(f"{path}: row {empty.arg_max() + 1}: {name} is empty; fill it in")
    texts = [name for name in rows.columns if name != "as_of"]
    rows = rows.with_columns(pl.col(texts).map_elements(plain, return_dtype=pl.String))
    rows = parse_dates(rows, "as_of", path).sort("as_of", "code")
    twice = rows.filter(pl.struct("as_of", "code").is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise InputError(f"{path}: code {row['code']} is there twice on {row['as_of']}; keep one")
    if rows.is_empty():
        raise InputError(f"{path}: has no rows; import a list of issues")
    return rows
