"""The predictions file: its exact shape, its bytes, and every way in which it must not go out."""

import copy
import datetime as dt
import json
import math
from collections.abc import Callable

import pytest

from stockfc_assets.errors import DataError
from stockfc_assets.forecasts.publication import document_problems, latest_may_move, predictions_document, read_document
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import Predictions
from stockfc_assets_tests.forecasts.samples import (
    SESSION,
    SKIPPED,
    SOURCE,
    empty_track_record,
    sample_forecast,
    sample_settings,
)


@pytest.fixture(scope="module")
def published() -> dict:
    return sample_forecast()[0]


@pytest.fixture
def document(published: dict) -> dict:
    return copy.deepcopy(published)


@pytest.fixture(scope="module")
def members() -> tuple[str, ...]:
    return sample_settings().universe.members(SESSION)


# --- shape ------------------------------------------------------------------------------------------------------------


def test_the_shape_that_consumers_read(document):
    assert document["timestamp"] == "2026-02-06T23:00:00"
    assert document["num_predictions"] == len(document["predictions"]) == 30
    tickers = [stock["ticker"] for stock in document["predictions"]]
    assert tickers == sorted(tickers)
    stock = document["predictions"][0]
    assert (stock["ticker"], stock["as_of_date"], stock["sector"]) == ("2914.T", "2026-02-06", "Foods")
    assert [month["month"] for month in stock["predictions"]] == list(range(1, 13))
    assert list(stock["predictions"][0]) == ["month", "predicted_price", "return", "lower", "upper"]
    last = stock["predictions"][-1]
    assert (stock["predicted_12m_price"], stock["predicted_12m_return"]) == (last["predicted_price"], last["return"])
    assert last["return"] == pytest.approx(last["predicted_price"] / stock["current_price"] - 1, abs=1e-6)


def test_the_added_keys(document):
    assert document["session"] == "2026-02-06"
    assert document["interval_level"] == 0.8
    assert document["interval"] == {
        "level": 0.8,
        "alpha_by_horizon": [0.2] * 12,
        "n": [4096] * 12,
        "n_effective": [31 * (18 // horizon) for horizon in range(1, 13)],
    }
    assert document["source"] == SOURCE
    assert set(document["model"]) == {"id", "month", "trained_through", "status", "kind"}
    assert document["track_record"]["note"] == "no forecast has matured yet"
    assert document["skipped"] == [
        {"ticker": SKIPPED, "reason": "19 of 156 weeks of history", "name": "Sony Financial Group"}
    ]
    assert document["predictions"][0]["name"] == "Japan Tobacco"


def test_returns_are_simple_and_numbers_are_rounded(document):
    for stock in document["predictions"]:
        for month in stock["predictions"]:
            assert month["return"] == round(month["return"], 6)
            for key in ("predicted_price", "lower", "upper"):
                assert month[key] == round(month[key], 4)


def test_the_same_forecast_gives_the_same_bytes_and_reads_back():
    data = [document_bytes(sample_forecast()[0]) for _ in range(2)]
    assert data[0] == data[1]
    assert read_document(data[0]) == sample_forecast()[0]


def test_a_session_on_which_every_stock_was_skipped_is_still_a_document(published):
    document = predictions_document(
        Predictions.create_empty(),
        timestamp=dt.datetime.combine(SESSION, dt.time(23)),
        model=published["model"],
        track_record=empty_track_record(),
        source=SOURCE,
        skipped=[{"ticker": "B.T", "reason": "no trade"}, {"ticker": "A.T", "reason": "no trade"}],
        names={"A.T": "Alpha"},
    )
    assert (document["num_predictions"], document["predictions"], document["session"]) == (0, [], "2026-02-06")
    assert [entry["ticker"] for entry in document["skipped"]] == ["A.T", "B.T"]
    assert document_problems(read_document(document_bytes(document)), ["A.T", "B.T"]) == []


# --- reading ----------------------------------------------------------------------------------------------------------


def test_the_file_of_older_consumers_is_read():
    months = [{"month": month, "predicted_price": 4280.2, "return": 0.007} for month in range(1, 13)]
    stock = {"ticker": "2914.T", "as_of_date": "2025-12-19", "current_price": 4250.5, "predictions": months,
             "predicted_12m_price": 4280.2, "predicted_12m_return": 0.007, "sector": "Consumer Defensive"}  # fmt: skip
    data = json.dumps({"timestamp": "2025-12-20T23:00:00", "num_predictions": 1, "predictions": [stock]}).encode()
    assert read_document(data)["predictions"] == [stock]
    assert latest_may_move(data, dt.date(2025, 12, 19))
    assert not latest_may_move(data, dt.date(2025, 12, 18))


def change(path: str, value: object) -> Callable[[dict], None]:
    def apply(document: dict) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            document = document[part]
        if value is KeyError:
            del document[last]
        else:
            document[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("timestamp", KeyError, "latest.json: timestamp: Field required"),
        ("num_predictions", "many", "latest.json: num_predictions: 'many'"),
        ("predictions.3.current_price", -1, r"predictions\.3\.current_price: -1"),
        ("predictions.0.predictions.2.month", 13, r"predictions\.0\.predictions\.2\.month: 13"),
        ("predictions.0.predictions.0.return", KeyError, r"predictions\.0\.predictions\.0\.return: Field required"),
        ("predictions.0.as_of_date", "yesterday", r"predictions\.0\.as_of_date: 'yesterday'"),
        ("skipped.0.reason", KeyError, r"skipped\.0\.reason: Field required"),
        ("predictions", None, "predictions: None"),
    ],
)
def test_a_wrong_shape_names_file_key_and_value(document, path, value, message):
    change(path, value)(document)
    with pytest.raises(DataError, match=message) as caught:
        read_document(json.dumps(document).encode(), location="latest.json")
    assert "materialise daily_predictions" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[1, 2]", b'{"a": NaN}', b"\xff\xfe", b"null"])
def test_what_is_no_document_is_refused(data):
    with pytest.raises(DataError, match=r"^here: "):
        read_document(data, location="here")


def test_latest_moves_forward_only(document):
    latest = document_bytes(document)
    assert latest_may_move(None, dt.date(2020, 1, 6))
    assert latest_may_move(latest, SESSION)
    assert latest_may_move(latest, SESSION + dt.timedelta(days=3))
    assert not latest_may_move(latest, SESSION - dt.timedelta(days=1))
    assert latest_may_move(b"half a fi", dt.date(2020, 1, 6))


# --- problems ---------------------------------------------------------------------------------------------------------


def test_a_sound_document_has_no_problem(document, members):
    assert document_problems(document, members) == []


def duplicate(document: dict) -> None:
    document["predictions"].append(document["predictions"][0])
    document["num_predictions"] += 1


def forecast_and_skipped(document: dict) -> None:
    document["skipped"].append({"ticker": "2914.T", "reason": "both"})


def constant(document: dict) -> None:
    for stock in document["predictions"]:
        now = stock["current_price"]
        stock["predictions"] = [
            {"month": month, "predicted_price": round(now * 1.01, 4), "return": 0.01, "lower": None, "upper": None}
            for month in range(1, 13)
        ]
        stock |= {"predicted_12m_price": round(now * 1.01, 4), "predicted_12m_return": 0.01}


def explode(document: dict) -> None:
    stock = document["predictions"][0]
    last, now = stock["predictions"][-1], stock["current_price"]
    last |= {"return": 6.5, "predicted_price": round(now * 7.5, 4), "lower": None, "upper": None}
    stock |= {"predicted_12m_return": 6.5, "predicted_12m_price": last["predicted_price"]}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda d: d["predictions"].pop(0), "2914.T: neither forecast nor skipped with a reason"),
        (lambda d: d["predictions"].pop(0), "num_predictions is 30, the file holds 29"),
        (lambda d: d["skipped"].clear(), f"{SKIPPED}: neither forecast nor skipped with a reason"),
        (change("skipped.0.reason", "  "), f"{SKIPPED}: skipped without a reason"),
        (change("predictions.0.ticker", "1306.T"), "1306.T: forecast, but not a member on this session"),
        (duplicate, "2914.T: listed 2 times"),
        (forecast_and_skipped, "2914.T: listed 2 times"),
        (
            lambda d: d["predictions"][0]["predictions"].pop(4),
            "2914.T: horizons are [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]",
        ),
        (change("predictions.0.predictions.3.return", math.nan), "2914.T: month 4: a number is not finite"),
        (change("predictions.0.predictions.3.upper", math.inf), "2914.T: month 4: a number is not finite"),
        (change("predictions.0.predictions.3.predicted_price", 0.0), "2914.T: month 4: price 0.0"),
        (change("predictions.0.predictions.3.lower", 1e9), "2914.T: month 4: interval 1000000000.0 to"),
        (change("predictions.0.predictions.3.upper", None), "2914.T: month 4: only one end of the interval is given"),
        (change("predictions.0.predictions.3.return", 0.5), "2914.T: month 4: price"),
        (change("predictions.0.predicted_12m_return", 0.5), "2914.T: predicted_12m_price or predicted_12m_return"),
        (explode, "2914.T: 12-month return +650.0% is beyond a factor of 7.4 either way"),
        (constant, "all 30 stocks have the same forecast"),
    ],
)
def test_each_problem_is_found_and_named(document, members, spoil, problem):
    spoil(document)
    assert any(found.startswith(problem) for found in document_problems(document, members))


def test_skipped_stocks_that_are_no_members_are_no_problem(document, members):
    document["skipped"].append({"ticker": "1306.T", "reason": "not a member on 2026-02-06"})
    assert document_problems(document, members) == []
