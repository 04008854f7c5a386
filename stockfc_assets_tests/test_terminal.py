"""What a person reads in a terminal."""

import re

from stockfc_assets import terminal
from stockfc_assets_tests.forecasts.samples import sample_forecast


def ranked_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r" *\d+  \d{4}\.T", line)]


def test_the_ranking_names_what_is_simulated_skipped_and_unproven():
    document, *_ = sample_forecast()
    document["source"] = {"name": "simulated", "label": "simulated market (seed 1)", "simulated": True}
    text = terminal.forecast_text(document)
    ranked = sorted(document["predictions"], key=lambda stock: stock["predicted_12m_return"], reverse=True)
    lines = text.splitlines()
    assert lines[1].startswith("SIMULATED DATA - simulated market (seed 1)")
    rows = ranked_rows(text)
    assert [row.split()[1] for row in rows] == [stock["ticker"] for stock in ranked]
    for entry in document["skipped"]:
        assert any(entry["ticker"] in line and entry["reason"] in line for line in lines)


def test_top_shows_both_ends_with_their_ranks():
    document, *_ = sample_forecast()
    count = len(document["predictions"])
    rows = ranked_rows(terminal.forecast_text(document, top=2))
    assert [int(row.split()[0]) for row in rows] == [1, 2, count - 1, count]


def test_a_track_record_that_does_not_beat_no_change_says_so():
    document, *_ = sample_forecast()
    document["track_record"] = {"overall": {"n": 240, "skill": -0.02, "hit_rate": 0.5}, "horizons": []}
    assert 'over 240 matured forecasts: does not beat "no change" (skill -0.020' in terminal.forecast_text(document)
    document["track_record"] = {"overall": {"n": 0}, "horizons": []}
    assert "no forecast has matured yet" in terminal.forecast_text(document)


def test_the_doctor_counts_what_failed():
    findings = [{"check": "a", "ok": True, "message": "fine"}, {"check": "b", "ok": False, "message": "x: missing"}]
    text = terminal.doctor_text(findings)
    assert "FAIL  b" in text
    assert text.endswith("1 of 2 checks failed")
    assert terminal.doctor_text(findings[:1]).endswith("all is well")
