"""The API under load: `latest` of 31 stocks, from a folder and from a bucket, measured with wrk on the same machine.

``python -m benchmarks.api_bench [DATA]``: the data root of an earlier `stockfc demo`; without one it makes its own. The
bucket is moto's server on loopback. wrk asks without a pause over 32 connections, so the rate is the most that there is
beside wrk itself, and the latency that of a full server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stockfc_assets_tests.local_aws import aws_environ, free_port, moto_server

REPO = Path(__file__).parents[1]
LATEST = "/v1/forecasts/latest"
SERVED = ("predictions", "forecast_report", "daily_predictions", "champion_model", "onnx_model")
SECONDS = 10
TARGET = ">= 1,000/s, p99 < 50 ms"


def bench_api(data: Path) -> Iterator[tuple[str, str]]:
    """(what, measured) for each store, encoding and number of workers."""
    if shutil.which("wrk") is None:
        yield "latest", "not measured: wrk is not installed (apt-get install wrk)"
        return
    with serving(data) as port:
        yield "latest, folder, 1 worker", load(port, LATEST)
        yield "latest, folder, 1 worker, gzip", load(port, LATEST, "Accept-Encoding: gzip")
        yield "ranking, folder, 1 worker", load(port, "/v1/ranking?horizon=12&top=10")
        yield "report, folder, 1 worker, gzip", load(port, "/v1/reports/latest", "Accept-Encoding: gzip")
        yield "memory of the worker after that", f"{resident(port):.0f} MB"
    with serving(data, workers=2) as port:
        yield "latest, folder, 2 workers", load(port, LATEST)
    with moto_server() as address, serving(data, environ=in_bucket(data, address)) as port:
        yield "latest, bucket, 1 worker", load(port, LATEST)


def load(port: int, path: str, *headers: str) -> str:
    """Requests per second, median and 99th percentile, and how many answers were no 2xx."""
    options = [option for header in headers for option in ("-H", header)]
    command = ["wrk", "-t1", "-c32", f"-d{SECONDS}s", "--latency", *options, f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    median, worst = (re.search(rf"{share}%\s+(\S+)", said)[1] for share in (50, 99))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return f"{rate:,.0f}/s, p50 {median}, p99 {worst}" + (f", {failed[1]} FAILED" if failed else "")


@contextmanager
def serving(data: Path, *, workers: int = 1, environ: Mapping[str, str] | None = None) -> Iterator[int]:
    """`stockfc serve` in a process of its own, on a free port, which it yields."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STOCKFC_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "stockfc_assets.cli", "serve", "--port", str(port), "--workers", str(workers)],
        cwd=REPO,
        env={**clean, "STOCKFC_DATA": str(data), **(environ or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_for(port: int, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{LATEST}", timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"nothing answers on port {port}")


def resident(port: int) -> float:
    """Megabytes of the process that listens on ``port``."""
    inode = next(
        row.split()[9] for row in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if row.split()[1] == f"0100007F:{port:04X}" and row.split()[3] == "0A"
    )  # fmt: skip
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) == f"socket:[{inode}]" for link in (process / "fd").iterdir()):
                return int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1]) / 1024
        except OSError:
            continue
    raise RuntimeError(f"no process listens on port {port}")


def in_bucket(data: Path, address: str) -> dict[str, str]:
    """Copies what is served into a new bucket; returns the environment of a server that reads it."""
    import boto3

    environ = aws_environ(address)
    os.environ.update(environ)
    client = boto3.client("s3")
    place = {"LocationConstraint": environ["AWS_REGION"]}
    client.create_bucket(Bucket="stockfc-bench", CreateBucketConfiguration=place)
    for folder in SERVED:
        for path in (data / folder).rglob("*"):
            if path.is_file():
                client.put_object(Bucket="stockfc-bench", Key=path.relative_to(data).as_posix(), Body=path.read_bytes())
    return {**environ, "STOCKFC_ENV": "s3", "STOCKFC_S3_BUCKET": "stockfc-bench", "STOCKFC_SOURCE": "simulated"}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:]:
            data = Path(sys.argv[1]).resolve()
        else:
            data = Path(folder)
            command = [sys.executable, "-m", "stockfc_assets.cli", "demo"]
            environ = {**os.environ, "STOCKFC_DATA": folder, "STOCKFC_ENV": "local", "STOCKFC_SOURCE": "simulated"}
            subprocess.run(command, cwd=REPO, env=environ, check=True, stdout=subprocess.DEVNULL)
        print(f"{LATEST}: {(data / 'predictions/latest.json').stat().st_size / 1000:.0f} kB; aim {TARGET}")
        for what, measured in bench_api(data):
            print(f"{what:<40} {measured}", flush=True)


if __name__ == "__main__":
    main()
