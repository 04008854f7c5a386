"""The user's own prices: a folder with one CSV or Parquet file per ticker, or one file that holds all tickers.

Each history is read once, as a whole, so that splits and dividends find their rows whatever range is asked for. Rows
that break a law are left out, and named as findings like everything that is doubted; no value is ever repaired.
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
    DIVIDENDS_SCHEMA,
    SPLITS_SCHEMA,
    attach_dividends,
    attach_splits,
    drop_duplicate_splits,
    drop_unseen_splits,
    ratio_text,
    to_as_traded,
)
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import finding, findings_frame, in_order
from stockfc_assets.market.quality.delivered import BAR, refuse_rows
from stockfc_assets.market.quality.events import doubtful_events, drop_duplicate_dividends
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA, FactsResult, FetchResult
from stockfc_assets.market.sources.user_tables import (
    SUFFIXES,
    parse_dates,
    parse_numbers,
    read_events,
    read_table,
    with_suffix,
)
from stockfc_assets.settings import FilesSettings, QualitySettings, Universe

REQUIRED = ("session", *BAR)
OPTIONAL = ("dividend", "split_ratio")
CACHED_ROWS = 10_000_000
"""Bound of the histories kept for the next question, about 100 bytes a row."""


@dataclass(frozen=True)
class History:
    """All of one ticker: ``bars`` (BARS_SCHEMA) and ``findings`` (FINDINGS_SCHEMA)."""

    bars: pl.DataFrame
    findings: pl.DataFrame


class FilesSource:
    """Prices, splits, dividends and facts from files (settings.FilesSettings; docs/own-data.md).

    Raises ConfigError when the settings do not fit the files, InputError when a file cannot be used as it stands.
    """

    name = "files"
    is_simulated = FilesSettings.is_simulated
    is_remote = False

    def __init__(
        self,
        settings: FilesSettings,
        universe: Universe,
        calendar: TradingCalendar,
        quality: QualitySettings,
    ) -> None:
        self.label = settings.label
        self._settings = settings
        self._calendar = calendar
        self._quality = quality
        self._currency = {stock.ticker: stock.currency for stock in universe.stocks if stock.currency}
        self._columns = _checked_columns(settings)
        self._files, self._table = self._open_prices()
        self._splits = self._read_events(settings.splits, "ratio", SPLITS_SCHEMA)
        self._dividends = self._read_events(settings.dividends, "amount", DIVIDENDS_SCHEMA)
        self._facts = _read_facts(settings.facts, settings.ticker_suffix) if settings.facts else None
        self._cache: OrderedDict[str, History] = OrderedDict()

    # --- questions ---

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        """As-traded bars, whatever the basis of the files. A ticker without a file (or rows) is a failure."""
        bars, findings, failures = [pl.DataFrame(schema=BARS_SCHEMA)], [findings_frame()], {}
        day_after_last = self._calendar.before(start, 1) + dt.timedelta(days=1)
        for ticker in sorted(set(tickers)):
            if ticker not in self._known:
                failures[ticker] = self._why_unknown(ticker)
                continue
            history = self._history(ticker)
            bars.append(history.bars.filter(pl.col("session").is_between(start, end)))
            findings.append(history.findings.filter(pl.col("session").is_between(day_after_last, end)))
        return FetchResult(pl.concat(bars).sort("session", "ticker"), failures, in_order(pl.concat(findings)))

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        """Of each ticker the newest row of the facts file from before ``as_of``; no rows without such a file."""
        if self._facts is None:
            return FactsResult(pl.DataFrame(schema=FACTS_SCHEMA), as_of)
        known = self._facts.filter((pl.col("published") < as_of) & pl.col("ticker").is_in(list(tickers)))
        return FactsResult(known.unique("ticker", keep="last", maintain_order=True).sort("ticker"), as_of)

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
        dated = parse_dates(frame, "session", path)
        return parse_numbers(dated, numbers, path, date="session", ticker=ticker, quoted=BAR)

    def _read_events(self, path: Path | None, value: str, schema: pl.Schema) -> pl.DataFrame:
        return pl.DataFrame(schema=schema) if path is None else read_events(path, value, self._settings.ticker_suffix)

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
        self._require_not_negative(ticker, rows, path)
        splits, repeated = drop_duplicate_splits(self._events(ticker, rows, self._splits))
        dividends, paid_twice = drop_duplicate_dividends(self._events(ticker, rows, self._dividends), self._quality)
        rows, refused = refuse_rows(rows.drop(*OPTIONAL, strict=False), self._calendar)
        bars = attach_dividends(rows, dividends)
        if self._settings.basis == "split_adjusted":
            splits, unseen = _known_at_end(bars, splits)
            bars = attach_splits(to_as_traded(bars, splits), splits)
        else:
            bars = to_as_traded(bars, splits.clear())
            splits, unseen = drop_unseen_splits(bars, splits)
            bars = attach_splits(bars, splits)
        currency = self._currency.get(ticker, self._calendar.profile.currency)
        bars = bars.with_columns(currency=pl.lit(currency)).select(BARS_SCHEMA.names()).cast(BARS_SCHEMA)
        doubted = doubtful_events(bars, self._calendar, self._quality)
        return History(bars, pl.concat([repeated, paid_twice, refused, unseen, doubted]))

    def _require_not_negative(self, ticker: str, rows: pl.DataFrame, path: Path) -> None:
        for name in OPTIONAL:
            if name in rows.columns and (negative := rows.filter(pl.col(name) < 0)).height:
                row = negative.row(0, named=True)
                column = self._columns[name]
                raise InputError(
                    f"{path}: {ticker} {row['session']}: column {column!r}: {row[name]} must be 0 (none) or above"
                )

    def _events(self, ticker: str, rows: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
        """The ticker's splits or dividends (the kind of ``table``), from the prices' own column or from the table."""
        value = table.columns[-1]
        column = "split_ratio" if value == "ratio" else "dividend"
        if column not in rows.columns:
            return table.filter(pl.col("ticker") == ticker)
        nothing = [0.0, 1.0] if value == "ratio" else [0.0]
        named = rows.filter(pl.col(column).is_not_null() & ~pl.col(column).is_in(nothing))
        return named.select("ticker", ex_date="session", **{value: column}).unique(maintain_order=True)


def _known_at_end(bars: pl.DataFrame, splits: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits that a split-adjusted history ending with ``bars`` is divided by, and a finding for each later one."""
    if bars.is_empty():
        return splits.clear(), findings_frame()
    last = bars["session"].max()
    late = [
        finding(
            row["ticker"],
            row["ex_date"],
            "unseen_split",
            seen=f"{ratio_text(row['ratio'])} listed, but the prices end on {last}",
            expected="prices up to its ex-date",
        )
        for row in splits.filter(pl.col("ex_date") > last).iter_rows(named=True)
    ]
    return splits.filter(pl.col("ex_date") <= last), findings_frame(late)


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
