"""config/*.yaml and environment variables as typed, frozen objects; anything unknown or wrong is refused when read.

Environment variables: ``STOCKFC_ENV`` (environment file, default ``local``), ``STOCKFC_DATA`` (root of all data,
default ``data``), ``STOCKFC_SOURCE`` (overrides the environment's price source), ``STOCKFC_CONFIG`` (the config folder).
``${NAME}`` inside an environment file is replaced by that environment variable.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stockfc_assets.errors import ConfigError

Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Model = TypeVar("Model", bound=BaseModel)


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


class StorageSettings(Frozen):
    kind: Literal["local"] = "local"


class ScheduleSettings(Frozen):
    """Cron expressions in the exchange's time zone; ``active`` = switched on when first loaded."""

    daily_forecast: str = "0 23 * * *"
    monthly_model: str = "0 0 1 * *"
    active: bool = False


class Environment(Frozen):
    """One file of config/environments."""

    storage: StorageSettings = StorageSettings()
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


# --- reading ----------------------------------------------------------------------------------------------------------


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads and checks the whole configuration. Raises ConfigError naming file, key, value and remedy."""
    environ = os.environ if environ is None else environ
    config_dir = _config_dir(environ)
    name = environ.get("STOCKFC_ENV", "local")
    environment_file = config_dir / "environments" / f"{name}.yaml"
    if not environment_file.is_file():
        known = ", ".join(sorted(path.stem for path in environment_file.parent.glob("*.yaml")))
        raise ConfigError(f"STOCKFC_ENV={name}: there is no {environment_file}; known environments: {known}")
    content = _expand(_read_yaml(environment_file), environ, environment_file)
    if source := environ.get("STOCKFC_SOURCE"):
        content["source"] = source
    environment = _parse(Environment, content, environment_file)
    if environment.source == "files" and environment.sources.files is None:
        raise ConfigError(
            f"{environment_file}: sources.files is missing although the source is 'files' "
            "(see config/environments/files.yaml and docs/own-data.md)"
        )
    universe_file = config_dir / "universes" / f"{environment.universe}.yaml"
    sectors_file = config_dir / "sectors.yaml"
    model_file = config_dir / "model.yaml"
    sectors = _parse(Sectors, _read_yaml(sectors_file), sectors_file).sectors
    model = _parse(ModelSettings, _read_yaml(model_file), model_file)
    universe = _parse(Universe, _read_yaml(universe_file), universe_file)
    _check_sectors(universe, universe_file, sectors, sectors_file, model)
    return Settings(
        env=name,
        data_root=Path(environ.get("STOCKFC_DATA", "data")).expanduser().resolve(),
        config_dir=config_dir,
        environment=environment,
        universe=universe,
        sectors=sectors,
        model=model,
    )


def _config_dir(environ: Mapping[str, str]) -> Path:
    if given := environ.get("STOCKFC_CONFIG"):
        path = Path(given).expanduser().resolve()
        if not path.is_dir():
            raise ConfigError(f"STOCKFC_CONFIG={given}: not a folder; point it to the folder that holds environments/")
        return path
    here = Path.cwd() / "config"
    return here if here.is_dir() else Path(__file__).resolve().parent.parent / "config"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictSafeLoader)  # noqa: S506 - a SafeLoader that is stricter still
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


class _StrictSafeLoader(yaml.SafeLoader):
    """YAML's safe loader, which by itself lets a later duplicate of a key win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _expand(value: Any, environ: Mapping[str, str], path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _expand(item, environ, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, environ, path) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise ConfigError(f"{path}: {value!r} needs the environment variable {match[1]}, which is not set")
        return environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", replace, value)


def _parse(model: type[Model], content: dict[str, Any], path: Path) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(model, item, path) for item in error.errors())) from None


def _describe(model: type[BaseModel], item: Any, path: Path) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "(file)"
    if item["type"] == "extra_forbidden":
        return f"{path}: {key}: unknown key; allowed here: {', '.join(_siblings(model, item['loc']))}"
    if item["type"] == "missing":
        return f"{path}: {key}: missing; add it"
    value = item["input"]
    shown = "" if isinstance(value, (dict, list, tuple)) else f" {value!r}"
    return f"{path}: {key}:{shown} {item['msg'].removeprefix('Value error, ')}"


def _siblings(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed where ``loc`` points."""
    fields: Any = model
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        field = fields.model_fields.get(part)
        nested = _nested_model(field.annotation) if field else None
        if nested is None:
            break
        fields = nested
    return sorted(fields.model_fields)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _nested_model(argument)) is not None:
            return found
    return None


def _check_sectors(
    universe: Universe, universe_file: Path, sectors: dict[str, int], sectors_file: Path, model: ModelSettings
) -> None:
    for stock in universe.stocks:
        if stock.sector not in sectors:
            raise ConfigError(
                f"{universe_file}: {stock.ticker}: sector {stock.sector!r} is not in {sectors_file}; "
                f"append it there or use one of: {', '.join(sectors)}"
            )
    for name, number in sectors.items():
        if number >= model.network.sector_capacity:
            raise ConfigError(
                f"{sectors_file}: {name}: id {number} needs network.sector_capacity > {number} in model.yaml "
                f"(now {model.network.sector_capacity}); changing it needs a full training"
            )
