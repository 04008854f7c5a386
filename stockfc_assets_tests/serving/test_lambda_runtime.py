"""The function as Lambda runs it: AWS's runtime client as a process of its own, in an image with nothing superfluous and
512 MB of memory, asked through a Runtime API on loopback.

The limit is RLIMIT_DATA: the memory that the process may write to and shares with nobody, 400 MB of it. What it maps from
files (its libraries) is 96 MB and can be dropped and read again, so both together stay below 512. RLIMIT_AS would count
address space that is reserved and never used (1.5 GB). VmHWM, what it really held, is asserted besides.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
import yaml

from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import S3Store
from stockfc_assets_tests.local_aws import aws_environ
from stockfc_assets_tests.serving.function_image import (
    FunctionImage,
    build_image,
    named_packages,
    normal,
)
from stockfc_assets_tests.serving.runtime_api import started_function
from stockfc_assets_tests.serving.small_market import MODEL, files, store_market

pytestmark = pytest.mark.service

MEGABYTES = 512
DATA_MEGABYTES = 400
FORBIDDEN = {"dagster", "torch", "pandas", "pyarrow", "exchange_calendars", "lightgbm", "sklearn", "scipy", "yfinance"}
EVENT = {"session": "2024-03-01"}


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    return store_market(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="module")
def image(market, tmp_path_factory) -> FunctionImage:
    config = market.config_dir
    remote = yaml.safe_load((config / "environments/s3.yaml").read_text())
    local = yaml.safe_load((config / "environments/local.yaml").read_text())
    (config / "environments/s3.yaml").write_text(yaml.safe_dump(remote | local))
    return build_image(tmp_path_factory.mktemp("image"), config)


@pytest.fixture
def start(image, market, tmp_path):
    """Starts a function; keyword arguments are its environment variables."""

    def start(folder="function", **environ):
        (tmp_path / folder).mkdir()
        environ = image.environ(STOCKFC_DATA=str(market.data_root), **environ)
        return started_function(image.command(), environ, tmp_path / folder, data_megabytes=DATA_MEGABYTES)

    return start


def test_cold_warm_and_failed_calls_within_512_megabytes(start, market):
    with start() as function:
        cold = function.invoke(EVENT)
        assert (cold.kind, cold.content["status"], cold.content["model"]) == ("response", "published", MODEL)
        stored = files(market.data_root)

        failed = function.invoke({"session": "2099-01-05"})
        assert (failed.kind, failed.content["errorType"]) == ("error", "ConfigError")
        assert "2099-01-05: the XTKS calendar of this image ends on" in failed.content["errorMessage"]

        warm = function.invoke(EVENT)
        assert (warm.kind, warm.content) == ("response", cold.content)
        assert files(market.data_root) == stored
        skipped = function.invoke({"time": "2024-02-23T14:15:00Z"})
        assert skipped.content["reason"] == "Emperor Naruhito's Birthday"

        assert [line["cold"] for line in function.lines()] == [True, False, False, False]
        assert [line["request_id"] for line in function.lines()] == [f"request-{number}" for number in range(1, 5)]
        assert function.peak_megabytes() < MEGABYTES


def test_the_limit_is_one():
    """More than `DATA_MEGABYTES` cannot be had under it."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, 2 * (int(sys.argv[1]) << 20,));"
        "bytearray(int(sys.argv[2]) << 20)"
    )
    done = [subprocess.run([sys.executable, "-c", script, str(DATA_MEGABYTES), size]) for size in ("300", "401")]
    assert [process.returncode for process in done] == [0, 1]


def test_a_wrong_configuration_is_an_error_of_each_call(start):
    with start(STOCKFC_ENV="none") as function:
        for _ in range(2):
            answer = function.invoke(EVENT)
            assert (answer.kind, answer.content["errorType"]) == ("error", "ConfigError")
            assert "STOCKFC_ENV=none: there is no" in answer.content["errorMessage"]


def test_a_package_that_is_missing_from_the_image_fails_the_start(image, market, tmp_path):
    environ = image.environ(STOCKFC_DATA=str(market.data_root))
    command = image.command("-m", "awslambdaric", "stockfc_assets.defs.build.handler")
    with started_function(command, environ, tmp_path) as function:
        answer = function.api.answers.get(timeout=30)
    assert answer.kind == "init/error"
    assert "No module named 'dagster'" in answer.content["errorMessage"]


def test_two_at_once_leave_whole_files(start, market):
    with start("one") as one, start("two") as two, ThreadPoolExecutor(2) as pool:
        alone = one.invoke(EVENT)
        stored = files(market.data_root)
        for _ in range(3):
            answers = pool.map(lambda function: function.invoke(EVENT), (one, two))
            assert [answer.content for answer in answers] == [alone.content] * 2
            assert files(market.data_root) == stored


def test_what_is_listed_is_loaded_and_nothing_else(image, market, bucket, aws_server):
    """Every named package is needed, and nothing beyond them and what they require was there to be imported."""
    script = (
        "import json, sys, awslambdaric.bootstrap; from stockfc_assets.serving.lambda_handler import handler\n"
        "try: handler({}, None)\n"
        "except Exception as error: print(type(error).__name__, file=sys.stderr)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    environ = {**aws_environ(aws_server), "STOCKFC_ENV": "s3", "STOCKFC_S3_BUCKET": bucket}
    command = image.command("-c", script)
    done = subprocess.run(command, env=image.environ(**environ), capture_output=True, text=True, check=True)
    assert done.stderr == "DataError\n"
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    imported_as = {"pyyaml": "yaml"}
    assert {imported_as.get(name, name) for name in map(normal, named_packages())} <= loaded
    assert not loaded & FORBIDDEN
    assert not {path.name for path in image.packages.iterdir()} & FORBIDDEN


def test_on_s3_the_same_bytes(start, market, bucket, aws_server):
    s3 = boto3.client("s3")
    remote = S3Store(S3Storage(kind="s3", bucket=bucket, prefix="somewhere"))
    remote.map(lambda key: remote.write_bytes(key, (market.data_root / key).read_bytes()), files(market.data_root))
    environ = {**aws_environ(aws_server), "STOCKFC_ENV": "s3", "STOCKFC_S3_BUCKET": bucket}
    with start(STOCKFC_S3_PREFIX="somewhere", **environ) as function, start("local") as local:
        assert local.invoke(EVENT).kind == "response"
        answer = function.invoke(EVENT)
        assert answer.content["location"] == f"s3://{bucket}/somewhere/predictions/2024-03-01.json"
        assert function.lines()[0]["boto3_requests"] > 0
        assert function.peak_megabytes() < MEGABYTES
    for key in ("predictions/2024-03-01.json", "predictions/latest.json", "daily_predictions/2024-03-01.parquet"):
        body = s3.get_object(Bucket=bucket, Key=f"somewhere/{key}")["Body"].read()
        assert body == (market.data_root / key).read_bytes()


def test_a_bucket_that_is_not_there_is_an_error(start, aws_server):
    environ = {**aws_environ(aws_server), "STOCKFC_ENV": "s3", "STOCKFC_S3_BUCKET": "no-such-bucket"}
    with start(**environ) as function:
        answer = function.invoke(EVENT)
    assert (answer.kind, answer.content["errorType"]) == ("error", "StorageError")
    assert "s3://no-such-bucket/" in answer.content["errorMessage"]
