"""What charts are drawn with: palettes, scales, ticks, marks and numbers in words. Marks are SVG strings, in pixels."""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

Scale = Callable[[float], float]
"""From a value to a place, in pixels."""
Places = Sequence[tuple[float, float]]

MINUS = "\N{MINUS SIGN}"
BOLD = 600
LABEL_GAP = 13
"""Pixels from one line of words to the next."""
LEAST_RANGE = 1e-8
"""Of values that differ by less an axis has one tick."""
MONTH_ROOM = 54
"""Pixels from one month's name to the next on an axis."""
LONGEST_LABEL = 34
"""Characters of a name beside a mark; longer ones are cut."""
LEAST_PLOT = 130
"""Pixels of a plot between long labels: the chart grows rather than squeeze it."""
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', sans-serif"


@dataclass(frozen=True)
class Palette:
    """Colours as CSS values. ``background`` is None where the page shines through."""

    ink: str
    muted: str
    grid: str
    forecast: str
    fall: str
    background: str | None


PAPER = Palette("#1d2329", "#5f6973", "#e3e6e9", "#1f6fb2", "#b85208", "#ffffff")
PAGE = Palette("var(--ink)", "var(--muted)", "var(--line)", "var(--blue)", "var(--orange)", None)


# --- axes -------------------------------------------------------------------------------------------------------------


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """The linear map of [low, high] onto [start, end]; the middle where low = high."""
    if high == low:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """The map of [low, high] onto [start, end] on which equal factors are equally far apart; ``low`` > 0."""
    scale = linear(math.log(low), math.log(high), start, end)
    return lambda value: scale(math.log(value))


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round numbers (1, 2 or 5 times a power of ten apart) inside [low, high]; at least one."""
    if not high - low > LEAST_RANGE:
        return [round(low, 8)]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(count * step, 12) for count in range(first, last + 1)] or [low]


def fitting_ticks(
    low: float, high: float, x: Scale, words: Callable[[Sequence[float]], Callable[[float], str]]
) -> list[float]:
    """`nice_ticks` along a horizontal axis: as many as leave room between their labels, else the one nearest to 0.

    ``words`` makes the labels of given ticks.
    """
    for most in range(6, 1, -1):
        ticks = nice_ticks(low, high, most)
        widest = max(text_width(words(ticks)(tick)) for tick in ticks)
        if len(ticks) == 1 or x(ticks[1]) - x(ticks[0]) >= widest + 6:
            return ticks
    return [min(ticks, key=abs)]


def factor_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round numbers inside [low, high] for a logarithmic axis; ``low`` > 0, ``most`` >= 2.

    They are 1, 2 or 5 times a power of ten, or only powers of ten, or `nice_ticks` where the range is narrow.
    """
    if high < 3 * low:
        return nice_ticks(low, high, most)
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    ticks = [factor * power for power in powers for factor in (1, 2, 5) if low <= factor * power <= high]
    if len(ticks) <= most + 1:
        return ticks
    tens = [power for power in powers if low <= power <= high]
    return tens[:: math.ceil(len(tens) / (most + 1))]


def month_ticks(first: dt.date, last: dt.date, most: int = 7) -> list[dt.date]:
    """At most ``most`` first days of months inside [first, last], a round number of months apart."""
    months = [dt.date(year, month, 1) for year in range(first.year, last.year + 1) for month in range(1, 13)]
    inside = [day for day in months if first <= day <= last]
    for step in (1, 2, 3, 6, 12, 24, 60, 120, 600):
        ticks = [day for day in inside if (day.year * 12 + day.month - 1) % step == 0]
        if len(ticks) <= most:
            break
    return ticks


def decimals(ticks: Sequence[float]) -> int:
    """How many decimals tell neighbouring ticks apart."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0])
    return max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0


def horizontal_grid(
    ticks: Sequence[float], y: Scale, left: float, right: float, label: Callable[[float], str], palette: Palette
) -> str:
    """A line across and a label on the left for each tick."""
    return "".join(
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{palette.grid}"/>'
        + text(left - 6, y(tick) + 4, label(tick), palette.muted, "end")
        for tick in ticks
    )


def month_axis(first: dt.date, last: dt.date, x: Scale, y: float, palette: Palette) -> str:
    """An axis of dates (proleptic ordinals) at height ``y``."""
    start, end = x(first.toordinal()), x(last.toordinal())
    parts = [f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}" stroke="{palette.muted}"/>']
    days = _fitting_months(first, last, x)
    if not days:
        parts.append(text(start, y + 17, f"{first.day} {first:%b %Y}", palette.muted, "start"))
    for day in days:
        at = x(day.toordinal())
        parts.append(vertical(at, y, y + 4, palette.muted))
        parts.append(text(at, y + 17, f"{day:%b %Y}" if day.month == 1 else f"{day:%b}", palette.muted, "middle"))
    return "".join(parts)


def _fitting_months(first: dt.date, last: dt.date, x: Scale) -> list[dt.date]:
    """As many as leave room between their names."""
    for most in range(7, 0, -1):
        days = month_ticks(first, last, most)
        places = [x(day.toordinal()) for day in days]
        if all(after - before >= MONTH_ROOM for before, after in pairwise(places)):
            break
    return days


# --- marks ------------------------------------------------------------------------------------------------------------


def line(places: Places, colour: str, width: float, *, dash: str = "none", opacity: float = 1.0) -> str:
    cap = "round" if dash == "none" else "butt"
    return (
        f'<polyline points="{_joined(places)}" fill="none" stroke="{colour}" stroke-width="{width}" '
        f'stroke-linejoin="round" stroke-linecap="{cap}" stroke-dasharray="{dash}" stroke-opacity="{opacity}"/>'
    )


def area(places: Places, colour: str) -> str:
    return f'<polygon points="{_joined(places)}" fill="{colour}" fill-opacity=".17"/>'


def vertical(x: float, top: float, bottom: float, colour: str, *, dash: str = "none") -> str:
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-dasharray="{dash}"/>'


def bar(
    start: float, end: float, y: float, thickness: float, colour: str, *, opacity: float = 1.0, rounded: bool = True
) -> str:
    """A horizontal bar around ``y``."""
    begin, end = sorted((start, end))
    return (
        f'<rect x="{begin:.1f}" y="{y - thickness / 2:.1f}" width="{end - begin:.1f}" height="{thickness}" '
        f'rx="{thickness / 2 if rounded else 1}" fill="{colour}" fill-opacity="{opacity}"/>'
    )


def column(x: float, start: float, end: float, thickness: float, colour: str, *, opacity: float = 1.0) -> str:
    """A vertical bar around ``x``."""
    top, bottom = sorted((start, end))
    return (
        f'<rect x="{x - thickness / 2:.1f}" y="{top:.1f}" width="{thickness}" height="{bottom - top:.1f}" '
        f'rx="{thickness / 2}" fill="{colour}" fill-opacity="{opacity}"/>'
    )


def dot(x: float, y: float, colour: str, *, radius: float = 3.2, hollow: bool = False, opacity: float = 1.0) -> str:
    ink = f'fill="none" stroke="{colour}" stroke-width="1.4"' if hollow else f'fill="{colour}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {ink} opacity="{opacity}"/>'


def ring(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def text(x: float, y: float, words: str, colour: str, anchor: str, *, weight: int = 400) -> str:
    """Words at a place; ``anchor`` is start, middle or end. Nothing for no words."""
    if not words:
        return ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


def spread(wanted: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Places at least ``gap`` apart, in the order of ``wanted`` and as near to it as can be in least squares.

    They lie inside [lowest, highest] where that has room for them, else they begin at ``lowest`` and reach beyond.
    Least squares with given gaps is isotonic regression of what remains without them, by pooling neighbours that are
    out of order (Ayer et al., 1955, An Empirical Distribution Function for Sampling with Incomplete Information).
    """
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    pools: list[tuple[float, int]] = []
    for rank, number in enumerate(order):
        mean, count = wanted[number] - rank * gap, 1
        while pools and pools[-1][0] >= mean:
            before, many = pools.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    last_start = max(lowest, highest - gap * (len(wanted) - 1))
    levels = [min(max(mean, lowest), last_start) for mean, count in pools for _ in range(count)]
    places = {number: level + rank * gap for rank, (number, level) in enumerate(zip(order, levels, strict=True))}
    return [places[number] for number in range(len(wanted))]


def end_labels(labels: Sequence[tuple[float, str, str, int]], x: float, top: float, bottom: float) -> str:
    """(y, words, colour, weight) beside the ends of lines, moved apart where they would cover each other."""
    heights = spread([label[0] for label in labels], LABEL_GAP, top, bottom)
    return "".join(
        text(x, y + 4, words, colour, "start", weight=weight)
        for y, (_, words, colour, weight) in zip(heights, labels, strict=True)
    )


def text_width(words: str, weight: int = 400) -> float:
    """Pixels that words take at most, in the fonts that readers have: a little more than most need."""
    return len(words) * (7.1 if weight >= BOLD else 6.3)


def shortened(words: str, most: int) -> str:
    """Words cut to ``most`` characters."""
    return words if len(words) <= most else words[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def without_data(width: float, height: float, title: str, words: str, palette: Palette) -> str:
    """The chart of nothing: a sentence where the marks would be."""
    said = text(width / 2, height / 2, words, palette.muted, "middle")
    return document(width, height, title, f"{words[:1].upper()}{words[1:]}.", [said], palette)


def document(width: float, height: float, title: str, description: str, parts: Sequence[str], palette: Palette) -> str:
    """A whole SVG with title and description for screen readers."""
    uid = f"c{zlib.crc32((title + description).encode()):08x}"
    background = f'<rect width="{width}" height="{height}" fill="{palette.background}"/>' if palette.background else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="{uid}t {uid}d" font-family="{FONT}" font-size="11">'
        f'<title id="{uid}t">{escape(title)}</title><desc id="{uid}d">{escape(description)}</desc>'
        f"{background}{''.join(parts)}</svg>"
    )


def ornament(width: float, height: float, parts: Sequence[str]) -> str:
    """A small SVG that only repeats what stands beside it: hidden from screen readers."""
    frame = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg aria-hidden="true" {frame}>{"".join(parts)}</svg>'


def _joined(places: Places) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


# --- numbers in words -------------------------------------------------------------------------------------------------


def share(value: float, places: int = 1) -> str:
    """A ratio as a percentage, such as 80.0 %."""
    return f"{value:,.{places}%}".replace("%", "\N{NO-BREAK SPACE}%").replace("-", MINUS)


def percent(value: float, places: int = 1) -> str:
    """A ratio as a signed percentage, such as +3.1 % or −0.4 %; what rounds to zero has no sign."""
    return _signed(value, share(abs(value), places))


def correlation(value: float, places: int = 3) -> str:
    """A signed number, such as +0.031; what rounds to zero has no sign."""
    return _signed(value, f"{abs(value):,.{places}f}")


def factor(value: float, places: int = 2) -> str:
    """What 1 has become, such as ×1.32."""
    return f"\N{MULTIPLICATION SIGN}{value:,.{places}f}"


def number(value: float) -> str:
    """A price: whole from 1,000 on, else with as many decimals as tell it."""
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:,.2f}"


def _signed(value: float, magnitude: str) -> str:
    """The sign of ``value`` before its magnitude in words, where that has a digit other than 0."""
    sign = MINUS if value < 0 else "+"
    return f"{sign}{magnitude}" if any(digit in magnitude for digit in "123456789") else magnitude
