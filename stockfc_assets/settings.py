"""What an operator can set, as typed, frozen objects with their defaults; configuration.py reads them from config/*.yaml."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    benchmark: str = "equal_weighted"
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


class SourceSettings(Frozen):
    simulated: SimulatedSettings = SimulatedSettings()
    files: FilesSettings | None = None


# --- model ------------------------------------------------------------------------------------------------------------


class NetworkSettings(Frozen):
    """About 664,000 parameters at the defaults."""

    sector_capacity: Annotated[int, Field(ge=1)] = 33
    """Rows of the sector embedding; larger than the number of sectors so that new ones can be appended."""
    sector_dim: Annotated[int, Field(ge=1)] = 16
    hidden: Annotated[int, Field(ge=1)] = 128
    layers: Annotated[int, Field(ge=1)] = 2
    mlp: tuple[Annotated[int, Field(ge=1)], ...] = (224, 96)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip: Positive = 5.0
    """Inputs are clipped at this many (scaled) median absolute deviations."""


class FullTrainingSettings(Frozen):
    samples_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """Draw at most this many samples per epoch (a CPU's budget); null = all."""
    epochs: Annotated[int, Field(ge=1)] = 4
    patience: Annotated[int, Field(ge=1)] = 2
    """Stop after this many epochs without a better validation loss; the best epoch's weights are kept."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    validation_months: Annotated[int, Field(ge=1)] = 18
    """As-of dates of the last so many months before the model's month validate (their matured labels only)."""
    validation_samples: Annotated[int, Field(ge=1)] = 4096
    """At most this many validation samples, evenly spaced in time."""


class FineTuningSettings(Frozen):
    epochs: Annotated[int, Field(ge=1)] = 2
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    new_samples: Annotated[int, Field(ge=1)] = 700
    """At most this many as-of samples with a label that matured in the last month."""
    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.33
    """Share of older samples in each epoch."""


class TrainingSettings(Frozen):
    seed: int = 7
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the processor multiplies it in hardware (CUDA, AMX), else float32."""
    threads: Annotated[int, Field(ge=1)] = 2
    huber_delta: Positive = 1.0
    """In units of the scaled target (volatility x sqrt(horizon) of the stock itself)."""
    embargo_sessions: Annotated[int, Field(ge=0)] = 5
    retrain_every_months: Annotated[int, Field(ge=1)] = 12
    history_months: Annotated[int, Field(ge=60)] = 120
    """The panel of a month holds this many months before it."""
    full: FullTrainingSettings = FullTrainingSettings()
    fine_tuning: FineTuningSettings = FineTuningSettings()


class GuardSettings(Frozen):
    """Floors and ceilings below or above which a model counts as collapsed and is not promoted."""

    min_spread_ratio: Annotated[float, Field(ge=0)] = 0.002
    """Spread of predictions across stocks / spread of outcomes."""
    min_distinct_share: Ratio = 0.5
    """Share of distinct outputs among predictions of one session (to 6 decimals)."""
    max_mean_cosine: Ratio = 0.9995
    """Mean cosine similarity between encodings of different stocks."""
    max_parity_difference: Positive = 1e-5
    """Largest absolute difference between torch and ONNX outputs."""


class ModelSettings(Frozen):
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    guards: GuardSettings = GuardSettings()
    interval_level: Annotated[float, Field(gt=0, lt=1)] = 0.8


# --- environment ------------------------------------------------------------------------------------------------------


class ScheduleSettings(Frozen):
    """Cron expressions in the exchange's time zone; ``active`` = switched on when first loaded."""

    daily_forecast: str = "0 23 * * *"
    monthly_model: str = "0 0 1 * *"
    active: bool = False


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


class Settings(Frozen):
    """Everything that an operator can set, checked as a whole."""

    env: str
    data_root: Path
    config_dir: Path
    environment: Environment
    universe: Universe
    sectors: dict[str, int]
    model: ModelSettings

    @property
    def source(self) -> str:
        return self.environment.source

    @property
    def benchmark(self) -> str:
        return self.environment.benchmark or self.universe.benchmark
