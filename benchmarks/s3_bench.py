"""The daily run in a bucket: seconds and requests, end to end as `stockfc daily` (31 and 4,000 tickers), beside a folder.

The bucket is moto's server on loopback: one Python process beside the run on the same cores, about 2 ms a request. Amazon's
own answers take longer each (10 to 30 ms) and come many at a time, so seconds say what the run itself costs, requests what
Amazon charges for. What the run reads is made in a folder first and copied into the bucket.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.platform_bench import MODEL_FILES, REPO, TEN_YEARS, timed
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import LocalStore, S3Store
from stockfc_assets_tests.local_aws import REGION, aws_environ, moto_server

SESSION, BEFORE = TEN_YEARS[1], "2026-11-19"
BUCKET = "stockfc-bench"
REQUEST = re.compile(r'"(?:\x1b\[[0-9;]*m)*(GET|PUT|HEAD|POST|DELETE) (/\S*)')
"""A line of moto's log; answers other than 200 are in colour."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        small, large = root / "small", root / "large"
        start = TEN_YEARS[0]
        stockfc(small, "backfill", "--from", start, "--to", BEFORE)
        stockfc(small, "monthly", "--month", SESSION[:7])
        config = root / "config"
        _store_large_market(small, large, config)
        for name, data, chosen in (("31", small, REPO / "config"), ("4,000", large, config)):
            print(f"\n{name} tickers, `stockfc daily --session {SESSION}` in a process of its own")
            measure(data, chosen, root / "home")


def measure(data: Path, config: Path, home: Path) -> None:
    """Prints a row for the bucket and one for the folder; the bucket first, because the folder's run writes there."""
    environ = {"STOCKFC_CONFIG": str(config), "STOCKFC_SOURCE": "simulated"}
    log = home.with_suffix(".log")
    with moto_server(log=log) as address:
        os.environ |= aws_environ(address) | {"STOCKFC_S3_BUCKET": BUCKET}
        _copy(data)
        shutil.rmtree(home, ignore_errors=True)
        size = log.stat().st_size
        command = ("-m", "stockfc_assets.cli", "daily", "--session", SESSION)
        seconds, megabytes = timed(*command, data=home, STOCKFC_ENV="s3", STOCKFC_S3_BUCKET=BUCKET, **environ)
        requests = requests_in(log.read_text()[size:])
    print(f"  bucket   {seconds:6.1f} s {megabytes:6.0f} MB   {sum(requests.values())} requests: {_listed(requests)}")
    seconds, megabytes = timed(*command, data=data, **environ)
    print(f"  folder   {seconds:6.1f} s {megabytes:6.0f} MB")


def requests_in(log: str) -> Counter[str]:
    """Method and folder -> requests, from the lines that moto's server writes."""
    count: Counter[str] = Counter()
    for method, path in REQUEST.findall(log):
        place = path.removeprefix(f"/{BUCKET}").lstrip("/").partition("?")[0].partition("/")[0]
        count[f"{method} {place}" if place else "LIST"] += 1
    return count


def _listed(requests: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in requests.most_common())


def _copy(data: Path) -> None:
    """The folder's files into a new bucket."""
    local, remote = LocalStore(data), S3Store(S3Storage(kind="s3", bucket=BUCKET))
    remote.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    paths = (str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    keys = [key for key in paths if not key.startswith(("dagster/", "."))]
    began = time.monotonic()
    remote.map(lambda key: remote.write_bytes(key, local.read_bytes(key)), keys)
    print(f"  ({len(keys)} files copied into the bucket in {time.monotonic() - began:.0f} s)")


def _store_large_market(small: Path, large: Path, config: Path) -> None:
    """4,000 invented tickers over the weeks that a forecast reads, with the small market's model."""
    shutil.copytree(REPO / "config", config)
    shutil.copy(REPO / "dagster.yaml", config.parent)
    for environment in ("local", "s3"):
        path = config / "environments" / f"{environment}.yaml"
        path.write_text(path.read_text() + "sources: {simulated: {tickers: 4000}}\n")
    for name in MODEL_FILES[:2]:
        shutil.copytree(small / name, large / name)
    command = [sys.executable, "-m", "benchmarks.large_market", str(config), str(large), BEFORE]
    subprocess.run(command, cwd=REPO, check=True)


def stockfc(data: Path, *arguments: str) -> None:
    timed("-m", "stockfc_assets.cli", *arguments, data=data, STOCKFC_SOURCE="simulated")


if __name__ == "__main__":
    main()
