"""Reads config/*.yaml and environment variables; anything unknown or wrong is refused with file, key, value and remedy.

Environment variables: ``STOCKFC_ENV`` (environment file, default ``local``), ``STOCKFC_DATA`` (root of all data,
default ``data``), ``STOCKFC_SOURCE`` (overrides the environment's price source), ``STOCKFC_YAHOO_ENDPOINT`` (overrides its
``sources.yahoo.endpoint``), ``STOCKFC_CONFIG`` (the config folder).
``${NAME}`` inside an environment file is replaced by that environment variable, ``${NAME:-text}`` by ``text`` where it is
not set, as in a shell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from stockfc_assets.errors import ConfigError
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.settings import (
    Environment,
    QualitySettings,
    SectorNames,
    Sectors,
    Settings,
    Universe,
    YahooSettings,
)
from stockfc_assets.trading_rules import BacktestSettings

Model = TypeVar("Model", bound=BaseModel)
SOURCES = get_args(Environment.model_fields["source"].annotation)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads and checks the whole configuration. Raises ConfigError naming file, key, value and remedy."""
    environ = os.environ if environ is None else environ
    config_dir = config_folder(environ)
    name = environ.get("STOCKFC_ENV", "local")
    environment_file = config_dir / "environments" / f"{name}.yaml"
    if not environment_file.is_file():
        known = ", ".join(sorted(path.stem for path in environment_file.parent.glob("*.yaml")))
        raise ConfigError(f"STOCKFC_ENV={name}: there is no {environment_file}; known environments: {known}")
    content = _expand(_read_yaml(environment_file), environ, environment_file)
    if source := environ.get("STOCKFC_SOURCE"):
        if source not in SOURCES:
            raise ConfigError(f"STOCKFC_SOURCE={source}: there is no such price source; known: {', '.join(SOURCES)}")
        content["source"] = source
    if endpoint := environ.get("STOCKFC_YAHOO_ENDPOINT"):
        content = _with_yahoo_endpoint(content, endpoint)
    environment = _parse(Environment, content, environment_file)
    if environment.source == "files" and environment.sources.files is None:
        raise ConfigError(
            f"{environment_file}: sources.files is missing although the source is 'files' "
            "(STOCKFC_ENV=files has it; see docs/own-data.md)"
        )
    universe_file = config_dir / "universes" / f"{environment.universe}.yaml"
    sectors_file = config_dir / "sectors.yaml"
    model_file = config_dir / "model.yaml"
    quality_file = config_dir / "quality.yaml"
    backtest_file = config_dir / "backtest.yaml"
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
        quality=_parse(QualitySettings, _read_yaml(quality_file), quality_file),
        backtest=_parse(BacktestSettings, _read_yaml(backtest_file), backtest_file),
    )


def load_sector_names(config_dir: Path) -> dict[str, str]:
    """Sector names of imported tables -> ours (config/sector_names.yaml). Raises ConfigError for one that we lack."""
    names_file, sectors_file = config_dir / "sector_names.yaml", config_dir / "sectors.yaml"
    names = _parse(SectorNames, _read_yaml(names_file), names_file).sector_names
    sectors = _parse(Sectors, _read_yaml(sectors_file), sectors_file).sectors
    for theirs, ours in names.items():
        if ours not in sectors:
            raise ConfigError(
                f"{names_file}: {theirs}: sector {ours!r} is not in {sectors_file}; use one of: {', '.join(sectors)}"
            )
    return names


def _with_yahoo_endpoint(content: dict[str, Any], endpoint: str) -> dict[str, Any]:
    """``content`` of an environment file with ``sources.yahoo.endpoint``; what is no mapping is left for the parser."""
    endpoint = endpoint.rstrip("/")
    try:
        YahooSettings(endpoint=endpoint)
    except ValidationError:
        raise ConfigError(
            f"STOCKFC_YAHOO_ENDPOINT={endpoint}: not the address of a server on this machine, such as "
            "http://127.0.0.1:8917; correct it, or unset it to ask Yahoo itself"
        ) from None
    sources = content.get("sources") or {}
    yahoo = sources.get("yahoo") or {} if isinstance(sources, dict) else None
    if not isinstance(yahoo, dict):
        return content
    return content | {"sources": sources | {"yahoo": yahoo | {"endpoint": endpoint}}}


def config_folder(environ: Mapping[str, str]) -> Path:
    """``STOCKFC_CONFIG``, else ``config`` here, else the one beside the package. Raises ConfigError."""
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


class _StrictSafeLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's safe loader, which by itself lets a later duplicate of a key win in silence.

    The one written in C where it is installed: it reads a universe of 4,000 stocks in a sixth of the time.
    """

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
        name, default = match[1], match[2]
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            raise ConfigError(f"{path}: {value!r} needs the environment variable {name}, which is not set")
        return environ[name]

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", replace, value)


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
