"""The two grids and the mappings between them: exact dates."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from stockfc_assets.defs import partitions as p
from stockfc_assets.market.calendar import trading_calendar

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture(scope="module")
def calendar():
    return trading_calendar("XTKS")


@pytest.fixture(scope="module")
def grids(calendar):
    return p.build_grids(calendar, dt.date(2010, 1, 4))


def at(now: dt.datetime):
    """Dagster's clock for partitions set to ``now``."""
    return partition_loading_context(effective_dt=now)


def tokyo(*when: int) -> dt.datetime:
    return dt.datetime(*when, tzinfo=TOKYO)


def test_the_sessions_grid_is_the_exchange_s_sessions(grids, calendar):
    with at(tokyo(2026, 11, 20, 23)):
        keys = grids.sessions.get_partition_keys()
    assert keys == [day.isoformat() for day in calendar.between(dt.date(2010, 1, 4), dt.date(2026, 11, 20))]
    assert len(keys) == 4129
    assert "2020-10-01" not in keys


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (tokyo(2026, 11, 20, 18, 59), "2026-11-19"),
        (tokyo(2026, 11, 20, 19, 1), "2026-11-20"),
        (tokyo(2026, 11, 22, 12), "2026-11-20"),
        (tokyo(2026, 11, 23, 23), "2026-11-20"),
        (tokyo(2026, 11, 24, 23), "2026-11-24"),
    ],
)
def test_no_session_is_a_partition_before_it_is_over(grids, calendar, now, newest):
    with at(now):
        assert grids.sessions.get_last_partition_key() == newest
    assert calendar.newest_closed(now).isoformat() == newest


def test_the_current_month_is_open_from_its_first_moment(grids):
    months = grids.months
    assert months.get_first_partition_key() == "2010-02-01"
    with at(tokyo(2026, 12, 1, 0, 0)):
        assert months.get_last_partition_key() == "2026-12-01"
    with at(tokyo(2026, 11, 30, 18, 59)):
        assert months.get_last_partition_key() == "2026-11-01"


def upstream(mapping, downstream, upstream_def, key):
    subset = downstream.subset_with_partition_keys([key])
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, downstream, upstream_def)
    return list(result.partitions_subset.get_partition_keys())


def test_a_month_s_panel_reads_ten_years_before_it_and_nothing_of_it(grids):
    keys = upstream(p.history_before(120), grids.months, grids.sessions, "2026-02-01")
    assert (keys[0], keys[-1]) == ("2016-02-01", "2026-01-30")
    months = upstream(p.history_before(120), grids.months, grids.months, "2026-02-01")
    assert (months[0], months[-1], len(months)) == ("2016-02-01", "2026-01-01", 120)


def test_features_read_their_lookback_and_nothing_later(grids):
    keys = upstream(p.FEATURE_LOOKBACK, grids.sessions, grids.sessions, "2019-05-07")
    assert keys[-2:] == ["2019-04-26", "2019-05-07"]
    assert len(keys) == p.LOOKBACK_SESSIONS + 1
    assert upstream(p.FEATURE_LOOKBACK, grids.sessions, grids.sessions, "2010-01-05") == ["2010-01-04", "2010-01-05"]


def test_a_forecast_reads_champions_of_its_own_month_and_before(grids):
    keys = upstream(p.CHAMPION_REACH, grids.sessions, grids.months, "2026-02-06")
    assert keys[-1] == "2026-02-01"
    assert len(keys) >= 12
    assert upstream(p.SAME, grids.sessions, grids.sessions, "2026-02-06") == ["2026-02-06"]
    assert upstream(p.PREVIOUS, grids.months, grids.months, "2026-02-01") == ["2026-01-01"]


def test_a_track_record_reads_only_earlier_forecasts(grids):
    keys = upstream(p.sessions_before(3), grids.sessions, grids.sessions, "2019-05-08")
    assert keys == ["2019-04-25", "2019-04-26", "2019-05-07"]


def test_calendar_edits_only_append(calendar):
    """A day that disappears from the grid would hide its materialisations: the known past must not change."""
    assert len(calendar.between(dt.date(2016, 1, 4), dt.date(2025, 12, 30))) == 2443
