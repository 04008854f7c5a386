"""S3Store against a real S3 API on loopback: the same answers as LocalStore, many at once, and failures in our words."""

import datetime as dt
import hashlib
from collections import Counter

import boto3
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockfc_assets.errors import ConfigError, DataError, StorageError
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import LocalStore, S3Store, Warehouse

KEYS = st.sampled_from(["a.json", "a/2024-01-04.parquet", "a/2024-01-05.parquet", "a/b/c.bin", "ab/x", "latest.json"])


@pytest.fixture
def store(bucket) -> S3Store:
    return S3Store(S3Storage(kind="s3", bucket=bucket, prefix="some/where"))


def requests_of(store: S3Store) -> Counter[str]:
    """Counts the operations that boto3 sends from now on."""
    count: Counter[str] = Counter()
    store.client.meta.events.register(
        "before-send.s3", lambda event_name, **_: count.update([event_name.split(".")[-1]])
    )
    return count


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("write"), KEYS, st.binary(max_size=20)),
            st.tuples(st.just("delete"), KEYS, st.just(b"")),
        ),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_writes_and_deletions_it_answers_as_a_folder_does(bucket, tmp_path_factory, steps):
    local = LocalStore(tmp_path_factory.mktemp("folder"))
    remote = S3Store(S3Storage(kind="s3", bucket=bucket, prefix=local.root.name))

    for step, key, data in steps:
        for each in (local, remote):
            each.write_bytes(key, data) if step == "write" else each.delete(key)

    for folder in ("a", "ab", "none"):
        assert remote.list(folder) == local.list(folder)
        for bounds in ({"first": "2024-01-05"}, {"last": "2024-01-04"}, {"first": "2024-01-04", "last": "2024-01-05"}):
            assert remote.list(folder, **bounds) == local.list(folder, **bounds)
        assert remote.sizes(folder) == local.sizes(folder)
    for key in ("a.json", "a/2024-01-04.parquet", "a/b/c.bin"):
        assert remote.exists(key) == local.exists(key)
        if local.exists(key):
            assert remote.read_bytes(key) == local.read_bytes(key)
            with remote.near(key) as path:
                assert path.read_bytes() == local.read_bytes(key)


def test_a_missing_file_is_named_with_its_bucket(store, bucket):
    place = f"s3://{bucket}/some/where/a/none.json"
    with pytest.raises(FileNotFoundError, match=place):
        store.read_bytes("a/none.json")
    with pytest.raises(FileNotFoundError, match=place), store.near("a/none.json"):
        pass
    with pytest.raises(DataError, match=f"{place}: missing; run it"):
        Warehouse(store).read_file("a/none.json", remedy="run it")
    assert store.version("a/none.json") is None


def test_the_version_of_a_file_follows_its_content(store):
    store.write_bytes("a.json", b"one")
    first = store.version("a.json")
    store.write_bytes("a.json", b"two")
    assert store.version("a.json") != first
    store.write_bytes("a.json", b"one")
    assert store.version("a.json") == first


def test_ten_years_of_names_are_listed_by_years_side_by_side(store):
    days = [dt.date(2014, 1, 1) + dt.timedelta(days=number) for number in range(1_200)]
    keys = sorted(f"raw_ohlcv/{day}.parquet" for day in days)
    store.map(lambda key: store.write_bytes(key, key.encode()), [*keys, "raw_ohlcv/note.txt", "raw_ohlcv/2016-01/x"])
    count = requests_of(store)

    assert store.list("raw_ohlcv") == [*keys, "raw_ohlcv/note.txt"]

    # The first 1,000 names, the years, and the two years that were not told in whole.
    assert count == {"ListObjectsV2": 2 + 2}
    count.clear()
    assert store.list("raw_ohlcv", first="2016-03-01", last="2016-03-31") == [key for key in keys if "/2016-03-" in key]
    assert store.list("raw_ohlcv", first="2017-04-01") == [
        *keys[keys.index("raw_ohlcv/2017-04-01.parquet") :],
        "raw_ohlcv/note.txt",
    ]
    assert count == {"ListObjectsV2": 2}
    assert store.list("raw_ohlcv", first="2014-01-02", last="2017-04-14") == keys[1:]


def test_a_hundred_sessions_are_scanned_with_their_columns_and_records(store, tmp_path):
    sessions = [str(dt.date(2024, 1, 1) + dt.timedelta(days=number)) for number in range(100)]
    local, remote = Warehouse(LocalStore(tmp_path)), Warehouse(store)

    def write(session: str) -> None:
        rows = pl.DataFrame({"ticker": ["1.T", "2.T"], "day": [session] * 2, "close": [float(session[-2:]), None]})
        for warehouse in (local, remote):
            warehouse.write_table("raw", session, rows, record={"session": session})

    store.map(write, sessions)
    options = {"tickers": ["2.T"], "columns": ["day", "close"], "partition_column": "partition"}

    assert remote.read_tables("raw", sessions).equals(local.read_tables("raw", sessions))
    assert remote.read_tables("raw", sessions[:7], **options).equals(local.read_tables("raw", sessions[:7], **options))
    assert remote.read_records("raw", sessions) == {session: {"session": session} for session in sessions}
    assert remote.read_tables("raw", ["1999-01-01"]) is None


def test_a_corrupt_object_is_named_and_the_others_are_read(store, bucket):
    warehouse = Warehouse(store)
    for day in ("2024-01-04", "2024-01-05"):
        warehouse.write_table("raw", day, pl.DataFrame({"ticker": ["1.T"]}), record={"day": day})
    store.write_bytes("raw/2024-01-05.parquet", store.read_bytes("raw/2024-01-05.parquet")[:-30])

    with pytest.raises(DataError, match=f"s3://{bucket}/some/where/raw/2024-01-05.parquet: corrupt"):
        warehouse.read_tables("raw", ["2024-01-04", "2024-01-05"])
    assert warehouse.read_records("raw", ["2024-01-04", "2024-01-05"]) == {"2024-01-04": {"day": "2024-01-04"}}
    assert warehouse.without_footer("raw") == ["2024-01-05"]


def test_a_large_table_is_read_by_ranges(store, aws_server, tmp_path):
    """One column of a table of 8 MB is a small part of it."""
    rows = 100_000
    wide = pl.DataFrame({f"c{number}": pl.Series(range(rows)).hash(number) for number in range(10)})
    Warehouse(store).write_table("wide", "2024-01-04", wide)
    assert store.sizes("wide")["wide/2024-01-04.parquet"] > 7_000_000
    frame = Warehouse(store).read_tables("wide", ["2024-01-04"], columns=["c3"])
    assert frame.equals(wide.select("c3"))


@pytest.mark.parametrize(
    ("encryption", "kms_key", "expected"),
    [("AES256", None, ("AES256", None)), ("aws:kms", "alias/prices", ("aws:kms", "alias/prices"))],
)
def test_what_is_written_is_encrypted_as_set(bucket, encryption, kms_key, expected):
    store = S3Store(S3Storage(kind="s3", bucket=bucket, encryption=encryption, kms_key=kms_key))
    store.write_bytes("a.json", b"{}")
    head = boto3.client("s3").head_object(Bucket=bucket, Key="a.json")
    assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == expected
    assert store.read_bytes("a.json") == b"{}"


def test_a_missing_bucket_is_named_with_the_remedy(bucket):
    store = S3Store(S3Storage(kind="s3", bucket="stockfc-nowhere"))
    for act in (lambda: store.write_bytes("a", b""), lambda: store.list("a"), lambda: store.exists("a")):
        with pytest.raises(StorageError, match=r"s3://stockfc-nowhere/.*no such bucket.*STOCKFC_S3_BUCKET"):
            act()


def test_missing_credentials_are_a_matter_of_configuration(bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    store = S3Store(S3Storage(kind="s3", bucket=bucket))
    for act in (lambda: store.read_bytes("a"), store.scan_options):
        with pytest.raises(ConfigError, match=r"no AWS credentials; set AWS_PROFILE"):
            act()


def test_a_server_that_is_away_is_named_with_the_location(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = S3Store(S3Storage(kind="s3", bucket=bucket, attempts=1))
    with pytest.raises(StorageError, match=rf"s3://{bucket}/a: S3 cannot be reached .*127\.0\.0\.1:1"):
        store.read_bytes("a")


def test_tables_have_the_same_bytes_in_a_bucket_and_in_a_folder(store, tmp_path):
    frame = pl.DataFrame({"ticker": ["1.T"], "close": [1.5]})
    versions = {Warehouse(each).write_table("raw", "2024-01-04", frame) for each in (store, LocalStore(tmp_path))}
    content = {
        hashlib.sha256(each.read_bytes("raw/2024-01-04.parquet")).hexdigest() for each in (store, LocalStore(tmp_path))
    }
    assert len(versions) == len(content) == 1
