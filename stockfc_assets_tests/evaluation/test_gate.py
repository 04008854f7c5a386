"""The gate's decision and its record."""

import datetime as dt

from stockfc_assets.evaluation.gate import decide

MARCH = dt.date(2024, 3, 1)


def card(name: str, month: str = "2024-03") -> dict:
    validation = {"overall": {"skill": 0.01}}
    return {"model_id": name, "month": month, "kind": "full", "trained_through": "2024-02-29", "validation": validation}


def test_the_first_model_is_installed_as_unproven():
    record = decide(MARCH, card("a"), [], None)
    assert (record["decision"], record["month"], record["champion"]) == ("installed", "2024-03-01", None)
    assert record["model"] == {
        "id": "a", "month": "2024-03", "kind": "full", "trained_through": "2024-02-29", "status": "unproven",
    }  # fmt: skip
    assert record["reason"].startswith("a passed its guards. It is the first model. Status unproven")


def test_a_model_that_passes_follows_the_one_before_and_both_sides_scores_are_kept():
    first = decide(dt.date(2024, 2, 1), card("a", "2024-02"), [], None)
    record = decide(MARCH, card("b"), [], first)
    assert (record["decision"], record["model"]["id"]) == ("promoted", "b")
    assert record["champion"] == {"id": "a", "validation": {"overall": {"skill": 0.01}}}
    assert "It follows a." in record["reason"]


def test_a_model_that_fails_its_guards_leaves_the_champion_standing():
    first = decide(dt.date(2024, 2, 1), card("a", "2024-02"), [], None)
    record = decide(MARCH, card("b"), ["spread_ratio 0 is below 0.002"], first)
    assert (record["decision"], record["model"]["id"]) == ("kept", "a")
    assert record["reason"] == "b failed its guards (spread_ratio 0 is below 0.002); a goes on serving."


def test_no_model_serves_when_the_first_one_fails():
    record = decide(MARCH, card("b"), ["collapsed"], None)
    assert (record["decision"], record["model"]) == ("none", None)
    assert "no model can serve yet" in record["reason"]
    later = decide(dt.date(2024, 4, 1), card("c", "2024-04"), [], record)
    assert later["decision"] == "installed"
