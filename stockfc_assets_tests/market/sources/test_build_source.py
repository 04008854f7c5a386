import subprocess
import sys
from pathlib import Path

import pytest

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.market.sources import build_source
from stockfc_assets.settings import FilesSettings, Settings


def settings_for(source: str, files: FilesSettings | None = None, benchmark: str | None = None) -> Settings:
    settings = load_settings({})
    environment = settings.environment
    sources = environment.sources.model_copy(update={"files": files})
    changed = environment.model_copy(update={"source": source, "sources": sources, "benchmark": benchmark})
    return settings.model_copy(update={"environment": changed})


def test_simulated_is_built_with_the_benchmark_of_the_environment() -> None:
    assert build_source(settings_for("simulated")).describe()["tickers"] == 32
    assert build_source(settings_for("simulated", benchmark="equal_weighted")).describe()["tickers"] == 31


def test_files_is_built_from_its_settings(tmp_path: Path) -> None:
    (tmp_path / "7203.csv").write_text("Date,Open,High,Low,Close,Volume\n2026-02-06,1,1,1,1,100\n", encoding="utf-8")
    source = build_source(settings_for("files", FilesSettings(prices=tmp_path, basis="as_traded", ticker_suffix=".T")))
    assert (source.name, source.is_simulated) == ("files", False)
    with pytest.raises(ConfigError, match=r"sources\.files is missing"):
        build_source(settings_for("files"))


def test_yahoo_is_built_without_a_request() -> None:
    source = build_source(settings_for("yahoo"))
    assert (source.name, source.is_remote, source.is_simulated) == ("yahoo", True, False)
    assert source.describe()["endpoint"] is None


def test_a_missing_yfinance_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("stockfc_assets.market.sources.yahoo")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(
        ConfigError, match=r"yfinance is not installed; `\.venv/bin/pip install -c constraints.txt -e '\.\[yahoo\]'`"
    ):
        build_source(settings_for("yahoo"))


def test_only_the_chosen_source_is_imported() -> None:
    code = (
        "import sys; from stockfc_assets.market.sources import build_source\n"
        "from stockfc_assets.configuration import load_settings\n"
        "build_source(load_settings({}))\n"
        "loaded = [m for m in sys.modules if m.startswith('stockfc_assets.market.sources.')]\n"
        "assert not any(m.endswith(('files', 'user_tables')) for m in loaded), loaded\n"
        "assert not {'torch', 'onnxruntime', 'yfinance', 'dagster'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[3])
