"""The laws that a month's published backtest must obey, as messages: empty means obeyed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

TOLERANCE = 1e-6
"""Of figures that are rounded to 8 decimals, relative to wealth."""


def backtest_problems(document: Mapping[str, Any]) -> list[str]:
    """What cannot be true of ``document`` (backtest_record.month_backtest).

    Decisions precede the trades, and everything precedes the month; wealth is never negative and ends at the total
    return, which the years make up; drawdowns lie in [0, 1]; costs are not negative, and cost: net is at most gross.
    """
    if not document["portfolios"]:
        return [] if document["note"] else ["no portfolio, and no note that says why"]
    problems = list(_date_problems(document))
    for name, figures in document["portfolios"].items():
        curves = (document["wealth"].get(name, []), document["drawdown"].get(name, []))
        problems += [f"{name}: {problem}" for problem in _portfolio_problems(figures, *curves, document)]
    return problems


def _date_problems(document: Mapping[str, Any]) -> Iterator[str]:
    first, last, decisions = document["from"], document["to"], document["decisions"]
    if not last < document["month"]:
        yield f"it reaches to {last}, the month begins on {document['month']}"
    if not decisions or not decisions[0] < first or not decisions[-1] < last:
        yield f"forecasts of {', '.join(decisions) or 'no session'} cannot be traded from {first} to {last}"
    if any(not earlier < later for earlier, later in pairwise(decisions)):
        yield "decisions are not in the order of time"
    for name in ("wealth", "drawdown"):
        sessions = document[name]["sessions"]
        ascending = all(earlier < later for earlier, later in pairwise(sessions))
        if not sessions or not ascending or sessions[0] < first or sessions[-1] != last:
            yield f"{name}: its sessions do not lead from {first} to {last}"


def _portfolio_problems(
    figures: Mapping[str, Any], wealth: list[float], drawdown: list[float], document: Mapping[str, Any]
) -> Iterator[str]:
    points = len(document["wealth"]["sessions"])
    if len(wealth) != points or len(drawdown) != points:
        yield f"{len(wealth)} points of wealth and {len(drawdown)} of drawdown on {points} sessions"
        return
    if min(wealth) < 0:
        yield f"wealth falls to {min(wealth)}"
    deepest = -figures["max_drawdown"]
    if not 0 <= min(drawdown) <= max(drawdown) <= deepest + TOLERANCE <= 1 + 2 * TOLERANCE:
        yield f"drawdowns from {min(drawdown)} to {max(drawdown)}, the deepest is {deepest}: outside 0 to 1"
    ends = {"wealth": wealth[-1], "the years": math.prod(1 + year["return"] for year in figures["years"])}
    for what, end in ends.items():
        if not math.isclose(end, 1 + figures["total_return"], rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{what}: 1 became {end}, the total return is {figures['total_return']}"
    for name, value in _not_negative(figures):
        if value is not None and value < 0:
            yield f"{name} is {value}"
    if figures["annual_return"] > figures["annual_return_gross"] + TOLERANCE:
        yield f"{figures['annual_return']} a year after costs, {figures['annual_return_gross']} before"


def _not_negative(figures: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name in ("cost_drag_per_year", "turnover_per_year", "unfilled_share", "volatility", "largest_weight"):
        yield name, figures[name]
    for year in figures["years"]:
        for name in ("cost_drag", "turnover"):
            yield f"{name} of {year['year']}", year[name]
