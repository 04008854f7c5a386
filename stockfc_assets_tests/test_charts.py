"""Charts as data: well-formed SVG whose marks stand where the numbers say."""

import base64
import datetime as dt
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from stockfc_assets.charts import (
    MOST_HISTORY_POINTS,
    MOST_RANKED,
    FanPoint,
    Said,
    as_markdown_image,
    fan_chart,
    interval_bar,
    loss_curve,
    ranking_chart,
    sparkline,
)
from stockfc_assets.svg import (
    MINUS,
    PAGE,
    correlation,
    decimals,
    factor,
    factor_ticks,
    fitting_ticks,
    linear,
    logarithmic,
    month_ticks,
    nice_ticks,
    number,
    percent,
    share,
    shortened,
    spread,
)

NBSP = "\N{NO-BREAK SPACE}"
SVG = "{http://www.w3.org/2000/svg}"
NOW = dt.date(2026, 2, 6)
HISTORY = [(NOW - dt.timedelta(days=700 - day), 1000.0 + day) for day in range(0, 700, 2)]
FAN = [FanPoint(NOW, 1700.0, 1700.0, 1700.0)] + [
    FanPoint(NOW + dt.timedelta(days=30 * month), 1700.0 + 10 * month, 1700.0 - 30 * month, 1700.0 + 50 * month)
    for month in range(1, 13)
]


def parse(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in element.attrib["points"].split()]


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text for element in root.iter(f"{SVG}text")]


def stock(ticker: str, change: float, *, interval: bool = True) -> dict:
    ends = {"lower": 80.0, "upper": 140.0} if interval else {"lower": None, "upper": None}
    last = {"month": 12, "predicted_price": 100 * (1 + change), "return": change, **ends}
    return {"ticker": ticker, "name": f"Company {ticker}", "current_price": 100.0, "predictions": [last],
            "predicted_12m_return": change}  # fmt: skip


def test_fan_chart_draws_history_forecast_and_band_on_one_scale():
    root = parse(fan_chart(HISTORY, FAN, title="A & B <1>", unit="JPY"))
    past, forecast = (points(line) for line in root.iter(f"{SVG}polyline"))
    (band,) = (points(area) for area in root.iter(f"{SVG}polygon"))
    assert len(forecast) == 13
    assert past[-1] == forecast[0]
    assert len(band) == 26
    assert band[12][0] == band[13][0] == forecast[-1][0]
    # Prices of 2,300 (upper), 1,820 (forecast) and 1,340 (lower) are equally far apart.
    assert band[12][1] < forecast[-1][1] < band[13][1]
    assert forecast[-1][1] - band[12][1] == pytest.approx(band[13][1] - forecast[-1][1], abs=0.11)
    assert past[0][1] > past[-1][1]
    assert root.find(f"{SVG}title").text == "A & B <1>"
    assert "from 1,700 to 1,820 (+7.1" in root.find(f"{SVG}desc").text
    assert {f"+7.1{NBSP}%", f"+35{NBSP}%", f"{MINUS}21{NBSP}%", "6 Feb 2026", "JPY", "Jan 2025"} <= set(texts(root))
    labelled = root.attrib["aria-labelledby"].split()
    assert labelled == [root.find(f"{SVG}title").attrib["id"], root.find(f"{SVG}desc").attrib["id"]]


def test_every_mark_lies_inside_the_chart():
    root = parse(fan_chart(HISTORY, FAN, title="t", width=400, height=230))
    marks = [
        point for kind in ("polyline", "polygon") for shape in root.iter(f"{SVG}{kind}") for point in points(shape)
    ]
    assert all(0 <= x <= 400 and 0 <= y <= 230 for x, y in marks)
    assert all(0 <= float(text.attrib["y"]) <= 230 for text in root.iter(f"{SVG}text"))


def test_without_interval_there_is_no_band_and_the_description_says_so():
    bare = [FanPoint(point.date, point.price) for point in FAN]
    root = parse(fan_chart(HISTORY, bare, title="t"))
    assert not list(root.iter(f"{SVG}polygon"))
    assert root.find(f"{SVG}desc").text.endswith("no interval is known.")


def test_the_history_is_thinned_from_its_newest_point_and_never_reaches_past_the_as_of_session():
    long = [(NOW - dt.timedelta(days=3000 - day), 100.0 + day % 7) for day in range(3100)]
    root = parse(fan_chart(long, FAN, title="t"))
    past, forecast = (points(line) for line in root.iter(f"{SVG}polyline"))
    assert len(past) <= MOST_HISTORY_POINTS + 1
    assert past[-1] == forecast[0]


def test_a_stock_without_history_still_has_a_chart():
    root = parse(fan_chart([], FAN, title="t"))
    assert len(list(root.iter(f"{SVG}polyline"))) == 2


def said(days_ago: int, slope: float, *, interval: bool = False) -> Said:
    """A forecast for 12 months, of the price of then; its interval is that of its newest point until `NOW`."""
    as_of = NOW - dt.timedelta(days=days_ago)
    path = [(as_of + dt.timedelta(days=30 * month), 1700.0 - days_ago + slope * month) for month in range(13)]
    return Said(as_of, path, *((1200.0, 1900.0) if interval else ()))


def test_earlier_forecasts_begin_on_the_price_line_under_it_the_older_the_paler():
    earlier = [said(90, 10), said(360, -5), said(180, 2)]
    root = parse(fan_chart(HISTORY, FAN, title="t", said=earlier))
    *lines, past, forecast = list(root.iter(f"{SVG}polyline"))
    key, lines = lines[-1], lines[:-1]
    dots = [circle for circle in root.iter(f"{SVG}circle") if circle.attrib["r"] == "2.4"]
    assert [float(line.attrib["stroke-opacity"]) for line in lines] == [0.65, 0.8, 0.95]
    assert {line.attrib["stroke-dasharray"] for line in [key, *lines]} == {"4 3"}
    assert {line.attrib["stroke-dasharray"] for line in (past, forecast)} == {"none"}
    history, ahead = points(past), points(forecast)
    for line, circle, days in zip(lines, dots, [360, 180, 90], strict=True):
        start = points(line)[0]
        assert start == (float(circle.attrib["cx"]), float(circle.attrib["cy"]))
        assert min(math.dist(start, place) for place in history) < 2.5
        # One scale of dates for all: 360 days before the as-of session mirror the 360 days of the forecast.
        assert history[-1][0] - start[0] == pytest.approx((ahead[-1][0] - ahead[0][0]) * days / 360, abs=0.16)
        assert points(line)[-1][0] - start[0] == pytest.approx(ahead[-1][0] - ahead[0][0], abs=0.16)
    assert "said earlier" in texts(root)
    assert root.find(f"{SVG}desc").text.endswith("Beside it stand 3 earlier forecasts, of 2025-02-11 to 2025-11-08.")


def test_only_the_axis_grows_for_earlier_forecasts():
    bare = parse(fan_chart(HISTORY, FAN, title="t"))
    inside = parse(fan_chart(HISTORY, FAN, title="t", said=[said(90, 10)]))
    outside = parse(fan_chart(HISTORY, FAN, title="t", said=[said(90, 450)]))
    drawn = [[points(line) for line in root.iter(f"{SVG}polyline")][-2:] for root in (bare, inside, outside)]
    assert drawn[0] == drawn[1]
    assert drawn[2][0][0][0] == drawn[0][0][0][0]
    assert drawn[2][0][-1][1] > drawn[0][0][-1][1]
    marks = [place for line in outside.iter(f"{SVG}polyline") for place in points(line)]
    assert all(0 <= x <= 560 and 0 <= y <= 260 for x, y in marks)
    older = parse(fan_chart(HISTORY[-20:], FAN, title="t", said=[said(360, 1)]))
    earliest, start = (points(line)[0][0] for line in list(older.iter(f"{SVG}polyline"))[:3:2])
    assert earliest < start
    assert earliest == min(float(line.attrib["x1"]) for line in older.iter(f"{SVG}line"))


def test_intervals_of_earlier_forecasts_stand_side_by_side_before_the_as_of_session():
    earlier = [said(360, 1, interval=True), said(180, 1, interval=True), said(10, 1, interval=True)]
    root = parse(fan_chart(HISTORY, FAN, title="t", said=earlier))
    spans = [rect for rect in root.iter(f"{SVG}rect") if rect.attrib.get("width") == "2"]
    middles = [float(span.attrib["x"]) + 1 for span in spans]
    today = points(list(root.iter(f"{SVG}polyline"))[-1])[0][0]
    assert middles == pytest.approx([today - 8, today - 4], abs=0.16)  # nothing of the youngest has matured
    ticks = [(float(text.text.replace(",", "")), float(text.attrib["y"]) - 4) for text in root.iter(f"{SVG}text")
             if text.attrib["text-anchor"] == "end" and text.text]  # fmt: skip
    slope, start = np.polyfit(*zip(*ticks, strict=True), 1)
    for span in spans:
        top, tall = float(span.attrib["y"]), float(span.attrib["height"])
        assert (top, top + tall) == pytest.approx((start + slope * 1900, start + slope * 1200), abs=0.2)


def test_without_earlier_forecasts_nothing_is_said_of_them():
    chart = fan_chart(HISTORY, FAN, title="t", said=[Said(NOW, [])])
    assert chart == fan_chart(HISTORY, FAN, title="t")
    assert "earlier" not in chart
    one = parse(fan_chart(HISTORY, FAN, title="t", said=[Said(NOW - dt.timedelta(days=90), [(NOW, 1700.0)])]))
    assert one.find(f"{SVG}desc").text.endswith("Beside it stands 1 earlier forecast, of 2025-11-08.")


def test_paper_carries_its_own_colours_and_page_takes_those_of_the_page():
    paper, page = fan_chart(HISTORY, FAN, title="t"), fan_chart(HISTORY, FAN, title="t", palette=PAGE)
    assert "var(" not in paper
    assert parse(paper).find(f"{SVG}rect").attrib["fill"] == "#ffffff"
    assert not re.search(r"#[0-9a-f]{6}", page)
    assert parse(page).find(f"{SVG}rect") is None


def test_ornaments_are_hidden_from_screen_readers_and_have_no_words():
    for chart in (
        sparkline(HISTORY, FAN),
        interval_bar(0.1, -0.2, 0.5, (-0.5, 1.0)),
        interval_bar(0.1, None, None, (0, 1)),
    ):
        root = ElementTree.fromstring(chart)
        assert root.attrib["aria-hidden"] == "true"
        assert "text" not in {element.tag for element in root.iter()}


def test_interval_bars_share_their_scale_and_mark_no_change():
    reach = (-0.5, 1.0)
    root = ElementTree.fromstring(interval_bar(-0.1, -0.5, 1.0, reach))
    bar, zero, dot = root.find("rect"), root.find("line"), root.find("circle")
    left, width = float(bar.attrib["x"]), float(bar.attrib["width"])
    assert float(zero.attrib["x1"]) == pytest.approx(left + width / 3, abs=0.11)
    assert float(dot.attrib["cx"]) == pytest.approx(left + width * 0.4 / 1.5, abs=0.11)
    assert dot.attrib["fill"] == PAGE.fall


def test_ranking_bars_begin_at_zero_and_whiskers_span_the_interval():
    root = parse(ranking_chart([stock("A.T", 0.2), stock("B.T", -0.1, interval=False)]))
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.attrib.get("height") == "11"]
    whiskers = [rect for rect in root.iter(f"{SVG}rect") if rect.attrib.get("height") == "1"]
    rise, fall = ((float(bar.attrib["x"]), float(bar.attrib["width"])) for bar in bars)
    assert fall[0] + fall[1] == pytest.approx(rise[0], abs=0.11)
    assert rise[1] == pytest.approx(2 * fall[1], abs=0.21)
    assert len(whiskers) == 1
    assert float(whiskers[0].attrib["width"]) == pytest.approx(6 * fall[1], abs=0.7)
    assert {"A.T  Company A.T", f"+20.0{NBSP}%", f"{MINUS}10.0{NBSP}%", f"0{NBSP}%"} <= set(texts(root))
    assert root.find(f"{SVG}desc").text == "2 stocks: 1 with a forecast rise over 12 months, 1 without."


def test_a_ranking_of_thousands_shows_both_ends_and_says_what_is_left_out():
    root = parse(ranking_chart([stock(f"{place:04}.T", 0.5 - place / 4000) for place in range(4000)]))
    words = texts(root)
    assert f"… {4000 - MOST_RANKED} more …" in words
    assert any(text.startswith("0000.T") for text in words)
    assert any(text.startswith("3999.T") for text in words)
    assert not any(text.startswith("2000.T") for text in words)


def test_an_empty_ranking_is_still_a_chart():
    assert parse(ranking_chart([])).find(f"{SVG}desc").text.startswith("0 stocks")


def epoch(number: int, train: float | None, validation: float | None, best: bool = False) -> dict:
    return {"epoch": number, "train_loss": train, "validation_loss": validation, "best": best}


def test_loss_curve_marks_the_kept_epoch_on_the_validation_line():
    root = parse(loss_curve([epoch(1, 0.5, 0.45), epoch(2, 0.4, 0.41, best=True), epoch(3, 0.35, 0.43)]))
    train, validation = (points(line) for line in root.iter(f"{SVG}polyline"))
    (ring,) = (circle for circle in root.iter(f"{SVG}circle") if circle.attrib["r"] == "7")
    assert (float(ring.attrib["cx"]), float(ring.attrib["cy"])) == validation[1]
    assert [x for x, _ in train] == [x for x, _ in validation]
    assert train[0][1] < train[1][1] < train[2][1]
    assert {"training", "validation", "○ kept: epoch 2", "epoch", "loss", "1", "2", "3"} <= set(texts(root))


@pytest.mark.parametrize(
    "history",
    [
        [],
        [epoch(1, 0.5, 0.4, best=True)],
        [epoch(1, 0.5, None), epoch(2, 0.4, None)],
        [epoch(1, float("nan"), 0.4)] * 2,
    ],
)
def test_loss_curve_of_little_or_missing_data_is_well_formed(history):
    root = parse(loss_curve(history))
    assert "nan" not in ElementTree.tostring(root, encoding="unicode").lower()


def test_markdown_image_carries_the_chart():
    chart = fan_chart(HISTORY, FAN, title="t")
    image = as_markdown_image(chart, "a [b]")
    assert image.startswith("![a (b)](data:image/svg+xml;base64,")
    assert base64.b64decode(image.rpartition(",")[2].removesuffix(")")).decode() == chart


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-4, 1e6), most=st.integers(2, 10))
@settings(deadline=None, max_examples=80)
def test_ticks_are_few_round_and_inside(low, span, most):
    ticks = nice_ticks(low, low + span, most)
    assert 1 <= len(ticks) <= most + 1
    if len(ticks) > 1:
        step = ticks[1] - ticks[0]
        assert all(low - step * 1e-6 <= tick <= low + span + step * 1e-6 for tick in ticks)
        assert f"{step:.0e}"[0] in "125"


def test_ticks_worked_by_hand():
    assert nice_ticks(0, 1, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(-0.07, 0.125, 5) == [-0.05, 0.0, 0.05, 0.1]
    assert nice_ticks(5, 5, 5) == [5]
    assert decimals([0.40, 0.42]) == 2
    assert decimals([100.0, 200.0]) == 0
    assert month_ticks(dt.date(2024, 2, 6), dt.date(2027, 2, 6)) == [
        dt.date(2024, 7, 1), dt.date(2025, 1, 1), dt.date(2025, 7, 1), dt.date(2026, 1, 1), dt.date(2026, 7, 1),
        dt.date(2027, 1, 1),
    ]  # fmt: skip


def test_ticks_of_factors_worked_by_hand():
    assert factor_ticks(0.4, 6.0, 6) == [0.5, 1.0, 2.0, 5.0]
    assert factor_ticks(0.9, 1.3, 5) == [0.9, 1.0, 1.1, 1.2, 1.3]
    assert factor_ticks(0.01, 1000.0, 6) == [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    assert factor_ticks(1e-3, 1e5, 4) == [1e-3, 1e-1, 1e1, 1e3, 1e5]


@given(low=st.floats(1e-4, 1e4), ratio=st.floats(1, 1e6), most=st.integers(2, 8))
@settings(deadline=None, max_examples=80)
def test_ticks_of_factors_are_few_and_inside(low, ratio, most):
    ticks = factor_ticks(low, low * ratio, most)
    assert 1 <= len(ticks) <= most + 1
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in ticks)


def test_equal_factors_are_equally_far_apart_on_a_logarithmic_scale():
    scale = logarithmic(0.5, 8.0, 100.0, 0.0)
    assert [scale(value) for value in (0.5, 1, 2, 4, 8)] == pytest.approx([100, 75, 50, 25, 0])


def test_fitting_ticks_leave_room_for_their_labels():
    def words(ticks):
        return lambda tick: f"{tick:.0f} words"

    assert fitting_ticks(0, 10, linear(0, 10, 0, 1000), words) == [0, 2, 4, 6, 8, 10]
    assert fitting_ticks(0, 10, linear(0, 10, 0, 130), words) == [0, 5, 10]
    assert fitting_ticks(-10, 10, linear(-10, 10, 0, 50), words) == [0]


@given(
    wanted=st.lists(st.integers(0, 300).map(float), min_size=1, max_size=15),
    gap=st.integers(1, 30),
    lowest=st.integers(-50, 100),
    room=st.integers(0, 400),
)
@settings(deadline=None, max_examples=150)
def test_labels_are_spread_as_isotonic_regression_says(wanted, gap, lowest, room):
    places = np.array(spread(wanted, gap, lowest, lowest + room))
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    levels = isotonic_regression(np.array(wanted)[order] - steps).x
    within = np.clip(levels, lowest, max(lowest, lowest + room - steps[-1]))
    assert places[order] == pytest.approx(within + steps)
    assert (np.diff(places[order]) >= gap - 1e-9).all()
    assert places.min() >= lowest


def test_labels_with_room_stay_where_they_are_and_others_share_the_move():
    assert spread([50.0, 10.0, 90.0], 13, 0, 100) == [50.0, 10.0, 90.0]
    assert spread([50.0, 50.0, 50.0], 13, 0, 100) == [37.0, 50.0, 63.0]
    assert spread([99.0, 98.0], 13, 0, 100) == [100.0, 87.0]


def test_long_names_are_cut():
    assert [shortened("abcdef", most) for most in (6, 5)] == ["abcdef", "abcd…"]


def test_numbers_in_words():
    assert [percent(value) for value in (0.031, -0.0042, 0.0, -0.0001)] == [
        f"+3.1{NBSP}%", f"{MINUS}0.4{NBSP}%", f"0.0{NBSP}%", f"0.0{NBSP}%",
    ]  # fmt: skip
    assert [number(value) for value in (12345.6, 999.5, 42.123, 7.0)] == ["12,346", "999.5", "42.12", "7"]
    assert [percent(1234.5), share(0.8, 0), share(0.0256)] == [f"+123,450.0{NBSP}%", f"80{NBSP}%", f"2.6{NBSP}%"]
    assert [correlation(value) for value in (0.0312, -0.05, -0.0001)] == ["+0.031", f"{MINUS}0.050", "0.000"]
    assert [factor(1.316), factor(12345.0)] == ["×1.32", "×12,345.00"]
