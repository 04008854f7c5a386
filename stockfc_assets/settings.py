"""What an operator can set, as typed, frozen objects with their defaults; configuration.py reads them from config/*.yaml."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from stockfc_assets.frozen import Frozen, Positive, Ratio
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.running_settings import (
    AlarmSettings,
    ApiSettings,
    ExecutionSettings,
    LocalStorage,
    RetentionSettings,
    StorageSettings,
)
from stockfc_assets.trading_rules import BacktestSettings

EQUAL_WEIGHTED = "equal_weighted"
"""As a benchmark: the mean of the members."""

# --- universe and sectors ---------------------------------------------------------------------------------------------


class Membership(Frozen):
    """One interval of belonging; ``member_to`` is None while it lasts."""

    member_from: dt.date
    member_to: dt.date | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Membership:
        if self.member_to is not None and self.member_to < self.member_from:
            raise ValueError(f"member_to {self.member_to} is before member_from {self.member_from}")
        return self


class Stock(Frozen):
    ticker: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9.^=-]+$")]
    name: Annotated[str, Field(min_length=1)]
    sector: str
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    member: Annotated[tuple[Membership, ...], Field(min_length=1)]

    def is_member(self, date: dt.date) -> bool:
        return any(m.member_from <= date and (m.member_to is None or date <= m.member_to) for m in self.member)


class Universe(Frozen):
    """The stocks to forecast. ``benchmark`` is a ticker, or ``equal_weighted`` for the mean of the members."""

    name: str
    exchange: str
    benchmark: str = EQUAL_WEIGHTED
    note: str = ""
    stocks: Annotated[tuple[Stock, ...], Field(min_length=1)]

    @field_validator("stocks")
    @classmethod
    def _unique(cls, stocks: tuple[Stock, ...]) -> tuple[Stock, ...]:
        seen: set[str] = set()
        for stock in stocks:
            if stock.ticker in seen:
                raise ValueError(
                    f"duplicate ticker {stock.ticker!r}: list each ticker once, with all its member intervals"
                )
            seen.add(stock.ticker)
        return stocks

    @property
    def tickers(self) -> tuple[str, ...]:
        """All tickers that ever belong, in file order."""
        return tuple(stock.ticker for stock in self.stocks)

    def members(self, date: dt.date) -> tuple[str, ...]:
        """Tickers that belong on ``date``, in file order."""
        return tuple(stock.ticker for stock in self.stocks if stock.is_member(date))


class Sectors(Frozen):
    """Sector names by id. Ids are rows of the model's embedding: append, never renumber."""

    sectors: dict[str, Annotated[int, Field(ge=0)]]

    @field_validator("sectors")
    @classmethod
    def _unique_ids(cls, sectors: dict[str, int]) -> dict[str, int]:
        ids = list(sectors.values())
        for name, number in sectors.items():
            if ids.count(number) > 1:
                raise ValueError(f"sector {name!r}: id {number} is used twice")
        return sectors


class SectorNames(Frozen):
    """What others call our sectors: their name -> ours."""

    sector_names: dict[str, str]


# --- price sources ----------------------------------------------------------------------------------------------------


class SimulatedSettings(Frozen):
    """The simulated market (stockfc_assets/market/sources/simulated.py says how it works)."""

    seed: int = 20100104
    epoch: dt.date = dt.date(2010, 1, 4)
    """First simulated session: prices of a ticker depend on (seed, ticker, epoch) and nothing else."""
    predictability: Ratio = 0.3
    """Share of the monthly idiosyncratic return that follows from past prices: 0 = nothing to learn."""
    tickers: Annotated[int, Field(ge=1, le=50_000)] | None = None
    """Simulate this many invented tickers instead of the universe file's (31 to 50,000 are tested)."""
    is_simulated: ClassVar[bool] = True

    @property
    def label(self) -> str:
        return f"simulated market (seed {self.seed})"


class FilesSettings(Frozen):
    """A folder of the user's own CSV or Parquet files (docs/own-data.md)."""

    prices: Path
    """A folder with one file per ticker, or one file that holds all tickers in a column."""
    basis: Literal["as_traded", "split_adjusted"]
    columns: dict[str, str] = Field(
        default_factory=lambda: {
            "session": "Date", "open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume",
        }
    )  # fmt: skip
    """Our column -> theirs. Keys: session, open, high, low, close, volume; optional ticker, dividend, split_ratio."""
    ticker_suffix: str = ""
    """Appended to tickers and file names that lack it, such as ``.T``."""
    splits: Path | None = None
    """CSV or Parquet of ticker, ex_date, ratio (new shares per old). Needed with ``split_adjusted``."""
    dividends: Path | None = None
    """CSV or Parquet of ticker, ex_date, amount, on the basis of ``basis``."""
    facts: Path | None = None
    """CSV or Parquet of ticker, as_of and any columns of universe_enrichment; as_of = the date they were published."""
    is_simulated: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"price files ({self.prices.name})"


class YahooSettings(Frozen):
    """Yahoo Finance through yfinance (docs/yahoo.md). The service is free and owes us nothing: the defaults are polite."""

    requests_per_minute: Positive = 60
    """Requests start at least 60 s / this apart."""
    jitter_seconds: Annotated[float, Field(ge=0)] = 0.5
    """Up to so many seconds, at random, are added to each wait, so that machines do not ask in step."""
    timeout_seconds: Positive = 30
    """A request without an answer for so long has failed and is tried again."""
    first_backoff_seconds: Positive = 5
    """Wait after the first 429, 5xx or cut connection; doubled each time, unless the service names its own."""
    longest_backoff_seconds: Positive = 120
    budget_seconds: Annotated[float, Field(ge=0)] = 900
    """One run spends at most so many seconds waiting in back-off; then it keeps what it has and names the rest."""
    history_days: Annotated[int, Field(ge=10)] = 400
    """So many days before a range are asked for with it: the row before it, the dividends and splits to compare with."""
    quarterly_lag_days: Annotated[int, Field(ge=0)] = 45
    """A quarter's statement counts as published so many days after the period's end (Tokyo's rule is within 45 days)."""
    annual_lag_days: Annotated[int, Field(ge=0)] = 60
    """The same for a year's statement: a margin over Tokyo's 45 days, because the auditor's version may change it."""
    endpoint: Annotated[str, Field(pattern=r"^http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$")] | None = None
    """A server on this machine that answers in Yahoo's place (docs/yahoo.md); STOCKFC_YAHOO_ENDPOINT sets it, too."""

    @property
    def is_simulated(self) -> bool:
        """What a server on this machine answers in Yahoo's place must never be taken for real prices."""
        return self.endpoint is not None

    @property
    def label(self) -> str:
        return f"stand-in for Yahoo Finance at {self.endpoint}" if self.endpoint else "Yahoo Finance"


class SourceSettings(Frozen):
    simulated: SimulatedSettings = SimulatedSettings()
    files: FilesSettings | None = None
    yahoo: YahooSettings = YahooSettings()


# --- quality ----------------------------------------------------------------------------------------------------------


class PriceQuality(Frozen):
    """When a price, a volume, a split or a dividend is doubted (stockfc_assets/market/quality)."""

    jump: Annotated[float, Field(gt=1)] = 1.4
    """A row that opens and closes beyond this factor of the previous close has jumped: more than Tokyo's daily limits
    allow a share above 200 yen, and less than a 3:2 split. The largest real move in ten years of Core30 is 1.29."""
    split_tolerance: Annotated[float, Field(gt=1)] = 1.25
    """A jump within this factor of a split's ratio is taken for that split: room for the day's own move."""
    dividend_tolerance: Annotated[float, Field(gt=1)] = 1.5
    """A dividend that differs from those beside it by a split's ratio, within this factor, is doubted: dividends of
    neighbouring years differ more than prices of neighbouring days."""
    limit_margin: Annotated[float, Field(ge=1)] = 1.02
    """High and low may lie so many times the exchange's price limit from the previous close: limits are rounded to
    ticks. One row of ten years of Core30 lies beyond 1, by half a yen."""
    spin_off_multiple: Annotated[float, Field(gt=1)] = 3
    """A dividend so many times the median of the three before it is doubted ..."""
    spin_off_share: Ratio = 0.03
    """... if it is this share of the price or more: a growing company's small dividends multiply without a spin-off."""
    duplicate_dividend_days: Annotated[int, Field(ge=0)] = 7
    """The same amount again within so many days is the same dividend: none is paid weekly."""
    stale_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A session counts as stale when this share of the names repeats the session before or has no trade. On the stale
    2016-07-11 of a real vendor it was 0.96; on a good day it is 0 for large stocks, and small for all of Tokyo."""
    stale_names: Annotated[int, Field(ge=1)] = 5
    """Among fewer names a share says nothing."""
    stale_lots: Annotated[int, Field(ge=1)] = 10
    """A row with one single price repeats by chance in a quiet stock: it is doubted from so many lots of volume."""
    lot_rows: Annotated[int, Field(ge=1)] = 10
    """An odd volume is doubted after so many rows in whole lots: funds and indices have other lots, or none."""
    turnover_ratio: Annotated[float, Field(gt=1)] = 3
    """Turnover is compared over splits of this ratio or more: over smaller ones real turnover moves as much (0.47 of
    the weeks before at a 2:1 split of Core30)."""
    turnover_tolerance: Annotated[float, Field(gt=1)] = 1.5
    """Turnover that moved within this factor of the ratio is doubted (3:1: beyond 2 or below 0.5). Over the splits of
    Core30 it moved between 0.62 and 1.86, the latter at a 10:1 split."""
    reuse_gap_sessions: Annotated[int, Field(ge=2)] = 250
    """Trading that resumes after a year is taken for another company under a reused ticker: no halt lasts as long."""


class FactQuality(Frozen):
    """Bounds within which a company fact is plausible, lowest and highest; beyond, it is doubted."""

    per: tuple[float, float] = (-1000, 1000)
    """Price to earnings; companies near break-even come close to the bounds."""
    pbr: tuple[float, float] = (-20, 100)
    """Price to book; negative equity happens, three digits are a wrong unit or share basis."""
    dividend_yield: tuple[float, float] = (0, 0.2)
    """Beyond 20 % the dividend stands on another share basis, or the price has collapsed since."""
    return_on_equity: tuple[float, float] = (-3, 3)
    """A ratio: 12 would be 12 % written as a percentage."""
    profit_margin: tuple[float, float] = (-10, 1.5)
    """A ratio; firms before their first product lose many times their revenue."""
    shares_jump: Annotated[float, Field(gt=1)] = 1.4
    """Shares outstanding, and with them market capitalisation, that changed by this factor in a month are doubted."""

    @field_validator("per", "pbr", "dividend_yield", "return_on_equity", "profit_margin")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[0] >= bounds[1]:
            raise ValueError("must be the lowest and the highest plausible value, in this order")
        return bounds


class QualitySettings(Frozen):
    """config/quality.yaml: when data is doubted."""

    prices: PriceQuality = PriceQuality()
    facts: FactQuality = FactQuality()


# --- environment ------------------------------------------------------------------------------------------------------


class ScheduleSettings(Frozen):
    """Cron expressions in the exchange's time zone; ``active`` = schedules and sensors on when first loaded."""

    daily_forecast: str = "0 23 * * *"
    monthly_model: str = "0 0 1 * *"
    retention: str = "0 6 * * 0"
    active: bool = False
    missing_after_hours: Annotated[float, Field(ge=0)] = 8
    """The sensor missing_sessions leaves a session so long to its own schedule, counted from when its partition exists
    (19:00 in Tokyo for a schedule at 23:00)."""
    missing_sessions_per_tick: Annotated[int, Field(ge=1)] = 20
    """It asks for at most so many sessions at once, about a month."""


class Environment(Frozen):
    """One file of config/environments."""

    source: Literal["simulated", "files", "yahoo"] = "simulated"
    universe: str = "topix_core30"
    benchmark: str | None = None
    """Overrides the universe's benchmark, for sources that do not carry it."""
    history_start: dt.date = dt.date(2010, 1, 4)
    """First session of the partition grids."""
    min_coverage: Ratio = 0.9
    """A session counts as complete when at least this share of its listed members has a price."""
    max_null_share: Ratio = 0.2
    """At most this share of a session's feature values may be null once a year of history stands behind it."""
    sources: SourceSettings = SourceSettings()
    schedules: ScheduleSettings = ScheduleSettings()
    storage: StorageSettings = LocalStorage()
    execution: ExecutionSettings = ExecutionSettings()
    alarms: AlarmSettings = AlarmSettings()
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()


class Settings(Frozen):
    """Everything that an operator can set, checked as a whole."""

    env: str
    data_root: Path
    config_dir: Path
    environment: Environment
    universe: Universe
    sectors: dict[str, int]
    model: ModelSettings
    quality: QualitySettings = QualitySettings()
    backtest: BacktestSettings = BacktestSettings()
    removed_stocks: tuple[str, ...] = ()
    """Tickers of ``universe`` that its file no longer lists: kept with their last date, because the past had them."""

    @property
    def source(self) -> str:
        return self.environment.source

    @property
    def source_label(self) -> dict[str, Any]:
        """How published files name the source of their prices: name, label, simulated."""
        chosen = getattr(self.environment.sources, self.source)
        return {"name": self.source, "label": chosen.label, "simulated": chosen.is_simulated}

    @property
    def benchmark(self) -> str:
        return self.environment.benchmark or self.universe.benchmark
