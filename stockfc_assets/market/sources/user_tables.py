"""Reads the user's own CSV and Parquet tables: columns found, dates and numbers parsed, or a clear error.

Nothing is guessed beyond the spelling of a date. Errors name the file, the row, the column, the value and a remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.quality.delivered import unreadable_text

SUFFIXES = (".csv", ".parquet")
EMPTY_TEXTS = ("", "nan", "null", "none", "na", "n/a")
"""Cells (in any case) that mean "no value"."""
DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
"""Tried on a text's first 10 characters, so that times of day after the date are ignored."""


def read_table(
    path: Path, columns: Mapping[str, str], *, key: str, optional: frozenset[str] = frozenset()
) -> pl.DataFrame:
    """The columns of ``path`` that ``columns`` (ours -> theirs) names, under our names; CSV cells as text.

    ``key`` is the configuration key that says where the file or its column is. ``optional``: ours that may be missing.
    Raises ConfigError for a missing file or column, InputError for a file that cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"sources.files.{key.partition('.')[0]}: there is no file {path}; correct the path")
    try:
        frame = pl.read_parquet(path) if path.suffix.lower() == ".parquet" else pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path}: cannot be read as {path.suffix.lstrip('.').upper() or 'CSV'}: {reason}") from None
    for ours, theirs in columns.items():
        if theirs not in frame.columns and ours not in optional:
            where = f"; change sources.files.{key}.{ours}" if key == "columns" else f" (sources.files.{key})"
            raise ConfigError(f"{path}: no column {theirs!r}; found: {', '.join(frame.columns)}{where}")
    return frame.select(pl.col(theirs).alias(ours) for ours, theirs in columns.items() if theirs in frame.columns)


def parse_dates(frame: pl.DataFrame, column: str, path: Path) -> pl.DataFrame:
    """``column`` as Date. A date-time keeps the date of its own time zone. Raises InputError with the row's number."""
    dtype = frame.schema[column]
    if isinstance(dtype, pl.Datetime):
        return frame.with_columns(pl.col(column).dt.date())
    if dtype != pl.Date:
        text = pl.col(column).cast(pl.String).str.strip_chars().str.slice(0, 10)
        parsed = frame.with_columns(
            pl.coalesce(text.str.to_date(form, strict=False) for form in DATE_FORMATS).alias(column)
        )
    else:
        parsed = frame
    bad = parsed[column].is_null().arg_max() if parsed[column].null_count() else None
    if bad is not None:
        raise InputError(f"{path}: row {bad + 1}: {column}: {frame[column][bad]!r} is not a date such as 2026-02-06")
    return parsed


def parse_numbers(
    frame: pl.DataFrame,
    columns: Mapping[str, str],
    path: Path,
    *,
    date: str,
    ticker: str | None = None,
    quoted: Collection[str] = (),
) -> pl.DataFrame:
    """Our columns of ``columns`` (ours -> theirs) as Float64; an empty cell (`EMPTY_TEXTS`) or NaN is null.

    ``date`` (and ``ticker``) are the parsed columns that tell a row. Raises InputError for a cell that is no number. In
    the columns ``quoted`` such a cell is null and stands in the column ``unreadable`` (quality.delivered), as long as
    any other cell of its column is a number.
    """
    texts = {}
    for ours, theirs in columns.items():
        if frame.schema[ours] == pl.String:
            text = pl.col(ours).str.strip_chars()
            given = frame.select(text=pl.when(~text.str.to_lowercase().is_in(EMPTY_TEXTS)).then(text))["text"]
            numbers = given.cast(pl.Float64, strict=False)
            bad = given.is_not_null() & ~numbers.is_finite().fill_null(False)
            if bad.any():
                if ours not in quoted or not numbers.is_finite().any():
                    row = frame.row(bad.arg_max(), named=True)
                    who = f"{row[ticker]} " if ticker else ""
                    raise InputError(
                        f"{path}: {who}{row[date]}: column {theirs!r}: {row[ours].strip()!r} is not a number; "
                        "correct the cell, or leave it empty"
                    )
                texts[ours] = given.set(~bad, None)
            frame = frame.with_columns(numbers.alias(ours))
        elif not frame.schema[ours].is_numeric() and frame.schema[ours] != pl.Null:
            raise InputError(f"{path}: column {theirs!r} holds {frame.schema[ours]}, not numbers")
        frame = frame.with_columns(pl.col(ours).cast(pl.Float64).fill_nan(None))
    if quoted:
        frame = frame.with_columns(unreadable_text(texts))
    return frame


def with_suffix(ticker: pl.Expr, suffix: str) -> pl.Expr:
    """Tickers as text, with ``suffix`` appended where it is lacking."""
    text = ticker.cast(pl.String).str.strip_chars()
    return pl.when(text.str.ends_with(suffix)).then(text).otherwise(text + suffix) if suffix else text


def read_events(path: Path, value: str, suffix: str) -> pl.DataFrame:
    """A table of ticker, ex_date and ``value`` (``ratio`` or ``amount``), sorted; other columns are ignored.

    Raises InputError for a ratio that is not above 0, or an amount below 0.
    """
    key = "splits" if value == "ratio" else "dividends"
    names = {"ticker": "ticker", "ex_date": "ex_date", value: value}
    frame = read_table(path, names, key=key)
    frame = parse_dates(frame, "ex_date", path).with_columns(with_suffix(pl.col("ticker"), suffix))
    frame = parse_numbers(frame, {value: value}, path, date="ex_date", ticker="ticker")
    number = pl.col(value)
    bad = frame.filter(number.is_null() | (number <= 0 if value == "ratio" else number < 0))
    if bad.height:
        row = bad.row(0, named=True)
        allowed = "above 0 (new shares per old share: 5 for 5:1, 0.1 for 1:10)" if value == "ratio" else "0 or more"
        raise InputError(f"{path}: {row['ticker']} {row['ex_date']}: {value} {row[value]} must be {allowed}")
    return frame.sort("ticker", "ex_date")
