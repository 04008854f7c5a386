"""The daily forecast as a function: `python -m benchmarks.function_bench [TICKERS ...]`.

The real runtime client in the function's image (stockfc_assets_tests/serving), on a folder and on S3 (moto's server, a
process beside it). The model has the network's real size and untrained weights. A cold call runs from the start of the
process to its first answer and computes the session's features; then the same event again, warm, with the features
there. Requests are those that the server logged.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from benchmarks.inference_bench import EXPORT, _python
from stockfc_assets.market.sources import build_source
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, S3Store, Store, Warehouse
from stockfc_assets_tests.local_aws import REGION, aws_environ, free_port
from stockfc_assets_tests.serving.function_image import FunctionImage, build_image
from stockfc_assets_tests.serving.runtime_api import started_function
from stockfc_assets_tests.serving.small_market import CALENDAR, SESSION, files, store_market

Figures = dict[str, float]
EVENT = {"session": SESSION.isoformat()}
STARTS = 3
RECORD_SESSIONS = 2_450
"""Ten years of published forecasts."""
BUCKET = "stockfc-bench"


def bench_function(tickers: int) -> Iterator[tuple[str, Figures]]:
    """Of ``tickers`` invented stocks: on a folder, on S3, and, of few stocks, with ten years of published forecasts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _python(EXPORT, str(folder / "model.onnx"))
        simulated = {"simulated": {"tickers": tickers}}
        settings = store_market(folder, model=(folder / "model.onnx").read_bytes(), sources=simulated)
        image = build_image(folder / "image", settings.config_dir)
        local, store = {"STOCKFC_DATA": str(settings.data_root)}, LocalStore(settings.data_root)
        yield "folder", _measured(image, local, store, folder)
        with _logged_server(folder / "requests.log") as address:
            yield "s3", _on_s3(image, settings, address, folder)
        if tickers <= 100:
            _publish_ten_years(settings)
            yield "folder, ten years published", _measured(image, local, store, folder)


def _measured(image: FunctionImage, environ: dict[str, str], store: Store, folder: Path) -> Figures:
    """Medians over `STARTS` processes."""
    log = folder / "requests.log"
    rows = []
    for _ in range(STARTS):
        for key in (f"weekly_features/{SESSION}.parquet", f"quality/{SESSION}.json"):
            store.delete(key)
        began, asked = time.perf_counter(), _requests(log)
        with started_function(image.command(), image.environ(**environ), folder) as function:
            answers = [function.invoke(EVENT) for _ in range(2)]
            assert [answer.kind for answer in answers] == ["response"] * 2, answers
            cold, warm = function.lines()
            rows.append(
                {
                    "cold_s": time.perf_counter() - began - answers[1].seconds,
                    **{f"cold_{name}_s": seconds for name, seconds in cold["phases"].items()},
                    "warm_s": warm["seconds"],
                    "peak_mb": function.peak_megabytes(),
                    "requests_per_call": (_requests(log) - asked) / 2,
                }
            )
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _on_s3(image: FunctionImage, settings: Settings, address: str, folder: Path) -> Figures:
    import boto3

    environment = image.config / "environments"
    text = (environment / "local.yaml").read_text()
    (environment / "s3.yaml").write_text(f"{text}\nstorage: {{kind: s3, bucket: {BUCKET}}}\n")
    os.environ |= aws_environ(address)
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    store = S3Store(S3Storage(kind="s3", bucket=BUCKET))
    store.map(lambda key: store.write_bytes(key, (settings.data_root / key).read_bytes()), files(settings.data_root))
    return _measured(image, {**aws_environ(address), "STOCKFC_ENV": "s3"}, store, folder)


def _publish_ten_years(settings: Settings) -> None:
    """The forecast of the session under the dates of ten years before it, with the prices that it is measured by."""
    warehouse = Warehouse(LocalStore(settings.data_root))
    forecast = warehouse.read_table("daily_predictions", SESSION.isoformat())
    sessions = CALENDAR.between(CALENDAR.before(SESSION, RECORD_SESSIONS), SESSION)[:-1]
    prices = build_source(settings).fetch_bars(settings.universe.tickers, sessions[0], sessions[-1]).bars
    stored = set(warehouse.partitions("raw_ohlcv"))
    for (session,), rows in prices.partition_by("session", as_dict=True).items():
        key = session.isoformat()
        if key not in stored:
            warehouse.write_table("raw_ohlcv", key, rows)
        warehouse.write_table("daily_predictions", key, forecast.with_columns(session=pl.lit(session)))


def _requests(log: Path) -> int:
    return log.read_text().count(f"/{BUCKET}") if log.is_file() else 0


@contextmanager
def _logged_server(log: Path) -> Iterator[str]:
    """moto's server, which writes a line for each request."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        while b"Running on" not in log.read_bytes() and process.poll() is None:
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    for count in [int(argument) for argument in sys.argv[1:]] or [31, 500]:
        for where, figures in bench_function(count):
            print(count, where, {name: round(value, 2) for name, value in figures.items()}, flush=True)
