"""Lines over dates on one axis, each named at its end; told apart by dashes as well as by colour."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stockfc_assets import svg
from stockfc_assets.svg import Palette, Scale

DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 2", "14 4", "1 2", "9 2 2 2 2 2")
"""Of the lines of a chart, in turn: eight lines differ without colour."""
KEY = 22
"""Pixels of a line's sample beside its name."""


@dataclass(frozen=True)
class Curve:
    """One line: a value per date, none of them missing, and what its label tells after its name."""

    name: str
    values: Sequence[float]
    result: str
    emphasised: bool


@dataclass(frozen=True)
class Axis:
    """The vertical axis: ``scale`` is made of (low, high, start, end); ``base`` is the value of no change."""

    scale: Callable[[float, float, float, float], Scale]
    low: float
    high: float
    base: float
    ticks: Sequence[float]
    words: Callable[[float], str]


def draw_curves(
    dates: Sequence[dt.date],
    curves: Sequence[Curve],
    axis: Axis,
    *,
    title: str,
    description: str,
    filled: bool,
    palette: Palette,
    width: int,
    height: int,
) -> str:
    """The chart: emphasised lines first in colours and dashes, drawn above the others; ``filled`` fills them to the base.

    It grows where names need more room.
    """
    ordered = sorted(curves, key=lambda curve: not curve.emphasised)
    labels = [f"{svg.shortened(curve.name, svg.LONGEST_LABEL)} {curve.result}" for curve in ordered]
    left = 12 + max(svg.text_width(axis.words(tick)) for tick in axis.ticks)
    beside = max(svg.text_width(words, _weight(curve)) for words, curve in zip(labels, ordered, strict=True))
    width = max(width, math.ceil(left + svg.LEAST_PLOT + KEY + beside + 22))
    height = max(height, svg.LABEL_GAP * len(ordered) + 50)
    right, top, bottom = width - beside - KEY - 22, 12, height - 26
    x = svg.linear(dates[0].toordinal(), dates[-1].toordinal(), left, right)
    y = axis.scale(axis.low, axis.high, bottom - 6, top + 4)
    parts = [
        svg.horizontal_grid(axis.ticks, y, left, right, axis.words, palette),
        svg.line([(left, y(axis.base)), (right, y(axis.base))], palette.muted, 1),
        svg.month_axis(dates[0], dates[-1], x, bottom, palette),
    ]
    heights = svg.spread([y(curve.values[-1]) for curve in ordered], svg.LABEL_GAP, top, bottom)
    for number, curve in reversed(list(enumerate(ordered))):
        colour, dash = _colour(number, curve, palette), DASHES[number % len(DASHES)]
        places = [(x(date.toordinal()), y(value)) for date, value in zip(dates, curve.values, strict=True)]
        if filled and curve.emphasised:
            parts.append(svg.area([(places[0][0], y(axis.base)), *places, (places[-1][0], y(axis.base))], colour))
        key = [(right + 8, heights[number]), (right + 8 + KEY, heights[number])]
        parts += [svg.line(line, colour, 2.2 if curve.emphasised else 1.2, dash=dash) for line in (places, key)]
        place = (right + 14 + KEY, heights[number] + 4)
        parts.append(svg.text(*place, labels[number], colour, "start", weight=_weight(curve)))
    return svg.document(width, height, title, description, parts, palette)


def _weight(curve: Curve) -> int:
    return svg.BOLD if curve.emphasised else 400


def _colour(number: int, curve: Curve, palette: Palette) -> str:
    pair = (palette.forecast, palette.fall) if curve.emphasised else (palette.ink, palette.muted)
    return pair[number % 2]
