"""Texts for the terminal: what forecasts were worth, in scores and in money, in full and in short below a forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stockfc_assets.trading_rules import ENOUGH_RANKINGS

SCORE_COLUMNS = (
    ("forecasts", 11, "n", ",d"), ("dates", 7, "n_dates", "d"),
    ("skill", 9, "skill", "+z.3f"), ("t", 7, "skill_hac_t", "+z.1f"),
    ("rank IC", 9, "rank_ic", "+z.3f"), ("t", 7, "rank_ic_hac_t", "+z.1f"), ("spread", 9, "decile_spread", "+z.1%"),
    ("hit rate", 10, "hit_rate", ".1%"), ("in interval", 13, "coverage", ".1%"), ("width", 8, "width", ".2f"),
)  # fmt: skip
RECORD_COLUMNS = (
    ("forecasts", 11, "n", ",d"), ("skill", 9, "skill", "+z.3f"), ("t", 7, "skill_hac_t", "+z.1f"),
    ("rank IC", 9, "rank_ic", "+z.3f"), ("t", 7, "rank_ic_hac_t", "+z.1f"),
)  # fmt: skip
PORTFOLIOS = ("long_only", "long_short", "equal_weighted", "benchmark")
"""In the order shown; the files' keys are sorted."""
RECORD_MONTHS = (1, 3, 6, 12)
RECORD_FIGURES = (
    ("return a year", 15, "annual_return", "+.1%"), ("Sharpe", 9, "sharpe", "+.2f"), ("error", 8, "sharpe_error", ".2f"),
    ("drawdown", 11, "max_drawdown", ".1%"), ("costs a year", 14, "cost_drag_per_year", ".2%"),
)  # fmt: skip
NAME_WIDTH = 22
CLEAR_T = 2
"""Beyond it chance alone is unlikely: once in twenty times for a fair comparison."""
BREAKDOWN_COLUMNS = (
    ("forecasts", 11, "n", ",d"), ("dates", 7, "n_dates", "d"), ("skill", 9, "skill", "+z.3f"),
    ("rank IC", 9, "rank_ic", "+z.3f"), ("hit rate", 10, "hit_rate", ".1%"),
)  # fmt: skip
BACKTEST_ROWS = {
    "annual_return": ("return a year", "+.1%"),
    "annual_return_gross": ("  before costs", "+.1%"),
    "volatility": ("volatility a year", ".1%"),
    "sharpe": ("Sharpe", "+.2f"),
    "sharpe_error": ("  standard error", ".2f"),
    "sortino": ("Sortino", "+.2f"),
    "calmar": ("Calmar", "+.2f"),
    "max_drawdown": ("maximum drawdown", ".1%"),
    "drawdown_from": ("  from", ""),
    "drawdown_to": ("  to", ""),
    "var_95": ("VaR 95 %, one day", ".2%"),
    "cvar_95": ("CVaR 95 %, one day", ".2%"),
    "turnover_per_year": ("turnover a year", ".0%"),
    "cost_drag_per_year": ("cost drag a year", ".2%"),
    "unfilled_share": ("orders left unfilled", ".1%"),
    "mean_positions": ("positions, mean", ".1f"),
}
"""Figure -> label and number format, in the order shown by `stockfc backtest`."""


def record_text(
    document: Mapping[str, Any],
    scores: Mapping[str, Any] | None,
    backtest: Mapping[str, Any] | None,
    superseded_by: str | None = None,
) -> str:
    """What stands below a forecast (``document``): its track record, the baselines, and what trading would have brought.

    ``superseded_by`` is the model that serves on the session by now, if it is not the forecast's own. ``scores`` and
    ``backtest`` are the session's month's, None where they are not stored. Forecasts that an earlier
    version published may lack scores of today, which show as "-".
    """
    parts = [_superseded(document, superseded_by)] if superseded_by else []
    parts.append(_track_record(document))
    if scores and scores["by_forecaster"]:
        parts.append(_beside_baselines(scores))
    if backtest:
        parts.append(_traded(backtest))
    missing = [what for what, stored in (("the baselines' scores", scores), ("the backtest", backtest)) if not stored]
    if missing:
        month = document["session"][:7]
        made = f"`stockfc monthly --month {month}` makes them"
        parts.append([f"Not there for {month} yet: {' and '.join(missing)}; {made}"])
    return "\n\n".join("\n".join(part) for part in parts)


def _superseded(document: Mapping[str, Any], serving: str) -> list[str]:
    return [
        f"This forecast was published by {document['model']['id']}; by now {serving} serves.",
        f"What stands below may know more than it did: `stockfc daily --session {document['session']}` publishes it again.",
    ]


def _track_record(document: Mapping[str, Any]) -> list[str]:
    record, level = document["track_record"], document["interval_level"]
    overall = record["overall"]
    if not overall["n"]:
        return ["Track record: no forecast has matured yet, so nothing is proven."]
    columns = (*RECORD_COLUMNS, ("in interval", 13, "coverage", ".1%"))
    rows = [row for row in record["horizons"] if row["n"] and row["horizon"] in RECORD_MONTHS]
    aim = f"; the interval aims at {level:.0%}" if level else ""
    return [
        f"Track record: {overall['n']:,} forecasts whose horizon was over before {record['matured_before']}",
        _skill_verdict(overall),
        "",
        f"{'months':<{NAME_WIDTH}}{_labels(columns)}",
        *(
            f"{row.get('horizon', 'all')!s:<{NAME_WIDTH}}{_score_cells(row, columns)}  {_remark(row)}"
            for row in (*rows, overall)
        ),
        f'skill above 0: nearer than "no change"; rank IC above 0: stocks in the right order{aim}',
    ]


def _beside_baselines(scores: Mapping[str, Any]) -> list[str]:
    rows = [{**row, "note": scores["overall"]["note"]} for row in scores["by_forecaster"]]
    return [
        f"{'On the same samples':<{NAME_WIDTH}}{_labels(RECORD_COLUMNS)}",
        *(
            f"{row['forecaster'].replace('_', ' '):<{NAME_WIDTH}}{_score_cells(row, RECORD_COLUMNS)}  "
            f"{_remark(row) if row['forecaster'] != 'no_change' else ''}".rstrip()
            for row in rows
        ),
    ]


def _remark(row: Mapping[str, Any]) -> str:
    """How a row's error compares with that of "no change", in words."""
    t = row.get("skill_hac_t")
    if t is None or row.get("note"):
        return "too few periods to tell"
    return 'like "no change"' if abs(t) < CLEAR_T else 'better than "no change"' if t > 0 else 'worse than "no change"'


def _traded(backtest: Mapping[str, Any]) -> list[str]:
    if not backtest["portfolios"]:
        return [f"Traded on: {backtest['note']}"]
    months = len(backtest["decisions"])
    rankings = "1 ranking" if months == 1 else f"{months} rankings"
    return [
        f"Traded on once a month, after costs, {backtest['from']} to {backtest['to']} ({rankings})",
        f"{'':<{NAME_WIDTH}}{_labels(RECORD_FIGURES)}",
        *(
            f"{label:<{NAME_WIDTH}}{_score_cells(figures, RECORD_FIGURES)}"
            for label, figures in _portfolios(backtest).items()
        ),
        _excess_verdict(backtest),
    ]


def backtest_text(document: Mapping[str, Any]) -> str:
    """What `stockfc backtest` prints: figures per portfolio side by side, and what the rules left undone."""
    rules, source = document["rules"], document["source"]
    lines = [
        f"Backtest of {len(document['decisions'])} monthly rankings by the {document['horizon']}-month forecast, "
        f"{document['from']} to {document['to']}",
        f"{'SIMULATED DATA - ' if source['simulated'] else 'Prices: '}{source['label']}",
        f"Costs: {rules['base_cost_bp'] + rules['slippage_bp']:g} bp + {rules['impact_bp']:g} bp x sqrt(participation), "
        f"at most {rules['max_participation']:.0%} of a day's turnover; capital {rules['capital']:,.0f}",
        "",
        *(f"{label:<24}" + "".join(f"{cell:>16}" for cell in cells) for label, *cells in backtest_table(document)),
    ]
    if document["skipped"]:
        lines += ["", f"No stored forecast, so not traded: {', '.join(document['skipped'])}"]
    return "\n".join([*lines, "", _excess_verdict(document)])


def backtest_table(document: Mapping[str, Any]) -> list[list[str]]:
    """Figures by portfolio as cells: a header, then the rows of `BACKTEST_ROWS`; "-" where the data give none."""
    portfolios = _portfolios(document)
    rows = [["after costs", *portfolios]]
    for key, (label, style) in BACKTEST_ROWS.items():
        shown = [figures.get(key) for figures in portfolios.values()]
        rows.append([label, *("-" if value is None else format(value, style) for value in shown)])
    return rows


def _portfolios(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Figures by the portfolio's name for people, in the order shown."""
    names = {name: name.replace("_", "-") for name in PORTFOLIOS} | {"benchmark": document["benchmark"]}
    return {label: document["portfolios"][name] for name, label in names.items() if name in document["portfolios"]}


def _excess_verdict(backtest: Mapping[str, Any]) -> str:
    long_only, rankings = backtest["portfolios"]["long_only"], len(backtest["decisions"])
    excess, t = long_only["excess_per_year"], long_only["excess_t"]
    if t is None or rankings < ENOUGH_RANKINGS:
        return f"The top group against the universe: {rankings} monthly rankings are too few to tell anything."
    noise = "which chance alone often gives" if abs(t) < CLEAR_T else "more than chance alone usually gives"
    return (
        f"The top group against the equal-weighted universe: {excess:+.1%} a year (mean of daily differences), t {t:+.2f}, "
        f"{noise}."
    )


def scores_text(document: Mapping[str, Any]) -> str:
    """What `stockfc scores` prints: scores per horizon beside "no change", by year and by sector."""
    overall = document["overall"]
    lines = [f"How forecasts turned out whose horizon was over before {document['matured_before']}"]
    if not overall["n"]:
        return "\n".join([*lines, f"{document['note']}: nothing is proven"])
    lines += ["", f"{'months':<8}" + _labels(SCORE_COLUMNS)]
    scored = [row for row in (*document["horizons"], overall) if row["n"]]
    for row in scored:
        mark = " *" if row["note"] else ""
        lines.append(f"{row.get('horizon', 'all'):<8}{_score_cells(row, SCORE_COLUMNS)}{mark}")
    waiting = [str(row["horizon"]) for row in document["horizons"] if not row["n"]]
    if waiting:
        lines.append(f"no forecast over {', '.join(waiting)} months has matured yet")
    if any(row["note"] for row in scored):
        lines.append("* too few independent periods: these numbers may be chance")
    end = "tenth" if overall["groups"] == 10 else "fifth"
    lines.append(f"spread: mean log return of the {end} with the highest forecasts less that of the lowest {end}")
    breakdowns = (
        ("on the same samples", document["by_forecaster"], "forecaster"),
        ("year", document["by_year"], "year"),
        ("sector", document["by_sector"], "sector"),
    )
    for title, rows, key in breakdowns:
        if not rows:
            continue
        lines += ["", f"{title:<28}" + _labels(BREAKDOWN_COLUMNS)]
        lines += [f"{row[key]!s:<28}" + _score_cells(row, BREAKDOWN_COLUMNS) for row in rows]
    return "\n".join([*lines, "", _skill_verdict(overall)])


def _labels(columns: Sequence[tuple[str, int, str, str]]) -> str:
    return "".join(f"{label:>{width}}" for label, width, *_ in columns)


def _score_cells(row: Mapping[str, Any], columns: Sequence[tuple[str, int, str, str]]) -> str:
    cells = (("-" if row.get(key) is None else format(row[key], style), width) for _, width, key, style in columns)
    return "".join(f"{cell:>{width}}" for cell, width in cells)


def _skill_verdict(overall: Mapping[str, Any]) -> str:
    skill, t = overall["skill"], overall.get("skill_hac_t")
    if skill is None:
        return "No price has changed: there is nothing to compare with."
    verdict = "beat" if skill > 0 else "do not beat"
    error = "too few dates to say how sure that is" if t is None else f"t {t:+.2f}; beyond 2 chance alone is unlikely"
    return f'The forecasts {verdict} "no change": skill {skill:+.3f} ({error}).'
