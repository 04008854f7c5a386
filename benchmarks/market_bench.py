"""Prices: requests and time through the real Yahoo client and a local server, and the quality checks of a large market.

``python -m benchmarks.market_bench [all]``; with ``all`` also 4,000 tickers x ten years through the client (minutes). The
server runs in this process, the client in one of its own, so that memory and CPU of both are told apart.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.platform_bench import REPO, TEN_YEARS, timed
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets_tests.local_yahoo import LocalYahoo

START, END = (dt.date.fromisoformat(day) for day in TEN_YEARS)
LARGE = 4000
IMPATIENT = {"requests_per_minute": 1_000_000, "jitter_seconds": 0}

CHECKS = """
import datetime as dt, json, pathlib, sys, time
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.market.collect import parts
from stockfc_assets.market.quality.session import SessionQuality
platform = Platform(open_settings())
quality = SessionQuality(platform.warehouse, platform.calendar, platform.settings.quality)
stored = [dt.date.fromisoformat(key) for key in platform.warehouse.partitions("raw_ohlcv")]
def timed(sessions):
    began, rows, found = time.monotonic(), 0, 0
    for part in parts(sessions, len(platform.known_tickers())):
        for _, number, findings in quality.examine(part):
            rows, found = rows + number, found + findings.height
    return {"seconds": time.monotonic() - began, "rows": rows, "findings": found}
day = timed(stored[-1:])
every = timed(stored)
peak = int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"day": day, "all": every, "peak_mb": peak}))
"""


def _own_config(folder: Path) -> tuple[Path, Path]:
    """(a config folder to change, an empty data root), both in ``folder``."""
    shutil.copytree(REPO / "config", folder / "config")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPO / name, folder / name)
    return folder / "config", folder / "data"


@contextmanager
def local_yahoo(tickers: int | None) -> Iterator[tuple[LocalYahoo, Path, Path]]:
    """(server of the simulated market, its clients' config folder, their data root)."""
    with tempfile.TemporaryDirectory() as folder:
        config, data = _own_config(Path(folder))
        local = config / "environments" / "local.yaml"
        content = yaml.safe_load(local.read_text())
        if tickers:
            content["sources"] = {"simulated": {"tickers": tickers}}
            local.write_text(yaml.safe_dump(content))
        settings = open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(data)})
        platform = Platform(settings)
        if tickers:
            _write_universe(config / "universes" / "bench.yaml", settings.universe)
            content["universe"] = "bench"
        with LocalYahoo(platform.source, today=END, tickers=platform.known_tickers()) as server:
            content |= {"source": "yahoo", "sources": {"yahoo": {**IMPATIENT, "endpoint": server.url}}}
            local.write_text(yaml.safe_dump(content))
            yield server, config, data


def _write_universe(path: Path, universe: object) -> None:
    content = universe.model_dump(mode="json", exclude_none=True)  # type: ignore[attr-defined]
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def through_the_client(tickers: int | None, start: dt.date) -> Iterator[tuple[str, dict[str, float]]]:
    """A backfill from ``start``, and then a day alone in a data root of its own: seconds, memory, requests, rows."""
    with local_yahoo(tickers) as (server, config, data):
        for name, first in (("backfill", start), ("one day", END)):
            server.requests.clear()
            root = data / name.replace(" ", "_")
            seconds, megabytes = timed(
                "-m", "stockfc_assets.cli", "backfill", "--from", str(first), "--to", str(END),
                data=root, STOCKFC_CONFIG=str(config),
            )  # fmt: skip
            rows = _rows(config, root)
            yield name, {"seconds": seconds, "peak_mb": megabytes, "requests": len(server.requests), "rows": rows}


def _rows(config: Path, data: Path) -> int:
    platform = Platform(open_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(data)}))
    frame = platform.warehouse.read_tables("raw_ohlcv", platform.warehouse.partitions("raw_ohlcv"), columns=["ticker"])
    return 0 if frame is None else frame.height


def checks_of_a_large_market(data: Path, config: Path) -> dict[str, object]:
    """The quality checks over a stored market: its newest session alone, and all of it."""
    environ = {**os.environ, "STOCKFC_DATA": str(data), "STOCKFC_CONFIG": str(config)}
    done = subprocess.run(
        [sys.executable, "-c", CHECKS], cwd=REPO, env=environ, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def large_market() -> None:
    """4,000 simulated tickers x ten years: backfill, one more day, and the checks alone."""
    with tempfile.TemporaryDirectory() as folder:
        config, data = _own_config(Path(folder))
        local = config / "environments" / "local.yaml"
        local.write_text(local.read_text() + f"sources: {{simulated: {{tickers: {LARGE}}}}}\n")
        backfill = ("-m", "stockfc_assets.cli", "backfill", "--from", str(START), "--to", str(END))
        seconds, megabytes = timed(*backfill, data=data, STOCKFC_CONFIG=str(config))
        print(f"backfill of {LARGE:,} tickers x 10 years, simulated: {seconds:.0f} s, {megabytes:.0f} MB")
        figures = checks_of_a_large_market(data, config)
        day, every = figures["day"], figures["all"]
        print(f"checks of its newest session: {day['seconds']:.2f} s ({day['rows']:,} rows)  target <= 1 s")
        print(
            f"checks of all of it: {every['seconds']:.1f} s, {figures['peak_mb']:.0f} MB ({every['rows']:,} rows, "
            f"{every['findings']} findings)  target <= 60 s"
        )


def main() -> None:
    began = time.monotonic()
    for tickers, start in ((None, START), (LARGE, START if sys.argv[1:] == ["all"] else END)):
        for name, figures in through_the_client(tickers, start):
            since = END if name == "one day" else start
            print(
                f"Yahoo client and local server, {tickers or 31:,} tickers, {name} (from {since}): "
                "{seconds:.1f} s, {peak_mb:.0f} MB, {requests} requests, {rows:,} rows stored".format(**figures)
                + f", {figures['rows'] / figures['seconds']:,.0f} rows/s",
                flush=True,
            )
    large_market()
    print(f"({time.monotonic() - began:.0f} s in all)")


if __name__ == "__main__":
    main()
