"""S3 that errs, throttles, refuses and cuts: a real client, a real S3 API on loopback, and a proxy between them."""

import polars as pl
import pytest

from stockfc_assets.errors import DataError, StorageError
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import Warehouse
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets_tests.faults.proxy import fault_proxy

pytestmark = pytest.mark.service

ATTEMPTS = 3
OLD, NEW = b"old" * 1000, b"new" * 1000
FRAME = pl.DataFrame({"ticker": ["1.T", "2.T"], "close": [1.0, 2.0]})
PASSING = ("500", "503", "refused", "cut", "short", "slow")


@pytest.fixture
def proxy(aws_server, bucket, monkeypatch):
    with fault_proxy(aws_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield proxy


@pytest.fixture
def store(proxy, bucket):
    store = S3Store(S3Storage(kind="s3", bucket=bucket, prefix="part", attempts=ATTEMPTS))
    store.write_bytes("a/one.bin", OLD)
    return store


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_survived_by_every_request(proxy, store, fault):
    proxy.times(fault, ATTEMPTS - 1, method="GET")
    assert store.read_bytes("a/one.bin") == OLD
    if fault not in ("cut", "short"):
        proxy.times(fault, ATTEMPTS - 1, method="HEAD")
        assert store.exists("a/one.bin")
        proxy.times(fault, ATTEMPTS - 1, method="PUT")
        store.write_bytes("a/one.bin", NEW)
        proxy.times(fault, ATTEMPTS - 1, method="DELETE")
        store.delete("a/none.bin")
        proxy.times(fault, ATTEMPTS - 1, method="PUT")
        assert store.replace_if("a/one.bin", OLD, store.version("a/one.bin"))
    if fault != "short":
        proxy.times(fault, ATTEMPTS - 1, path="list-type=2")
        assert store.list("a") == ["a/one.bin"]
    assert fault in proxy.met


@pytest.mark.parametrize("fault", ["500", "503", "refused", "cut"])
def test_tables_are_read_through_what_passes(proxy, store, fault):
    warehouse = Warehouse(store)
    for day in ("2024-02-28", "2024-02-29"):
        warehouse.write_table("raw_ohlcv", day, FRAME)
    proxy.times(fault, 1, method="GET", path=".parquet")
    assert warehouse.read_tables("raw_ohlcv", ["2024-02-28", "2024-02-29"]).equals(pl.concat([FRAME, FRAME]))
    assert proxy.met == [fault]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("500", "InternalError"),
        ("503", "SlowDown"),
        ("403", "AccessDenied"),
        ("refused", "S3 cannot be reached"),
        ("cut", "S3 cannot be reached"),
        ("short", "S3 cannot be reached"),
    ],
)
def test_what_stays_ends_in_the_full_location_and_the_cause(proxy, store, bucket, fault, cause):
    proxy.always(fault, method="GET")
    with pytest.raises(StorageError) as raised:
        store.read_bytes("a/one.bin")
    assert f"s3://{bucket}/part/a/one.bin" in str(raised.value)
    assert cause in str(raised.value)
    assert len(proxy.met) == (1 if fault == "403" else ATTEMPTS)


@pytest.mark.parametrize("fault", ["500", "503", "403", "refused"])
def test_a_write_that_fails_leaves_what_stood(proxy, store, bucket, fault):
    proxy.always(fault, method="PUT")
    with pytest.raises(StorageError) as raised:
        store.write_bytes("a/one.bin", NEW)
    assert f"s3://{bucket}/part/a/one.bin" in str(raised.value)
    proxy.plan = lambda _method, _path: None
    assert store.read_bytes("a/one.bin") == OLD


def test_a_table_that_may_not_be_read_is_not_called_corrupt(proxy, store, bucket):
    warehouse = Warehouse(store)
    warehouse.write_table("raw_ohlcv", "2024-02-29", FRAME)
    proxy.always("403", method="GET", path=".parquet")
    with pytest.raises((StorageError, DataError)) as raised:
        warehouse.read_tables("raw_ohlcv", ["2024-02-29"])
    assert f"s3://{bucket}/part/raw_ohlcv/2024-02-29.parquet" in str(raised.value)
    assert "corrupt" not in str(raised.value)
    assert "AccessDenied" in str(raised.value)
