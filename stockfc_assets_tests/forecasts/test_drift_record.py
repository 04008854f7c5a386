"""The drift document of a session: which rows it compares, what it finds, what it says without a record."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from stockfc_assets.errors import InputError
from stockfc_assets.features.drift import reference
from stockfc_assets.features.names import STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs
from stockfc_assets.forecasts.drift_record import session_drift
from stockfc_assets.terminal_drift import drift_text
from stockfc_assets_tests.forecasts.samples import SESSION, sample_inputs

TICKERS = tuple(f"{number}.T" for number in range(31))


@pytest.fixture(scope="module")
def inputs() -> ModelInputs:
    return sample_inputs(TICKERS, [0] * len(TICKERS))


@pytest.fixture(scope="module")
def card() -> dict:
    """Of a model trained on rows from the same distribution as `sample_inputs`."""
    random = np.random.default_rng(8)
    names = WEEKLY_FEATURES + STATIC_FEATURES
    rows = random.normal(0, [0.05] * len(WEEKLY_FEATURES) + [1] * len(STATIC_FEATURES), (5000, len(names)))
    rows[random.random(rows.shape) < 0.02] = np.nan
    recorded = {"basis": "2026-01", "sessions": ["2016-02-05", "2024-06-21"], **reference(np.float32(rows), names)}
    return {"model_id": "2026-02-0123456789ab", "feature_reference": recorded}


def changed(inputs: ModelInputs, feature: str, weeks: slice, by: float) -> ModelInputs:
    weekly = inputs.weekly_seq.copy()
    weekly[:, weeks, WEEKLY_FEATURES.index(feature)] += by
    return replace(inputs, weekly_seq=weekly)


def test_inputs_of_the_same_kind_are_as_in_training(inputs: ModelInputs, card: dict) -> None:
    found = session_drift(inputs, card, SESSION)
    assert (found["session"], found["model"], found["basis"]) == ("2026-02-06", "2026-02-0123456789ab", "2026-01")
    assert (found["trained_on"], found["weeks"], found["stocks"]) == (["2016-02-05", "2024-06-21"], 13, 31)
    assert (found["shifted"], found["far"], found["never_seen"]) == (0, 0, 0)
    assert {row["verdict"] for row in found["features"]} == {"as in training"}
    rows = {(row["kind"], row["feature"]): row["n"] for row in found["features"]}
    assert rows == {("weekly", name): 13 * 31 for name in WEEKLY_FEATURES} | {
        ("static", name): 31 for name in STATIC_FEATURES
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_shifted_feature_is_found_at_the_top(inputs: ModelInputs, card: dict) -> None:
    found = session_drift(changed(inputs, "rsi_14w", slice(-13, None), 0.06), card, SESSION)
    assert found["features"][0]["feature"] == "rsi_14w"
    assert found["features"][0]["verdict"] == "shifted"
    assert (found["shifted"], found["far"]) == (1, 0)
    static = inputs.static_features.copy()
    static[:, 4] -= 3
    both = session_drift(
        replace(changed(inputs, "rsi_14w", slice(-13, None), 0.06), static_features=static), card, SESSION
    )
    assert [(row["feature"], row["kind"]) for row in both["features"][:2]] == [
        ("profit_margin", "static"),
        ("rsi_14w", "weekly"),
    ]
    assert (both["shifted"], both["far"]) == (1, 1)


def test_what_training_never_had_is_no_drift(inputs: ModelInputs, card: dict) -> None:
    recorded = card["feature_reference"]
    blank = {"quantiles": None, "counts": [0, 5000], "missing": 1.0, "n": 5000}
    features = recorded["features"] | {"earnings_yield": blank}
    found = session_drift(inputs, card | {"feature_reference": recorded | {"features": features}}, SESSION)
    assert (found["shifted"], found["far"], found["never_seen"]) == (0, 0, 1)
    last = found["features"][-1]
    assert (last["feature"], last["verdict"], last["training_missing"]) == ("earnings_yield", "never seen", 1.0)


def test_only_the_newest_quarter_is_compared(inputs: ModelInputs, card: dict) -> None:
    before = session_drift(inputs, card, SESSION)
    assert session_drift(changed(inputs, "beta_52w", slice(None, -13), 9.0), card, SESSION) == before
    assert session_drift(changed(inputs, "beta_52w", slice(-13, -12), 9.0), card, SESSION) != before


def test_the_order_of_stocks_does_not_matter(inputs: ModelInputs, card: dict) -> None:
    order = np.random.default_rng(2).permutation(len(TICKERS))
    turned = ModelInputs(
        tickers=tuple(inputs.tickers[i] for i in order),
        **{name: array[order] for name, array in vars(inputs).items() if name != "tickers"},
    )
    assert session_drift(turned, card, SESSION) == session_drift(inputs, card, SESSION)


@pytest.mark.parametrize("card", [{"model_id": "x"}, {"model_id": "x", "feature_reference": None}])
def test_a_card_from_before_says_that_nothing_is_recorded(inputs: ModelInputs, card: dict) -> None:
    found = session_drift(inputs, card, SESSION)
    assert found is None
    assert "is not recorded" in drift_text(found)
    assert "The next full training records it" in drift_text(found)


def test_a_session_without_stocks_is_refused(inputs: ModelInputs, card: dict) -> None:
    nobody = ModelInputs(tickers=(), **{name: array[:0] for name, array in vars(inputs).items() if name != "tickers"})
    with pytest.raises(InputError, match="session 2026-02-06: no stock has a forecast"):
        session_drift(nobody, card, SESSION)


def test_what_a_person_reads() -> None:
    row = {
        "kind": "weekly", "feature": "volatility_4w", "median": 0.29, "median_percentile": 0.71, "outside": 0.2531,
        "psi": 0.4512, "missing": 0.0, "training_missing": 0.012, "n": 325, "verdict": "far from training",
    }  # fmt: skip
    unknown = row | {
        "feature": "earnings_yield", "median": None, "median_percentile": None, "outside": None, "psi": 0.0,
        "missing": 1.0, "training_missing": 1.0, "verdict": "never seen",
    }  # fmt: skip
    document = {
        "session": "2024-09-06", "model": "2024-09-ab", "basis": "2024-01", "trained_on": ["2016-01-08", "2022-06-24"],
        "weeks": 13, "stocks": 25, "features": [row, unknown], "shifted": 0, "far": 1, "never_seen": 1,
    }  # fmt: skip
    lines = drift_text(document).splitlines()
    assert lines[:3] == [
        "Inputs of 2024-09-06 (25 stocks, the newest 13 weeks) against the training of model 2024-09-ab",
        "Training: prices from 2016-01-08 to 2022-06-24, full training of 2024-01",
        "Of 2 inputs: 1 far from training, 0 shifted, 0 as in training, 1 never seen",
    ]
    assert [" ".join(line.split()) for line in lines[5:7]] == [
        "volatility_4w far from training 0.29 ..........|...o...... 25% 0% 1% 0.45",
        "earnings_yield never seen - - 100% 100% 0.00",
    ]
    assert len({len(line) for line in lines[4:7]}) == 1
