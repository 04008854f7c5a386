"""The function's image without a container engine: a folder with our code, the calendar tables, and only those packages
that deploy/function-requirements.txt names and what these require. Anything else cannot be imported."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from stockfc_assets.market.calendar_table import library_table, write_table

REPO = Path(__file__).parents[2]
REQUIREMENTS = REPO / "deploy" / "function-requirements.txt"
ENTRY_POINT = ["-m", "awslambdaric", "stockfc_assets.serving.lambda_handler.handler"]


@dataclass(frozen=True)
class FunctionImage:
    """Code and packages, as paths; ``config`` is the packaged config folder."""

    code: Path
    packages: Path
    config: Path

    def command(self, *arguments: str) -> list[str]:
        """``python arguments`` that sees nothing of the virtual environment that the tests run in."""
        return [sys.executable, "-S", "-P", *(arguments or ENTRY_POINT)]

    def environ(self, **more: str) -> Mapping[str, str]:
        """What Lambda sets, as far as it matters, and nothing of this process."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{self.code}:{self.packages}",
            "STOCKFC_CONFIG": str(self.config),
            "AWS_LAMBDA_FUNCTION_NAME": "stockfc-daily-forecast",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            **more,
        }


def build_image(folder: Path, config: Path) -> FunctionImage:
    code, packages = folder / "app", folder / "packages"
    shutil.copytree(REPO / "stockfc_assets", code / "stockfc_assets", ignore=shutil.ignore_patterns("__pycache__"))
    write_table(library_table("XTKS"), code / "stockfc_assets" / "market" / "calendars")
    packages.mkdir(parents=True)
    for name in required_distributions(named_packages()):
        for path in distribution(name).files or ():
            top = path.parts[0]
            if top not in ("..", "__pycache__") and not (packages / top).exists():
                (packages / top).symlink_to(distribution(name).locate_file(top))
    return FunctionImage(code, packages, config)


def named_packages() -> list[str]:
    lines = (line.strip() for line in REQUIREMENTS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def required_distributions(names: Sequence[str]) -> set[str]:
    """``names`` and all that they require on this machine, in normal form."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = normal(waiting.pop())
        if name not in found:
            found.add(name)
            waiting += _requirements_of(name)
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements_of(name: str) -> Iterator[str]:
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name
