"""Charts of the record: marks stand where the numbers say, words never cover each other, and unknowns stay out."""

import datetime as dt
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets import svg
from stockfc_assets.charts import FanPoint, Said, fan_chart
from stockfc_assets.record_charts import (
    ScoreRow,
    attribution_bars,
    calibration_chart,
    coverage_chart,
    drawdown_chart,
    drift_strip,
    horizon_chart,
    score_forest,
    wealth_chart,
)
from stockfc_assets.svg import MINUS, PAGE, PAPER

NBSP = "\N{NO-BREAK SPACE}"
TIMES = "\N{MULTIPLICATION SIGN}"
SVG = "{http://www.w3.org/2000/svg}"
FRIDAYS = [dt.date(2024, 1, 5) + dt.timedelta(weeks=week) for week in range(120)]
ROWS = [
    ScoreRow("network", -0.012, 0.011, True),
    ScoreRow("drift", -0.04, 0.02),
    ScoreRow("ridge on the last row", 0.03, None),
    ScoreRow("gradient boosting", None, None),
]


def parse(chart: str) -> ElementTree.Element:
    assert not re.search(r"=\"[^\"]*\b(nan|inf)\b", chart)
    return ElementTree.fromstring(chart)


def each(root: ElementTree.Element, kind: str, **attributes: str) -> list[ElementTree.Element]:
    return [item for item in root.iter(f"{SVG}{kind}") if attributes.items() <= item.attrib.items()]


def at(element: ElementTree.Element, *names: str) -> tuple[float, ...]:
    return tuple(float(element.attrib[name]) for name in names)


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in element.attrib["points"].split()]


def words(root: ElementTree.Element) -> list[str]:
    return [element.text for element in root.iter(f"{SVG}text")]


def description(root: ElementTree.Element) -> str:
    return root.find(f"{SVG}desc").text


def value_of(label: str) -> float | None:
    """The number that a tick label says; None where it says none."""
    plain = label.replace(NBSP, "").replace(MINUS, "-").replace(",", "")
    if not re.fullmatch(rf"{TIMES}?[+-]?[0-9.]+%?", plain):
        return None
    return float(plain.strip(f"{TIMES}%")) / (100 if plain.endswith("%") else 1)


def scale(places: list[tuple[float, float]]):
    """The straight line through (value, place) of ticks: a second opinion on where a value stands."""
    slope, start = np.polyfit(*zip(*places, strict=True), 1)
    return lambda value: start + slope * value


def across(root, y: float):
    """The horizontal scale that the tick labels at height ``y`` claim."""
    ticks = [(value_of(tick.text), at(tick, "x")[0]) for tick in each(root, "text") if at(tick, "y")[0] == y]
    return scale([place for place in ticks if place[0] is not None])


def upwards(root, transform=float):
    """The vertical scale that the tick labels on the left claim."""
    ticks = [tick for tick in each(root, "text", **{"text-anchor": "end"}) if value_of(tick.text) is not None]
    return scale([(transform(value_of(tick.text)), at(tick, "y")[0] - 4) for tick in ticks])


def boxes(root) -> list[tuple[float, float, float, float, str]]:
    """Left, right, top, bottom and words of every text, as wide as its layout assumes."""
    found = []
    for text in each(root, "text"):
        (x, y), wide = at(text, "x", "y"), svg.text_width(text.text, int(text.attrib["font-weight"]))
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[text.attrib["text-anchor"]]
        found.append((left, left + wide, y - 8.5, y + 2, text.text))
    return found


def assert_legible(chart: str) -> None:
    root = parse(chart)
    width, height = at(root, "width", "height")
    assert float(root.attrib["font-size"]) >= 11
    placed = boxes(root)
    for number, (left, right, top, bottom, said) in enumerate(placed):
        assert left >= -0.5, said
        assert right <= width + 0.5, said
        assert top >= 0, said
        assert bottom <= height, said
        for one, two, above, below, other in placed[:number]:
            assert right <= one + 0.2 or two <= left + 0.2 or bottom <= above + 0.2 or below <= top + 0.2, (said, other)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_forest_draws_scores_and_their_ranges_on_one_scale_through_zero():
    root = parse(score_forest(ROWS, title="A & B <1>", unit="share", palette=PAPER))
    bottom = 24 + 24 * len(ROWS)
    x = across(root, bottom + 17.0)
    dots = each(root, "circle")
    bars = each(root, "rect", height="6")
    assert [at(dot, "cx")[0] for dot in dots] == pytest.approx([x(-0.012), x(-0.04), x(0.03)], abs=0.12)
    assert [at(dot, "cy")[0] for dot in dots] == [36.0, 60.0, 84.0]
    for bar, (value, error) in zip(bars, [(-0.012, 0.011), (-0.04, 0.02)], strict=True):
        start, long = at(bar, "x", "width")
        assert start == pytest.approx(x(value - 1.96 * error), abs=0.12)
        assert start + long == pytest.approx(x(value + 1.96 * error), abs=0.12)
    (zero,) = each(root, "line", stroke=PAPER.ink)
    assert at(zero, "x1", "y1", "y2") == pytest.approx((x(0), 24, bottom), abs=0.12)
    assert root.find(f"{SVG}title").text == "A & B <1>"


def test_forest_says_its_numbers_and_what_is_not_known():
    root = parse(score_forest(ROWS, title="t", unit="share", zero_label="no change"))
    assert {"network", "no change", f"{MINUS}1.2{NBSP}% ± 2.2{NBSP}%", f"+3.0{NBSP}%", "no score yet"} <= set(
        words(root)
    )
    assert "bar: 95 % range · hollow: too few periods" in words(root)
    assert description(root) == (
        f"Scores, 0 is no change: network {MINUS}1.2{NBSP}% ± 2.2{NBSP}%; drift {MINUS}4.0{NBSP}% ± 3.9{NBSP}%; "
        f"ridge on the last row +3.0{NBSP}%, too few periods; gradient boosting no score yet."
    )
    network, drift, ridge = each(root, "circle")
    assert (network.attrib["fill"], drift.attrib["fill"]) == (PAGE.forecast, PAGE.muted)
    assert (ridge.attrib["fill"], ridge.attrib["stroke"]) == ("none", PAGE.muted)
    assert [text.text for text in each(root, "text", **{"font-weight": "600"})] == [
        "network",
        f"{MINUS}1.2{NBSP}% ± 2.2{NBSP}%",
    ]


def test_correlations_are_told_with_three_decimals():
    root = parse(
        score_forest([ScoreRow("network", 0.0312, 0.0205)], title="t", unit="correlation", zero_label="no order")
    )
    assert "+0.031 ± 0.040" in words(root)
    assert "bar: 95 % range" in words(root)


def test_horizons_stand_at_equal_distances_with_their_ranges():
    rows = [(1, 0.02, 0.01), (2, -0.01, 0.02), (3, 0.05, None), (4, None, None)]
    root = parse(horizon_chart(rows, title="t", unit="correlation"))
    y = upwards(root)
    first, second, third = each(root, "circle")
    assert [at(dot, "cy")[0] for dot in (first, second, third)] == pytest.approx([y(0.02), y(-0.01), y(0.05)], abs=0.12)
    labels = {text.text: at(text, "x")[0] for text in each(root, "text", **{"text-anchor": "middle"})}
    assert [at(dot, "cx")[0] for dot in (first, second, third)] == [labels[name] for name in "123"]
    assert labels["4"] - labels["3"] == pytest.approx(labels["2"] - labels["1"], abs=0.11)
    bars = each(root, "rect", width="6")
    for bar, (value, error) in zip(bars, [(0.02, 0.01), (-0.01, 0.02)], strict=True):
        top, tall = at(bar, "y", "height")
        assert top == pytest.approx(y(value + 1.96 * error), abs=0.12)
        assert top + tall == pytest.approx(y(value - 1.96 * error), abs=0.12)
    assert third.attrib["fill"] == "none"
    (zero,) = each(root, "polyline")
    assert [place[1] for place in points(zero)] == pytest.approx([y(0)] * 2, abs=0.12)
    assert description(root) == (
        f"Scores, 0 is no skill: 1 month +0.020 ± 0.020; 2 months {MINUS}0.010 ± 0.039; "
        "3 months +0.050, too few periods; 4 months no score yet."
    )


def test_coverage_hangs_from_the_aimed_level():
    root = parse(coverage_chart([(1, 0.83, 1234), (2, 0.76, 900), (3, None, 0)], 0.8))
    y = upwards(root)
    dots, stems = each(root, "circle"), each(root, "rect", width="2")
    assert [at(dot, "cy")[0] for dot in dots] == pytest.approx([y(0.83), y(0.76)], abs=0.12)
    above, below = (at(stem, "y", "height") for stem in stems)
    assert above[0] + above[1] == pytest.approx(y(0.8), abs=0.21)
    assert below[0] == pytest.approx(y(0.8), abs=0.12)
    assert f"aim 80{NBSP}%" in words(root)
    assert description(root) == (
        f"Aimed at 80{NBSP}%. Inside: 1 month 83.0{NBSP}% of 1,234; 2 months 76.0{NBSP}% of 900; 3 months not known yet."
    )


def test_calibration_stands_on_the_diagonal_where_outcomes_came_as_forecast():
    groups = [(-0.03, -0.03, 10), (-0.01, 0.05, 20), (0.02, 0.02, 30), (None, 0.1, 0), (math.nan, 0.1, 0)]
    root = parse(calibration_chart(groups, title="t"))
    (diagonal,) = (line for line in each(root, "polyline") if line.attrib["stroke-dasharray"] != "none")
    (x0, y0), (x1, y1) = points(diagonal)
    x, y = across(root, 260 - 38 + 17.0), upwards(root)
    dots = [at(dot, "cx", "cy") for dot in each(root, "circle")]
    assert dots == [pytest.approx((x(forecast), y(outcome)), abs=0.15) for forecast, outcome, _ in groups[:3]]
    assert (dots[0], dots[2]) == (pytest.approx((x0, y0), abs=0.15), pytest.approx((x1, y1), abs=0.15))
    middle = y0 + (y1 - y0) * (dots[1][0] - x0) / (x1 - x0)
    assert middle == pytest.approx(y(-0.01), abs=0.15)
    assert dots[1][1] < middle
    assert description(root).startswith(
        f"Forecast, mean outcome and number: {MINUS}3.0{NBSP}% came out as {MINUS}3.0{NBSP}%, 10; "
    )


# --- money ------------------------------------------------------------------------------------------------------------


def growth(rate: float) -> list[float]:
    return [rate**week for week in range(len(FRIDAYS))]


def lines_of(root) -> list[list[tuple[float, float]]]:
    return [points(line) for line in each(root, "polyline") if len(points(line)) == len(FRIDAYS)]


def test_wealth_rises_in_equal_steps_for_equal_factors():
    series = {"TOPIX": growth(1.004), "long only": growth(1.01), "long-short": growth(0.995)}
    root = parse(wealth_chart(FRIDAYS, series, ("long only", "long-short"), title="t", palette=PAPER))
    y = upwards(root, math.log)
    drawn = {line[-1][1]: line for line in lines_of(root)}
    for values in series.values():
        line = drawn[min(drawn, key=lambda place, value=values[-1]: abs(place - y(math.log(value))))]
        assert [place[1] for place in line] == pytest.approx([y(math.log(value)) for value in values], abs=0.15)
        assert [place[0] for place in line] == pytest.approx(np.linspace(line[0][0], line[-1][0], 120), abs=0.06)
    assert {f"{TIMES}1", f"{TIMES}2"} <= set(words(root))
    assert {f"TOPIX {TIMES}1.61", f"long only {TIMES}3.27", f"long-short {TIMES}0.55"} <= set(words(root))
    assert description(root) == (
        f"What 1 became after costs: TOPIX {TIMES}1.61; long only {TIMES}3.27; long-short {TIMES}0.55."
    )


def test_lines_are_told_apart_without_colour_and_labels_carry_their_sample():
    names = ["network", "long-short", "momentum", "all stocks", "TOPIX", "ridge", "boosting", "drift"]
    series = {name: growth(1 + 0.0001 * place) for place, name in enumerate(names)}
    root = parse(wealth_chart(FRIDAYS, series, ("network", "long-short"), title="t"))
    curves = [line for line in each(root, "polyline") if len(points(line)) == len(FRIDAYS)]
    end = points(curves[0])[-1][0]
    samples = {points(line)[0][1]: line for line in each(root, "polyline") if points(line)[0][0] > end}
    labels = {text.text.split(f" {TIMES}")[0]: text for text in each(root, "text", **{"text-anchor": "start"})}
    assert len({curve.attrib["stroke-dasharray"] for curve in curves}) == len(samples) == len(labels) == 8
    assert [curve.attrib["stroke-width"] for curve in curves] == ["1.2"] * 6 + ["2.2"] * 2
    assert curves[-1].attrib["stroke-dasharray"] == "none"
    lowest_first = sorted(curves, key=lambda curve: -points(curve)[-1][1])
    for name, curve in zip(names, lowest_first, strict=True):
        label, sample = labels[name], samples[at(labels[name], "y")[0] - 4]
        assert sample.attrib["stroke-dasharray"] == curve.attrib["stroke-dasharray"]
        assert sample.attrib["stroke"] == curve.attrib["stroke"] == label.attrib["fill"]
        assert (name in ("network", "long-short")) == (label.attrib["font-weight"] == "600")


def test_ruin_is_drawn_at_the_floor_of_the_axis():
    root = parse(wealth_chart(FRIDAYS, {"a": [1.0] * 60 + [0.0] * 60}, ("a",), title="t"))
    (line,) = lines_of(root)
    assert line[59][1] < line[60][1] == line[119][1]
    assert line[119][1] == pytest.approx(upwards(root, math.log)(math.log(0.001)), abs=0.15)
    assert f"a {TIMES}0.00" in words(root)


def test_drawdowns_hang_from_zero_and_say_the_deepest():
    falls = {"long only": [0.4 * math.sin(math.pi * week / 119) for week in range(120)], "TOPIX": [0.1] * 120}
    root = parse(drawdown_chart(FRIDAYS, falls, ("long only",), title="t"))
    y = upwards(root)
    (area,) = each(root, "polygon")
    deep, flat = sorted(lines_of(root), key=lambda line: -max(place[1] for place in line))
    assert [place[1] for place in deep] == pytest.approx([y(-value) for value in falls["long only"]], abs=0.12)
    assert [place[1] for place in flat] == pytest.approx([y(-0.1)] * 120, abs=0.12)
    assert points(area)[1:-1] == deep
    assert points(area)[0][1] == points(area)[-1][1] == pytest.approx(y(0), abs=0.12)
    assert {f"long only (worst {MINUS}40{NBSP}%)", f"TOPIX (worst {MINUS}10{NBSP}%)"} <= set(words(root))
    assert description(root) == (
        f"Deepest fall below the highest wealth so far: long only (worst {MINUS}40{NBSP}%); TOPIX (worst {MINUS}10{NBSP}%)."
    )


def test_a_curve_needs_a_value_for_each_date():
    with pytest.raises(ValueError, match="zip"):
        wealth_chart(FRIDAYS, {"a": [1.0, 1.1]}, (), title="t")


# --- inputs -----------------------------------------------------------------------------------------------------------


def test_drift_strip_is_the_range_of_training_with_todays_median():
    root = ElementTree.fromstring(drift_strip(0.3, 0.25))
    assert root.attrib["aria-hidden"] == "true"
    assert "text" not in {element.tag for element in root.iter()}
    whole, middle, outside = (at(bar, "x", "width") for bar in root.iter("rect"))
    assert whole == (5, 110)
    assert middle == (16, 88)
    assert outside == (5, 27.5)
    (dot,) = root.iter("circle")
    assert at(dot, "cx") == (38,)


@pytest.mark.parametrize(
    ("percentile", "colour"), [(0.05, PAGE.fall), (0.1, PAGE.forecast), (0.9, PAGE.forecast), (1.0, PAGE.fall)]
)
def test_a_median_outside_the_middle_has_the_other_colour(percentile, colour):
    (dot,) = ElementTree.fromstring(drift_strip(percentile, 0.0)).iter("circle")
    assert dot.attrib["fill"] == colour


def test_without_a_median_the_strip_has_no_dot():
    assert not list(ElementTree.fromstring(drift_strip(None, 0.0)).iter("circle"))


def test_attribution_bars_begin_at_zero_in_the_order_given():
    groups = [("momentum", 0.012), ("a <b> & c", -0.004), ("market", -0.024)]
    root = parse(attribution_bars(groups, title="t"))
    bars = [at(bar, "x", "width") for bar in each(root, "rect", height="12")]
    (zero,) = (at(line, "x1")[0] for line in each(root, "line"))
    assert bars[0][0] == pytest.approx(zero, abs=0.11)
    assert bars[1][0] + bars[1][1] == pytest.approx(zero, abs=0.11)
    assert [wide / 0.012 for _, wide in bars] == pytest.approx(
        [bars[0][1] / 0.012 * ratio for ratio in (1, 1 / 3, 2)], rel=0.01
    )
    assert [text.attrib["fill"] for text in each(root, "text", **{"font-weight": "600"})] == [
        PAGE.forecast,
        PAGE.fall,
        PAGE.fall,
    ]
    assert description(root) == (
        f"momentum +1.2{NBSP}%; a <b> & c {MINUS}0.4{NBSP}%; market {MINUS}2.4{NBSP}%; together {MINUS}1.6{NBSP}%."
    )


def test_small_contributions_have_more_decimals():
    root = parse(attribution_bars([("momentum", 0.0012), ("market", -0.0004)], title="t"))
    assert {f"+0.12{NBSP}%", f"{MINUS}0.04{NBSP}%"} <= set(words(root))


# --- laws -------------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=60)
SCORES = st.none() | st.floats(-5, 5) | st.sampled_from([0.0, math.nan, math.inf, -100.0, 1e-9, 0.02])
WIDTHS = st.integers(350, 800)
ERRORS = st.none() | st.floats(0, 2) | st.sampled_from([0.0, math.nan])


@settings(deadline=None, max_examples=120)
@given(
    rows=st.lists(st.builds(ScoreRow, NAMES, SCORES, ERRORS, st.booleans()), max_size=9),
    unit=st.sampled_from(["share", "correlation"]),
    width=WIDTHS,
)
def test_any_forest_is_legible(rows, unit, width):
    assert_legible(score_forest(rows, title="t", unit=unit, width=width))


@settings(deadline=None, max_examples=80)
@given(
    scores=st.lists(st.tuples(SCORES, ERRORS), max_size=12),
    unit=st.sampled_from(["share", "correlation"]),
    width=WIDTHS,
)
def test_any_scores_by_horizon_are_legible(scores, unit, width):
    rows = [(horizon, *score) for horizon, score in enumerate(scores, 1)]
    assert_legible(horizon_chart(rows, title="t", unit=unit, width=width))


@settings(deadline=None, max_examples=80)
@given(shares=st.lists(st.none() | st.floats(0, 1), max_size=12), level=st.floats(0.5, 0.99))
def test_any_coverage_is_legible(shares, level):
    assert_legible(coverage_chart([(horizon, share, 9) for horizon, share in enumerate(shares, 1)], level))


@settings(deadline=None, max_examples=80)
@given(groups=st.lists(st.tuples(SCORES, SCORES, st.integers(0, 9)), max_size=10))
def test_any_calibration_is_legible(groups):
    assert_legible(calibration_chart(groups, title="t"))


@settings(deadline=None, max_examples=80)
@given(
    ends=st.lists(st.floats(0.001, 1000) | st.just(1.0), min_size=1, max_size=12),
    weeks=st.integers(1, 120),
    width=WIDTHS,
    names=st.lists(NAMES, min_size=12, max_size=12, unique=True),
)
def test_any_wealth_is_legible(ends, weeks, names, width):
    dates = FRIDAYS[:weeks]
    series = {
        name: [end ** (week / weeks) for week in range(1, weeks + 1)] for name, end in zip(names, ends, strict=False)
    }
    assert_legible(wealth_chart(dates, series, tuple(names[:2]), title="t", width=width))
    falls = {name: [min(1.0, abs(math.log(value)) / 7) for value in values] for name, values in series.items()}
    assert_legible(drawdown_chart(dates, falls, tuple(names[:2]), title="t", width=width))


@settings(deadline=None, max_examples=80)
@given(groups=st.lists(st.tuples(NAMES, st.floats(-3, 3) | st.just(math.nan)), max_size=10))
def test_any_attribution_is_legible(groups):
    assert_legible(attribution_bars(groups, title="t"))


@settings(deadline=None, max_examples=60)
@given(
    weeks=st.integers(2, 104),
    ages=st.lists(st.integers(1, 52), max_size=4, unique=True),
    slope=st.floats(-90, 90),
    width=WIDTHS,
)
def test_any_fan_with_earlier_forecasts_is_legible(weeks, ages, slope, width):
    now = FRIDAYS[103]
    history = [(day, 5000.0 + 10 * week) for week, day in enumerate(FRIDAYS[104 - weeks : 104])]
    fan = [
        FanPoint(now + dt.timedelta(days=30 * month), 6000.0, 6000.0 - 9 * month, 6000.0 + 9 * month)
        for month in range(13)
    ]
    said = [
        Said(start, [(start + dt.timedelta(days=30 * month), 5500 + slope * month) for month in range(13)], 5000.0, 7000.0)
        for start in (FRIDAYS[103 - age] for age in ages)
    ]  # fmt: skip
    assert_legible(fan_chart(history, fan, title="t", unit="JPY", said=said, width=width))


@pytest.mark.parametrize(
    ("chart", "said"),
    [
        (score_forest([], title="t", unit="share"), "No forecaster has been scored yet."),
        (horizon_chart([(1, None, None)], title="t", unit="share"), "No horizon has been scored yet."),
        (coverage_chart([(1, None, 0)], 0.8), "No interval has been judged yet."),
        (calibration_chart([(None, None, 0)], title="t"), "No forecast has matured yet."),
        (wealth_chart([], {}, (), title="t"), "Nothing has been traded yet."),
        (drawdown_chart([], {}, (), title="t"), "Nothing has been traded yet."),
        (attribution_bars([], title="t"), "No input has been judged."),
    ],
)
def test_a_chart_of_nothing_says_so(chart, said):
    root = parse(chart)
    assert description(root) == said
    assert [text.lower() for text in words(root)] == [said.lower().removesuffix(".")]
    assert_legible(chart)


def test_page_colours_are_those_of_the_page_and_paper_brings_its_own():
    for palette, alone in ((PAGE, False), (PAPER, True)):
        charts = [
            score_forest(ROWS, title="t", unit="share", palette=palette),
            horizon_chart([(1, 0.1, 0.1)], title="t", unit="share", palette=palette),
            coverage_chart([(1, 0.8, 1)], 0.8, palette=palette),
            calibration_chart([(0.1, 0.1, 1)], title="t", palette=palette),
            wealth_chart(FRIDAYS, {"a": growth(1.01)}, (), title="t", palette=palette),
            drawdown_chart(FRIDAYS, {"a": [0.1] * 120}, ("a",), title="t", palette=palette),
            attribution_bars([("a", 0.1)], title="t", palette=palette),
        ]
        for chart in charts:
            assert ("var(" in chart) != alone
            assert bool(re.search("#[0-9a-f]{6}", chart)) == alone
