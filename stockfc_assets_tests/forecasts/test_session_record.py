"""The documents beside a forecast: those of its own month, as they stood on its session, and its model's card."""

import datetime as dt
import json
from typing import Any

import pytest

from stockfc_assets.errors import DataError
from stockfc_assets.forecasts.session_record import session_record, superseded_forecast
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets_tests.forecasts.samples import SESSION, sample_forecast


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """The forecast of 2026-02-06 by a model of January; February is judged, scored and traded, January and March, too."""
    warehouse = Warehouse(LocalStore(tmp_path))
    document, *_ = sample_forecast()
    document["model"]["month"] = "2026-01"
    write(warehouse, f"predictions/{SESSION}.json", document)
    for month in ("2026-01", "2026-02", "2026-03"):
        write(warehouse, f"onnx_model/{month}-01/model.json", {"model_id": month})
        for asset in ("forecast_scores", "backtest", "champion_model"):
            write(warehouse, f"{asset}/{month}-01.json", {"of": f"{asset} {month}", "model": {"id": "judged"}})
    return warehouse


def write(warehouse: Warehouse, key: str, content: dict[str, Any]) -> None:
    warehouse.write_file(key, json.dumps(content).encode())


def test_the_documents_are_those_of_the_session_s_month_and_the_card_that_of_the_model_that_forecast(warehouse):
    record = session_record(warehouse, SESSION)
    assert record.scores["of"] == "forecast_scores 2026-02"
    assert record.backtest["of"] == "backtest 2026-02"
    assert record.gate["of"] == "champion_model 2026-02"
    assert record.card == {"model_id": "2026-01"}


def test_what_is_not_stored_is_none_and_no_other_month_stands_in(warehouse):
    for asset in ("forecast_scores", "backtest", "champion_model"):
        warehouse.store.delete(f"{asset}/2026-02-01.json")
    record = session_record(warehouse, SESSION)
    assert (record.scores, record.backtest, record.gate) == (None, None, None)


def test_the_gate_is_what_stood_on_the_session(warehouse):
    rolled_back = {
        "model": {"id": "later"}, "reason": "rolled back on the 9th", "gate": {"model": {"id": "first"}, "reason": "promoted"},
        "rollbacks": [{"from": "2026-02-09", "model": {"id": "later"}, "reason": "rolled back on the 9th"}],
    }  # fmt: skip
    write(warehouse, "champion_model/2026-02-01.json", rolled_back)
    gate = session_record(warehouse, SESSION).gate
    assert (gate["model"], gate["reason"]) == ({"id": "first"}, "promoted")


def test_a_forecast_by_a_model_that_was_replaced_is_named(warehouse):
    made_by = session_record(warehouse, SESSION).document["model"]["id"]
    assert session_record(warehouse, SESSION).superseded_by == "judged"
    said = f"the forecast of {SESSION} was published by {made_by}, and by now judged serves; "
    assert superseded_forecast(warehouse) == f"{said}run `stockfc daily --session {SESSION}`"
    write(warehouse, "champion_model/2026-02-01.json", {"model": {"id": made_by}})
    assert session_record(warehouse, SESSION).superseded_by is None
    warehouse.store.delete("champion_model/2026-02-01.json")
    assert session_record(warehouse, SESSION).superseded_by is None
    assert superseded_forecast(warehouse) is None


def test_a_session_without_a_forecast_and_a_missing_card_are_named_with_the_remedy(warehouse):
    with pytest.raises(
        DataError, match=r"predictions/2026-02-05\.json: missing; run `stockfc daily --session 2026-02-05`"
    ):
        session_record(warehouse, dt.date(2026, 2, 5))
    warehouse.store.delete("onnx_model/2026-01-01/model.json")
    with pytest.raises(DataError, match=r"model\.json: missing; run `stockfc monthly --month 2026-01`"):
        session_record(warehouse, SESSION)
