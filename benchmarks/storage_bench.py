"""What is stored per session and per month, by asset, and what a year of it is: ``python -m benchmarks.storage_bench``.

31 tickers: everything that `stockfc demo` leaves (an existing data root may be given instead). 4,000 tickers: prices and
features of ten sessions; the rest grows with the number of stocks or does not, as `FIXED` says.
"""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.features.weekly import LOOKBACK_SESSIONS, weekly_features

REPO = Path(__file__).parents[1]
SESSION = dt.date(2026, 11, 20)
SESSIONS_A_YEAR = 245
MONTHS_A_YEAR = 12
STOCKS = 31
MANY = 4000
MONTHLY = ("universe_enrichment", "training_panel", "trained_model", "onnx_model", "champion_model",
           "baseline_forecasts", "forecast_scores", "backtest")  # fmt: skip
FIXED = frozenset({"trained_model", "onnx_model", "champion_model", "forecast_scores"})
"""Their size does not follow the number of stocks; that of every other asset does."""


def partition_bytes(root: Path) -> dict[str, float]:
    """Median bytes of a partition of each asset under ``root``; a folder per partition counts as one."""
    sizes: dict[str, dict[str, int]] = {}
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and len(parts) > 1 and parts[0] != "dagster" and path.stem != "latest":
            partition = parts[1].split(".")[0]
            asset = sizes.setdefault(parts[0], {})
            asset[partition] = asset.get(partition, 0) + path.stat().st_size
    return {asset: median(partitions.values()) for asset, partitions in sizes.items()}


def many_bytes(folder: Path, sessions: int = 10) -> dict[str, float]:
    """Median bytes of a session's prices and features of `MANY` invented tickers."""
    config = folder / "config"
    shutil.copytree(REPO / "config", config)
    local = config / "environments" / "local.yaml"
    local.write_text(local.read_text() + f"sources: {{simulated: {{tickers: {MANY}}}}}\n")
    settings = open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(folder / "data")})
    platform = Platform(settings)
    calendar = platform.calendar
    targets = calendar.between(calendar.before(SESSION, sessions - 1), SESSION)
    raw = platform.source.fetch_bars(
        platform.known_tickers(), calendar.before(targets[0], LOOKBACK_SESSIONS), SESSION
    ).bars
    features = weekly_features(raw, targets, calendar.sessions, settings.universe, benchmark=settings.benchmark)
    keys = {session.isoformat() for session in targets}
    for asset, frame in (("raw_ohlcv", raw), ("weekly_features", features)):
        for (session,), rows in frame.partition_by("session", as_dict=True).items():
            if session.isoformat() in keys:
                platform.warehouse.write_table(asset, session.isoformat(), rows)
    return partition_bytes(folder / "data")


def scaled(few: Mapping[str, float], measured: Mapping[str, float]) -> dict[str, float]:
    """Bytes of a partition for `MANY` stocks: measured, else unchanged (`FIXED`), else in proportion."""
    return {asset: measured.get(asset, size if asset in FIXED else size * MANY / STOCKS) for asset, size in few.items()}


def a_year(asset: str, size: float) -> float:
    if asset == "universe":  # one file, replaced every day
        return size
    return size * (MONTHS_A_YEAR if asset in MONTHLY else SESSIONS_A_YEAR)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary) / "demo"
        if len(sys.argv) == 1:
            environ = {"PATH": "/usr/bin:/bin", "STOCKFC_DATA": str(root)}
            command = [sys.executable, "-m", "stockfc_assets.cli", "demo"]
            subprocess.run(command, cwd=REPO, env=environ, check=True, capture_output=True)
        few = partition_bytes(root)
        measured = many_bytes(Path(temporary))
    many = scaled(few, measured)
    print(f"{'asset':<22} {'kB, 31':>9} {'MB a year':>10} {'kB, 4,000':>10} {'MB a year':>10}")
    for asset in sorted(few):
        star = "" if asset in measured else "  reckoned"
        print(
            f"{asset:<22} {few[asset] / 1e3:>9.1f} {a_year(asset, few[asset]) / 1e6:>10.1f} "
            f"{many[asset] / 1e3:>10.1f} {a_year(asset, many[asset]) / 1e6:>10.1f}{star}"
        )
    totals = [sum(a_year(asset, size) for asset, size in sizes.items()) / 1e6 for sizes in (few, many)]
    print(f"{'all':<22} {'':>9} {totals[0]:>10.1f} {'':>10} {totals[1]:>10.1f}")


if __name__ == "__main__":
    main()
