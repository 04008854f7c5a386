"""The asset of the baselines on a real instance: what a month's file holds, and that it stays the same."""

import datetime as dt

import dagster as dg
import pytest

from stockfc_assets.features.panel_file import stored_panel

MONTHS = ["2024-02-01", "2024-03-01"]
PARTS = ["training_panel", "baseline_forecasts"]


@pytest.fixture
def materialise(bench, instance):
    def run(start: str, end: str) -> dg.ExecuteInProcessResult:
        tags = {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}
        job = bench.definitions.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey(part) for part in PARTS]
        return job.execute_in_process(instance=instance, asset_selection=selection, tags=tags, raise_on_error=False)

    return run


def test_a_month_holds_what_was_said_in_the_month_before_and_says_it_again(bench, materialise, instance):
    bench.backfill(dt.date(2020, 10, 1), None)
    assert materialise(*MONTHS).success
    warehouse = bench.platform.warehouse
    assert warehouse.partitions("baseline_forecasts") == MONTHS
    table = warehouse.read_table("baseline_forecasts", MONTHS[1])
    panel = stored_panel(warehouse, MONTHS[1])
    february = bench.platform.calendar.between(dt.date(2024, 2, 1), dt.date(2024, 2, 29))
    assert table["session"].unique().sort().to_list() == list(february)
    assert table.height == 12 * panel.eligible[:, -len(february) :].sum()

    stored = warehouse.store.read_bytes(f"baseline_forecasts/{MONTHS[1]}.parquet")
    assert materialise(MONTHS[1], MONTHS[1]).success
    assert warehouse.store.read_bytes(f"baseline_forecasts/{MONTHS[1]}.parquet") == stored
    (record,) = warehouse.read_records("baseline_forecasts", MONTHS[1:]).values()
    assert len(record["momentum_12_1"]["beta"]) == 12
    event = instance.get_latest_materialization_event(dg.AssetKey("baseline_forecasts")).asset_materialization
    assert event.metadata["sessions_of"].value == "2024-02"
    assert event.metadata["dagster/partition_row_count"].value == table.height


def test_without_the_month_s_panel_it_fails_with_the_remedy(bench, instance):
    job = bench.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey("baseline_forecasts")],
        partition_key=MONTHS[1],
        raise_on_error=False,
    )
    (failure,) = result.get_step_failure_events()
    assert "run `stockfc monthly --month 2024-03`" in str(failure.event_specific_data.error)
