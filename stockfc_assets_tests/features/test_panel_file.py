"""The panel's file: exact round trip, no copies, same bytes, and refusals that say what to do."""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from stockfc_assets.errors import DataError
from stockfc_assets.features import panel_file
from stockfc_assets.features.names import WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel, build_panel
from stockfc_assets.features.panel_file import panel_bytes, read_panel
from stockfc_assets_tests.features.random_market import (
    calendar_sessions,
    random_bars,
    random_facts,
    sessions_between,
    universe_of,
)

TICKERS = ("2222.T", "1111.T")
MONTH = dt.date(2019, 6, 1)
ARRAYS = [field.name for field in dataclasses.fields(Panel) if field.name not in ("month", "tickers")]


def small_panel() -> Panel:
    start = dt.date(2018, 4, 2)
    raw = random_bars(TICKERS, sessions_between(start, MONTH))
    noise = np.random.default_rng(0).normal(size=(raw.height, 23)).astype(np.float32)
    features = pl.concat(
        [raw.select("ticker", "session"), pl.DataFrame(noise, schema=list(WEEKLY_FEATURES))], how="horizontal"
    )
    facts = random_facts(TICKERS, [dt.date(2018, 5, 1), dt.date(2019, 1, 1)])
    sectors = {"Banks": 0, "Foods": 1}
    return build_panel(features, raw, facts, universe_of(TICKERS), sectors, calendar_sessions(), start, MONTH)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("panel") / "2019-06-01.arrow"
    path.write_bytes(panel_bytes(small_panel()))
    return path


def test_round_trip_is_exact(stored: Path) -> None:
    panel, found = small_panel(), read_panel(stored)
    assert (found.month, found.tickers) == (MONTH, TICKERS)
    for name in ARRAYS:
        expected, array = getattr(panel, name), getattr(found, name)
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape), name
        assert array.tobytes() == expected.tobytes(), name


def test_the_same_panel_gives_the_same_bytes(stored: Path) -> None:
    assert panel_bytes(small_panel()) == stored.read_bytes()
    assert panel_bytes(read_panel(stored)) == stored.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of a process's mappings")
def test_arrays_are_read_only_views_of_one_mapping(stored: Path) -> None:
    """Each array lies inside the memory that the kernel says is mapped from the file."""
    panel = read_panel(stored)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if str(stored) in line]
    spans = [tuple(int(bound, 16) for bound in fields[0].split("-")) for fields in maps]
    assert spans
    for name in ARRAYS:
        array = getattr(panel, name)
        address = array.__array_interface__["data"][0]
        assert any(low <= address and address + array.nbytes <= high for low, high in spans), name
        assert address % array.dtype.itemsize == 0, name
        with pytest.raises(ValueError, match="read-only"):
            array.reshape(-1)[:1] = array.reshape(-1)[:1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("log_return_2w", *WEEKLY_FEATURES[1:]), r"missing \['log_return_1w'\], unknown \['log_return_2w'\]"),
        (WEEKLY_FEATURES[::-1], "another order than this version's"),
    ],
)
def test_other_features_are_refused(
    names: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.arrow"
    with monkeypatch.context() as patch:
        patch.setitem(panel_file._INPUTS, "weekly_features", list(names))
        path.write_bytes(panel_bytes(small_panel()))
    with pytest.raises(DataError, match=rf"other\.arrow: weekly_features: {message}"):
        read_panel(path)


def test_the_description_names_month_features_and_shapes(stored: Path) -> None:
    metadata = pa.ipc.open_file(pa.memory_map(str(stored))).schema.metadata
    description = json.loads(metadata[b"stockfc.training_panel"])
    assert description["month"] == "2019-06-01"
    assert description["weekly_features"] == list(WEEKLY_FEATURES)
    assert description["shapes"]["features"] == [
        2,
        len(sessions_between(dt.date(2018, 4, 2), dt.date(2019, 5, 31))),
        23,
    ]


@pytest.mark.parametrize("content", [b"", b"not arrow", b"ARROW1\0\0" + bytes(200)])
def test_what_is_no_panel_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.arrow"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.arrow: not a training panel"):
        read_panel(path)


def test_a_cut_file_is_refused(stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.arrow"
    path.write_bytes(stored.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"cut\.arrow: not a training panel"):
        read_panel(path)


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_panel(tmp_path / "none.arrow")


def test_another_arrow_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.arrow"
    pl.DataFrame({"close": [1.0]}).write_ipc(path)
    with pytest.raises(DataError, match=r"prices\.arrow: not a training panel"):
        read_panel(path)
