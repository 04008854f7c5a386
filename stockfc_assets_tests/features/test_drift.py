"""Drift: quantiles, counts and stability index against hand-made values, second implementations and laws."""

from __future__ import annotations

import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import entropy

from stockfc_assets.errors import InputError
from stockfc_assets.features.drift import LEVELS, drift, reference, stability_index, verdict

NAN = float("nan")


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def only(rows: np.ndarray, training: np.ndarray) -> dict:
    (row,) = drift(rows, ["x"], reference(training, ["x"]))
    return row


def naive_psi(today: list[float], training: list[float]) -> float:
    """From the definition, value by value: deciles of what is known, a cell for missing, rare cells as documented."""
    known = sorted(value for value in training if math.isfinite(value))
    if known:
        # statistics' inclusive method is the linear one.
        deciles = [
            float(np.float32(cut))
            for cut in statistics.quantiles(known * 2 if len(known) == 1 else known, n=10, method="inclusive")
        ]
    else:
        deciles = []
    repeated = {cut for cut in deciles if deciles.count(cut) > 1}

    def cell(value: float) -> tuple:
        if not math.isfinite(value):
            return ("missing",)
        if value in repeated:
            return ("exactly", value)
        return ("after", max((cut for cut in deciles if cut < value), default=-math.inf))

    total = 0.0
    for each in {cell(value) for value in (*today, *training)}:
        a = sum(cell(value) == each for value in today) / len(today)
        e = sum(cell(value) == each for value in training) / len(training)
        a = a or min(e, 0.5 / len(today))
        e = e or min(a, 0.5 / len(training))
        total += (a - e) * math.log(a / e)
    return total


values = st.one_of(st.floats(-50, 50, width=32), st.sampled_from([0.0, 1.0, 2.5]), st.just(NAN))
samples = st.lists(values, min_size=1, max_size=60)


# --- the reference ----------------------------------------------------------------------------------------------------


def test_quantiles_and_counts_of_a_hundred_and_one_values() -> None:
    found = reference(column(*range(101)), ["x"])
    assert found["levels"] == list(LEVELS)
    assert found["features"] == {
        "x": {
            "quantiles": [1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 99.0],
            "counts": [11, *[10] * 9, 0],
            "missing": 0.0,
            "n": 101,
        }
    }


def test_missing_and_infinite_values_are_left_out_of_the_quantiles_and_counted() -> None:
    found = reference(column(1, NAN, 2, math.inf, -math.inf, 3), ["x"])["features"]["x"]
    assert found["quantiles"][6] == 2.0
    assert (found["quantiles"][0], found["quantiles"][-1]) == (1.02, 2.98)
    assert (found["counts"][-1], found["missing"], found["n"]) == (3, 0.5, 6)
    nothing = reference(column(NAN, NAN), ["x"])["features"]["x"]
    assert nothing == {"quantiles": None, "counts": [0, 2], "missing": 1.0, "n": 2}


def test_a_value_on_which_deciles_coincide_has_a_cell_of_its_own() -> None:
    training = column(*[0] * 70, *[0.1] * 20, *range(1, 11))
    found = reference(training, ["x"])["features"]["x"]
    # Deciles: 0 seven times, 0.1, 0.1 (linear up to the 90th of 100 values).
    assert found["quantiles"][2:11] == pytest.approx([0.0] * 6 + [0.03, 0.1, 0.19], abs=1e-7)
    assert found["counts"] == [0, 70, 0, 20, 0, 10, 0]
    assert only(column(-1, *[0] * 69, *[0.1] * 20, *range(1, 11)), training)["psi"] > 0
    assert only(training, training)["psi"] == 0


def test_the_reference_is_the_same_after_json() -> None:
    training = np.random.default_rng(0).normal(0, 1e-3, (500, 3)).astype(np.float32)
    found = reference(training, ["a", "b", "c"])
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert drift(training[:50], ["a", "b", "c"], again) == drift(training[:50], ["a", "b", "c"], found)


# --- the stability index ----------------------------------------------------------------------------------------------


def test_the_index_of_two_cells_by_hand() -> None:
    expected = (0.5 - 0.75) * math.log(0.5 / 0.75) + (0.5 - 0.25) * math.log(0.5 / 0.25)
    assert stability_index(np.array([50, 50]), np.array([75, 25])) == pytest.approx(expected, abs=1e-15)


def test_an_empty_cell_counts_as_half_an_observation_or_as_the_other_share_where_that_is_less() -> None:
    # 0 of 10 against a half: (0.05 - 0.5) ln(0.05 / 0.5); 10 of 10 against a half.
    expected = (0.05 - 0.5) * math.log(0.1) + 0.5 * math.log(2)
    assert stability_index(np.array([0, 10]), np.array([50, 50])) == pytest.approx(expected, abs=1e-15)
    # 1 in 1,000 missing in training, none of 10 today: no sign of drift in that cell.
    rare = stability_index(np.array([10, 0]), np.array([999, 1]))
    assert rare == pytest.approx(0.001 * math.log(1 / 0.999), abs=1e-15)
    # Never in training, once today.
    new = (0.1 - 0.005) * math.log(0.1 / 0.005) + (0.9 - 1) * math.log(0.9)
    assert stability_index(np.array([9, 1]), np.array([100, 0])) == pytest.approx(new, abs=1e-15)
    assert stability_index(np.array([5, 5, 0]), np.array([1, 1, 0])) == 0


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=12))
@settings(deadline=None, max_examples=100)
def test_without_empty_cells_it_is_both_kullback_leibler_divergences(pairs: list[tuple[int, int]]) -> None:
    today, training = np.array(pairs).T
    expected = entropy(today, training) + entropy(training, today)
    assert stability_index(today, training) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(samples, samples)
@settings(deadline=None, max_examples=200)
def test_the_index_of_a_feature_is_its_definition(today: list[float], training: list[float]) -> None:
    assert only(column(*today), column(*training))["psi"] == pytest.approx(naive_psi(today, training), abs=1e-6)


def test_by_chance_alone_its_mean_is_cells_less_one_over_n() -> None:
    random = np.random.default_rng(5)
    training = random.normal(size=(20_000, 1)).astype(np.float32)
    known = reference(training, ["x"])
    found = [drift(random.normal(size=(400, 1)).astype(np.float32), ["x"], known)[0]["psi"] for _ in range(400)]
    assert np.mean(found) == pytest.approx(9 * (1 / 400 + 1 / 20_000), rel=0.08)


# --- laws -------------------------------------------------------------------------------------------------------------


@given(samples, samples)
@settings(deadline=None, max_examples=100)
def test_never_negative_and_nothing_on_identical_data(today: list[float], training: list[float]) -> None:
    assert only(column(*today), column(*training))["psi"] >= 0
    same = only(column(*training), column(*training))
    assert same["psi"] == 0
    assert same["missing"] == same["training_missing"]


@given(
    arrays.arrays(np.float32, (12, 2), elements=values),
    arrays.arrays(np.float32, (30, 2), elements=values),
    st.randoms(),
)
@settings(deadline=None, max_examples=60)
def test_the_order_of_rows_does_not_matter(today: np.ndarray, training: np.ndarray, random) -> None:
    names = ["a", "b"]
    shuffled = [np.array(random.sample(list(rows), len(rows))) for rows in (today, training)]
    expected = drift(today, names, reference(training, names))
    assert drift(shuffled[0], names, reference(shuffled[1], names)) == expected


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40),
    st.floats(-60, 60, width=32),
    st.floats(0, 20, width=32),
)
@settings(deadline=None, max_examples=150)
def test_a_higher_median_never_stands_lower_in_training(training: list[float], at: float, rise: float) -> None:
    lower, higher = (only(column(value), column(*training)) for value in (at, at + rise))
    assert 0.01 <= lower["median_percentile"] <= higher["median_percentile"] <= 0.99


# --- a feature's row --------------------------------------------------------------------------------------------------


def test_a_row_says_where_today_lies() -> None:
    found = only(column(0, 72.5, 75, NAN, 200), column(*range(101), NAN))
    assert found == {
        "feature": "x",
        "median": 73.75,
        "median_percentile": 0.7375,
        "outside": 0.5,
        "psi": found["psi"],
        "missing": 0.2,
        "training_missing": round(1 / 102, 6),
        "n": 5,
    }


@pytest.mark.parametrize(
    ("value", "expected"), [(-1, 0.01), (1, 0.01), (3, 0.03), (50, 0.5), (92.5, 0.925), (97, 0.97), (1000, 0.99)]
)
def test_percentiles_are_interpolated_between_the_quantiles(value: float, expected: float) -> None:
    assert only(column(value), column(*range(101)))["median_percentile"] == pytest.approx(expected, abs=1e-6)


def test_a_median_on_which_quantiles_coincide_stands_in_their_middle() -> None:
    constant = column(*[3] * 40)
    assert [only(column(value), constant)["median_percentile"] for value in (2, 3, 4)] == [0.01, 0.5, 0.99]
    assert [only(column(value), constant)["outside"] for value in (2, 3, 4)] == [1.0, 0.0, 1.0]
    # 0 is the 1, 5, 10, 20, 30 and 40 % quantile.
    assert only(column(0), column(*[0] * 45, *range(1, 56)))["median_percentile"] == pytest.approx((0.01 + 0.4) / 2)


def test_what_cannot_be_compared_is_none() -> None:
    nothing, something = column(NAN, NAN), column(1, 2)
    for today, training, psi in ((nothing, something, True), (something, nothing, True), (nothing, nothing, False)):
        found = only(today, training)
        assert found["median_percentile"] is found["outside"] is None
        assert (found["psi"] > 0) is psi
    assert only(something, nothing)["median"] == 1.5
    assert only(nothing, something)["median"] is None


def test_the_feature_that_moved_most_comes_first() -> None:
    random = np.random.default_rng(1)
    training = random.normal(size=(2000, 4)).astype(np.float32)
    today = random.normal(size=(300, 4)).astype(np.float32) + np.float32([0, 0.5, 0, 2])
    found = drift(today, ["a", "b", "c", "d"], reference(training, ["a", "b", "c", "d"]))
    assert [row["feature"] for row in found[:2]] == ["d", "b"]
    assert [row["psi"] for row in found] == sorted((row["psi"] for row in found), reverse=True)


def test_no_row_and_an_unknown_feature_are_refused() -> None:
    known = reference(column(1), ["x"])
    with pytest.raises(InputError, match="no row to compare"):
        drift(column(), ["x"], known)
    with pytest.raises(InputError, match="no row to take"):
        reference(column(), ["x"])
    with pytest.raises(InputError, match=r"no record of y, z; train in full"):
        drift(np.zeros((2, 3), dtype=np.float32), ["x", "y", "z"], known)


# --- in words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percentile", "outside", "missing", "training_missing", "expected"),
    [
        (0.5, 0.02, 0.0, 0.0, "as in training"),
        (0.21, 0.09, 0.09, 0.0, "as in training"),
        (0.5, 0.0, 0.0, 0.9, "as in training"),
        (0.2, 0.0, 0.0, 0.0, "shifted"),
        (0.8, 0.0, 0.0, 0.0, "shifted"),
        (0.5, 0.1, 0.0, 0.0, "shifted"),
        (0.5, 0.0, 0.3, 0.2, "shifted"),
        (0.05, 0.0, 0.0, 0.0, "far from training"),
        (0.95, 0.0, 0.0, 0.0, "far from training"),
        (0.5, 0.25, 0.0, 0.0, "far from training"),
        (0.5, 0.0, 0.6, 0.1, "far from training"),
        (None, None, 1.0, 1.0, "never seen"),
        (None, None, 1.0, 0.6, "shifted"),
        (None, None, 1.0, 0.0, "far from training"),
        (None, None, 0.4, 1.0, "never seen"),
    ],
)
def test_verdicts(percentile, outside, missing, training_missing, expected) -> None:
    row = {
        "median_percentile": percentile,
        "outside": outside,
        "missing": missing,
        "training_missing": training_missing,
    }
    assert verdict(row) == expected
