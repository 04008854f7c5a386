"""The forecaster computes what the model says, and refuses a model that is not the one of its card or of this code."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stockfc_assets.errors import InputError, ModelError
from stockfc_assets.features.panel import ModelInputs
from stockfc_assets.forecasts.inference import BATCH_SIZE, OnnxForecaster
from stockfc_assets_tests.forecasts.onnx_models import LinearModel, card_of
from stockfc_assets_tests.forecasts.samples import REPOSITORY, sample_card, sample_inputs

SECTORS = {"Unknown": 0, "Foods": 1, "Banks": 2}


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return LinearModel.from_seed()


@pytest.fixture(scope="module")
def model_bytes(model: LinearModel) -> bytes:
    return model.onnx_bytes()


@pytest.fixture
def card(model_bytes: bytes) -> dict:
    return card_of(model_bytes, sample_card(SECTORS))


def inputs_of(count: int) -> ModelInputs:
    return sample_inputs(tuple(f"{number:04}.T" for number in range(count)), [number % 3 for number in range(count)])


@pytest.mark.parametrize("count", [1, 31, BATCH_SIZE, 2 * BATCH_SIZE + 1])
def test_predictions_equal_the_arithmetic_in_numpy_whatever_the_batch(model, model_bytes, card, count):
    inputs = inputs_of(count)
    found = OnnxForecaster(model_bytes, card, sectors=SECTORS).predict(inputs)
    assert (found.shape, found.dtype) == ((count, 12), np.float32)
    np.testing.assert_allclose(found, model.expected(inputs), atol=1e-6)


def test_the_same_inputs_give_the_same_bytes(model_bytes, card):
    inputs = inputs_of(100)
    first, second = (OnnxForecaster(model_bytes, card).predict(inputs).tobytes() for _ in range(2))
    assert first == second


def test_no_stock_no_forecast(model_bytes, card):
    assert OnnxForecaster(model_bytes, card).predict(inputs_of(0)).shape == (0, 12)


def test_an_altered_file_is_refused_by_name(model_bytes, card):
    altered = bytearray(model_bytes)
    altered[len(altered) // 2] ^= 1
    with pytest.raises(ModelError, match=r"2026-02-0123456789ab: model.onnx has SHA-256 .* altered"):
        OnnxForecaster(bytes(altered), card)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        (
            "weekly",
            lambda names: [names[1], names[0], *names[2:]],
            "number 1 is 'log_return_4w' instead of 'log_return_1w'",
        ),
        ("weekly", lambda names: names[:-1], "22 entries instead of 23"),
        ("static", lambda names: [*names[:-1], "beta"], "number 6 is 'beta' instead of 'log_market_cap'"),
        ("position", lambda names: names[::-1], "number 1 is 'week_progress' instead of 'day_of_week'"),
    ],
)
def test_other_features_are_refused_with_the_first_difference(model_bytes, card, key, change, message):
    card["features"] = {**card["features"], key: change(card["features"][key])}
    with pytest.raises(ModelError, match=message) as caught:
        OnnxForecaster(model_bytes, card)
    assert f"features.{key}" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("horizons", [1, 2, 3], "horizons in its card .* 3 entries instead of 12"),
        ("sequence_weeks", 104, "104 instead of 156"),
    ],
)
def test_other_horizons_or_sequences_are_refused(model_bytes, card, key, value, message):
    with pytest.raises(ModelError, match=message):
        OnnxForecaster(model_bytes, {**card, key: value})


@pytest.mark.parametrize("key", ["onnx", "features", "sectors", "horizons", "sequence_weeks"])
def test_a_card_without_a_key_names_it(model_bytes, card, key):
    del card[key]
    with pytest.raises(ModelError, match=rf"{key}[.\w]* is missing from model.json"):
        OnnxForecaster(model_bytes, card)


def test_renumbered_or_removed_sectors_are_refused_and_appended_ones_accepted(model_bytes, card):
    with pytest.raises(ModelError, match=r"'Banks' \(id 2 when it was trained\) has id 1 in config/sectors.yaml"):
        OnnxForecaster(model_bytes, card, sectors={"Unknown": 0, "Foods": 2, "Banks": 1} | {"Foods": 1, "Banks": 1})
    with pytest.raises(ModelError, match=r"'Banks' .* is missing from config/sectors.yaml"):
        OnnxForecaster(model_bytes, card, sectors={"Unknown": 0, "Foods": 1})
    forecaster = OnnxForecaster(model_bytes, card, sectors={**SECTORS, "Space Travel": 3})
    inputs = inputs_of(4)
    forecaster.predict(inputs)
    with pytest.raises(InputError, match=r"sector_id 3 of 0002\.T was appended after its training"):
        forecaster.predict(dataclasses.replace(inputs, sector_id=np.array([0, 1, 3, 2])))


def test_other_inputs_or_outputs_of_the_graph_are_refused(model):
    data = model.onnx_bytes(output="prices")
    with pytest.raises(ModelError, match="'prices'"):
        OnnxForecaster(data, card_of(data, sample_card(SECTORS)))


def test_a_file_that_is_no_model_is_refused():
    data = b"not a model"
    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        OnnxForecaster(data, card_of(data, sample_card(SECTORS)))


def test_arrays_of_another_shape_are_refused(model_bytes, card):
    inputs = dataclasses.replace(inputs_of(3), static_features=np.zeros((2, 6), np.float32))
    with pytest.raises(InputError, match=r"static_features has shape \(2, 6\); \(3, 6\) is needed"):
        OnnxForecaster(model_bytes, card).predict(inputs)


def test_a_forecast_that_is_not_finite_names_its_tickers(model):
    data = model.onnx_bytes(divide=True)
    inputs = inputs_of(5)
    position = np.zeros_like(inputs.position_features)
    position[[1, 4], 0] = 1.0
    forecaster = OnnxForecaster(data, card_of(data, sample_card(SECTORS)))
    with pytest.raises(ModelError, match=r"not a finite number for 0001\.T, 0004\.T;"):
        forecaster.predict(dataclasses.replace(inputs, position_features=position))


MEASURE = """
import json, re, sys
from pathlib import Path
import numpy as np
from stockfc_assets.forecasts.inference import OnnxForecaster
from stockfc_assets.features.panel import ModelInputs
folder = Path(sys.argv[1])
forecaster = OnnxForecaster((folder / "model.onnx").read_bytes(), json.loads((folder / "model.json").read_text()))
arrays = np.load(folder / "inputs.npz")
forecaster.predict(ModelInputs(tickers=tuple(str(n) for n in range(len(arrays["sector_id"]))), **arrays))
# Unlike getrusage's, this peak does not begin with that of the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(peak // 1024, "torch" in sys.modules, "dagster" in sys.modules)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_the_process_forecasts_without_torch_or_dagster_and_within_300_megabytes(tmp_path: Path, card, model_bytes):
    (tmp_path / "model.onnx").write_bytes(model_bytes)
    (tmp_path / "model.json").write_text(json.dumps(card))
    inputs = inputs_of(31)
    arrays = {
        field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs) if field.name != "tickers"
    }
    np.savez(tmp_path / "inputs.npz", **arrays)
    process = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert process.returncode == 0, process.stderr
    megabytes, torch, dagster = process.stdout.split()
    assert (torch, dagster) == ("False", "False")
    assert int(megabytes) < 300
