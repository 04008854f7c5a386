"""The sections of the report that judge: track record, backtest, model, drift. Exact numbers of the documents behind."""

import re
from dataclasses import replace

import pytest

from stockfc_assets.forecasts.report import render_report
from stockfc_assets_tests.forecasts.html_page import cells, section, words
from stockfc_assets_tests.forecasts.report_samples import (
    bare_report,
    full_report,
    sample_backtest,
    sample_gate,
    sample_scores,
    with_document,
)
from stockfc_assets_tests.forecasts.samples import matured_track_record

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def report() -> str:
    return render_report(full_report())


@pytest.fixture(scope="module")
def bare() -> str:
    return render_report(bare_report())


# --- track record -----------------------------------------------------------------------------------------------------


def test_the_scores_of_every_horizon_stand_in_the_table(report):
    record = section(report, "record")
    assert cells(record, "1 month") == [
        "1 month", "3,000", "250", f"+1.0 % (t {MINUS}0.4)", "0.074", "+0.030 (t 1.2)", "+0.042 (t 1.5)", "0.21", "53 %",
        "+1.2 % (t 0.8)", "78 %", "0.31",
    ]  # fmt: skip
    assert cells(record, "9 months")[:5] == [
        "9 months too few independent periods",
        "3,000",
        "250",
        f"{MINUS}7.0 %",
        "0.074",
    ]
    assert "Not matured yet: 10, 11, 12 months." in words(record)
    assert "Too few independent periods. Forecasts of neighbouring days" in words(record)


def test_the_network_stands_beside_simple_rules(report):
    record = section(report, "record")
    assert cells(record, "the network") == ["the network", f"{MINUS}3.1 % (t 0.5)", "0.090", "+0.042 (t 1.1)", "52 %"]
    assert cells(record, "no change") == ["no change", "0.0 % (t 0.5)", "0.090", "–", "52 %"]
    assert cells(record, "ridge regression")[1] == f"{MINUS}5.0 % (t 0.5)"
    assert "Skill of the network and of simple rules" in record
    assert "Rank IC of the network and of simple rules" in record


def test_scores_by_horizon_of_each_forecaster_are_shown_where_the_record_has_them():
    scores = sample_scores()
    for row in scores["by_forecaster"]:
        row["horizons"] = [{"horizon": horizon, "skill": 0.01 * horizon, "rank_ic": 0.02} for horizon in (1, 3, 6)]
    record = section(render_report(replace(full_report(), scores=scores)), "record")
    assert cells(record, "ridge regression")[5:] == [
        "+1.0 %",
        "+0.020",
        "+3.0 %",
        "+0.020",
        "+6.0 %",
        "+0.020",
        "–",
        "–",
    ]


def test_forecasters_are_drawn_at_the_longest_horizon_that_has_errors_where_all_together_have_none():
    scores = sample_scores()
    for place, row in enumerate(scores["by_forecaster"]):
        row["horizons"] = [
            {"horizon": horizon, "skill": 0.1 * place, "skill_error": error, "rank_ic": 0.02, "rank_ic_hac_t": error}
            for horizon, error in ((1, 0.01), (3, 0.02), (6, None))
        ]
        row["skill_error"] = row["skill_hac_t"] = row["rank_ic_hac_t"] = None
    record = section(render_report(replace(full_report(), scores=scores)), "record")
    assert "The charts are of forecasts 3 months ahead, the longest time with enough periods" in words(record)
    assert "the network 0.0 % ± 3.9 %; ridge regression +20.0 % ± 3.9 %" in words(record)
    assert "The charts are of forecasts" not in render_report(full_report())


def test_the_bars_of_charts_are_196_errors_of_the_record(report):
    described = re.findall(r"<desc[^>]*>(.*?)</desc>", section(report, "record"))
    assert any("1 month +0.042 ± 0.055" in words(text) for text in described), described
    assert any("1 month +1.0 % ± 4.9 %" in words(text) for text in described), described


def test_breakdowns_by_sector_and_year(report):
    record = section(report, "record")
    assert cells(record, "Banks") == ["Banks", "900", "+12.3 %", "–", "60 %"]
    assert cells(record, "2025") == ["2025", "27,000", f"{MINUS}3.1 %", "+0.042", "53 %"]


def test_an_empty_track_record_says_so_and_shows_validation_as_what_it_is(bare):
    text = words(bare)
    assert "Empty so far: no forecast has matured yet." in text
    assert "the model’s squared error was 0.8 % larger than that of “no change”; that is no track record" in text
    assert "1 month 0.0052 0.0051 \N{MINUS SIGN}1.0 % no better than no change" in text


def test_a_published_record_is_shown_where_the_months_scores_are_not_stored():
    source = render_report(with_document(track_record=matured_track_record()))
    record = section(source, "record")
    assert cells(record, "1 month")[:5] == ["1 month", "7,812", "252", f"{MINUS}0.9 %", "0.052"]
    assert cells(record, "6 months")[5:7] == ["+0.021", "+0.024"]
    assert "Scores by sector and by year of this month are not stored." in words(record)
    assert "Their squared error was 0.3 % larger than that of saying that every price stays as it is" in words(source)
    assert "Empty so far" not in words(record)


def test_a_record_that_beats_no_change_says_by_how_much():
    record = matured_track_record()
    record["overall"]["skill"] = 0.021
    text = words(render_report(with_document(track_record=record)))
    assert (
        "Their squared error was 2.1 % smaller than that of saying that every price stays as it is: they beat “no change”."
        in text
    )


# --- backtest, model, drift -------------------------------------------------------------------------------------------


def test_the_figures_of_each_portfolio(report):
    backtest = section(report, "backtest")
    assert cells(backtest, "After costs") == [
        "After costs unless said",
        "Highest fifth",
        "Highest less lowest fifth",
        "All stocks alike",
    ]
    assert cells(backtest, "return a year, after") == [
        "return a year, after costs",
        "+11.1 %",
        f"{MINUS}1.2 %",
        "+8.1 %",
    ]
    assert cells(backtest, "return a year, before")[1] == "+13.2 %"
    assert cells(backtest, "Sharpe")[1:] == ["0.66 ± 0.71", f"{MINUS}0.15 ± 0.71", "0.50 ± 0.71"]
    assert cells(backtest, "deepest fall")[1] == "23.4 %"
    assert cells(backtest, "lost to costs")[1] == "1.55 %"
    assert cells(backtest, "2025") == ["2025", "+11.1 %", f"{MINUS}1.2 %", "+8.1 %"]
    text = words(backtest)
    assert "The highest fifth against all stocks alike: +3.0 % a year; luck alone often does as much (t 0.9)." in text
    assert "A trade costs 0.12 % of its money" in text
    assert "No forecast is stored for 2024-05-31: not traded." in text
    assert "taxes" not in text.lower(), "Tokyo takes none of sales"


def test_a_few_monthly_rankings_are_called_too_few():
    data = full_report()
    few = {**data.backtest, "decisions": data.backtest["decisions"][:4]}
    page = render_report(replace(data, backtest=few))
    assert "4 monthly rankings are too few to tell it from luck" in words(section(page, "backtest"))
    assert "in all after costs" in words(section(page, "answers"))


def test_a_ranking_that_stands_upside_down_is_said_in_the_opening():
    data = full_report()
    rows = [
        {**row, "decile_spread_hac_t": -3.2 if row["horizon"] in (11, 12) else 0.4} for row in data.scores["horizons"]
    ]
    page = render_report(replace(data, scores={**data.scores, "horizons": rows}))
    said = "Over 11 and 12 months the stocks with the highest forecasts did worse than those with the lowest"
    assert said in words(section(page, "answers"))
    assert said not in words(section(render_report(data), "answers"))


def test_a_forecast_of_a_replaced_model_says_so():
    data = full_report()
    other = {**data.gate, "model": {**(data.gate["model"] or {}), "id": "2026-02-ffffffffffff"}}
    model = words(section(render_report(replace(data, gate=other)), "model"))
    assert "Another model serves by now: 2026-02-ffffffffffff" in model
    assert "`stockfc daily" in model or "stockfc daily --session 2026-02-06" in model
    assert "Another model serves" not in render_report(data)


def test_sales_are_taxed_where_the_exchange_takes_some():
    text = words(section(render_report(replace(full_report(), exchange="XKRX")), "backtest"))
    assert "Taxes and fees take 0.2 % of sales." in text


def test_a_backtest_without_trades_says_why():
    empty = sample_backtest() | {"portfolios": {}, "note": "no forecast of a month’s end is followed by a price"}
    text = words(render_report(replace(full_report(), backtest=empty)))
    assert text.count("No forecast of a month’s end is followed by a price.") == 2


def test_it_says_which_model_why_it_serves_and_that_it_is_no_advice(report):
    text = words(report)
    for fact in ("2026-02-0123456789ab", "unproven", "2026-01-30", "36,120", "663,068", "Not investment advice"):
        assert fact in text
    assert "2026-02-0123456789ab passed its guards. It has not been worse." in text
    assert cells(section(report, "model"), "squared error (scaled)") == ["squared error (scaled)", "+0.00123", "0.52"]
    assert f"a t below {MINUS}2.10 would mean worse beyond luck" in text
    assert "More in docs/LIMITATIONS.md" in text


def test_it_says_how_far_forecasts_are_held_back():
    data = full_report()
    assert "to 28 % to 39 % of what training arrived at" in words(section(render_report(data), "model")).replace(
        "\xa0", " "
    )
    for restraint in ([1.0] * 12, None):
        card = {**data.card, "restraint": restraint}
        assert "Held back" not in render_report(replace(data, card=card))


def test_a_gate_without_evidence_only_gives_its_reason():
    too_few = {**sample_gate(), "evidence": {"verdict": "too_few", "n_dates": 2, "horizons": [], "window": None}}
    for gate in (too_few, {**sample_gate(), "evidence": None}):
        model = section(render_report(replace(full_report(), gate=gate)), "model")
        assert "It has not been worse." in words(model)
        assert "squared error (scaled)" not in model


def test_every_term_of_the_loss_is_listed_where_the_card_has_them():
    data = full_report()
    terms = {f"{side}_{term}": 0.123 for side in ("train", "validation") for term in ("huber", "rank", "spread")}
    card = {**data.card, "history": [{**epoch, **terms} for epoch in data.card["history"]]}
    model = section(render_report(replace(data, card=card)), "model")
    assert cells(model, "2 (kept)") == ["2 (kept)", "0.428 0.424", "0.123 0.123", "0.123 0.123", "0.123 0.123"]
    assert "Every term of the loss" not in render_report(data)


def test_what_has_drifted_is_named_first(report):
    drift = section(report, "drift")
    text = words(drift)
    assert "Of 29 inputs 1 lie far from training and 0 are shifted. Furthest: volatility, 4 weeks" in text
    row = cells(drift, "volatility, 4 weeks")
    assert row[1] == "far from training"
    assert cells(drift, "return, 1 week")[1] == "as in training"
    assert drift.index("volatility, 4 weeks") < drift.index("return, 1 week")
