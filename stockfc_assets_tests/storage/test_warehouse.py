"""Warehouse: partitions of tables, data versions, corrupt files named, one source per root."""

import datetime as dt

import polars as pl
import pytest

from stockfc_assets.errors import ConfigError, DataError
from stockfc_assets.storage import LocalStore, Warehouse


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(LocalStore(tmp_path))


def frame(value: float) -> pl.DataFrame:
    return pl.DataFrame({"ticker": ["A", "B"], "session": [dt.date(2024, 1, 4)] * 2, "close": [value, value + 1]})


def test_the_same_rows_have_the_same_version_and_other_rows_another(warehouse):
    first = warehouse.write_table("raw_ohlcv", "2024-01-04", frame(1.0))
    assert warehouse.write_table("raw_ohlcv", "2024-01-05", frame(1.0)) == first
    assert warehouse.write_table("raw_ohlcv", "2024-01-04", frame(2.0)) != first
    assert warehouse.read_table("raw_ohlcv", "2024-01-04").equals(frame(2.0))
    assert warehouse.partitions("raw_ohlcv") == ["2024-01-04", "2024-01-05"]


def test_reading_many_takes_those_that_are_there_in_the_order_asked_for(warehouse):
    warehouse.write_table("t", "2", frame(2.0))
    warehouse.write_table("t", "1", frame(1.0))
    assert warehouse.read_tables("t", ["1", "2", "3"])["close"].to_list() == [1.0, 2.0, 2.0, 3.0]
    assert warehouse.read_tables("t", ["3"]) is None


def test_a_corrupt_partition_is_named_and_healed_by_writing_it_again(warehouse):
    for key in ("1", "2", "3"):
        warehouse.write_table("t", key, frame(float(key)))
    whole = warehouse.store.read_bytes("t/2.parquet")
    warehouse.store.write_bytes("t/2.parquet", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"t/2\.parquet: corrupt .* materialise t for 2 again"):
        warehouse.read_tables("t", ["1", "2", "3"])
    assert list(warehouse.corrupt_partitions("t", ["1", "2", "3"])) == ["2"]
    assert warehouse.read_tables("t", ["1", "3"]).height == 4
    warehouse.write_table("t", "2", frame(2.0))
    assert warehouse.read_tables("t", ["1", "2", "3"]).height == 6


def test_a_missing_partition_says_what_to_do(warehouse):
    with pytest.raises(DataError, match=r"t/9\.parquet: missing; materialise t for 9 first"):
        warehouse.read_table("t", "9")


def test_prices_of_another_source_are_refused(warehouse):
    warehouse.require_source({"source": "simulated", "seed": 1})
    warehouse.require_source({"source": "simulated", "seed": 1})
    with pytest.raises(
        ConfigError,
        match=r"holds prices of simulated \(seed 1\); the configured source is files; set STOCKFC_DATA to another folder",
    ):
        warehouse.require_source({"source": "files"})
