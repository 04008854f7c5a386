"""What charts are drawn with: palettes, scales, ticks, marks and numbers in words. Marks are SVG strings, in pixels."""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Scale = Callable[[float], float]
Places = Sequence[tuple[float, float]]

MINUS = "\N{MINUS SIGN}"
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


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round numbers (1, 2 or 5 times a power of ten apart) inside [low, high]; at least one."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(count * step, 12) for count in range(first, last + 1)] or [low]


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
    for day in month_ticks(first, last):
        at = x(day.toordinal())
        parts.append(vertical(at, y, y + 4, palette.muted))
        parts.append(text(at, y + 17, f"{day:%b %Y}" if day.month == 1 else f"{day:%b}", palette.muted, "middle"))
    return "".join(parts)


# --- marks ------------------------------------------------------------------------------------------------------------


def line(places: Places, colour: str, width: float) -> str:
    return (
        f'<polyline points="{_joined(places)}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
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


def dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>'


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


def end_labels(labels: Sequence[tuple[float, str, str, int]], x: float) -> str:
    """(y, words, colour, weight) beside the ends of lines, moved down where they would cover each other."""
    parts, lowest = [], -math.inf
    for y, words, colour, weight in sorted(labels, key=lambda label: label[0]):
        lowest = max(y + 4, lowest + 13)
        parts.append(text(x, lowest, words, colour, "start", weight=weight))
    return "".join(parts)


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


def percent(value: float, places: int = 1) -> str:
    """A ratio as a signed percentage, such as +3.1 % or −0.4 %; what rounds to zero has no sign."""
    shown = f"{abs(value):.{places}%}".replace("%", "\N{NO-BREAK SPACE}%")
    if float(shown.split("\N{NO-BREAK SPACE}")[0]) == 0:
        return shown
    return f"{MINUS if value < 0 else '+'}{shown}"


def number(value: float) -> str:
    """A price: whole from 1,000 on, else with as many decimals as tell it."""
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:,.2f}"
