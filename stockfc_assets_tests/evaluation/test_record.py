"""The month's published scores: laws, nothing from the future, read from what is stored."""

import copy
import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets import terminal_record
from stockfc_assets.evaluation.baselines import BASELINES
from stockfc_assets.evaluation.laws import score_problems
from stockfc_assets.evaluation.record import Published, forecast_scores, published_before
from stockfc_assets.evaluation.scores import KEY, NOTHING_MATURED, realised_outcomes, track_record
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import BaselineForecasts, Predictions, RawOhlcv
from stockfc_assets_tests.evaluation.test_scores import forecasts_and_outcomes, market

CALENDAR = trading_calendar("XTKS")
MONTH = dt.date(2024, 1, 1)
SESSIONS = CALENDAR.between(dt.date(2023, 1, 4), dt.date(2024, 3, 29))
FORECAST_ON = SESSIONS[:240:8]


@pytest.fixture(scope="module")
def published() -> Published:
    """Forecasts of every 8th session of 2023 for 12 stocks of two sectors, by two models, and prices until March."""
    forecasts, _ = forecasts_and_outcomes(FORECAST_ON, 12, list(range(1, 13)))
    forecasts = forecasts.with_columns(
        predicted_price=pl.col("current_price") * pl.col("log_return").exp(),
        volatility=pl.lit(0.2),
        sector=pl.when(pl.col("ticker") < "1006.T").then(pl.lit("Foods")).otherwise(pl.lit("Chemicals")),
        model_id=pl.when(pl.col("session") < dt.date(2023, 6, 1)).then(pl.lit("a")).otherwise(pl.lit("b")),
    )
    return Published(Predictions.validate(forecasts.select(Predictions.column_names())), market(SESSIONS, 12))


def test_the_scores_of_a_month_obey_their_laws(published):
    document = forecast_scores(published, MONTH)
    assert score_problems(document) == []
    assert document["matured_before"] == "2024-01-01"
    assert document["horizons"][0]["n"] == 12 * sum(day < dt.date(2023, 12, 1) for day in FORECAST_ON)
    assert document["horizons"][11]["n"] == 0
    assert [row["sector"] for row in document["by_sector"]] == ["Chemicals", "Foods"]
    assert [(row["year"], row["n"]) for row in document["by_year"]] == [(2023, document["overall"]["n"])]
    assert [row["model_id"] for row in document["by_model"]] == ["a", "b"]


def test_the_network_stands_beside_the_baselines_on_the_same_samples(published):
    """The baselines know half of the samples: a seer, the network itself, one that says the opposite, one unfitted."""
    outcomes = realised_outcomes(published.raw, published.forecasts, MONTH)
    samples = published.forecasts.join(outcomes, on=KEY).filter(pl.col("ticker") < "1006.T")
    said = {
        "ridge": "realised_log_return", "drift": "log_return", "momentum_12_1": -pl.col("log_return"),
        "no_change": pl.lit(0.0), "gradient_boosting": pl.lit(None), "mean_reversion_1m": pl.lit(0.0),
    }  # fmt: skip
    columns = [
        (pl.col(value) if isinstance(value, str) else value).cast(pl.Float32).alias(name)
        for name, value in said.items()
    ]
    baselines = samples.select(*KEY, *columns).select(BaselineForecasts.column_names())
    document = forecast_scores(published, MONTH, baselines)
    rows = {row["forecaster"]: row for row in document["by_forecaster"]}
    assert list(rows) == ["network", *(name for name in BASELINES if name != "gradient_boosting")]
    assert {row["n"] for row in rows.values()} == {samples.height}
    assert rows["ridge"]["skill"] == pytest.approx(1, abs=1e-9)
    assert rows["ridge"]["hit_rate"] == 1
    assert rows["drift"]["skill"] == pytest.approx(rows["network"]["skill"], abs=1e-6)
    assert rows["momentum_12_1"]["rank_ic"] == pytest.approx(-rows["network"]["rank_ic"])
    assert rows["no_change"]["skill"] == 0
    assert "ridge" in terminal_record.scores_text(document)


@given(known=st.integers(1, 14))
@settings(deadline=None, max_examples=14)
def test_what_was_not_known_when_the_month_began_changes_no_byte(published, known):
    month = dt.date(2023 + known // 12, known % 12 + 1, 1)
    past = Published(
        published.forecasts.filter(pl.col("session") < month), published.raw.filter(pl.col("session") < month)
    )
    assert document_bytes(forecast_scores(published, month)) == document_bytes(forecast_scores(past, month))


def test_a_month_without_matured_forecasts_has_no_score_and_says_why():
    document = forecast_scores(Published(Predictions.create_empty(), RawOhlcv.create_empty()), MONTH)
    assert score_problems(document) == []
    assert document["note"] == document["overall"]["note"] == NOTHING_MATURED
    assert (document["overall"]["n"], document["by_sector"], document["by_model"]) == (0, [], [])
    assert terminal_record.scores_text(document).endswith("no forecast has matured yet: nothing is proven")


def test_what_is_stored_is_what_is_scored(published, tmp_path):
    warehouse = Warehouse(LocalStore(tmp_path))
    for asset, frame in (("daily_predictions", published.forecasts), ("raw_ohlcv", published.raw)):
        for (session,), rows in frame.partition_by("session", as_dict=True).items():
            warehouse.write_table(asset, session.isoformat(), rows)
    read = published_before(warehouse, CALENDAR, MONTH)
    assert read.forecasts["session"].max() == max(day for day in FORECAST_ON if day < dt.date(2023, 12, 1))
    assert read.raw["session"].max() == dt.date(2023, 12, 29)
    document = forecast_scores(read, MONTH)
    assert document_bytes(document) == document_bytes(forecast_scores(published, MONTH))
    record = track_record(read.forecasts, realised_outcomes(read.raw, read.forecasts, MONTH), known_before=MONTH)
    for row in (document["overall"], *document["horizons"]):
        del row["calibration"]
    assert (record["overall"], record["horizons"]) == (document["overall"], document["horizons"])


@pytest.mark.parametrize(
    ("where", "key", "value", "named"),
    [
        ("overall", "n", 7, "horizons add up to"),
        ("overall", "coverage", 1.2, "overall: coverage is 1.2, outside 0 to 1"),
        ("overall", "skill", 1.5, "overall: skill is 1.5"),
        ("overall", "rank_ic", -1.1, "overall: rank_ic is -1.1"),
        ("horizons", "hit_rate", -0.1, "1 months: hit_rate is -0.1"),
        ("horizons", "horizon", 2, "horizons are [2, 2, 3"),
        ("horizons", "mse", None, "forecasts without an error"),
        ("horizons", "width", -0.5, "1 months: width is -0.5"),
        ("horizons", "calibration", [], "1 months: the calibration does not hold all"),
        ("by_sector", "n", 1, "by_sector add up to"),
        ("by_model", "n_dates", 10**6, "a: 1000000 dates with"),
    ],
)
def test_scores_that_cannot_be_are_named(published, where, key, value, named):
    document = copy.deepcopy(forecast_scores(published, MONTH))
    row = document[where] if where == "overall" else document[where][0]
    row[key] = value
    assert any(named in problem for problem in score_problems(document)), score_problems(document)


def test_the_table_in_a_terminal_shows_every_scored_horizon_and_the_verdict(published):
    document = forecast_scores(published, MONTH)
    lines = terminal_record.scores_text(document).splitlines()
    rows = {line.split()[0]: line for line in lines if line and line.split()[0] in {*map(str, range(1, 13)), "all"}}
    assert set(rows) == {*map(str, range(1, 12)), "all"}
    assert "no forecast over 12 months has matured yet" in lines
    assert rows["1"].split()[1:4] == [
        f"{document['horizons'][0]['n']:,}", str(document["horizons"][0]["n_dates"]),
        f"{document['horizons'][0]['skill']:+.3f}",
    ]  # fmt: skip
    assert rows["11"].endswith(" *")
    assert any(line.startswith("Chemicals") for line in lines)
    assert lines[-1].startswith('The forecasts do not beat "no change": skill -')
