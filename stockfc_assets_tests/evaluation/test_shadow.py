"""Shadow forecasts: what the models say, on the panel's own samples; outcomes known in time; who may serve."""

import dataclasses
import datetime as dt
import hashlib
import json

import numpy as np
import polars as pl
import pytest

from stockfc_assets.errors import InputError, ModelError
from stockfc_assets.evaluation.gate import EVIDENCE_MONTHS, UNPROVEN, served_model
from stockfc_assets.evaluation.shadow import (
    candidate,
    evidence_before,
    matured_outcomes,
    paired_forecasts,
    shadow_forecasts,
)
from stockfc_assets.features.panel import Panel, gather
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.inference import OnnxForecaster
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets_tests.forecasts.onnx_models import LinearModel, card_of
from stockfc_assets_tests.forecasts.samples import sample_card, sample_settings
from stockfc_assets_tests.models.synthetic import random_panel

MONTH = dt.date(2022, 3, 1)
MODELS = {dt.date(2022, 1, 1): LinearModel.from_seed(1), dt.date(2022, 2, 1): LinearModel.from_seed(2)}


@pytest.fixture(scope="module")
def panel() -> Panel:
    return random_panel(n_tickers=7, month=MONTH)


@pytest.fixture(scope="module")
def configuration() -> Settings:
    return sample_settings()


def sectors(configuration: Settings) -> dict[str, int]:
    return dict(configuration.sectors)


def card(model: LinearModel, month: dt.date, known: dict[str, int]) -> dict:
    data = model.onnx_bytes()
    guards = {"finite_outputs": 1.0, "finite_losses": 1.0, "finite_weights": 1.0}
    described = card_of(data, sample_card(known))
    identity = f"{month:%Y-%m}-{hashlib.sha256(data).hexdigest()[:12]}"
    return {**described, "model_id": identity, "month": f"{month:%Y-%m}", "guards": {**described["guards"], **guards}}


def opened(model: LinearModel, month: dt.date, known: dict[str, int]) -> tuple[OnnxForecaster, dict]:
    described = card(model, month, known)
    return OnnxForecaster(model.onnx_bytes(), described), described


@pytest.fixture
def warehouse(tmp_path, configuration) -> Warehouse:
    """Models of January and February 2022; January's served in January."""
    warehouse = Warehouse(LocalStore(tmp_path))
    for month, model in MODELS.items():
        described = card(model, month, sectors(configuration))
        warehouse.write_file(f"onnx_model/{month}/model.onnx", model.onnx_bytes())
        warehouse.write_file(f"onnx_model/{month}/model.json", document_bytes(described))
        warehouse.write_file(f"trained_model/{month}.json", document_bytes(described))
        record = {"month": str(month), "model": served_model(described, UNPROVEN)}
        warehouse.write_file(f"champion_model/{month}.json", document_bytes(record))
    return warehouse


def test_both_sides_forecast_the_panels_samples_of_its_last_session(panel, configuration):
    sides = [opened(model, month, sectors(configuration)) for month, model in MODELS.items()]
    table = paired_forecasts(panel, sides[1], sides[0])
    last = len(panel.sessions) - 1
    ticker = np.flatnonzero(panel.eligible[:, last])
    inputs = gather(panel, ticker, np.full(len(ticker), last))
    assert len(ticker) >= 5
    assert table["session"].unique().to_list() == [panel.sessions[last].item()]
    assert table["ticker"].to_list() == [name for name in sorted(inputs.tickers) for _ in range(12)]
    for side, model, (_, described) in zip(("incumbent", "challenger"), MODELS.values(), sides, strict=True):
        expected = model.expected(inputs)[np.argsort(inputs.tickers)].ravel()
        assert table[f"{side}_log_return"].to_numpy() == pytest.approx(expected, abs=1e-6)
        assert table[side].unique().to_list() == [described["model_id"]]


def test_a_stock_of_a_sector_that_one_model_never_saw_is_left_out(panel, configuration):
    known = sectors(configuration)
    first = next(name for name, number in known.items() if number == 1)
    fewer = {name: number for name, number in known.items() if name != first}
    new, old = (
        opened(model, month, names) for (month, model), names in zip(MODELS.items(), (known, fewer), strict=True)
    )
    found = set(paired_forecasts(panel, new, old)["ticker"])
    last = panel.eligible[:, -1]
    assert found == {name for i, name in enumerate(panel.tickers) if last[i] and panel.sector_id[i] != 1}


def test_outcomes_are_the_labels_that_had_ended_when_the_month_began(panel):
    sessions = [dt.date(2021, 11, 30), dt.date(2021, 12, 31), dt.date(2022, 1, 31), dt.date(2022, 2, 28)]
    found = matured_outcomes(panel, pl.Series("session", sessions, dtype=pl.Date))
    by_session = {key[0]: set(group["horizon"]) for key, group in found.group_by("session")}
    assert by_session == {sessions[0]: {1, 2, 3}, sessions[1]: {1, 2}, sessions[2]: {1}}
    for row in found.to_dicts():
        assert add_months(row["session"], row["horizon"]) < MONTH
        index = int(np.searchsorted(panel.sessions, np.datetime64(row["session"])))
        label = panel.labels[panel.tickers.index(row["ticker"]), index, row["horizon"] - 1]
        assert row["realised_log_return"] == pytest.approx(float(label))
    assert matured_outcomes(panel, pl.Series("session", [], dtype=pl.Date)).is_empty()


def test_the_months_own_model_meets_the_one_that_served_before_it(warehouse, configuration, panel):
    table, nothing_because = shadow_forecasts(warehouse, configuration, panel, MONTH)
    assert nothing_because is None
    assert table["challenger"].unique().to_list()[0].startswith("2022-02-")
    assert table["incumbent"].unique().to_list()[0].startswith("2022-01-")


def test_no_pair_is_made_where_one_cannot_be_honest(warehouse, configuration, panel):
    def why(month: dt.date, panel: Panel) -> str:
        table, nothing_because = shadow_forecasts(warehouse, configuration, panel, month)
        assert table.is_empty()
        return nothing_because

    assert "2022-02-28, is not in 2022-03" in why(dt.date(2022, 4, 1), panel)
    february = random_panel(n_tickers=7, month=dt.date(2022, 2, 1))
    assert why(dt.date(2022, 2, 1), february) == "no model served before 2022-01"
    key = "onnx_model/2022-02-01/model.onnx"
    data = warehouse.store.read_bytes(key)
    warehouse.write_file(key, data[:-1] + b"?")
    assert "the file was altered" in why(MONTH, panel)
    warehouse.store.delete(key)
    assert "missing" in why(MONTH, panel)


def test_evidence_is_of_stored_pairs_up_to_the_month_and_no_older_than_five_years(warehouse, configuration):
    """The model of each month knows the outcome, the one before it knows nothing; one pair is newer, one too old."""
    signal = random_panel(n_tickers=9, month=MONTH, signal=2.0, missing=0.0)
    known = sectors(configuration)
    table = paired_forecasts(signal, *(opened(model, month, known) for month, model in MODELS.items()))
    gates = [add_months(MONTH, -offset) for offset in range(9)]
    for gate in [*gates, add_months(MONTH, 1), add_months(MONTH, -EVIDENCE_MONTHS)]:
        end = signal.sessions[max(int(np.searchsorted(signal.sessions, np.datetime64(gate))) - 1, 0)].item()
        outcome = matured_outcomes(signal, pl.Series("session", [end], dtype=pl.Date))
        pairs = (
            table.with_columns(session=pl.lit(end))
            .join(outcome, on=["ticker", "session", "horizon"], how="left")
            .with_columns(
                challenger_log_return=pl.coalesce(pl.col("realised_log_return") * 0.5, "challenger_log_return"),
                incumbent_log_return=pl.lit(0.0),
            )
            .drop("realised_log_return")
        )
        warehouse.write_table("champion_model", gate.isoformat(), pairs)
    found = evidence_before(warehouse, signal, MONTH, against=None)
    assert (found["verdict"], found["n_dates"], found["horizons"]) == ("not_worse", 8, [1])
    assert found["window"] == ["2021-06-30", "2022-01-31"]
    assert found["mse_t"] > found["critical_t"]
    assert found["rank_ic_difference"] == pytest.approx(1.0)
    assert evidence_before(warehouse, signal, MONTH, against="nobody")["n_dates"] == 0


def test_a_candidate_is_a_whole_model_that_passed_its_guards(warehouse, configuration):
    january = dt.date(2022, 1, 1)
    assert candidate(warehouse, configuration, january)["month"] == "2022-01"
    with pytest.raises(InputError, match="no model of 2021-12 to serve; there are models of 2022-01 to 2022-02"):
        candidate(warehouse, configuration, dt.date(2021, 12, 1))
    key = f"onnx_model/{january}/model.json"
    described = json.loads(warehouse.store.read_bytes(key))
    collapsed = {**described, "guards": {**described["guards"], "spread_ratio": 0.0}}
    warehouse.write_file(key, document_bytes(collapsed))
    with pytest.raises(ModelError, match=r"failed its guards .*spread_ratio 0 is below"):
        candidate(warehouse, configuration, january)
    warehouse.write_file(key, document_bytes({**described, "onnx": {**described["onnx"], "sha256": "0" * 64}}))
    with pytest.raises(ModelError, match="the file was altered or belongs to another card"):
        candidate(warehouse, configuration, january)


def test_outcomes_do_not_depend_on_what_came_later(panel):
    """A panel in which later labels were known gives the same outcomes once they are cut off again."""
    sessions = pl.Series("session", [dt.date(2021, 10, 29)], dtype=pl.Date)
    before = matured_outcomes(panel, sessions)
    labels = panel.labels.copy()
    labels[panel.label_end[None].repeat(len(panel.tickers), 0) >= np.datetime64(MONTH)] = np.nan
    assert matured_outcomes(dataclasses.replace(panel, labels=labels), sessions).equals(before)
