"""The report as HTML: self-contained, complete, honest, and safe against what a name may contain."""

import re
from html.parser import HTMLParser

import polars as pl
import pytest

from stockfc_assets.forecasts.report import MAX_CHARTS, render_report
from stockfc_assets_tests.forecasts.samples import (
    SIMULATED,
    SKIPPED,
    empty_track_record,
    matured_track_record,
    sample_forecast,
    sample_settings,
)

VOID = {"meta", "link", "input", "br"}
NBSP = "\N{NO-BREAK SPACE}"


class Page(HTMLParser):
    """Elements with their attributes, the visible words, and whether every tag was closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def words(source: str) -> str:
    """What a reader sees, cells set apart, any white space as one blank."""
    apart = re.sub(r"(</t[dh]>)", r" \1", source)
    return re.sub(r"\s+", " ", Page(apart).text.replace(NBSP, " "))


@pytest.fixture(scope="module")
def report() -> str:
    return render_report(*sample_forecast(), currency="JPY")


@pytest.fixture(scope="module")
def page(report: str) -> Page:
    return Page(report)


def test_the_page_is_well_formed_and_has_one_place_for_each_id(page):
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = {a["href"][1:] for a in page.all("a")} | {
        name for _, a in page.elements for name in a.get("aria-labelledby", "").split()
    }
    assert references <= set(ids)


def test_nothing_is_loaded_from_anywhere(report, page):
    assert set(re.findall(r"https?://[^\"' >]+", report)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in report
    assert "url(" not in report
    for tag, attributes in page.elements:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith(("#", "data:")), attributes
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_it_is_small(report):
    assert len(report.encode()) < 500_000


def test_every_stock_is_ranked_by_its_12_month_forecast_and_has_a_chart(page):
    document, *_ = sample_forecast()
    ranked = sorted(document["predictions"], key=lambda stock: -stock["predicted_12m_return"])
    rows = [attributes for attributes in page.all("tr") if "data-stock" in attributes]
    assert [row["data-stock"] for row in rows] == [stock["ticker"] for stock in ranked]
    assert [row["data-sector"] for row in rows] == [stock["sector"] for stock in ranked]
    assert [card["data-stock"] for card in page.all("article")] == [stock["ticker"] for stock in ranked]
    charts = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    assert len(charts) == len(ranked) + 1
    ornaments = [attributes for attributes in page.all("svg") if attributes.get("aria-hidden") == "true"]
    assert len(ornaments) == 2 * len(ranked)


def test_the_cells_hold_the_numbers_of_the_document(report):
    document, *_ = sample_forecast()
    stock = max(document["predictions"], key=lambda stock: stock["predicted_12m_return"])
    row = re.search(rf'<tr data-stock="{re.escape(stock["ticker"])}".*?</tr>', report, re.DOTALL)[0]
    values = re.findall(r'data-value="([^"]+)"', row)
    months = {month["month"]: month["return"] for month in stock["predictions"]}
    assert values[0] == "1"
    assert [float(value) for value in values[3:]] == [
        stock["current_price"],
        months[1],
        months[3],
        months[6],
        months[12],
    ]
    low, high = (stock["predictions"][-1][end] / stock["current_price"] - 1 for end in ("lower", "upper"))
    assert f"\N{MINUS SIGN}{-low:.0%} to +{high:.0%}".replace("%", " %") in words(row)
    assert f"+{months[12]:.1%}".replace("%", " %") in words(row)


def test_the_summary_counts_rises_and_falls():
    document, history, card, names = sample_forecast()
    text = words(render_report(document, history, card, names))
    returns = sorted(stock["predicted_12m_return"] for stock in document["predictions"])
    rises = sum(value > 0 for value in returns)
    assert f"expects {rises} of 30 stocks to rise and {30 - rises} to fall" in text
    assert f"the highest is Advantest (+{returns[-1]:.1%})".replace("%", " %") in text


def test_an_empty_track_record_says_so_and_shows_validation_as_what_it_is(report):
    text = words(report)
    assert "Empty so far: no forecast has matured yet." in text
    assert "did not beat “no change” (skill \N{MINUS SIGN}0.8 %)" in text
    assert "are no track record" in text
    assert "1 month 0.0052 0.0051 \N{MINUS SIGN}1.0 % no better than no change" in text


def test_a_matured_track_record_is_shown_with_its_verdict():
    report = render_report(*sample_forecast(track_record=matured_track_record()))
    text = words(report)
    assert "40,362 have matured: together they do not beat “no change” (skill \N{MINUS SIGN}0.3 %)" in text
    assert (
        "1 month 7,812 252 \N{MINUS SIGN}0.9 % 0.052 0.021 (t 0.9) 0.024 (t 1.1) 52 % 79 % no better than no change"
        in text
    )
    assert "6 months 4,557 147 +0.6 % 0.127 0.021 0.024 52 % 79 % better than no change" in text
    assert "Not matured yet: 7, 8, 9, 10, 11, 12 months." in text
    assert "Empty so far" not in text


def test_a_record_that_beats_no_change_says_by_how_much():
    record = matured_track_record()
    record["overall"]["skill"] = 0.021
    assert "they beat “no change” by 2.1 % of its squared error" in words(
        render_report(*sample_forecast(track_record=record))
    )


def test_simulated_prices_are_labelled_first_and_last():
    simulated = words(render_report(*sample_forecast(source=SIMULATED)))
    real = words(render_report(*sample_forecast()))
    assert simulated.index("Simulated market These prices were invented") < simulated.index("Stock forecasts of")
    assert simulated.rstrip().endswith("All prices on this page are simulated.")
    assert "<title>SIMULATED" in render_report(*sample_forecast(source=SIMULATED))
    assert "invented" not in real
    assert "simulated" not in real.lower()


def test_skipped_stocks_are_listed_with_their_reason(report):
    assert f"Sony Financial Group {SKIPPED} – 19 of 156 weeks of history" in words(report)


def test_it_says_which_model_and_that_it_is_no_advice(report):
    text = words(report)
    for fact in ("2026-02-0123456789ab", "unproven", "2026-01-30", "36,120", "663,068", "Not investment advice"):
        assert fact in text


def test_a_hostile_name_sector_or_reason_stays_text():
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&{{ 7*7 }}"
    document, history, card, _ = sample_forecast()
    names = {stock.ticker: attack for stock in sample_settings().universe.stocks}
    document["predictions"][0]["sector"] = attack
    document["skipped"][0]["reason"] = attack
    document["source"] = {"name": "files", "label": attack, "simulated": False}
    page = Page(render_report(document, history, card, names))
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not [attributes for _, attributes in page.elements if "onerror" in attributes]
    assert "{{ 7*7 }}" in page.text
    assert page.open == []


def test_the_same_forecast_gives_the_same_page():
    assert render_report(*sample_forecast()) == render_report(*sample_forecast())


def test_without_intervals_and_without_history_the_page_still_stands():
    document, history, card, names = sample_forecast()
    for stock in document["predictions"]:
        for month in stock["predictions"]:
            month["lower"] = month["upper"] = None
    document["interval_level"] = None
    text = words(render_report(document, history.clear(), card, names))
    assert "No interval is shown: this model has not been calibrated." in text
    assert text.count("no interval is known.") == 30
    assert text.count("no interval ") == 60


def test_a_session_without_any_forecast():
    document, history, card, names = sample_forecast()
    document["skipped"] += [
        {"ticker": s["ticker"], "reason": "no trade on 2026-02-06"} for s in document["predictions"]
    ]
    document |= {"predictions": [], "num_predictions": 0}
    text = words(render_report(document, history, card, names))
    assert "No stock could be forecast on this session" in text
    assert text.count("no trade on 2026-02-06") == 30


def test_a_card_without_validation_labels():
    document, history, card, names = sample_forecast(track_record=empty_track_record())
    nothing = {
        "n": 0,
        "mse": None,
        "mse_random_walk": None,
        "skill": None,
        "mae": None,
        "rank_ic": None,
        "hit_rate": None,
    }
    card["validation"] = {
        **card["validation"],
        "overall": nothing,
        "horizons": [{"horizon": h, **nothing} for h in range(1, 13)],
    }
    card["window"] = dict.fromkeys(card["window"])
    card["history"] = [{"epoch": 1, "train_loss": 0.4, "validation_loss": None, "best": True}]
    text = words(render_report(document, history, card, names))
    assert "Over all horizons the comparison with no change is not known" in text
    assert "None" not in text


def test_thousands_of_stocks_get_a_row_each_and_charts_at_both_ends():
    document, history, card, _ = sample_forecast()
    first = document["predictions"][0]
    document["predictions"] = [
        {**first, "ticker": f"{place:05}.T", "predicted_12m_return": place / 1e4} for place in range(MAX_CHARTS + 40)
    ]
    page = Page(render_report(document, pl.DataFrame(schema=history.schema), card, {}))
    rows = [attributes["data-stock"] for attributes in page.all("tr") if "data-stock" in attributes]
    cards = [attributes["data-stock"] for attributes in page.all("article")]
    assert len(rows) == MAX_CHARTS + 40
    assert cards == rows[: MAX_CHARTS // 2] + rows[-MAX_CHARTS // 2 :]
    assert "for the highest and the lowest forecasts only" in page.text
