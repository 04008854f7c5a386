"""Charts as SVG strings: small, self-contained, without a plotting library.

With the palette `PAPER` (the default) a chart stands alone on white, as in Dagster's metadata; with `PAGE` it takes its
colours from the CSS variables of the page around it, so that light and dark both read. Colour-blind readers can tell
blue from orange, and no meaning rests on colour alone. Every chart has a title and a description for screen readers;
sparklines and interval bars, which stand beside the same numbers in a table, are hidden from them.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stockfc_assets import svg
from stockfc_assets.svg import PAGE, PAPER, Palette, Scale, number, percent

MOST_HISTORY_POINTS = 180
"""A line of more points than this gains nothing at these widths: the history is thinned to it."""
MOST_RANKED = 40
SAID_DASH = "4 3"


@dataclass(frozen=True)
class FanPoint:
    """One point of a forecast; ``lower`` and ``upper`` are None where no interval is known."""

    date: dt.date
    price: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Said:
    """An earlier forecast of the same stock, to be drawn beside what happened.

    ``points`` (date, price), ascending, begin at ``as_of`` with the price of then; prices are on the share basis of the
    chart. ``lower`` and ``upper`` are its interval at its newest point that is not after the chart's as-of session.
    """

    as_of: dt.date
    points: Sequence[tuple[dt.date, float]]
    lower: float | None = None
    upper: float | None = None


History = Sequence[tuple[dt.date, float]]
"""(session, price), ascending; prices on the share basis of the forecast's as-of session."""


def fan_chart(
    history: History,
    forecast: Sequence[FanPoint],
    *,
    title: str,
    unit: str = "",
    said: Sequence[Said] = (),
    palette: Palette = PAPER,
    width: int = 560,
    height: int = 260,
) -> str:
    """Past prices and the fan of the forecast, whose first point is the as-of session (13 points for 12 months).

    ``unit`` names the currency of the prices. ``said`` are earlier forecasts, each a dashed line that begins with a dot;
    the older, the paler.
    """
    past, band = _past(history, forecast), _band(forecast)
    now, last = forecast[0], forecast[-1]
    earlier = sorted((one for one in said if one.points), key=lambda one: one.as_of)
    first = min(past[0][0], *(one.as_of for one in earlier)) if earlier else past[0][0]
    prices = _prices(past, forecast) + [price for one in earlier for price in _said_prices(one)]
    ticks = svg.nice_ticks(min(prices), max(prices), 5)
    left, right = 12 + max(svg.text_width(number(tick)) for tick in ticks), width - 66
    top, bottom = 22, height - 26
    x = svg.linear(first.toordinal(), last.date.toordinal(), left, right)
    y = svg.linear(min(prices), max(prices), bottom - 4, top + 4)
    today = x(now.date.toordinal())
    parts = [
        svg.horizontal_grid(ticks, y, left, right, number, palette),
        svg.month_axis(first, last.date, x, bottom, palette),
        _fan(band, x, y, palette),
        *_said_earlier(earlier, now.date, x, y, palette),
        _heading(now.date, bool(earlier), left, today, right, palette),
        svg.vertical(today, top, bottom, palette.muted, dash="2 3"),
        svg.text(left - 6, 14, unit, palette.muted, "end"),
        svg.line(_places(past, x, y), palette.ink, 1.3),
        svg.line(_places([(point.date, point.price) for point in forecast], x, y), palette.forecast, 2),
        svg.dot(x(last.date.toordinal()), y(last.price), palette.forecast),
    ]
    labels = [(y(last.price), percent(last.price / now.price - 1), palette.forecast, 700)]
    if last in band:
        ends = (last.upper, last.lower)
        labels += [(y(price), percent(price / now.price - 1, 0), palette.muted, 400) for price in ends]
    parts.append(svg.end_labels(labels, right + 8, top, bottom))
    description = _fan_description(past, forecast) + _said_description(earlier)
    return svg.document(width, height, title, description, parts, palette)


def sparkline(
    history: History,
    forecast: Sequence[FanPoint],
    *,
    palette: Palette = PAGE,
    width: int = 104,
    height: int = 30,
) -> str:
    """`fan_chart` without words, for a table cell."""
    past = _past(history, forecast, most=52)
    prices = _prices(past, forecast)
    x = svg.linear(past[0][0].toordinal(), forecast[-1].date.toordinal(), 1, width - 2)
    y = svg.linear(min(prices), max(prices), height - 2, 2)
    parts = [
        _fan(_band(forecast), x, y, palette),
        svg.line(_places(past, x, y), palette.muted, 1),
        svg.line(_places([(point.date, point.price) for point in forecast], x, y), palette.forecast, 1.6),
    ]
    return svg.ornament(width, height, parts)


def interval_bar(
    value: float, lower: float | None, upper: float | None, reach: tuple[float, float], *, palette: Palette = PAGE
) -> str:
    """A return and its interval on the scale ``reach`` (lowest, highest) that all rows of a table share."""
    width, height = 120, 14
    x = svg.linear(min(reach[0], 0.0), max(reach[1], 0.0), 4, width - 4)
    colour = palette.forecast if value >= 0 else palette.fall
    parts = [svg.vertical(x(0), 0, height, palette.muted)]
    if lower is not None and upper is not None:
        parts.append(svg.bar(x(lower), x(upper), height / 2, 5, colour, opacity=0.32))
    parts.append(svg.dot(x(value), height / 2, colour))
    return svg.ornament(width, height, parts)


def ranking_chart(stocks: Sequence[Mapping[str, Any]], *, palette: Palette = PAPER, width: int = 720) -> str:
    """12-month forecasts as horizontal bars with their intervals, in the order given.

    ``stocks`` are entries of the predictions file (ticker, name, current_price, predictions). Of more than
    `MOST_RANKED` only the first and last are drawn, and the gap says how many are not.
    """
    half = MOST_RANKED // 2
    shown = list(stocks) if len(stocks) <= MOST_RANKED else [*stocks[:half], None, *stocks[-half:]]
    rows = [None if stock is None else _ranked(stock) for stock in shown]
    values = [value for row in rows if row for value in row[1:] if value is not None] + [0.0, 0.01]
    row_height, left, right, top = 20, 232, width - 72, 44
    bottom = top + row_height * len(rows)
    x = svg.linear(min(values), max(values), left + 6, right - 6)
    parts = [
        svg.text(12, 20, "Forecast return over 12 months", palette.ink, "start", weight=700),
        svg.text(right, 20, "bar: forecast · line: interval", palette.muted, "end"),
    ]
    for tick in svg.nice_ticks(min(values), max(values), 7):
        parts.append(svg.vertical(x(tick), top - 4, bottom, palette.grid if tick else palette.muted))
        parts.append(svg.text(x(tick), bottom + 16, percent(tick, 0), palette.muted, "middle"))
    for place, row in enumerate(rows):
        parts.append(_ranking_row(row, top + row_height * (place + 0.5), x, right, len(stocks) - MOST_RANKED, palette))
    rises = sum(stock["predicted_12m_return"] > 0 for stock in stocks)
    description = f"{len(stocks)} stocks: {rises} with a forecast rise over 12 months, {len(stocks) - rises} without."
    return svg.document(width, bottom + 28, "Ranking of 12-month forecasts", description, parts, palette)


def loss_curve(
    history: Sequence[Mapping[str, Any]], *, palette: Palette = PAPER, width: int = 560, height: int = 260
) -> str:
    """Training and validation loss per epoch: a model card's ``history`` (epoch, train_loss, validation_loss, best)."""
    series = {
        "training": (palette.muted, _losses(history, "train_loss")),
        "validation": (palette.forecast, _losses(history, "validation_loss")),
    }
    losses = [loss for _, curve in series.values() for _, loss in curve]
    if not losses:
        return svg.without_data(width, height, "Loss per epoch", "no epoch was recorded", palette)
    epochs = [row["epoch"] for row in history]
    ticks = svg.nice_ticks(min(losses), max(losses), 5)
    digits = svg.decimals(ticks)
    left, right, top, bottom = 14 + svg.text_width("0." + "0" * digits), width - 86, 26, height - 36
    x = svg.linear(min(epochs), max(epochs), left + 10, right)
    y = svg.linear(min(losses), max(losses), bottom - 8, top + 8)
    parts = [
        svg.horizontal_grid(ticks, y, left, right, lambda tick: f"{tick:.{digits}f}", palette),
        svg.text(left - 6, 14, "loss", palette.muted, "end"),
        svg.text((left + right) / 2, bottom + 30, "epoch", palette.muted, "middle"),
    ]
    whole = [tick for tick in svg.nice_ticks(min(epochs), max(epochs), 8) if tick == int(tick)]
    parts += [svg.text(x(epoch), bottom + 15, f"{epoch:.0f}", palette.muted, "middle") for epoch in whole]
    for colour, curve in series.values():
        parts.append(svg.line([(x(epoch), y(loss)) for epoch, loss in curve], colour, 2))
        parts += [svg.dot(x(epoch), y(loss), colour) for epoch, loss in curve]
    parts.append(_kept_epoch(history, x, y, right, palette))
    labels = [(y(curve[-1][1]), name, colour, 600) for name, (colour, curve) in series.items() if curve]
    parts.append(svg.end_labels(labels, right + 12, top, bottom))
    words = [f"{name} {curve[0][1]:.4g} to {curve[-1][1]:.4g}" for name, (_, curve) in series.items() if curve]
    return svg.document(width, height, "Loss per epoch", f"{len(epochs)} epochs: {', '.join(words)}.", parts, palette)


def as_markdown_image(chart: str, alt: str) -> str:
    """The chart as a Markdown image that carries its own bytes, for metadata pages."""
    encoded = base64.b64encode(chart.encode()).decode("ascii")
    return f"![{alt.replace('[', '(').replace(']', ')')}](data:image/svg+xml;base64,{encoded})"


# --- parts ------------------------------------------------------------------------------------------------------------


def _past(
    history: History, forecast: Sequence[FanPoint], most: int = MOST_HISTORY_POINTS
) -> list[tuple[dt.date, float]]:
    """At most ``most`` + 1 evenly spaced prices, the last of them the forecast's own starting point."""
    now = forecast[0]
    points = [*((date, price) for date, price in history if date < now.date), (now.date, now.price)]
    stride = max(1, math.ceil(len(points) / most))
    return points[::-1][::stride][::-1]


def _band(forecast: Sequence[FanPoint]) -> list[FanPoint]:
    return [point for point in forecast if point.lower is not None and point.upper is not None]


def _prices(past: History, forecast: Sequence[FanPoint]) -> list[float]:
    ends = [price for point in _band(forecast) for price in (point.lower, point.upper)]
    return [price for _, price in past] + [point.price for point in forecast] + ends


def _places(series: History, x: Scale, y: Scale) -> list[tuple[float, float]]:
    return [(x(date.toordinal()), y(price)) for date, price in series]


def _fan(band: Sequence[FanPoint], x: Scale, y: Scale, palette: Palette) -> str:
    """The area between the interval's ends; nothing where none is known."""
    rim = [(point.date, point.upper) for point in band] + [(point.date, point.lower) for point in reversed(band)]
    return svg.area(_places(rim, x, y), palette.forecast) if rim else ""


def _said_prices(said: Said) -> list[float]:
    return [price for _, price in said.points] + [end for end in (said.lower, said.upper) if end is not None]


def _said_earlier(earlier: Sequence[Said], now: dt.date, x: Scale, y: Scale, palette: Palette) -> list[str]:
    """Earlier forecasts, oldest first; their intervals, side by side, where their newest matured points stand."""
    parts, spans = [], []
    for age, said in zip(range(len(earlier) - 1, -1, -1), earlier, strict=True):
        opacity = round(max(0.45, 0.95 - 0.15 * age), 2)
        places = _places(said.points, x, y)
        parts.append(svg.line(places, palette.fall, 1.2, dash=SAID_DASH, opacity=opacity))
        parts.append(svg.dot(*places[0], palette.fall, radius=2.4, opacity=opacity))
        matured = [date for date, _ in said.points if said.as_of < date <= now]
        if matured and said.lower is not None and said.upper is not None:
            spans.append((x(matured[-1].toordinal()), y(said.lower), y(said.upper), opacity))
    beside = svg.spread([span[0] for span in spans], 4, 0, x(now.toordinal()) - 4)
    for place, (_, lower, upper, opacity) in zip(beside, spans, strict=True):
        parts.append(svg.column(place, lower, upper, 2, palette.fall, opacity=round(opacity / 2, 3)))
    return parts


def _heading(now: dt.date, earlier: bool, left: float, today: float, right: float, palette: Palette) -> str:
    """The as-of session over its line and, on the side that has more room, what the dashed lines are."""
    day, words = f"{now.day} {now:%b %Y}", "said earlier"
    half = svg.text_width(day) / 2
    if not earlier:
        return svg.text(max(today, left + half), 14, day, palette.muted, "middle")
    taken = 26 + svg.text_width(words)
    if today - left > right - today:
        start, place = left, max(today, left + taken + half + 6)
    else:
        start, place = right - taken, max(left + half, min(today, right - taken - half - 6))
    return (
        svg.text(place, 14, day, palette.muted, "middle")
        + svg.line([(start, 10), (start + 20, 10)], palette.fall, 1.2, dash=SAID_DASH)
        + svg.text(start + 26, 14, words, palette.fall, "start")
    )


def _said_description(earlier: Sequence[Said]) -> str:
    if not earlier:
        return ""
    if len(earlier) == 1:
        return f" Beside it stands 1 earlier forecast, of {earlier[0].as_of}."
    return f" Beside it stand {len(earlier)} earlier forecasts, of {earlier[0].as_of} to {earlier[-1].as_of}."


def _ranked(stock: Mapping[str, Any]) -> tuple[str, float, float | None, float | None]:
    """Label, return and interval of the 12-month forecast of one entry of the predictions file."""
    last, now, name = stock["predictions"][-1], stock["current_price"], stock.get("name", "")
    lower, upper = (None if last[end] is None else last[end] / now - 1 for end in ("lower", "upper"))
    return f"{stock['ticker']}  {svg.shortened(name, 24)}", last["return"], lower, upper


def _ranking_row(
    row: tuple[str, float, float | None, float | None] | None,
    y: float,
    x: Scale,
    right: float,
    left_out: int,
    palette: Palette,
) -> str:
    if row is None:
        return svg.text(224, y + 4, f"… {left_out} more …", palette.muted, "end")
    label, value, lower, upper = row
    colour = palette.forecast if value >= 0 else palette.fall
    whisker = "" if lower is None or upper is None else svg.bar(x(lower), x(upper), y, 1, palette.ink, opacity=0.55)
    return (
        svg.text(224, y + 4, label, palette.ink, "end")
        + svg.bar(x(0), x(value), y, 11, colour, rounded=False)
        + whisker
        + svg.text(right + 10, y + 4, percent(value), colour, "start", weight=600)
    )


def _losses(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    return [(row["epoch"], row[key]) for row in history if row[key] is not None and math.isfinite(row[key])]


def _kept_epoch(history: Sequence[Mapping[str, Any]], x: Scale, y: Scale, right: float, palette: Palette) -> str:
    kept = [epoch for epoch in history if epoch.get("best")]
    places = _losses(kept, "validation_loss")
    if not places:
        return ""
    epoch, loss = places[-1]
    return svg.ring(x(epoch), y(loss), palette.fall) + svg.text(
        right, 14, f"○ kept: epoch {epoch}", palette.fall, "end", weight=600
    )


def _fan_description(past: History, forecast: Sequence[FanPoint]) -> str:
    now, last = forecast[0], forecast[-1]
    words = (
        f"Prices from {past[0][0]} to {now.date}, then a forecast to {last.date}: "
        f"from {number(now.price)} to {number(last.price)} ({percent(last.price / now.price - 1)})"
    )
    if last.lower is None or last.upper is None:
        return f"{words}; no interval is known."
    return f"{words}, interval {number(last.lower)} to {number(last.upper)}."
