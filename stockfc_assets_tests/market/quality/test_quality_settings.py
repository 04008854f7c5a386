"""config/quality.yaml: strict, and the same as the defaults that settings.py explains."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.settings import QualitySettings

CONFIG = Path(__file__).parents[3] / "config"


def test_the_file_names_every_threshold_with_its_default() -> None:
    content = yaml.safe_load((CONFIG / "quality.yaml").read_text())
    assert {name: set(part) for name, part in content.items()} == {
        name: set(part) for name, part in QualitySettings().model_dump().items()
    }
    assert QualitySettings.model_validate(content) == QualitySettings()
    assert load_settings({"STOCKFC_CONFIG": str(CONFIG)}).quality == QualitySettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prices: {jmup: 2}", "prices.jmup: unknown key; allowed here: dividend_tolerance, "),
        ("prices: {jump: 1}", "prices.jump: 1 Input should be greater than 1"),
        ("prices: {stale_share: 2}", "prices.stale_share: 2 Input should be less than or equal to 1"),
        ("facts: {per: [10, -10]}", "facts.per: must be the lowest and the highest plausible value, in this order"),
        ("jump: 2", "jump: unknown key; allowed here: facts, prices"),
    ],
)
def test_wrong_thresholds_are_refused(tmp_path: Path, text: str, message: str) -> None:
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    (config / "quality.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings({"STOCKFC_CONFIG": str(config)})
    assert str(error.value).startswith(f"{config / 'quality.yaml'}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    (config / "quality.yaml").unlink()
    with pytest.raises(ConfigError, match=r"quality\.yaml: no such file"):
        load_settings({"STOCKFC_CONFIG": str(config)})
