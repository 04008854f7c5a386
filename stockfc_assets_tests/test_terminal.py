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


def test_the_doctor_counts_what_failed():
    findings = [{"check": "a", "ok": True, "message": "fine"}, {"check": "b", "ok": False, "message": "x: missing"}]
    text = terminal.doctor_text(findings)
    assert "FAIL  b" in text
    assert text.endswith("1 of 2 checks failed")
    assert terminal.doctor_text(findings[:1]).endswith("all is well")


def test_the_gate_says_what_serves_why_and_on_which_numbers():
    record = {
        "month": "2026-03-01",
        "decision": "rolled_back",
        "model": {"id": "2026-01-aaa", "status": "rolled_back", "trained_through": "2025-12-30"},
        "reason": "On 2026-03-05 a person chose 2026-01-aaa in place of 2026-03-bbb: too high",
        "gate": {"reason": "2026-03-bbb passed its guards."},
        "rollbacks": [{"reason": "On 2026-03-05 a person chose 2026-01-aaa in place of 2026-03-bbb: too high"}],
        "evidence": {
            "n_dates": 14, "horizons": [1, 2, 3], "window": ["2024-10-31", "2025-11-28"], "mse_difference": 0.0312,
            "mse_t": 1.234, "rank_ic_difference": -0.0041, "rank_ic_t": None, "critical_t": 2.3,
        },
    }  # fmt: skip
    assert terminal.gate_text(record).splitlines() == [
        "month     2026-03",
        "decision  rolled_back",
        "serves    2026-01-aaa (rolled_back), trained through 2025-12-30",
        "why       2026-03-bbb passed its guards.",
        "          On 2026-03-05 a person chose 2026-01-aaa in place of 2026-03-bbb: too high",
        "",
        "New model against old, 14 month ends, 2024-10-31 to 2025-11-28, horizons 1 to 3; positive favours the new one",
        "                          difference    HAC t  noise to",
        "squared error (scaled)      +0.03120    +1.23     -2.30",
        "rank IC                     -0.00410        -     -2.30",
    ]
    nothing = {**record, "model": None, "evidence": None, "rollbacks": [], "gate": record}
    assert "serves    none" in terminal.gate_text(nothing)
