"""Explanations of models whose true attribution is known, and laws that hold for any model."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets import terminal
from stockfc_assets.errors import DataError, InputError
from stockfc_assets.features.names import POSITION_FEATURES, SEQUENCE_WEEKS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs
from stockfc_assets.forecasts.explanation import (
    BLOCK_WEEKS,
    BLOCKS,
    GROUPS,
    WEEKLY_GROUPS,
    Explainer,
    explanation_document,
    explanation_view,
    shapley_values,
)
from stockfc_assets.forecasts.inference import OnnxForecaster
from stockfc_assets_tests.forecasts.onnx_models import AdditiveModel, LinearModel, card_of, product_model
from stockfc_assets_tests.forecasts.samples import SIMULATED, SOURCE, sample_card, sample_inputs

SECTORS = {"Unknown": 0, "Foods": 1, "Banks": 2, "Steel": 3}
CLOSE = {"rtol": 0, "atol": 3e-6}
"""The models compute in float32."""


def inputs_of(count: int = 9) -> ModelInputs:
    """Stocks on a Friday, in three sectors, some facts and weeks missing, one feature missing for all."""
    inputs = sample_inputs(tuple(f"{number}.T" for number in range(count)), [1 + number % 3 for number in range(count)])
    inputs.weekly_seq[:, 7, 3] = np.nan
    return inputs


def forecaster_of(model_bytes: bytes) -> OnnxForecaster:
    return OnnxForecaster(model_bytes, card_of(model_bytes, sample_card(SECTORS)))


def reordered(inputs: ModelInputs, order: list[int]) -> ModelInputs:
    arrays = {name: getattr(inputs, name)[order] for name in vars(inputs) if name != "tickers"}
    return ModelInputs(tickers=tuple(inputs.tickers[row] for row in order), **arrays)


@pytest.fixture(scope="module")
def additive() -> AdditiveModel:
    return AdditiveModel.from_seed()


@pytest.fixture(scope="module")
def additive_explainer(additive) -> Explainer:
    return Explainer(forecaster_of(additive.onnx_bytes()), inputs_of())


@pytest.fixture(scope="module")
def network_forecaster() -> OnnxForecaster:
    """A small network of the real kind, with weights that matter."""
    torch = pytest.importorskip("torch")
    from stockfc_assets.model_settings import NetworkSettings
    from stockfc_assets.models.export import export_onnx
    from stockfc_assets.models.network import ForecastNetwork

    torch.manual_seed(0)
    network = ForecastNetwork(NetworkSettings(hidden=6, sector_dim=2, mlp=(12, 8)))
    with torch.no_grad():
        network.sector_embedding.weight.normal_()
        network.output.weight.mul_(50)
        network.weekly_scale.fill_(0.05)
    return forecaster_of(export_onnx(network.eval()))


# --- groups -----------------------------------------------------------------------------------------------------------


def test_every_feature_belongs_to_one_group_and_every_week_to_one_block():
    assert sorted(itertools.chain(*WEEKLY_GROUPS.values())) == sorted(WEEKLY_FEATURES)
    assert GROUPS == (
        "returns", "price level", "volatility", "liquidity", "benchmark", "company facts", "sector", "place in the week",
    )  # fmt: skip
    assert BLOCKS * BLOCK_WEEKS == SEQUENCE_WEEKS


# --- the typical stock ------------------------------------------------------------------------------------------------


def test_the_typical_stock_is_the_median_of_what_is_known_in_a_middle_of_the_week(additive_explainer):
    inputs, typical = inputs_of(), additive_explainer.typical
    for week, feature in ((0, 0), (88, 5), (155, 16)):
        known = sorted(value for value in inputs.weekly_seq[:, week, feature] if not math.isnan(value))
        middle = known[(len(known) - 1) // 2], known[len(known) // 2]
        assert typical.weekly_seq[0, week, feature] == pytest.approx(sum(middle) / 2, abs=1e-7)
    assert np.isnan(typical.weekly_seq[0, 7, 3])
    assert typical.static_features[0, 2] == pytest.approx(np.median(inputs.static_features[1:, 2]), abs=1e-7)
    np.testing.assert_array_equal(typical.position_features, np.array([[0.5, 0.6]], np.float32))
    assert typical.weekly_seq.dtype == typical.static_features.dtype == np.float32


@pytest.mark.parametrize(
    ("stocks", "expected"),
    [([1, 2, 3], 3), ([1, 1, 1, 2, 3], 1), ([2, 2, 2, 1, 3], 2), ([2, 1], 1), ([3, 0], 0), ([2, 3, 0, 3], 3), ([2], 2)],
)
def test_the_typical_sector_stands_in_the_middle_of_the_stocks_ranked_by_what_their_sector_does(stocks, expected):
    """Sector 1 is worth least, then 0 and 3 (the same), then 2."""
    embedding = np.zeros((33, 12), np.float32)
    embedding[[1, 0, 3, 2], :] = np.array([-0.1, 0.0, 0.0, 0.2], np.float32)[:, None]
    model = dataclasses.replace(LinearModel.from_seed(), embedding=embedding)
    inputs = sample_inputs(tuple(f"{row}.T" for row in range(len(stocks))), stocks)
    assert Explainer(forecaster_of(model.onnx_bytes()), inputs).typical.sector_id.tolist() == [expected]


def test_the_order_of_the_stocks_changes_nothing(network_forecaster):
    inputs = inputs_of()
    one = Explainer(network_forecaster, inputs).explain("4.T")
    other = Explainer(network_forecaster, reordered(inputs, [8, 4, 0, 6, 2, 7, 1, 5, 3])).explain("4.T")
    np.testing.assert_array_equal(one.contributions, other.contributions)
    np.testing.assert_array_equal(one.heat, other.heat)


# --- known attributions -----------------------------------------------------------------------------------------------


def test_in_a_linear_model_each_group_contributes_its_weights_times_its_distance_from_the_typical_stock():
    model, inputs = LinearModel.from_seed(), inputs_of()
    explainer = Explainer(forecaster_of(model.onnx_bytes()), inputs)
    found, typical, row = explainer.explain("5.T"), explainer.typical, 5
    week = np.nan_to_num(inputs.weekly_seq[row, -1]) - np.nan_to_num(typical.weekly_seq[0, -1])
    expected = [
        sum(week[WEEKLY_FEATURES.index(name)] * model.weekly[WEEKLY_FEATURES.index(name)] for name in names)
        for names in WEEKLY_GROUPS.values()
    ]
    expected += [
        (np.nan_to_num(inputs.static_features[row]) - typical.static_features[0]) @ model.static,
        model.embedding[inputs.sector_id[row]] - model.embedding[typical.sector_id[0]],
        np.array([0.5, 0.4]) @ model.position,
    ]
    np.testing.assert_allclose(found.contributions, expected, **CLOSE)
    np.testing.assert_allclose(found.occlusions, expected, **CLOSE)
    np.testing.assert_allclose(found.heat[:, -1], expected[:5], **CLOSE)
    np.testing.assert_allclose(found.heat[:, :-1], 0, **CLOSE)
    np.testing.assert_allclose(found.forecast, model.expected(inputs)[row], **CLOSE)


@pytest.mark.parametrize("ticker", ["0.T", "3.T"])
def test_in_an_additive_model_groups_and_blocks_of_weeks_are_what_their_terms_are(additive, additive_explainer, ticker):
    inputs, typical = inputs_of(), additive_explainer.typical
    found, row = additive_explainer.explain(ticker), inputs.tickers.index(ticker)
    terms = additive.weekly_terms(inputs.weekly_seq[row]) - additive.weekly_terms(typical.weekly_seq[0])
    blocks = terms.reshape(BLOCKS, BLOCK_WEEKS, len(WEEKLY_FEATURES), 12).sum(axis=1)
    expected = np.stack(
        [blocks[:, [WEEKLY_FEATURES.index(name) for name in names]].sum(axis=1) for names in WEEKLY_GROUPS.values()]
    )
    apart = additive.other_terms(inputs, row) - additive.other_terms(typical, 0)
    np.testing.assert_allclose(found.heat, expected, **CLOSE)
    np.testing.assert_allclose(found.weeks, expected.sum(axis=0), **CLOSE)
    np.testing.assert_allclose(found.contributions, [*expected.sum(axis=1), *apart], **CLOSE)
    np.testing.assert_allclose(found.occlusions, found.contributions, **CLOSE)
    assert np.abs(expected).min() > 0


def test_groups_that_multiply_share_what_they_do_together():
    """log return = h x volatility x size x day: the Shapley values of a product, worked out by hand."""
    inputs = inputs_of()
    explainer = Explainer(forecaster_of(product_model()), inputs)
    found = explainer.explain("2.T")
    own = [inputs.weekly_seq[2, -1, WEEKLY_FEATURES.index("volatility_13w")], inputs.static_features[2, 5], 1.0]
    base = [found.inputs[name][1] for name in ("volatility_13w", "log_market_cap", "day_of_week")]
    shares = []
    for first in range(3):
        a, b = (other for other in range(3) if other != first)
        rest = (own[a] * own[b] + base[a] * base[b]) / 3 + (own[a] * base[b] + base[a] * own[b]) / 6
        shares.append((own[first] - base[first]) * rest)
    expected = np.zeros((8, 12))
    expected[[GROUPS.index(name) for name in ("volatility", "company facts", "place in the week")]] = np.outer(
        shares, np.arange(1, 13)
    )
    np.testing.assert_allclose(found.contributions, expected, rtol=1e-5, atol=1e-6)
    alone = (own[0] - base[0]) * own[1] * own[2] * np.arange(1, 13)
    np.testing.assert_allclose(found.occlusions[GROUPS.index("volatility")], alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.weeks[-1], alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.weeks[:-1], 0, atol=1e-6)


# --- Shapley values ---------------------------------------------------------------------------------------------------


def test_the_glove_game():
    """Player 0 has a left glove, 1 and 2 a right one each; a pair is worth 1: 2/3, 1/6, 1/6 (Shapley 1953)."""
    worth = np.array([float((c & 1) and (c & 6) > 0) for c in range(8)])
    np.testing.assert_allclose(shapley_values(worth), [2 / 3, 1 / 6, 1 / 6], rtol=1e-15)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.floats(-1, 1), min_size=2**n, max_size=2**n)))
def test_shapley_values_are_the_mean_gain_over_all_orders_in_which_players_arrive(worth):
    players = len(worth).bit_length() - 1
    gains = np.zeros(players)
    for order in itertools.permutations(range(players)):
        coalition = 0
        for player in order:
            gains[player] += worth[coalition | 1 << player] - worth[coalition]
            coalition |= 1 << player
    found = shapley_values(np.array(worth))
    np.testing.assert_allclose(found, gains / math.factorial(players), atol=1e-14)
    assert found.sum() == pytest.approx(worth[-1] - worth[0], abs=1e-14)


# --- laws of any model ------------------------------------------------------------------------------------------------


def test_contributions_of_the_network_sum_to_its_forecast_less_the_typical_stocks(network_forecaster):
    inputs = inputs_of()
    explainer = Explainer(network_forecaster, inputs)
    baseline = network_forecaster.predict(explainer.typical)[0]
    forecasts = network_forecaster.predict(inputs)
    for row, ticker in enumerate(inputs.tickers):
        found = explainer.explain(ticker)
        np.testing.assert_allclose(found.forecast, forecasts[row], atol=1e-6)
        np.testing.assert_allclose(found.baseline, baseline, atol=1e-6)
        np.testing.assert_allclose(found.contributions.sum(axis=0), found.forecast - found.baseline, atol=1e-14)
        same_sector = inputs.sector_id[row] == explainer.typical.sector_id[0]
        moved = np.abs(found.contributions[:, -1]) > 1e-6
        assert moved.tolist() == [name != "sector" or not same_sector for name in GROUPS]


def test_a_stock_owes_nothing_to_a_group_in_which_all_stocks_are_alike(network_forecaster):
    inputs = inputs_of()
    columns = [WEEKLY_FEATURES.index(name) for name in WEEKLY_GROUPS["returns"]]
    inputs.weekly_seq[:, :, columns] = inputs.weekly_seq[0][:, columns]
    inputs.static_features[:] = inputs.static_features[0]
    found = Explainer(network_forecaster, inputs).explain("3.T")
    for group in ("returns", "company facts"):
        np.testing.assert_allclose(found.contributions[GROUPS.index(group)], 0, atol=1e-7)
        np.testing.assert_allclose(found.occlusions[GROUPS.index(group)], 0, atol=1e-7)
    np.testing.assert_allclose(found.heat[0], 0, atol=1e-7)
    assert np.abs(found.contributions[GROUPS.index("volatility")]).max() > 1e-4


def test_the_same_inputs_give_the_same_bytes_with_few_evaluations_and_inputs_are_left_alone(network_forecaster):
    class Counting:
        evaluations = 0

        def predict(self, inputs: ModelInputs) -> np.ndarray:
            self.evaluations += len(inputs.tickers)
            return network_forecaster.predict(inputs)

    inputs, untouched, counting = inputs_of(), inputs_of(), Counting()
    explainer = Explainer(counting, inputs)
    assert counting.evaluations == 3
    one, other = explainer.explain("1.T"), Explainer(network_forecaster, inputs).explain("1.T")
    unlike = [inputs.sector_id[row] != explainer.typical.sector_id[0] for row in (1, 2)]
    assert unlike == [False, True]
    assert counting.evaluations == 3 + 2**7 + 6 * 12, "a group that is the typical stock's own is not exchanged"
    explainer.explain("2.T")
    assert counting.evaluations == 3 + 2**7 + 2**8 + 2 * 6 * 12
    for name in ("forecast", "baseline", "contributions", "occlusions", "weeks", "heat"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
        assert getattr(one, name).dtype == np.float64
    np.testing.assert_array_equal(inputs.weekly_seq, untouched.weekly_seq)


def test_a_stock_alone_in_its_session_differs_from_the_typical_one_by_its_place_in_the_week_only(network_forecaster):
    found = Explainer(network_forecaster, inputs_of(1)).explain("0.T")
    assert np.abs(found.contributions[:-1]).max() < 1e-7 < np.abs(found.contributions[-1]).max()


def test_a_ticker_without_a_forecast_and_a_session_without_one_are_refused(network_forecaster):
    with pytest.raises(InputError, match=r"8729\.T: has no forecast on this session; `stockfc show`"):
        Explainer(network_forecaster, inputs_of()).explain("8729.T")
    with pytest.raises(InputError, match="nothing to explain"):
        Explainer(network_forecaster, inputs_of(0))


# --- what is shown ----------------------------------------------------------------------------------------------------


def published(explanation, *, source=SOURCE, change: float = 0.0) -> dict:
    months = [
        {"month": month, "return": round(math.expm1(value), 6) + (change if month == 12 else 0)}
        for month, value in enumerate(explanation.forecast, start=1)
    ]
    stock = {"ticker": explanation.ticker, "name": "Kikkoman", "predictions": months}
    return {
        "session": "2026-02-06",
        "model": {"id": "2026-02-0123456789ab", "month": "2026-02", "status": "unproven"},
        "source": source,
        "predictions": [{"ticker": "other"}, stock],
    }


def test_the_view_is_json_whose_contributions_add_up(additive_explainer):
    found = additive_explainer.explain("0.T")
    view = explanation_view(found, SECTORS)
    assert json.loads(json.dumps(view, allow_nan=False)) == view
    assert [entry["group"] for entry in view] == list(GROUPS)
    total = np.sum([entry["contribution"] for entry in view], axis=0)
    np.testing.assert_allclose(total, found.forecast - found.baseline, atol=8 * 0.5e-8)
    assert view[2]["contribution"][11] == round(found.contributions[2, 11], 8)
    assert view[2]["weeks"][11][0] == round(found.heat[2, 0, 11], 8)
    assert np.shape(view[2]["weeks"]) == (12, 12)
    assert [entry["weeks"] is None for entry in view] == [False] * 5 + [True] * 3
    facts = {each["name"]: each for each in view[5]["inputs"]}
    assert list(facts) == list(STATIC_FEATURES)
    assert facts["dividend_yield"]["value"] is None
    assert facts["dividend_yield"]["typical"] is not None
    assert view[6]["inputs"] == [{"name": "sector", "value": "Foods", "typical": view[6]["inputs"][0]["typical"]}]
    assert [each["name"] for each in view[7]["inputs"]] == list(POSITION_FEATURES)
    assert [(each["value"], each["typical"]) for each in view[7]["inputs"]] == [(1.0, 0.5), (1.0, 0.6)]


def test_a_forecast_that_is_no_longer_what_was_published_is_not_explained(additive_explainer):
    found = additive_explainer.explain("0.T")
    document = explanation_document(found, published(found, change=0.5e-5), SECTORS)
    assert (document["name"], document["session"], document["stocks"]) == ("Kikkoman", "2026-02-06", 9)
    assert (document["forecast"][11], document["baseline"][0]) == (
        round(found.forecast[11], 8),
        round(found.baseline[0], 8),
    )
    assert document["weeks"][11][0] == round(found.weeks[0, 11], 8)
    assert document["groups"] == explanation_view(found, SECTORS)
    with pytest.raises(DataError, match=r"0\.T: what is stored for 2026-02-06 now gives .* over 12 months, published"):
        explanation_document(found, published(found, change=2e-5), SECTORS)


def test_the_text_says_what_moved_it_and_when():
    groups = [
        {"group": name, "contribution": [0.0] * 11 + [value], "weeks": None, "inputs": []}
        for name, value in (("returns", 0.01), ("volatility", -0.04), ("sector", 0.0))
    ]
    blocks = [-0.01, *[0.0] * 10, 0.02]
    groups[0] |= {"weeks": [[0.0] * 12] * 11 + [[0.0] * 11 + [0.03]]}
    groups[1] |= {
        "weeks": [[0.0] * 12] * 11 + [[-0.01, *[0.0] * 10, -0.01]],
        "inputs": [{"name": "volatility_13w", "value": 0.3141, "typical": None}],
    }
    groups[2]["inputs"] = [{"name": "sector", "value": "Foods", "typical": "Banks"}]
    document = {
        "ticker": "2801.T", "name": "Kikkoman", "session": "2026-02-06", "stocks": 31,
        "model": {"id": "2026-02-ab", "status": "unproven"}, "source": SIMULATED,
        "forecast": [0.0] * 11 + [0.02], "baseline": [0.0] * 11 + [0.05], "groups": groups,
        "block_weeks": 13, "weeks": [[0.0] * 12] * 11 + [blocks],
    }  # fmt: skip
    lines = terminal.explanation_text(document, horizon=12).splitlines()
    assert lines[:9] == [
        "2801.T Kikkoman, 2026-02-06, 12 months ahead: +2.0% (model 2026-02-ab, unproven)",
        "SIMULATED DATA - Simulated market (seed 20100104): not a real company's prices",
        "",
        "What moved it, in percent of log return",
        "  typical stock          +5.00  each input at the median of 31 stocks",
        "  volatility             -4.00  --------------------|",
        "  returns                +1.00                      |+++++",
        "  sector                 +0.00                      |",
        "  forecast               +2.00  the sum of the above",
    ]
    assert lines[11] == "  0-12 weeks before      +2.00                      |++++++++++++++++++++  mostly returns"
    assert lines[12] == "  13-25 weeks before     +0.00                      |"
    assert lines[22] == "  143-155 weeks before   -1.00            ----------|                      mostly volatility"
    assert lines[25:27] == [
        "  volatility           volatility_13w 0.314 (missing)",
        "  sector               sector Foods (Banks)",
    ]
    assert "1 month ahead: +0.0%" in terminal.explanation_text(document, horizon=1)
