"""The same answers from a bucket as from a folder, and few questions to the bucket."""

from collections import Counter
from pathlib import Path

import pytest

from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import LocalStore
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets_tests.local_aws import free_port

pytestmark = pytest.mark.service

PATHS = (
    "/v1/forecasts", "/v1/forecasts/latest", "/v1/forecasts/2024-02-29", "/v1/forecasts/2024-03-02", "/v1/ranking?horizon=3",
    "/v1/tickers/9984.T/history?limit=100", "/v1/track-record", "/v1/backtest", "/v1/models/champion", "/v1/models/2024-03",
    "/v1/models/2024-02", "/v1/reports/latest",
)  # fmt: skip


@pytest.fixture
def in_bucket(bucket: str, store: LocalStore) -> S3Store:
    remote = S3Store(S3Storage(kind="s3", bucket=bucket, prefix="forecasts/tokyo"))
    files = [path for path in Path(store.root).rglob("*") if path.is_file()]
    keys = [path.relative_to(store.root).as_posix() for path in files]
    remote.map(lambda key: remote.write_bytes(key, store.read_bytes(key)), keys)
    return remote


def test_a_bucket_gives_the_same_answers(client, make_client, in_bucket):
    remote = make_client(store=in_bucket)
    for path in PATHS:
        local, answer = client.get(path), remote.get(path)
        assert (answer.status, answer.body, answer.headers) == (local.status, local.body, local.headers), path
    assert remote.get("/v1/readiness").status == 200


def test_latest_asks_the_bucket_once_per_refresh(make_client, in_bucket):
    asked: Counter[str] = Counter()
    in_bucket.client.meta.events.register("before-send.s3", lambda request, **_: asked.update([request.method]))
    client = make_client(store=in_bucket, refresh_seconds=3600)
    for _ in range(20):
        assert client.get("/v1/forecasts/latest").status == 200
    assert sum(asked.values()) <= 3, "whether it is there, and the file"
    asked.clear()
    always = make_client(store=in_bucket, refresh_seconds=0)
    for _ in range(5):
        always.get("/v1/forecasts/latest")
    assert asked["GET"] == 1, "an unchanged file is not read again"
    in_bucket.write_bytes("predictions/latest.json", in_bucket.read_bytes("predictions/2024-02-29.json"))
    assert always.get("/v1/forecasts/latest").body == in_bucket.read_bytes("predictions/2024-02-29.json")


def test_a_bucket_that_does_not_answer_is_a_503_without_its_name(make_client, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    client = make_client(store=S3Store(S3Storage(kind="s3", bucket=bucket, attempts=1)))
    for path in ("/v1/forecasts/latest", "/v1/forecasts", "/v1/readiness"):
        answer = client.get(path)
        assert answer.status == 503
        assert bucket.encode() not in answer.body
    assert client.get("/v1/health").status == 200
