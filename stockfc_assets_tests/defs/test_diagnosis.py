"""`stockfc doctor` on stored data that are gone."""

import datetime as dt


def stored_data(bench) -> dict:
    (finding,) = [finding for finding in bench.doctor() if finding["check"] == "stored data"]
    return finding


def test_partitions_that_were_materialised_and_are_gone_are_counted_and_named(bench):
    """All of them, and some: an empty store is no new one while Dagster knows better."""
    bench.backfill(dt.date(2024, 2, 26), dt.date(2024, 3, 1))
    assert stored_data(bench)["ok"]
    root = bench.settings.data_root
    for day in (27, 28):
        (root / f"raw_ohlcv/2024-02-{day}.parquet").unlink()
    found = stored_data(bench)
    assert (found["ok"], found["message"]) == (
        False,
        f"{root}/raw_ohlcv: 2 of the partitions that were materialised are gone, from 2024-02-27 to 2024-02-28; restore "
        "them, or run `stockfc backfill --from 2024-02-27 --to 2024-02-28`",
    )
    for path in [*(root / "raw_ohlcv").iterdir(), *(root / "weekly_features").iterdir()]:
        path.unlink()
    found = stored_data(bench)
    assert not found["ok"]
    assert "raw_ohlcv: 5 of the partitions" in found["message"]
    assert "weekly_features: 5 of the partitions" in found["message"]
    # The command that it names heals it.
    bench.backfill(dt.date(2024, 2, 26), dt.date(2024, 3, 1))
    assert stored_data(bench)["ok"]
