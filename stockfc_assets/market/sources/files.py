"""The user's own prices: a folder with one CSV or Parquet file per ticker, or one file that holds all tickers.

Each history is read once, as a whole, so that splits and dividends find their rows whatever range is asked for. Rows
that break a law are left out and named in a warning; no value is ever repaired.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.as_traded import (
    SPLITS_SCHEMA,
    WARNINGS_SCHEMA,
    attach_splits,
    drop_duplicate_splits,
    drop_unseen_splits,
    to_as_traded,
    unexplained_jumps,
)
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA, FactsResult, FetchResult
from stockfc_assets.market.sources.user_tables import (
    SUFFIXES,
    parse_dates,
    parse_numbers,
    read_events,
    read_table,
    with_suffix,
)
from stockfc_assets.settings import FilesSettings, Universe

PRICES = ("open", "high", "low", "close")
REQUIRED = ("session", *PRICES, "volume")
OPTIONAL = ("dividend", "split_ratio")
CACHED_ROWS = 10_000_000
"""Bound of the histories kept for the next question, about 100 bytes a row."""
NAMED_DATES = 5
"""A warning about dates without a session names so many of them."""


@dataclass(frozen=True)
class History:
    """All of one ticker: ``bars`` (BARS_SCHEMA), ``warnings`` (WARNINGS_SCHEMA), dates of rows without a session."""

    bars: pl.DataFrame
    warnings: pl.DataFrame
    closed: tuple[dt.date, ...]


class FilesSource:
    """Prices, splits, dividends and facts from files (settings.FilesSettings; docs/own-data.md).

    Raises ConfigError when the settings do not fit the files, InputError when a file cannot be used as it stands.
    """

    name = "files"
    is_simulated = False

    def __init__(self, settings: FilesSettings, universe: Universe, calendar: TradingCalendar) -> None:
        self.label = f"price files ({settings.prices.name})"
        self._settings = settings
        self._calendar = calendar
        self._sessions = frozenset(calendar.sessions)
        self._currency = {stock.ticker: stock.currency for stock in universe.stocks if stock.currency}
        self._columns = _checked_columns(settings)
        self._files, self._table = self._open_prices()
        self._splits, self._split_warnings = self._read_splits()
        dividends = settings.dividends
        self._dividends = read_events(dividends, "amount", settings.ticker_suffix) if dividends else None
        self._facts = _read_facts(settings.facts, settings.ticker_suffix) if settings.facts else None
        self._cache: OrderedDict[str, History] = OrderedDict()

    # --- questions ---

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        """As-traded bars, whatever the basis of the files. A ticker without a file (or rows) is a failure."""
        bars, warnings, failures = [pl.DataFrame(schema=BARS_SCHEMA)], [pl.DataFrame(schema=WARNINGS_SCHEMA)], {}
        closed: dict[dt.date, int] = {}
        for ticker in sorted(set(tickers)):
            if ticker not in self._known:
                failures[ticker] = self._why_unknown(ticker)
                continue
            history = self._history(ticker)
            in_range = pl.col("session").is_between(start, end)
            bars.append(history.bars.filter(in_range))
            warnings.append(history.warnings.filter(in_range))
            for date in history.closed:
                if start <= date <= end:
                    closed[date] = closed.get(date, 0) + 1
        messages = pl.concat(warnings).sort("session", "ticker", maintain_order=True)["message"].to_list()
        if closed:
            messages.insert(0, self._closed_message(closed))
        return FetchResult(pl.concat(bars).sort("session", "ticker"), failures, tuple(messages))

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        """Of each ticker the newest row of the facts file from before ``as_of``; no rows without such a file."""
        if self._facts is None:
            return FactsResult(pl.DataFrame(schema=FACTS_SCHEMA))
        known = self._facts.filter((pl.col("published") < as_of) & pl.col("ticker").is_in(list(tickers)))
        return FactsResult(known.unique("ticker", keep="last", maintain_order=True).sort("ticker"))

    def describe(self) -> dict[str, Any]:
        histories = [self._history(ticker).bars["session"] for ticker in sorted(self._known)]
        dates = [date for each in histories if len(each) for date in (each.min(), each.max())]
        return {
            "prices": str(self._settings.prices),
            "basis": self._settings.basis,
            "tickers": len(self._known),
            "first_session": min(dates).isoformat() if dates else None,
            "last_session": max(dates).isoformat() if dates else None,
        }

    # --- reading ---

    @property
    def _known(self) -> dict[str, Any]:
        return self._files if self._table is None else self._table

    def _why_unknown(self, ticker: str) -> str:
        if self._table is not None:
            return f"no rows in {self._settings.prices.name}"
        bare = ticker.removesuffix(self._settings.ticker_suffix)
        names = " or ".join(dict.fromkeys((ticker, bare)))
        return f"no file named {names} (.csv, .parquet) in the folder {self._settings.prices.name}"

    def _open_prices(self) -> tuple[dict[str, Path], dict[str, pl.DataFrame] | None]:
        """(file of each ticker, None) for a folder; ({}, rows of each ticker) for one file."""
        path, suffix = self._settings.prices, self._settings.ticker_suffix
        if path.is_file():
            if "ticker" not in self._columns:
                raise ConfigError(
                    f"sources.files.columns.ticker: missing; {path} is one file, so add "
                    "`ticker: <the column that holds it>`"
                )
            frame = self._parse(read_table(path, self._columns, key="columns"), path)
            frame = frame.with_columns(with_suffix(pl.col("ticker"), suffix))
            parts = frame.partition_by("ticker", as_dict=True, include_key=False, maintain_order=True)
            return {}, {str(key[0]): part for key, part in parts.items()}
        if not path.is_dir():
            raise ConfigError(f"sources.files.prices: there is no folder or file {path}; correct the path")
        if "ticker" in self._columns:
            raise ConfigError(
                f"sources.files.columns.ticker: {path} is a folder with one file per ticker, named after it; "
                "remove the key, or point sources.files.prices to the one file that holds all tickers"
            )
        files: dict[str, Path] = {}
        for file in sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES):
            ticker = file.stem if file.stem.endswith(suffix) else file.stem + suffix
            if ticker in files:
                raise ConfigError(f"sources.files.prices: {files[ticker]} and {file} are both {ticker}; remove one")
            files[ticker] = file
        if not files:
            raise ConfigError(f"sources.files.prices: no .csv or .parquet file in the folder {path}; correct the path")
        return files, None

    def _parse(self, frame: pl.DataFrame, path: Path) -> pl.DataFrame:
        numbers = {ours: theirs for ours, theirs in self._columns.items() if ours not in ("session", "ticker")}
        ticker = "ticker" if "ticker" in frame.columns else None
        return parse_numbers(parse_dates(frame, "session", path), numbers, path, date="session", ticker=ticker)

    def _read_splits(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        if self._settings.splits is None:
            return pl.DataFrame(schema=SPLITS_SCHEMA), pl.DataFrame(schema=WARNINGS_SCHEMA)
        return drop_duplicate_splits(read_events(self._settings.splits, "ratio", self._settings.ticker_suffix))

    def _history(self, ticker: str) -> History:
        """The ticker's whole history, from the cache where possible."""
        if ticker not in self._cache:
            if self._table is not None:
                path, rows = self._settings.prices, self._table[ticker]
            else:
                path = self._files[ticker]
                rows = self._parse(read_table(path, self._columns, key="columns"), path)
            self._cache[ticker] = self._build(ticker, rows.with_columns(ticker=pl.lit(ticker)).sort("session"), path)
        self._cache.move_to_end(ticker)
        while len(self._cache) > 1 and sum(kept.bars.height for kept in self._cache.values()) > CACHED_ROWS:
            self._cache.popitem(last=False)
        return self._cache[ticker]

    def _build(self, ticker: str, rows: pl.DataFrame, path: Path) -> History:
        repeated = rows.filter(pl.col("session").is_duplicated())
        if repeated.height:
            raise InputError(f"{path}: {ticker}: two rows for {repeated['session'][0]}; keep one")
        closed = tuple(date for date in rows["session"] if date not in self._sessions)
        rows = rows.filter(~pl.col("session").is_in(closed))
        self._require_not_negative(ticker, rows, path)
        splits, warnings = self._splits_of(ticker, rows)
        bars, rejected = reject_rows(rows)
        if "dividend" not in bars.columns:
            bars = bars.with_columns(dividend=pl.lit(0.0))
        bars = _add_dividends(bars.with_columns(pl.col("dividend").fill_null(0.0)), self._dividends)
        warnings = [*warnings, rejected]
        if self._settings.basis == "split_adjusted":
            splits, late = _known_at_end(bars, splits)
            warnings += [late, unexplained_jumps(bars.select("ticker", "session", *PRICES))]
            bars = attach_splits(to_as_traded(bars, splits), splits)
        else:
            bars = to_as_traded(bars, splits.clear())
            splits, unseen = drop_unseen_splits(bars, splits)
            bars = attach_splits(bars, splits)
            warnings += [unseen, unexplained_jumps(bars)]
        currency = self._currency.get(ticker, self._calendar.profile.currency)
        bars = bars.with_columns(currency=pl.lit(currency)).select(BARS_SCHEMA.names()).cast(BARS_SCHEMA)
        return History(bars, pl.concat(warnings), closed)

    def _require_not_negative(self, ticker: str, rows: pl.DataFrame, path: Path) -> None:
        for name in OPTIONAL:
            if name in rows.columns and (negative := rows.filter(pl.col(name) < 0)).height:
                row = negative.row(0, named=True)
                column = self._columns[name]
                raise InputError(
                    f"{path}: {ticker} {row['session']}: column {column!r}: {row[name]} must be 0 (none) or above"
                )

    def _splits_of(self, ticker: str, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        """The ticker's reported splits, from the table or the column, without repetitions, and the warnings so far."""
        if "split_ratio" not in rows.columns:
            mine = pl.col("ticker") == ticker
            return self._splits.filter(mine), [self._split_warnings.filter(mine)]
        ratio = pl.col("split_ratio")
        named = rows.filter(ratio.is_not_null() & ~ratio.is_in([0.0, 1.0]))
        splits, warnings = drop_duplicate_splits(named.select("ticker", ex_date="session", ratio="split_ratio"))
        return splits, [warnings]

    def _closed_message(self, closed: dict[dt.date, int]) -> str:
        first = sorted(closed)[:NAMED_DATES]
        named = [
            f"{date} ({self._calendar.why_closed(date)}, {closed[date]} ticker{'s' if closed[date] > 1 else ''})"
            for date in first
        ]
        more = f" and {len(closed) - NAMED_DATES} more dates" if len(closed) > NAMED_DATES else ""
        return f"{sum(closed.values())} rows dropped because their date is no session: {', '.join(named)}{more}"


def reject_rows(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows (of one ticker, sorted by session) that keep the laws of a bar, and a warning for each of the others.

    Left out: a price that is missing or not above 0; a volume that is missing or below 0; high or low that do not
    enclose open and close; and rows that stand for "no trade": volume 0 and nothing but the previous close.
    """
    missing = pl.any_horizontal(pl.col(*PRICES).is_null()) | (pl.min_horizontal(PRICES) <= 0)
    filler = (pl.col("volume") == 0) & pl.all_horizontal(pl.col(name) == pl.col("close").shift(1) for name in PRICES)
    reason = (
        pl.when(missing)
        .then(pl.lit("a price is missing or not above 0"))
        .when((pl.col("low") > pl.min_horizontal(PRICES)) | (pl.col("high") < pl.max_horizontal(PRICES)))
        .then(pl.lit("high and low do not enclose open and close"))
        .when(pl.col("volume").is_null() | (pl.col("volume") < 0))
        .then(pl.lit("the volume is missing or below 0"))
        .when(filler)
        .then(pl.lit("no trade, only the previous close repeated"))
    )
    marked = rows.with_columns(_reason=reason)
    warnings = [
        {
            "ticker": row["ticker"],
            "session": row["session"],
            "message": f"{row['ticker']} {row['session']}: row left out: {row['_reason']} (open {row['open']}, "
            f"high {row['high']}, low {row['low']}, close {row['close']}, volume {row['volume']})",
        }
        for row in marked.filter(pl.col("_reason").is_not_null()).iter_rows(named=True)
    ]
    kept = marked.filter(pl.col("_reason").is_null()).drop("_reason")
    return kept, pl.DataFrame(warnings, schema=WARNINGS_SCHEMA)


def _known_at_end(bars: pl.DataFrame, splits: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits that a split-adjusted history ending with ``bars`` is divided by, and a warning for each later one."""
    if bars.is_empty():
        return splits.clear(), pl.DataFrame(schema=WARNINGS_SCHEMA)
    last = bars["session"].max()
    rows = [
        {
            "ticker": row["ticker"],
            "session": row["ex_date"],
            "message": f"{row['ticker']} {row['ex_date']}: split of ratio {row['ratio']:g} not applied: "
            f"the prices end before it, on {last}",
        }
        for row in splits.filter(pl.col("ex_date") > last).iter_rows(named=True)
    ]
    return splits.filter(pl.col("ex_date") <= last), pl.DataFrame(rows, schema=WARNINGS_SCHEMA)


def _add_dividends(bars: pl.DataFrame, dividends: pl.DataFrame | None) -> pl.DataFrame:
    """Adds each amount to the ticker's first row on or after its ex-date (never to the first row of all)."""
    if dividends is None or bars.is_empty():
        return bars
    paid = (
        dividends.join(bars.select("ticker").unique(), on="ticker", how="semi")
        .filter(pl.col("ex_date") >= bars["session"].min())
        .sort("ex_date")
        .join_asof(
            bars.select("session", _row="session"),
            left_on="ex_date",
            right_on="session",
            strategy="forward",
        )
        .group_by("_row")
        .agg(_paid=pl.col("amount").sort_by("ex_date").sum())
    )
    joined = bars.join(paid, left_on="session", right_on="_row", how="left", maintain_order="left")
    return joined.with_columns(pl.col("dividend") + pl.col("_paid").fill_null(0.0)).drop("_paid")


def _checked_columns(settings: FilesSettings) -> dict[str, str]:
    """The column map, complete. Raises ConfigError for unknown or missing keys, and for splits given never or twice."""
    allowed = (*REQUIRED, "ticker", *OPTIONAL)
    for key in settings.columns:
        if key not in allowed:
            raise ConfigError(f"sources.files.columns.{key}: unknown key; allowed here: {', '.join(allowed)}")
    for key in REQUIRED:
        if key not in settings.columns:
            raise ConfigError(f"sources.files.columns.{key}: missing; add `{key}: <the column that holds it>`")
    if settings.splits is None and "split_ratio" not in settings.columns and settings.basis == "split_adjusted":
        raise ConfigError(
            "sources.files.splits: needed with `basis: split_adjusted`, to know what was paid at the time; name a CSV "
            "or Parquet table of ticker, ex_date, ratio (a header alone if nothing was ever split)"
        )
    if settings.splits is not None and "split_ratio" in settings.columns:
        raise ConfigError("sources.files: splits come from `splits` or from `columns.split_ratio`; remove one")
    if settings.dividends is not None and "dividend" in settings.columns:
        raise ConfigError("sources.files: dividends come from `dividends` or from `columns.dividend`; remove one")
    return dict(settings.columns)


def _read_facts(path: Path, suffix: str) -> pl.DataFrame:
    """The facts file in `FACTS_SCHEMA`, sorted by ticker and date; columns that it lacks are null."""
    names = {name: name for name in FACTS_SCHEMA.names() if name != "published"}
    frame = read_table(path, {"published": "as_of", **names}, key="facts", optional=frozenset(names) - {"ticker"})
    frame = parse_dates(frame, "published", path).with_columns(with_suffix(pl.col("ticker"), suffix))
    numbers = {name: name for name in frame.columns if FACTS_SCHEMA[name] == pl.Float64}
    frame = parse_numbers(frame, numbers, path, date="published", ticker="ticker")
    for name, bad in (("shares_outstanding", pl.col("shares_outstanding") <= 0),
                      ("dividend_per_share_ttm", pl.col("dividend_per_share_ttm") < 0)):  # fmt: skip
        if name in frame.columns and (wrong := frame.filter(bad)).height:
            row = wrong.row(0, named=True)
            raise InputError(f"{path}: {row['ticker']} {row['published']}: {name} cannot be {row[name]}; correct it")
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in FACTS_SCHEMA.items() if name not in frame.columns]
    return frame.with_columns(lacking).select(FACTS_SCHEMA.names()).cast(FACTS_SCHEMA).sort("ticker", "published")
