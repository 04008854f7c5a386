"""Real Core30 histories as a service delivers them, into which a test writes one defect at a time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import in_order
from stockfc_assets.market.quality.stored import stored_findings
from stockfc_assets.market.sources.files import FilesSource
from stockfc_assets.settings import FilesSettings, Membership, QualitySettings, Stock, Universe

EVER = (dt.date(2016, 1, 4), dt.date(2026, 12, 30))
SETTINGS = QualitySettings()
BAR = ("Open", "High", "Low", "Close", "Volume")
UNIVERSE = Universe(
    name="real",
    exchange="XTKS",
    stocks=(Stock(ticker="7203.T", name="Toyota", sector="Cars", member=(Membership(member_from=EVER[0]),)),),
)


@dataclass
class Market:
    """Delivered histories by ticker (Date, Open, ..., Volume as text), splits (ratio) and dividends (amount)."""

    prices: dict[str, pl.DataFrame]
    splits: pl.DataFrame
    dividends: pl.DataFrame

    @classmethod
    def read(cls, shared: Path, tickers: tuple[str, ...] | None = None) -> Market:
        folder, facts = shared / "jp_core30", shared / "facts"
        tickers = tickers or tuple(sorted(path.stem for path in (folder / "csv").glob("*.csv")))
        prices = {
            ticker: pl.read_csv(folder / "csv" / f"{ticker}.csv", infer_schema=False).select("Date", *BAR)
            for ticker in tickers
        }
        splits = pl.read_csv(facts / "core30_splits_2016_2026.csv", infer_schema=False)
        splits = splits.select(pl.col("ticker") + ".T", "ex_date", pl.col("ratio").cast(pl.Float64))
        dividends = pl.read_csv(folder / "implied_dividends.csv", infer_schema=False)
        amount = pl.col("dividend_split_adjusted_implied").cast(pl.Float64)
        dividends = dividends.select("ticker", "ex_date", amount=amount)
        known = pl.col("ticker").is_in(list(tickers))
        return cls(prices, splits.filter(known), dividends.filter(known))

    def copy(self) -> Market:
        return Market(dict(self.prices), self.splits, self.dividends)

    # --- defects ---

    def set_row(self, ticker: str, date: str, values: dict[str, str | None]) -> None:
        """Writes cells of the row of ``date``; the row must exist."""
        frame = self.prices[ticker]
        assert (frame["Date"] == date).sum() == 1
        here = pl.col("Date") == date
        self.prices[ticker] = frame.with_columns(
            pl.when(here).then(pl.lit(value, pl.String)).otherwise(pl.col(name)).alias(name)
            for name, value in values.items()
        )

    def scale(self, ticker: str, factor: float, *, first: str = "", last: str, volume: float = 1.0) -> None:
        """Multiplies prices (and volume by its own factor) of the rows from ``first`` to ``last``, both inclusive."""
        here = pl.col("Date").is_between(pl.lit(first), pl.lit(last))
        factors = {**dict.fromkeys(BAR[:4], factor), "Volume": volume}
        self.prices[ticker] = self.prices[ticker].with_columns(
            pl.when(here)
            .then((pl.col(name).cast(pl.Float64) * each).round(6).cast(pl.String))
            .otherwise(name)
            .alias(name)
            for name, each in factors.items()
            if each != 1.0
        )

    def add_rows(self, ticker: str, *rows: tuple[str | None, ...]) -> None:
        """Appends rows of Date, Open, High, Low, Close, Volume."""
        frame = self.prices[ticker]
        self.prices[ticker] = pl.concat([frame, pl.DataFrame(rows, schema=frame.schema, orient="row")])

    def row(self, ticker: str, date: str) -> dict[str, str]:
        return self.prices[ticker].row(by_predicate=pl.col("Date") == date, named=True)

    def before(self, ticker: str, date: str) -> dict[str, str]:
        """The row before that of ``date``."""
        return self.prices[ticker].filter(pl.col("Date") < date).sort("Date").row(-1, named=True)

    def add_split(self, ticker: str, ex_date: str, ratio: float) -> None:
        self.splits = pl.concat(
            [self.splits, pl.DataFrame([(ticker, ex_date, ratio)], self.splits.schema, orient="row")]
        )

    def add_dividend(self, ticker: str, ex_date: str, amount: float) -> None:
        new = pl.DataFrame([(ticker, ex_date, amount)], self.dividends.schema, orient="row")
        self.dividends = pl.concat([self.dividends, new])

    def scale_dividends(self, ticker: str, factor: float, *, first: str = "", last: str) -> None:
        here = (pl.col("ticker") == ticker) & pl.col("ex_date").is_between(pl.lit(first), pl.lit(last))
        assert self.dividends.filter(here).height
        self.dividends = self.dividends.with_columns(
            amount=pl.when(here).then(pl.col("amount") * factor).otherwise("amount")
        )

    def move_dividend(self, ticker: str, date: str, to: str) -> None:
        here = (pl.col("ticker") == ticker) & (pl.col("ex_date") == date)
        assert self.dividends.filter(here).height == 1
        self.dividends = self.dividends.with_columns(ex_date=pl.when(here).then(pl.lit(to)).otherwise("ex_date"))

    # --- what the platform makes of it ---

    def findings(self, folder: Path, calendar: TradingCalendar) -> pl.DataFrame:
        """Through the files source and the checks of stored rows, as one backfill of ten years."""
        (folder / "prices").mkdir(parents=True, exist_ok=True)
        for ticker, frame in self.prices.items():
            frame.sort("Date", maintain_order=True).write_csv(folder / "prices" / f"{ticker}.csv")
        self.splits.write_csv(folder / "splits.csv")
        self.dividends.write_csv(folder / "dividends.csv")
        settings = FilesSettings(
            prices=folder / "prices",
            basis="split_adjusted",
            splits=folder / "splits.csv",
            dividends=folder / "dividends.csv",
        )
        source = FilesSource(settings, UNIVERSE, calendar, SETTINGS)
        result = source.fetch_bars(sorted(self.prices), *EVER)
        assert result.failures == {}
        sessions = calendar.between(result.bars["session"].min(), result.bars["session"].max())
        found = stored_findings(
            result.bars,
            sessions,
            calendar_sessions=calendar.sessions,
            profile=calendar.profile,
            settings=SETTINGS,
            delivered=result.findings,
        )
        return in_order(pl.concat([result.findings, found]))
