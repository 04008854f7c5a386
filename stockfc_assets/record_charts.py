"""Charts of what forecasts were worth: scores, intervals, calibration, money after costs, drift and explanations.

SVG strings like those of `charts`, with the same palettes. ``title`` is for screen readers, and the page puts its own
words above the chart; the description says the result with its numbers. None, and a number that is not finite, is what
is not known: it is left out, and the description says so. Words are 11 pixels high at the width that a chart is drawn for,
440 by default, and about 8 on a phone.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stockfc_assets import svg
from stockfc_assets.curves import Axis, Curve, draw_curves
from stockfc_assets.svg import BOLD, PAGE, Palette, Scale, correlation, factor, percent, share

Unit = Literal["share", "correlation"]
"""How a score is told: +1.2 % or +0.031."""

CERTAIN = 1.96
"""Standard errors on either side of a mean that hold its true value in 95 of 100 cases (normal distribution)."""
BAR = "bar: 95 % range"
TOO_FEW = "too few periods"
MIN_WEALTH = 1e-3
"""What is left of 1 after a ruin is drawn at this: a logarithmic axis has no 0."""
ROW = 24
"""Pixels from one row of a chart to the next."""
HALF_TICK = 44
"""Pixels to the left of a tick that its label may need."""
AS_FORECAST = "as forecast"
NOTHING_TRADED = "nothing has been traded yet"


@dataclass(frozen=True)
class ScoreRow:
    """The score of one forecaster. ``error`` is the standard error of ``value``, None where too few periods give none."""

    label: str
    value: float | None
    error: float | None
    emphasised: bool = False


# --- scores -----------------------------------------------------------------------------------------------------------


def score_forest(
    rows: Sequence[ScoreRow],
    *,
    title: str,
    unit: Unit,
    zero_label: str = "no change",
    palette: Palette = PAGE,
    width: int = 440,
) -> str:
    """One row per forecaster, in the order given: its score as a dot with a bar of ±1.96 standard errors.

    A score without error is drawn hollow, without a bar. ``zero_label`` names what scores 0.
    """
    if not rows:
        return svg.without_data(width, 80, title, "no forecaster has been scored yet", palette)
    scores = [(_known(row.value), _known(row.error)) for row in rows]
    words = [_score_words(*score, unit) for score in scores]
    labels = [svg.shortened(row.label, svg.LONGEST_LABEL) for row in rows]
    weights = [BOLD if row.emphasised else 400 for row in rows]
    left = max(HALF_TICK, 18 + max(map(svg.text_width, labels, weights)))
    beside = 18 + max(map(svg.text_width, words, weights))
    width = max(width, math.ceil(left + svg.LEAST_PLOT + beside))
    right, top, bottom = width - beside, 24, 24 + ROW * len(rows)
    ends = [0.0, *(end for score in scores for end in _ends(*score))]
    x = svg.linear(min(ends), max(ends), left + 8, right - 8)
    parts = [_score_axis(min(ends), max(ends), x, top, bottom, unit, palette)]
    reach = svg.text_width(zero_label) / 2
    zero = min(max(x(0), left + reach), right - reach)
    parts.append(svg.text(zero, top - 8, zero_label, palette.ink, "middle"))
    for place, row in enumerate(rows):
        y, colour = top + ROW * (place + 0.5), palette.forecast if row.emphasised else palette.muted
        parts.append(svg.text(left - 6, y + 4, labels[place], palette.ink, "end", weight=weights[place]))
        parts.append(_score_mark(*scores[place], x, y, colour))
        parts.append(svg.text(right + 6, y + 4, words[place], palette.ink, "start", weight=weights[place]))
    parts.append(svg.text(width - 14, bottom + 34, _key(scores), palette.muted, "end"))
    told = "; ".join(_told(row.label, *score, unit) for row, score in zip(rows, scores, strict=True))
    return svg.document(width, bottom + 42, title, f"Scores, 0 is {zero_label}: {told}.", parts, palette)


def horizon_chart(
    rows: Sequence[tuple[int, float | None, float | None]],
    *,
    title: str,
    unit: Unit,
    zero_label: str = "no skill",
    palette: Palette = PAGE,
    width: int = 440,
    height: int = 210,
) -> str:
    """One score over the horizons: (months ahead, score, its standard error), dots with bars as in `score_forest`."""
    scored = [(horizon, _known(value), _known(error)) for horizon, value, error in rows]
    ends = [end for _, value, error in scored for end in _ends(value, error)]
    if not ends:
        return svg.without_data(width, height, title, "no horizon has been scored yet", palette)
    low, high = min(0.0, *ends), max(0.0, *ends)
    ticks = svg.nice_ticks(low, high, 5)
    words = _tick_words(ticks, unit)
    left, right, top, bottom = _plot([words(tick) for tick in ticks], zero_label, width, height)
    y = svg.linear(low, high, bottom - 6, top)
    x, axis = _horizons([horizon for horizon, *_ in rows], left, right, bottom, palette)
    parts = [
        svg.horizontal_grid(ticks, y, left, right, words, palette),
        _level(y(0), left, right, zero_label, palette),
        axis,
        svg.text(right, 10, _key([(value, error) for _, value, error in scored]), palette.muted, "end"),
    ]
    for horizon, value, error in scored:
        if value is not None and error is not None:
            span = (y(value - CERTAIN * error), y(value + CERTAIN * error))
            parts.append(svg.column(x(horizon), *span, 6, palette.forecast, opacity=0.38))
        if value is not None:
            parts.append(svg.dot(x(horizon), y(value), palette.forecast, radius=4, hollow=error is None))
    told = "; ".join(_told(_months(horizon), value, error, unit) for horizon, value, error in scored)
    return svg.document(width, height, title, f"Scores, 0 is {zero_label}: {told}.", parts, palette)


def coverage_chart(
    rows: Sequence[tuple[int, float | None, int]],
    level: float,
    *,
    title: str = "Share of outcomes inside the interval, by horizon",
    palette: Palette = PAGE,
    width: int = 440,
    height: int = 210,
) -> str:
    """Realised shares inside the interval: (months ahead, share, number of forecasts), against the aimed ``level``."""
    scored = [(horizon, _known(coverage), n) for horizon, coverage, n in rows]
    shares = [coverage for _, coverage, _ in scored if coverage is not None]
    if not shares:
        return svg.without_data(width, height, title, "no interval has been judged yet", palette)
    low, high = max(0.0, min(level - 0.1, *shares)), min(1.0, max(level + 0.1, *shares))
    ticks = svg.nice_ticks(low, high, 5)
    words, aim = _tick_words(ticks, "level"), f"aim {share(level, 0)}"
    left, right, top, bottom = _plot([words(tick) for tick in ticks], aim, width, height)
    y = svg.linear(low, high, bottom - 6, top)
    x, axis = _horizons([horizon for horizon, *_ in rows], left, right, bottom, palette)
    parts = [
        svg.horizontal_grid(ticks, y, left, right, words, palette),
        _level(y(level), left, right, aim, palette),
        axis,
    ]
    told = []
    for horizon, coverage, n in scored:
        if coverage is not None:
            parts.append(svg.column(x(horizon), y(level), y(coverage), 2, palette.forecast, opacity=0.6))
            parts.append(svg.dot(x(horizon), y(coverage), palette.forecast, radius=4))
        told.append(f"{_months(horizon)} {'not known yet' if coverage is None else f'{share(coverage)} of {n:,}'}")
    description = f"Aimed at {share(level, 0)}. Inside: {'; '.join(told)}."
    return svg.document(width, height, title, description, parts, palette)


def calibration_chart(
    groups: Sequence[tuple[float | None, float | None, int]],
    *,
    title: str,
    palette: Palette = PAGE,
    width: int = 440,
    height: int = 260,
) -> str:
    """Mean outcome against mean forecast: (forecast, outcome, number of forecasts) per group, both as returns.

    Groups on the diagonal came out as forecast. The axes have scales of their own, because forecasts lie much closer
    together than outcomes do.
    """
    known = [group for group in groups if _known(group[0]) is not None and _known(group[1]) is not None]
    if not known:
        return svg.without_data(width, height, title, "no forecast has matured yet", palette)
    forecasts = [0.0, *(forecast for forecast, _, _ in known)]
    reached = [*forecasts, *(outcome for _, outcome, _ in known)]
    low, high = min(forecasts), max(forecasts)
    ticks = svg.nice_ticks(min(reached), max(reached), 5)
    words = _tick_words(ticks, "share")
    left, right, top, bottom = _plot([words(tick) for tick in ticks], AS_FORECAST, width, height)
    x, y = svg.linear(low, high, left + 10, right - 10), svg.linear(min(reached), max(reached), bottom - 6, top)
    forecast_ticks = svg.fitting_ticks(low, high, x, lambda marks: _tick_words(marks, "share"))
    parts = [
        svg.horizontal_grid(ticks, y, left, right, words, palette),
        svg.text(6, 12, "what happened", palette.muted, "start"),
        _across(forecast_ticks, x, bottom, _tick_words(forecast_ticks, "share"), palette),
        svg.text((left + right) / 2, bottom + 32, "forecast", palette.muted, "middle"),
        svg.vertical(x(0), top, bottom, palette.muted),
        svg.line([(left, y(0)), (right, y(0))], palette.muted, 1),
        svg.line([(x(low), y(low)), (x(high), y(high))], palette.ink, 1.2, dash="5 3"),
        svg.text(right + 4, y(high) + 4, AS_FORECAST, palette.ink, "start"),
        *(svg.dot(x(forecast), y(outcome), palette.forecast, radius=4) for forecast, outcome, _ in known),
    ]
    told = "; ".join(f"{percent(forecast)} came out as {percent(outcome)}, {n:,}" for forecast, outcome, n in known)
    return svg.document(width, height, title, f"Forecast, mean outcome and number: {told}.", parts, palette)


# --- money ------------------------------------------------------------------------------------------------------------


def wealth_chart(
    dates: Sequence[dt.date],
    series: Mapping[str, Sequence[float]],
    emphasised: tuple[str, ...],
    *,
    title: str,
    palette: Palette = PAGE,
    width: int = 440,
    height: int = 250,
) -> str:
    """What 1 became after costs, a line per portfolio; equal factors are equally high.

    ``series`` has one value per date, by the name that readers see; ``emphasised`` are the names drawn in colour.
    """
    if not dates or not series:
        return svg.without_data(width, height, title, NOTHING_TRADED, palette)
    curves = [
        Curve(name, [max(value, MIN_WEALTH) for value in values], factor(values[-1]), name in emphasised)
        for name, values in series.items()
    ]
    reached = [1.0, *(value for curve in curves for value in curve.values)]
    ticks = svg.factor_ticks(min(reached), max(reached), 6)
    axis = Axis(svg.logarithmic, min(reached), max(reached), 1.0, ticks, _factor_words)
    description = f"What 1 became after costs: {_results(curves)}."
    frame = {"title": title, "description": description, "palette": palette, "width": width, "height": height}
    return draw_curves(dates, curves, axis, filled=False, **frame)


def drawdown_chart(
    dates: Sequence[dt.date],
    series: Mapping[str, Sequence[float]],
    emphasised: tuple[str, ...],
    *,
    title: str,
    palette: Palette = PAGE,
    width: int = 440,
    height: int = 210,
) -> str:
    """Shares below the highest wealth so far, 0 to 1, drawn downwards; labels tell the deepest. Else `wealth_chart`."""
    if not dates or not series:
        return svg.without_data(width, height, title, NOTHING_TRADED, palette)
    curves = [
        Curve(name, [-value for value in values], f"(worst {percent(-max(values), 0)})", name in emphasised)
        for name, values in series.items()
    ]
    deepest = min(value for curve in curves for value in curve.values)
    ticks = svg.nice_ticks(deepest, 0.0, 5)
    axis = Axis(svg.linear, deepest, 0.0, 0.0, ticks, _tick_words(ticks, "share"))
    description = f"Deepest fall below the highest wealth so far: {_results(curves)}."
    frame = {"title": title, "description": description, "palette": palette, "width": width, "height": height}
    return draw_curves(dates, curves, axis, filled=True, **frame)


# --- inputs -----------------------------------------------------------------------------------------------------------


def drift_strip(percentile: float | None, outside: float, *, palette: Palette = PAGE) -> str:
    """For a table cell: where today's median lies in training's distribution, whose middle 80 % are darker.

    ``percentile`` is 0 to 1. The line below is as long as ``outside``, the share of today's values outside training's
    range.
    """
    width, height, y = 120, 16, 7
    x = svg.linear(0, 1, 5, width - 5)
    parts = [
        svg.bar(x(0), x(1), y, 7, palette.muted, opacity=0.2),
        svg.bar(x(0.1), x(0.9), y, 7, palette.muted, opacity=0.35, rounded=False),
        svg.bar(x(0), x(outside), height - 1.5, 2, palette.fall, rounded=False),
    ]
    if percentile is not None:
        colour = palette.forecast if 0.1 <= percentile <= 0.9 else palette.fall
        parts.append(svg.dot(x(percentile), y, colour, radius=4))
    return svg.ornament(width, height, parts)


def attribution_bars(
    groups: Sequence[tuple[str, float]], *, title: str, palette: Palette = PAGE, width: int = 440
) -> str:
    """What each group of inputs added to a forecast: (name, contribution as a return), bars in the order given."""
    known = [(svg.shortened(name, svg.LONGEST_LABEL), value) for name, value in groups if _known(value) is not None]
    if not known:
        return svg.without_data(width, 80, title, "no input has been judged", palette)
    places = 1 if max(abs(value) for _, value in known) >= 0.01 else 2
    words = [percent(value, places) for _, value in known]
    left, beside = 18 + max(svg.text_width(name) for name, _ in known), 20 + max(svg.text_width(w, BOLD) for w in words)
    width = max(width, math.ceil(left + svg.LEAST_PLOT + beside))
    right, top, bottom = width - beside, 6, 6 + ROW * len(known)
    values = [0.0, *(value for _, value in known)]
    x = svg.linear(min(values), max(values), left, right)
    parts = [svg.vertical(x(0), top, bottom, palette.muted)]
    for place, (name, value) in enumerate(known):
        y, colour = top + ROW * (place + 0.5), palette.forecast if value >= 0 else palette.fall
        parts.append(svg.text(left - 6, y + 4, name, palette.ink, "end"))
        parts.append(svg.bar(x(0), x(value), y, 12, colour, rounded=False))
        parts.append(svg.text(right + 8, y + 4, words[place], colour, "start", weight=BOLD))
    told = "; ".join(f"{name} {said}" for (name, _), said in zip(known, words, strict=True))
    description = f"{told}; together {percent(sum(values), places)}."
    return svg.document(width, bottom + 6, title, description, parts, palette)


# --- parts ------------------------------------------------------------------------------------------------------------


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _ends(value: float | None, error: float | None) -> list[float]:
    """The ends of a bar, or the dot alone; nothing where no score is known."""
    if value is None:
        return []
    return [value] if error is None else [value - CERTAIN * error, value + CERTAIN * error]


def _score_words(value: float | None, error: float | None, unit: Unit) -> str:
    if value is None:
        return "no score yet"
    said = percent(value) if unit == "share" else correlation(value)
    if error is None:
        return said
    return f"{said} ± {share(CERTAIN * error) if unit == 'share' else f'{CERTAIN * error:.3f}'}"


def _told(name: str, value: float | None, error: float | None, unit: Unit) -> str:
    doubt = f", {TOO_FEW}" if value is not None and error is None else ""
    return f"{name} {_score_words(value, error, unit)}{doubt}"


def _key(scores: Sequence[tuple[float | None, float | None]]) -> str:
    """What bars and hollow dots are, where there are any."""
    bars = any(value is not None and error is not None for value, error in scores)
    hollow = any(value is not None and error is None for value, error in scores)
    return " · ".join([BAR] * bars + [f"hollow: {TOO_FEW}"] * hollow)


def _score_mark(value: float | None, error: float | None, x: Scale, y: float, colour: str) -> str:
    if value is None:
        return ""
    if error is None:
        return svg.dot(x(value), y, colour, radius=4, hollow=True)
    span = svg.bar(x(value - CERTAIN * error), x(value + CERTAIN * error), y, 6, colour, opacity=0.38)
    return span + svg.dot(x(value), y, colour, radius=4)


def _score_axis(low: float, high: float, x: Scale, top: float, bottom: float, unit: Unit, palette: Palette) -> str:
    """Lines down and labels below; the line at zero is the darkest."""
    ticks = svg.fitting_ticks(low, high, x, lambda marks: _tick_words(marks, unit))
    lines = [svg.vertical(x(tick), top, bottom, palette.grid) for tick in ticks if tick]
    zero = svg.vertical(x(0), top, bottom, palette.ink)
    return "".join(lines) + zero + _across(ticks, x, bottom, _tick_words(ticks, unit), palette)


def _tick_words(ticks: Sequence[float], unit: Unit | Literal["level"]) -> Callable[[float], str]:
    """Ticks with as many decimals as tell them apart; a ``level`` is a share without sign."""
    if unit == "correlation":
        return lambda tick: correlation(tick, svg.decimals(ticks))
    places = svg.decimals([100 * tick for tick in ticks])
    return lambda tick: share(tick, places) if unit == "level" else percent(tick, places)


def _factor_words(tick: float) -> str:
    return f"\N{MULTIPLICATION SIGN}{tick:,.9g}"


def _months(horizon: int) -> str:
    return f"{horizon} month" if horizon == 1 else f"{horizon} months"


def _results(curves: Sequence[Curve]) -> str:
    return "; ".join(f"{curve.name} {curve.result}" for curve in curves)


def _plot(ticks: Sequence[str], beside: str, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the plot between its tick labels and the words ``beside`` it."""
    return 12 + max(map(svg.text_width, ticks)), width - 14 - svg.text_width(beside), 20, height - 38


def _level(y: float, left: float, right: float, words: str, palette: Palette) -> str:
    """The line that scores are seen against, named on the right."""
    return svg.line([(left, y), (right, y)], palette.ink, 1.2) + svg.text(right + 6, y + 4, words, palette.ink, "start")


def _across(ticks: Sequence[float], x: Scale, y: float, words: Callable[[float], str], palette: Palette) -> str:
    """Labels under a plot whose bottom is ``y``."""
    return "".join(
        svg.vertical(x(tick), y, y + 4, palette.muted) + svg.text(x(tick), y + 17, words(tick), palette.muted, "middle")
        for tick in ticks
    )


def _horizons(horizons: Sequence[int], left: float, right: float, y: float, palette: Palette) -> tuple[Scale, str]:
    """The scale of months ahead, and its axis under the plot."""
    x = svg.linear(min(horizons), max(horizons), left + 14, right - 14)
    caption = svg.text((left + right) / 2, y + 32, "months ahead", palette.muted, "middle")
    return x, _across(horizons, x, y, str, palette) + caption
