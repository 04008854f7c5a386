"""What retention removes: old reports and panels, exactly these, in a folder and in a bucket."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.running_settings import RetentionSettings, S3Storage
from stockfc_assets.storage import LocalStore, S3Store
from stockfc_assets.storage.retention import OldFile, old_files, remove_files

TODAY = dt.date(2026, 3, 15)
SETTINGS = RetentionSettings(reports_days=30, panels_months=2)

KEPT = [
    "champion_model/2019-01-01.json",
    "daily_predictions/2019-01-04.parquet",
    "forecast_report/2026-02-13.html",  # 30 days ago
    "forecast_report/2026-03-13.html",
    "forecast_report/2026-02-12.txt",
    "forecast_report/20260212.html",
    "forecast_report/notes.html",
    "onnx_model/2019-01-01/model.onnx",
    "predictions/2019-01-04.json",
    "raw_ohlcv/2019-01-04.parquet",
    "trained_model/2019-01-01.safetensors",
    "training_panel/2026-01-01.arrow",
    "training_panel/2026-03-01.arrow",
    "training_panel/2025-12-01.parquet",
]
OLD = [
    "forecast_report/2019-01-04.html",
    "forecast_report/2026-02-12.html",
    "training_panel/2025-11-01.arrow",
    "training_panel/2025-12-01.arrow",
]


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return LocalStore(tmp_path)
    return S3Store(S3Storage(kind="s3", bucket=request.getfixturevalue("bucket"), prefix="team"))


def fill(store, keys):
    for key in keys:
        store.write_bytes(key, key.encode())


def everything(store, keys):
    return [key for key in keys if store.exists(key)]


def test_it_finds_these_files_and_no_other(store):
    fill(store, KEPT + OLD)
    assert old_files(store, SETTINGS, TODAY) == [OldFile(key, len(key)) for key in OLD]


def test_after_it_only_they_are_gone(store):
    fill(store, KEPT + OLD)
    remove_files(store, old_files(store, SETTINGS, TODAY))
    assert everything(store, KEPT + OLD) == KEPT
    assert old_files(store, SETTINGS, TODAY) == []


def test_none_keeps_for_ever(tmp_path):
    store = LocalStore(tmp_path)
    fill(store, OLD + KEPT)
    only_panels = RetentionSettings(reports_days=None, panels_months=2)
    only_reports = RetentionSettings(reports_days=30, panels_months=None)
    assert [file.key for file in old_files(store, only_panels, TODAY)] == OLD[2:]
    assert [file.key for file in old_files(store, only_reports, TODAY)] == OLD[:2]
    assert old_files(store, RetentionSettings(reports_days=None, panels_months=None), TODAY) == []


def test_the_newest_stays_however_old_it_is(tmp_path):
    store = LocalStore(tmp_path)
    fill(store, OLD)
    assert [file.key for file in old_files(store, SETTINGS, dt.date(2040, 1, 1))] == [OLD[0], OLD[2]]


def test_a_removal_that_was_cut_short_is_just_repeated(tmp_path):
    store = LocalStore(tmp_path)
    fill(store, KEPT + OLD)
    planned = old_files(store, SETTINGS, TODAY)
    remove_files(store, planned[:2])
    remove_files(store, planned)
    assert everything(store, KEPT + OLD) == KEPT


def test_many_months_are_counted_over_the_turn_of_years(tmp_path):
    store = LocalStore(tmp_path)
    months = [f"training_panel/{year}-{month:02}-01.arrow" for year in (2023, 2024) for month in range(1, 13)]
    fill(store, months)
    found = old_files(store, RetentionSettings(panels_months=13), dt.date(2025, 1, 31))
    assert [file.key for file in found] == months[:11]
    assert old_files(store, RetentionSettings(panels_months=100_000), dt.date(2025, 1, 31)) == []


DATES = st.dates(dt.date(2020, 1, 1), dt.date(2026, 12, 31))
FOLDERS = ["forecast_report", "training_panel", "raw_ohlcv", "trained_model", "predictions"]
SUFFIXES = [".html", ".arrow", ".parquet", ".json", ""]
KEYS = st.builds(lambda folder, date, suffix: f"{folder}/{date}{suffix}", *map(st.sampled_from, [FOLDERS]), DATES,
                 st.sampled_from(SUFFIXES))  # fmt: skip


class Listing:
    """The part of a store that finding asks for."""

    def __init__(self, keys):
        self.keys = keys

    def sizes(self, prefix):
        return {key: len(key) for key in self.keys if key.startswith(f"{prefix}/")}


@settings(deadline=None, max_examples=200)
@given(st.sets(KEYS, max_size=40), DATES, st.integers(1, 1000), st.integers(1, 40))
def test_law_nothing_else_goes_and_nothing_young(keys, today, days, months):
    found = {
        file.key for file in old_files(Listing(keys), RetentionSettings(reports_days=days, panels_months=months), today)
    }
    reports = {key for key in keys if key.startswith("forecast_report/") and key.endswith(".html")}
    panels = {key for key in keys if key.startswith("training_panel/") and key.endswith(".arrow")}
    assert found <= reports | panels

    def date(key):
        return dt.date.fromisoformat(key.partition("/")[2].partition(".")[0])

    def age_in_months(key):
        return (today.year - date(key).year) * 12 + today.month - date(key).month

    assert {key for key in reports if (today - date(key)).days > days} - {max(reports, default="")} == found & reports
    assert {key for key in panels if age_in_months(key) > months} - {max(panels, default="")} == found & panels
