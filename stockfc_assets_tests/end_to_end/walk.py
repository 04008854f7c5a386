"""The walk that several modules look at: its dates, and how to read what it stored."""

import datetime as dt
import json
import os
from pathlib import Path

from stockfc_assets.defs.instance import open_instance
from stockfc_assets.defs.resources import open_settings
from stockfc_assets.defs.workbench import Workbench

FIRST = dt.date(2019, 1, 4)
WALK = [dt.date(2024, month, 1) for month in (1, 2, 3)]
NEWEST = dt.date(2024, 3, 1)


def workbench(folder: Path, data: str, now: dt.datetime, *, env: str = "local") -> Workbench:
    """``env`` may use the variables of this process (a bucket's name)."""
    environ = {
        **os.environ,
        "STOCKFC_CONFIG": str(folder / "config"),
        "STOCKFC_DATA": str(folder / data),
        "STOCKFC_ENV": env,
    }
    settings = open_settings(environ)
    os.environ.pop("DAGSTER_HOME", None)
    with open_instance(settings) as instance:
        return Workbench(settings, instance, say=lambda _: None, now=now)


def read(bench: Workbench, key: str) -> bytes:
    return bench.platform.warehouse.store.read_bytes(key)


def card(bench: Workbench, month: dt.date) -> dict:
    return json.loads(read(bench, f"onnx_model/{month}/model.json"))


def champion(bench: Workbench, month: dt.date) -> dict:
    return json.loads(read(bench, f"champion_model/{month}.json"))
