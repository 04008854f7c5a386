"""The report as HTML: self-contained, complete, honest, and safe against what a name may contain."""

import re
from dataclasses import replace

import polars as pl
import pytest

from stockfc_assets.forecasts.report import headlines, outlooks, render_report
from stockfc_assets.forecasts.report.stocks import MAX_CHARTS
from stockfc_assets_tests.forecasts.html_page import Page, cells, section, words
from stockfc_assets_tests.forecasts.report_samples import (
    bare_report,
    full_report,
    sample_scores,
    with_document,
)
from stockfc_assets_tests.forecasts.samples import SIMULATED, SKIPPED, empty_track_record

MINUS = "\N{MINUS SIGN}"
SECTIONS = ("answers", "ranking", "stocks", "record", "backtest", "model", "drift", "glossary")


@pytest.fixture(scope="module")
def report() -> str:
    return render_report(full_report())


@pytest.fixture(scope="module")
def bare() -> str:
    return render_report(bare_report())


@pytest.fixture(scope="module")
def page(report: str) -> Page:
    return Page(report)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_every_link_leads_somewhere(page):
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = {a["href"][1:] for a in page.all("a")} | {
        name for _, a in page.elements for name in a.get("aria-labelledby", "").split()
    }
    assert references <= set(ids)
    assert [a["href"][1:] for a in page.all("a")][1:9] == list(SECTIONS)


def test_nothing_is_loaded_from_anywhere(report, page):
    assert set(re.findall(r"https?://[^\"' >]+", report)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in report
    assert "url(" not in report
    for tag, attributes in page.elements:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith(("#", "data:")), attributes
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_it_is_small_and_always_the_same(report):
    assert len(report.encode()) < 700_000
    assert render_report(full_report()) == report


def test_a_hostile_name_sector_or_reason_stays_text():
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&{{ 7*7 }}"
    data = full_report()
    document = {**data.document, "source": {"name": "files", "label": attack, "simulated": False}}
    document["predictions"] = [{**stock, "sector": attack} for stock in document["predictions"]]
    document["skipped"] = [{**entry, "reason": attack} for entry in document["skipped"]]
    gate, scores = {**data.gate, "reason": attack}, sample_scores()
    scores["by_sector"][0]["sector"] = scores["by_forecaster"][2]["forecaster"] = attack
    drift = {**data.drift, "features": [{**row, "feature": attack} for row in data.drift["features"]]}
    names = dict.fromkeys(data.names, attack)
    hostile = replace(
        data, document=document, names=names, gate=gate, scores=scores, drift=drift, unexplained=attack, explanations=[]
    )
    found = Page(render_report(hostile))
    assert len(found.all("script")) == 1
    assert found.all("img") == []
    assert not [attributes for _, attributes in found.elements if "onerror" in attributes]
    assert "{{ 7*7 }}" in found.text
    assert found.open == []


# --- the opening ------------------------------------------------------------------------------------------------------


def test_five_questions_are_answered_first_each_with_a_link(report):
    opening = section(report, "answers")
    questions = [words(question).strip() for question in re.findall(r"<h3>(.*?)</h3>", opening)]
    assert questions == [
        "What is forecast?",
        "How sure is it?",
        "How good have such forecasts been?",
        "Compared with what?",
        "What would trading on them have brought, after costs?",
    ]
    links = [a["href"] for a in Page(opening).all("a")]
    assert links == ["#ranking", "#stocks", "#record", "#compared", "#backtest"]
    numbers = [words(number).strip() for number in re.findall(r"<strong>(.*?)</strong> <span>", opening)]
    assert numbers[-3:] == [f"{MINUS}3.1 %", "2nd of 3", "+11.1 % against +8.1 %"]


def test_what_is_forecast_follows_the_ranked_horizon(report):
    data = full_report()
    opening = section(report, "answers")
    for horizon in (1, 3, 6, 12):
        returns = {s["ticker"]: s["predictions"][horizon - 1]["return"] for s in data.document["predictions"]}
        rises, highest = sum(value >= 0.0005 for value in returns.values()), max(returns, key=returns.__getitem__)
        said = words(re.search(rf'<div data-for="{horizon}">.*?</div>', opening, re.DOTALL)[0])
        over = "1 month" if horizon == 1 else f"{horizon} months"
        assert f"Over {over} the model expects {rises} of 30 stocks to rise" in said
        assert f"the highest is {data.names[highest]} (+{100 * returns[highest]:.1f} %)" in said


def test_a_horizon_without_skill_is_read_as_no_change_and_only_that_one():
    scores = sample_scores()
    scores["horizons"][11] |= {"skill": -0.231, "n": 100}
    scores["horizons"][0] |= {"skill": 0.012, "skill_hac_t": 2.4}
    ranking = section(render_report(replace(full_report(), scores=scores)), "ranking")
    readings = {
        int(horizon): words(text)
        for horizon, text in re.findall(
            r'<div data-for="(\d+)">\s*<p class="lead">.*?</p>\s*(<p.*?</p>)', ranking, re.DOTALL
        )
    }
    assert (
        "Read this as practically no change: so far the squared error of forecasts over 12 months was 23.1 % larger"
        in readings[12]
    )
    assert "no change: " not in readings[1]
    assert "1.2 % smaller than that of “no change”; more than luck alone usually does (t 2.4)" in readings[1]


def test_forecasts_that_hardly_differ_are_read_as_no_change():
    data = bare_report()
    alike = [
        {**stock, "predictions": [{**month, "return": 0.02 + 1e-5 * place} for month in stock["predictions"]]}
        for place, stock in enumerate(data.document["predictions"])
    ]
    flat = replace(data, document={**data.document, "predictions": alike})
    assert all(outlook.is_flat for outlook in outlooks(flat))
    assert not any(outlook.is_flat for outlook in outlooks(data))
    text = words(section(render_report(flat), "ranking"))
    assert (
        "Read this as practically no change between stocks: the forecasts of the middle half lie within 0.0 %" in text
    )


def test_headlines_are_the_same_answers_for_who_sees_no_page(report):
    data = full_report()
    lines = headlines(data, outlooks(data))
    assert len(lines) == 5
    assert lines[3].startswith("Compared with what? 2nd of 3: On the same 27,000 forecasts")
    for line in lines:
        assert line.split(": ", 1)[1].replace("\N{NO-BREAK SPACE}", " ") in words(report)


# --- ranking and stocks -----------------------------------------------------------------------------------------------


def test_every_stock_is_ranked_by_its_12_month_forecast_and_has_a_chart(page):
    document = full_report().document
    ranked = sorted(document["predictions"], key=lambda stock: -stock["predicted_12m_return"])
    rows = [attributes for attributes in page.all("tr") if "data-stock" in attributes]
    assert [row["data-stock"] for row in rows] == [stock["ticker"] for stock in ranked]
    assert [row["data-sector"] for row in rows] == [stock["sector"] for stock in ranked]
    cards = [card["data-stock"] for card in page.all("article") if "data-stock" in card]
    assert cards == [stock["ticker"] for stock in ranked]
    for place, horizon in enumerate((1, 3, 6, 12)):
        by_horizon = sorted(document["predictions"], key=lambda stock: -stock["predictions"][horizon - 1]["return"])
        ranks = {row["data-stock"]: int(row["data-ranks"].split()[place]) for row in rows}
        assert [ranks[stock["ticker"]] for stock in by_horizon] == list(range(1, 31))


def test_the_cells_hold_the_numbers_of_the_document(report):
    stock = max(full_report().document["predictions"], key=lambda stock: stock["predicted_12m_return"])
    row = re.search(rf'<tr data-stock="{re.escape(stock["ticker"])}".*?</tr>', report, re.DOTALL)[0]
    values = re.findall(r'data-value="([^"]+)"', row)
    months = {month["month"]: month["return"] for month in stock["predictions"]}
    assert values[0] == "1"
    assert [float(value) for value in values[3:]] == [stock["current_price"], *(months[h] for h in (1, 3, 6, 12))]
    for horizon in (1, 3, 6, 12):
        ends = [stock["predictions"][horizon - 1][end] / stock["current_price"] - 1 for end in ("lower", "upper")]
        low, high = (f"{end:+.0%}".replace("-", MINUS).replace("%", " %") for end in ends)
        bar = re.search(rf'<div data-for="{horizon}">(.*?)</div>', row, re.DOTALL)[1]
        assert words(bar).strip() == f"{low} to {high}"


def test_what_was_said_stands_beside_what_happened(report):
    card = re.search(r'<article id="stock-7203-T".*?</article>', report, re.DOTALL)[0]
    assert cells(card, "2025-11-06") == ["2025-11-06", "2026-02-06", "+10.0 %", "+100.0 %", "no"]
    assert cells(card, "2025-02-06") == ["2025-02-06", "2026-02-06", "+10.0 %", "+100.0 %", "no"]
    assert "Beside it stand 2 earlier forecasts, of 2025-02-06 to 2025-11-06." in card


def test_the_highest_and_lowest_say_why_and_the_others_how_to_ask(report):
    cards = re.findall(r'<article id="stock-.*?</article>', report, re.DOTALL)
    assert ["What set this one apart" in card for card in cards] == [True] * 3 + [False] * 24 + [True] * 3
    why = words(cards[0])
    assert "Why +12.5 % in twelve months The typical stock of the day: +2.0 %." in why
    assert f"gap at the week’s opening: {MINUS}25.0 % (typical +5.0 %)" in why
    assert "Next to nothing: liquidity, beside the market, company facts, sector and place in the week." in why
    assert "stockfc explain 7203.T --session 2026-02-06" in words("".join(cards[3:27]))
    assert "stockfc explain" not in words("".join(cards[:3] + cards[27:]))


def test_a_session_that_cannot_be_explained_any_more_says_why():
    text = words(
        render_report(bare_report(unexplained="what is stored now gives another forecast", undrifted="no inputs."))
    )
    assert "cannot be shown: what is stored now gives another forecast" in text
    assert "beside those of training cannot be shown: no inputs." in text
    assert "stockfc explain" not in text


def test_skipped_stocks_are_listed_with_their_reason(report):
    assert f"Sony Financial Group {SKIPPED} – 19 of 156 weeks of history" in words(report)


def test_thousands_of_stocks_get_a_row_each_and_charts_at_both_ends():
    data = bare_report()
    first = data.document["predictions"][0]
    many = []
    for place in range(MAX_CHARTS + 40):
        months = [{**month, "return": place / 1e4} for month in first["predictions"]]
        many.append({**first, "ticker": f"{place:05}.T", "predicted_12m_return": place / 1e4, "predictions": months})
    changed = replace(data, document={**data.document, "predictions": many}, history=data.history.clear(), names={})
    source = render_report(changed)
    page = Page(source)
    rows = [attributes["data-stock"] for attributes in page.all("tr") if "data-stock" in attributes]
    cards = [card["data-stock"] for card in page.all("article") if "data-stock" in card]
    assert len(rows) == MAX_CHARTS + 40
    assert cards == rows[: MAX_CHARTS // 2] + rows[-MAX_CHARTS // 2 :]
    assert "for the highest and the lowest forecasts only" in page.text
    ornaments = [svg for svg in page.all("svg") if svg.get("aria-hidden") == "true"]
    assert len(ornaments) == MAX_CHARTS * 5, "four intervals and a path for each stock that has charts"


# --- what is missing --------------------------------------------------------------------------------------------------


def test_what_is_not_stored_is_replaced_by_the_command_that_makes_it(bare):
    for anchor in ("record", "backtest", "model"):
        assert "stockfc monthly --month 2026-02" in words(section(bare, anchor)), anchor
    assert "cannot be shown: it is not recorded" in words(section(bare, "drift"))
    assert "None" not in words(bare)
    assert "Undefined" not in bare


def test_simulated_prices_are_labelled_first_and_last(bare):
    simulated = render_report(with_document(source=SIMULATED))
    text = words(simulated)
    assert text.index("Simulated market These prices were invented") < text.index("Stock forecasts of")
    assert text.rstrip().endswith("All prices on this page are simulated.")
    assert "<title>SIMULATED" in simulated
    assert "invented" not in words(bare)
    assert "simulated" not in words(bare).lower()


def test_without_intervals_and_without_history_the_page_still_stands():
    data = bare_report()
    for stock in data.document["predictions"]:
        for month in stock["predictions"]:
            month["lower"] = month["upper"] = None
    bare = replace(data, document={**data.document, "interval_level": None}, history=data.history.clear())
    source = render_report(bare)
    assert "No interval is shown: this model has not been calibrated." in words(source)
    assert source.count("no interval is known.") == 30
    assert source.count("<small>no interval</small>") == 4 * 30


def test_a_session_without_any_forecast():
    data = bare_report()
    skipped = [
        {"ticker": stock["ticker"], "reason": "no trade on 2026-02-06"} for stock in data.document["predictions"]
    ]
    nothing = {**data.document, "predictions": [], "num_predictions": 0, "skipped": skipped}
    text = words(render_report(replace(full_report(), document=nothing, said={}, explanations=[])))
    assert "No stock could be forecast on this session" in text
    assert text.count("no trade on 2026-02-06") == 30


def test_a_card_without_validation_labels():
    data = with_document(track_record=empty_track_record())
    nothing = {"n": 0} | dict.fromkeys(("mse", "mse_random_walk", "skill", "mae", "rank_ic", "hit_rate"))
    card = {**data.card, "window": dict.fromkeys(data.card["window"])}
    horizons = [{"horizon": horizon, **nothing} for horizon in range(1, 13)]
    card["validation"] = {**card["validation"], "overall": nothing, "horizons": horizons}
    card["history"] = [{"epoch": 1, "train_loss": 0.4, "validation_loss": None, "best": True}]
    text = words(render_report(replace(data, card=card)))
    assert "Over all horizons the comparison with no change is not known" in text
    assert "None" not in text


def test_history_of_other_stocks_changes_nothing(bare):
    data = bare_report()
    other = pl.concat(
        [data.history, data.history.filter(pl.col("ticker") == "7203.T").with_columns(ticker=pl.lit("9.T"))]
    )
    assert render_report(replace(data, history=other)) == bare
