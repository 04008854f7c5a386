"""The gate: its evidence against independent second implementations, its decisions, its records, its roll-backs."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockfc_assets.evaluation.dates import hac_t
from stockfc_assets.evaluation.gate import (
    NOT_WORSE,
    PROVEN,
    ROLLED_BACK,
    TOO_FEW,
    UNPROVEN,
    WORSE,
    chosen_by_hand,
    critical_t,
    decide,
    paired_differences,
    roll_back,
    undecided,
    weigh,
    with_rollbacks,
)
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.models import serving_on
from stockfc_assets.storage.warehouse import document_bytes

MARCH = dt.date(2024, 3, 1)
NOTHING = {
    "verdict": TOO_FEW, "n_dates": 2, "horizons": [], "window": ["2023-12-29", "2024-01-31"], "mse_difference": None,
    "mse_t": None, "rank_ic_difference": None, "rank_ic_t": None, "critical_t": None,
}  # fmt: skip
BETTER = {
    "verdict": NOT_WORSE, "n_dates": 14, "horizons": [1, 2, 3], "window": ["2022-10-31", "2023-11-30"],
    "mse_difference": 0.0312, "mse_t": 1.234, "rank_ic_difference": -0.0041, "rank_ic_t": -0.5, "critical_t": 2.295,
}  # fmt: skip
BEATEN = {**BETTER, "verdict": WORSE, "mse_difference": -0.08, "mse_t": -3.0}


def card(name: str, month: str = "2024-03") -> dict:
    validation = {"overall": {"skill": 0.01}}
    return {"model_id": name, "month": month, "kind": "full", "trained_through": "2024-02-29", "validation": validation}


def first_model() -> dict:
    return decide(dt.date(2024, 2, 1), card("a", "2024-02"), [], None, NOTHING)


# --- evidence ---------------------------------------------------------------------------------------------------------


def month_ends(count: int) -> list[dt.date]:
    return [add_months(dt.date(2019, 1, 1), index + 1) - dt.timedelta(days=1) for index in range(count)]


def market(
    dates: int, *, stocks: int = 8, challenger: float, incumbent: float, seed: int = 0, horizons: int = 12
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pairs and outcomes; each side forecasts its share of the outcome, the rest is noise of its own."""
    random = np.random.default_rng(seed)
    key = [
        (f"{1000 + stock}.T", session, horizon)
        for session in month_ends(dates)
        for stock in range(stocks)
        for horizon in range(1, horizons + 1)
    ]
    size = len(key)
    volatility = random.uniform(0.15, 0.5, size)
    outcome = random.normal(0, 1, size) * volatility
    columns = {name: [row[index] for row in key] for index, name in enumerate(("ticker", "session", "horizon"))}
    sides = {
        "challenger_log_return": challenger * outcome + random.normal(0, 0.1, size),
        "incumbent_log_return": incumbent * outcome + random.normal(0, 0.1, size),
    }
    names = {"challenger": ["new"] * size, "incumbent": ["old"] * size}
    pairs = pl.DataFrame({**columns, **names, **sides, "volatility": volatility})
    return pairs, pl.DataFrame({**columns, "realised_log_return": outcome})


def naive(pairs: pl.DataFrame, outcomes: pl.DataFrame, session: dt.date, horizon: int) -> tuple[float, float]:
    """(mse_difference, rank_ic_difference) of one month end, by loops and scipy."""
    outcome_of = {
        row["ticker"]: row["realised_log_return"]
        for row in outcomes.filter(session=session, horizon=horizon).to_dicts()
    }
    rows = [row for row in pairs.filter(session=session, horizon=horizon).to_dicts() if row["ticker"] in outcome_of]
    realised = [outcome_of[row["ticker"]] for row in rows]
    errors, correlations = {}, {}
    for side in ("challenger", "incumbent"):
        forecast = [row[f"{side}_log_return"] for row in rows]
        scaled = [
            (r - f) / (row["volatility"] * (horizon / 12) ** 0.5)
            for r, f, row in zip(realised, forecast, rows, strict=True)
        ]
        errors[side] = sum(value**2 for value in scaled) / len(scaled)
        correlations[side] = stats.spearmanr(forecast, realised).statistic
    return errors["incumbent"] - errors["challenger"], correlations["challenger"] - correlations["incumbent"]


def test_differences_equal_a_naive_implementation():
    pairs, outcomes = market(4, challenger=0.3, incumbent=0.1)
    outcomes = outcomes.filter(~((pl.col("ticker") == "1003.T") & (pl.col("horizon") == 2)))
    found = paired_differences(pairs, outcomes)
    assert found.height == 4 * 12
    for row in found.to_dicts():
        expected = naive(pairs, outcomes, row["session"], row["horizon"])
        assert (row["mse_difference"], row["rank_ic_difference"]) == pytest.approx(expected, abs=1e-12)


def test_a_collapsed_forecast_orders_nothing_and_does_not_escape_the_comparison():
    pairs, outcomes = market(1, challenger=0.9, incumbent=0.9, horizons=1)
    collapsed = pairs.with_columns(challenger_log_return=pl.lit(0.01))
    whole = paired_differences(pairs, outcomes)["rank_ic_difference"][0]
    assert paired_differences(collapsed, outcomes)["rank_ic_difference"][0] < min(whole, 0) - 0.5


def test_stocks_without_volatility_and_dates_with_fewer_than_five_stocks_do_not_count():
    pairs, outcomes = market(2, stocks=6, challenger=0.3, incumbent=0.1, horizons=1)
    first, second = month_ends(2)
    gone = (pl.col("session") == first) & pl.col("ticker").is_in(["1000.T", "1001.T"])
    unknown = (pl.col("session") == second) & (pl.col("ticker") == "1000.T")
    pairs = pairs.filter(~gone).with_columns(volatility=pl.when(~unknown).then("volatility"))
    found = paired_differences(pairs, outcomes)
    assert found["session"].to_list() == [second]
    five = pairs.filter(pl.col("volatility").is_not_null())
    assert found["mse_difference"][0] == pytest.approx(naive(five, outcomes, second, 1)[0])


@pytest.mark.parametrize(("dates", "horizons"), [(5, 0), (6, 1), (8, 1), (9, 2), (12, 3), (38, 11), (39, 12), (50, 12)])
def test_the_longest_horizon_with_enough_month_ends_is_compared(dates, horizons):
    """3 x (H + 1) month ends for horizons 1..H."""
    found = weigh(*market(dates, challenger=0.2, incumbent=0.2))
    assert (found["horizons"], found["n_dates"]) == (list(range(1, horizons + 1)), dates)
    assert (found["verdict"] == TOO_FEW) == (horizons == 0)
    assert found["window"] == [month_ends(dates)[0].isoformat(), month_ends(dates)[-1].isoformat()]


def test_figures_are_means_over_horizons_and_their_hac_t():
    pairs, outcomes = market(12, challenger=0.3, incumbent=0.2, seed=3)
    # The newest month end has matured at two horizons only: it has no place in a comparison of three.
    outcomes = outcomes.filter((pl.col("session") < month_ends(12)[-1]) | (pl.col("horizon") <= 2))
    found = weigh(pairs, outcomes)
    assert (found["horizons"], found["n_dates"]) == ([1, 2], 12)
    series = np.array([[naive(pairs, outcomes, day, h) for h in (1, 2)] for day in month_ends(12)]).mean(axis=1)
    assert found["mse_difference"] == pytest.approx(series[:, 0].mean(), abs=1e-8)
    assert found["mse_t"] == pytest.approx(hac_t(series[:, 0], 2), abs=1e-7)
    assert found["rank_ic_difference"] == pytest.approx(series[:, 1].mean(), abs=1e-8)
    assert found["rank_ic_t"] == pytest.approx(hac_t(series[:, 1], 2), abs=1e-7)
    assert found["critical_t"] == pytest.approx(critical_t(12, 2), abs=1e-8)


def test_the_better_side_wins_the_comparison_and_the_worse_one_is_found():
    assert weigh(*market(24, challenger=0.5, incumbent=0.1))["verdict"] == NOT_WORSE
    found = weigh(*market(24, challenger=0.1, incumbent=0.5))
    assert found["verdict"] == WORSE
    assert max(found["mse_t"], found["rank_ic_t"]) < -found["critical_t"]


def test_worse_on_either_statistic_is_worse():
    """Ten times too large, the challenger orders the stocks as well as before and errs much more; or the reverse."""
    pairs, outcomes = market(24, challenger=0.3, incumbent=0.3, horizons=1)
    louder = weigh(pairs.with_columns(challenger_log_return=10 * pl.col("incumbent_log_return")), outcomes)
    assert (louder["verdict"], louder["rank_ic_difference"]) == (WORSE, 0.0)
    shuffled = weigh(
        pairs.with_columns(challenger_log_return=pl.lit(0.0)).with_columns(
            incumbent_log_return=pl.col("incumbent_log_return") * 20
        ),
        outcomes,
    )
    assert shuffled["mse_difference"] > 0
    assert shuffled["verdict"] == WORSE


def test_equal_forecasts_are_not_worse():
    pairs, outcomes = market(12, challenger=0.2, incumbent=0.2)
    found = weigh(pairs.with_columns(challenger_log_return=pl.col("incumbent_log_return")), outcomes)
    assert (found["verdict"], found["mse_difference"], found["mse_t"]) == (NOT_WORSE, 0.0, None)


def test_the_evidence_does_not_depend_on_the_order_of_rows():
    pairs, outcomes = market(10, challenger=0.3, incumbent=0.2)
    mixed = weigh(pairs.sample(fraction=1, shuffle=True, seed=1), outcomes.sample(fraction=1, shuffle=True, seed=2))
    assert document_bytes(mixed) == document_bytes(weigh(pairs, outcomes))


def test_against_a_chosen_model_only_months_in_which_it_stood_count():
    pairs, outcomes = market(12, challenger=0.2, incumbent=0.2)
    pairs = pairs.with_columns(
        incumbent=pl.when(pl.col("session") < month_ends(12)[7]).then(pl.lit("older")).otherwise("incumbent")
    )
    assert weigh(pairs, outcomes)["verdict"] == NOT_WORSE
    found = weigh(pairs, outcomes, against="old")
    assert (found["verdict"], found["n_dates"], found["horizons"]) == (TOO_FEW, 5, [])


def test_without_pairs_there_is_no_evidence():
    pairs, outcomes = market(1, challenger=0, incumbent=0)
    assert weigh(pairs.clear(), outcomes) == {**NOTHING, "n_dates": 0, "window": None}


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_swapping_the_sides_turns_every_difference_round(seed):
    pairs, outcomes = market(8, stocks=5, challenger=0.2, incumbent=0.1, seed=seed, horizons=1)
    turned = pairs.rename(
        {"challenger_log_return": "incumbent_log_return", "incumbent_log_return": "challenger_log_return"}
    )
    one, other = weigh(pairs, outcomes), weigh(turned, outcomes)
    for name in ("mse_difference", "mse_t", "rank_ic_difference", "rank_ic_t"):
        assert one[name] == pytest.approx(-other[name], abs=1e-7)


@pytest.mark.parametrize(("dates", "lag"), [(6, 1), (60, 1), (500, 12)])
def test_chance_alone_is_called_worse_about_once_in_twenty(dates, lag):
    random = np.random.default_rng(dates)
    t = np.array([hac_t(random.normal(size=dates), lag) for _ in range(3000)])
    assert 0.03 < np.mean(t < -critical_t(dates, lag)) < 0.075
    if dates == 6:
        assert np.mean(t < -1.645) > 0.1


def test_equal_models_are_seldom_refused():
    verdicts = [
        weigh(*market(9, stocks=10, challenger=0.1, incumbent=0.1, seed=s, horizons=2))["verdict"] for s in range(80)
    ]
    assert verdicts.count(WORSE) <= 16
    assert TOO_FEW not in verdicts


# --- decisions --------------------------------------------------------------------------------------------------------


def test_the_first_model_is_installed_as_unproven():
    record = decide(MARCH, card("a"), [], None, NOTHING)
    assert (record["decision"], record["month"], record["champion"]) == ("installed", "2024-03-01", None)
    assert record["model"] == {
        "id": "a", "month": "2024-03", "kind": "full", "trained_through": "2024-02-29", "status": UNPROVEN,
    }  # fmt: skip
    assert record["reason"] == (
        "a passed its guards. It is the first model. Status unproven: 2 of the 6 month ends that a comparison needs "
        "have matured."
    )


def test_without_enough_evidence_the_guards_decide():
    record = decide(MARCH, card("b"), [], first_model(), NOTHING)
    assert (record["decision"], record["model"]["id"], record["model"]["status"]) == ("promoted", "b", UNPROVEN)
    assert record["champion"] == {"id": "a", "validation": {"overall": {"skill": 0.01}}}
    assert "It follows a. Status unproven: 2 of the 6 month ends" in record["reason"]
    assert record["evidence"] == NOTHING


def test_what_is_not_worse_is_promoted_and_the_reason_tells_the_numbers():
    record = decide(MARCH, card("b"), [], first_model(), BETTER)
    assert (record["decision"], record["model"]["status"]) == ("promoted", PROVEN)
    assert record["reason"] == (
        "b passed its guards. On 14 month ends from 2022-10-31 to 2023-11-30, 1 to 3 months ahead, each month's new "
        "model against the model that served before it: squared error lower by 0.0312 (t +1.23), rank IC lower by "
        "0.0041 (t -0.50); noise reaches down to t -2.29. That is not worse beyond noise: it follows a. Status "
        "proven_not_worse."
    )


def test_what_is_worse_leaves_the_champion_standing_with_its_status():
    proven = decide(dt.date(2024, 2, 1), card("a", "2024-02"), [], first_model(), BETTER)
    record = decide(MARCH, card("b"), [], proven, BEATEN)
    assert (record["decision"], record["model"]) == ("kept", proven["model"])
    assert record["model"]["status"] == PROVEN
    assert "squared error higher by 0.0800 (t -3.00)" in record["reason"]
    assert record["reason"].endswith("That is worse beyond noise: a goes on serving.")


@pytest.mark.parametrize("evidence", [NOTHING, BETTER, BEATEN])
def test_a_model_that_fails_its_guards_never_serves(evidence):
    record = decide(MARCH, card("b"), ["spread_ratio 0 is below 0.002"], first_model(), evidence)
    assert (record["decision"], record["model"]["id"]) == ("kept", "a")
    assert record["reason"] == "b failed its guards (spread_ratio 0 is below 0.002); a goes on serving."


def test_no_model_serves_when_the_first_one_fails():
    record = decide(MARCH, card("b"), ["collapsed"], None, NOTHING)
    assert (record["decision"], record["model"]) == ("none", None)
    assert "no model can serve yet" in record["reason"]
    later = decide(dt.date(2024, 4, 1), card("c", "2024-04"), [], record, NOTHING)
    assert later["decision"] == "installed"


def test_a_champion_that_was_kept_is_shown_with_its_own_scores():
    kept = decide(MARCH, {**card("b"), "validation": "b's"}, ["collapsed"], first_model(), NOTHING)
    record = decide(dt.date(2024, 4, 1), card("c", "2024-04"), [], kept, NOTHING)
    assert record["champion"] == {"id": "a", "validation": {"overall": {"skill": 0.01}}}


# --- roll-back --------------------------------------------------------------------------------------------------------


def rolled_back() -> dict:
    march = decide(MARCH, card("b"), [], first_model(), NOTHING)
    return roll_back(march, card("a", "2024-02"), "b forecasts too high", dt.date(2024, 3, 12))


def test_a_roll_back_serves_from_its_day_on_and_leaves_earlier_sessions_as_they_were():
    record = rolled_back()
    assert (record["decision"], record["model"]["id"], record["model"]["status"]) == (ROLLED_BACK, "a", ROLLED_BACK)
    assert record["reason"] == "On 2024-03-12 a person chose a in place of b: b forecasts too high"
    assert record["gate"]["decision"] == "promoted"
    served = {day: serving_on(record, dt.date(2024, 3, day))["model"]["id"] for day in (1, 11, 12, 29)}
    assert served == {1: "b", 11: "b", 12: "a", 29: "a"}


def test_several_roll_backs_of_a_month_each_count_from_their_own_day():
    record = roll_back(rolled_back(), card("z", "2023-12"), "a is no better", dt.date(2024, 3, 20))
    served = [serving_on(record, dt.date(2024, 3, day))["model"]["id"] for day in (11, 12, 19, 20)]
    assert served == ["b", "a", "a", "z"]
    assert record["gate"]["model"]["id"] == "b"
    assert [entry["from"] for entry in record["rollbacks"]] == ["2024-03-12", "2024-03-20"]


def test_choosing_the_months_own_model_gives_it_back_to_the_gate():
    record = roll_back(rolled_back(), card("b"), "it was the data", dt.date(2024, 3, 20))
    assert (record["decision"], record["model"]["id"], record["model"]["status"]) == ("restored", "b", UNPROVEN)
    assert chosen_by_hand(record) is None
    assert decide(dt.date(2024, 4, 1), card("c", "2024-04"), [], record, NOTHING)["model"]["id"] == "c"


def test_judging_the_month_again_does_not_undo_what_a_person_chose():
    again = decide(MARCH, card("b"), [], first_model(), BETTER)
    record = with_rollbacks(again, rolled_back()["rollbacks"])
    assert record["model"] == rolled_back()["model"]
    assert record["gate"] == {name: again[name] for name in ("decision", "model", "reason")}
    assert with_rollbacks(again, []) == again


def test_no_later_model_replaces_a_chosen_one_before_newer_ones_proved_not_worse():
    april = decide(dt.date(2024, 4, 1), card("c", "2024-04"), [], rolled_back(), NOTHING)
    assert chosen_by_hand(rolled_back()) == "a"
    assert (april["decision"], april["model"]["id"], april["model"]["status"]) == ("kept", "a", ROLLED_BACK)
    assert (
        "A person chose a, which serves on until newer models have proved not worse than it. 2 of the 6"
        in april["reason"]
    )
    may = decide(dt.date(2024, 5, 1), card("d", "2024-05"), [], april, BETTER)
    assert (may["decision"], may["model"]["id"], may["model"]["status"]) == ("promoted", "d", PROVEN)
    assert "against the model that a person chose" in may["reason"]


def test_a_month_without_a_model_of_its_own_can_be_rolled_back():
    nothing = undecided(MARCH, first_model())
    assert (nothing["decision"], nothing["model"]["id"]) == ("kept", "a")
    assert undecided(MARCH, None)["model"] is None
    record = roll_back(nothing, card("z", "2023-12"), "why not", dt.date(2024, 3, 5))
    assert serving_on(record, dt.date(2024, 3, 4))["model"]["id"] == "a"
    assert serving_on(record, dt.date(2024, 3, 5))["model"]["id"] == "z"
    document_bytes(record)
