"""The units for systemd, read as they stand; `systemd-analyze verify` where it is installed."""

from __future__ import annotations

import configparser
import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "deploy/systemd").glob("*.service"))
BIN = "/srv/stockfc/.venv/bin/"


def service(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(unit)
    return parser["Service"]


def test_there_is_a_unit_for_each_process() -> None:
    assert [unit.stem for unit in UNITS] == ["stockfc-api", "stockfc-code", "stockfc-daemon", "stockfc-web"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_an_installed_program_again_and_again_and_not_as_root(unit: Path) -> None:
    found = service(unit)
    program, *arguments = found["ExecStart"].removeprefix(BIN).split()
    assert found["ExecStart"].startswith(BIN)
    assert Path(sys.executable).with_name(program).exists()
    assert (found["User"], found["Restart"]) == ("stockfc", "always")
    assert not any("0.0.0.0" in argument for argument in arguments)
    assert all(value == "127.0.0.1" for name, value in itertools.pairwise(arguments) if name == "--host")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_a_unit_says_is_in_docs_production(unit: Path) -> None:
    """But for the API, whose command stands in docs/api.md."""
    command = service(unit)["ExecStart"].removeprefix(BIN)
    docs = "".join((unit.parents[2] / "docs" / name).read_text() for name in ("production.md", "api.md"))
    assert command in docs or command.replace(" --port 8000", "") in docs


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_in_a_unit(unit: Path, tmp_path: Path) -> None:
    """On a copy whose program is this environment's: verify looks whether it is there."""
    for each in UNITS:
        text = each.read_text().replace(BIN, f"{Path(sys.executable).parent}/")
        (tmp_path / each.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
