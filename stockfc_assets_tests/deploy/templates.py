"""The CloudFormation templates as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).parents[2]
FOLDER = REPO / "deploy" / "cloudformation"
PARTS = ("api", "dagster", "database", "function", "network")


class _Loader(yaml.SafeLoader):
    """Short forms of functions, such as ``!Ref Name``, become ``{"Ref": "Name"}``."""


def _function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt":
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)


def template(name: str) -> dict[str, Any]:
    return yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader


def resources(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(logical name, properties) of every resource of ``kind`` in every template."""
    for name in ("stockfc", *PARTS):
        for logical, resource in template(name)["Resources"].items():
            if resource["Type"] == kind:
                yield logical, resource.get("Properties", {})
