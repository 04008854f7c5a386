"""Texts for the terminal: forecasts, status and findings as plain tables. No colour, so that pipes and logs read well."""

from __future__ import annotations

import datetime as dt
import math
import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

UI_COMMAND = "make ui   (or: stockfc ui), then open http://127.0.0.1:3000"
SHOWN_MONTHS = (1, 3, 6, 12)
NAME_WIDTH = 28
SCORE_COLUMNS = (
    ("forecasts", 11, "n", ",d"), ("dates", 7, "n_dates", "d"),
    ("skill", 9, "skill", "+z.3f"), ("t", 7, "skill_hac_t", "+z.1f"),
    ("rank IC", 9, "rank_ic", "+z.3f"), ("t", 7, "rank_ic_hac_t", "+z.1f"), ("spread", 9, "decile_spread", "+z.1%"),
    ("hit rate", 10, "hit_rate", ".1%"), ("in interval", 13, "coverage", ".1%"), ("width", 8, "width", ".2f"),
)  # fmt: skip
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
BAR_WIDTH = 20
REASON_WIDTH = 110
INDENT = " " * len("decision  ")


def forecast_text(document: Mapping[str, Any], *, top: int | None = None) -> str:
    """The ranked forecasts of a published document; with ``top``, only so many of the highest and lowest."""
    ranked = sorted(document["predictions"], key=lambda stock: stock["predicted_12m_return"], reverse=True)
    lines = [*_heading(document), ""]
    if top is None or len(ranked) <= 2 * top:
        lines += [_columns(), *(_row(rank, stock) for rank, stock in enumerate(ranked, start=1))]
    else:
        numbered = list(enumerate(ranked, start=1))
        lines += [f"The {top} highest 12-month forecasts", _columns(), *(_row(*item) for item in numbered[:top]), ""]
        lines += [f"The {top} lowest 12-month forecasts", _columns(), *(_row(*item) for item in numbered[-top:])]
    if document["skipped"]:
        lines += ["", "Skipped", *(f"  {entry['ticker']:<9} {entry['reason']}" for entry in document["skipped"])]
    return "\n".join([*lines, "", *_track_record(document)])


def status_text(state: Mapping[str, Any]) -> str:
    """What `stockfc status` prints."""
    champion = state["champion"]
    serving = f"{champion['id']} ({champion['status']})" if champion else "none; run `stockfc monthly`"
    current = (
        "" if state["forecast_is_current"] else f"   (newest finished session: {state['newest_finished_session']})"
    )
    lines = [
        f"environment      {state['environment']}   source {state['source']}",
        f"data             {state['data_root']}",
        f"newest forecast  {state['newest_forecast'] or 'none; run `stockfc daily`'}{current}",
        f"model            {serving}",
        "",
        f"{'asset':<20} {'partitions':>10}  {'first':<11} {'last':<11}",
    ]
    for asset, stored in state["assets"].items():
        lines.append(
            f"{asset:<20} {stored['partitions']:>10}  {stored['first'] or '-':<11} {stored['last'] or '-':<11}"
        )
    lines += ["", "last runs"]
    lines += [f"  {run['id'][:8]}  {run['status']:<9} {run['job']:<15} {run['partition']}" for run in state["runs"]]
    return "\n".join(lines if state["runs"] else [*lines, "  none"])


def gate_text(record: Mapping[str, Any]) -> str:
    """What `stockfc gate` prints: the decision in a line, its reasons in sentences, its evidence as a table."""
    model, evidence = record["model"], record["evidence"]
    serving = f"{model['id']} ({model['status']}), trained through {model['trained_through']}" if model else "none"
    lines = [f"month     {record['month'][:7]}", f"decision  {record['decision']}", f"serves    {serving}"]
    for number, reason in enumerate([record.get("gate", record)["reason"], *_rollback_reasons(record)]):
        lines += textwrap.wrap(
            reason, REASON_WIDTH, initial_indent="why       " if number == 0 else INDENT, subsequent_indent=INDENT
        )
    if evidence and evidence["horizons"]:
        first, last = evidence["window"]
        lines += [
            "",
            f"New model against old, {evidence['n_dates']} month ends, {first} to {last}, "
            f"horizons 1 to {evidence['horizons'][-1]}; positive favours the new one",
            f"{'':<24} {'difference':>11} {'HAC t':>8} {'noise to':>9}",
        ]
        for name, label in (("mse", "squared error (scaled)"), ("rank_ic", "rank IC")):
            t = evidence[f"{name}_t"]
            shown = "-" if t is None else f"{t:+.2f}"
            lines.append(
                f"{label:<24} {evidence[f'{name}_difference']:>+11.5f} {shown:>8} {-evidence['critical_t']:>9.2f}"
            )
    return "\n".join(lines)


def _rollback_reasons(record: Mapping[str, Any]) -> list[str]:
    return [entry["reason"] for entry in record.get("rollbacks", [])]


def explanation_text(document: Mapping[str, Any], *, horizon: int) -> str:
    """What `stockfc explain` prints of an explanation document: what moved the forecast of one horizon, and when."""
    at = horizon - 1
    forecast, baseline = document["forecast"][at], document["baseline"][at]
    moved = [(group["group"], group["contribution"][at], "") for group in document["groups"]]
    moved.sort(key=lambda item: -abs(item[1]))
    model, source = document["model"], document["source"]
    months = "1 month" if horizon == 1 else f"{horizon} months"
    return "\n".join(
        [
            f"{document['ticker']} {document['name']}, {document['session']}, {months} ahead: {math.expm1(forecast):+.1%}"
            f" (model {model['id']}, {model['status']})",
            *([f"SIMULATED DATA - {source['label']}: not a real company's prices"] if source["simulated"] else []),
            "",
            "What moved it, in percent of log return",
            f"  {'typical stock':<20} {baseline * 100:>+z7.2f}  each input at the median of {document['stocks']} stocks",
            *_bars(moved),
            f"  {'forecast':<20} {forecast * 100:>+z7.2f}  the sum of the above",
            "",
            "When: what the forecast owes to its weekly inputs of",
            *_bars(_when(document, at)),
            "",
            "What the model read of the newest week (in brackets: the typical stock)",
            *(line for group in document["groups"] for line in _inputs_read(group)),
            "",
            "This explains the model, not the market: docs/explanations.md",
        ]
    )


def quality_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """What `stockfc quality` prints: counts by defect, then every finding."""
    span = " to ".join(dict.fromkeys((documents[0]["partition"], documents[-1]["partition"])))
    errors, warnings = (sum(document[key] for document in documents) for key in ("errors", "warnings"))
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(document["counts"])
    lines = [f"Data quality of {span}: {errors} errors, {warnings} warnings in {len(documents)} sessions"]
    lines += [f"  {name:<20} {count:>6}" for name, count in counts.most_common()]
    rows = [row for document in documents for row in document["findings"]]
    if rows:
        lines += ["", f"{'ticker':<9} {'session':<11} {'severity':<9} {'defect':<20} seen; expected"]
    lines += [
        f"{row['ticker']:<9} {row['session']:<11} {row['severity']:<9} {row['defect']:<20} {row['seen']}; {row['expected']}"
        for row in rows
    ]
    return "\n".join(lines)


def universe_text(universe: Mapping[str, Any], *, members: Collection[str], date: dt.date) -> str:
    """What `stockfc universe show` prints: the universe's head, and stocks by sector."""
    stocks = universe["stocks"]
    lines = [
        f"{universe['name']}: {universe['exchange']}, benchmark {universe['benchmark']}",
        f"{len(members):,} members on {date}, {len(stocks):,} stocks at any time",
        *([universe["note"]] if universe["note"] else []),
        "",
        f"{'members':>8} {'stocks':>8}  sector",
    ]
    total = Counter(stock["sector"] for stock in stocks)
    current = Counter(stock["sector"] for stock in stocks if stock["ticker"] in set(members))
    return "\n".join([*lines, *(f"{current[sector]:>8,} {total[sector]:>8,}  {sector}" for sector in sorted(total))])


def import_text(imported: Mapping[str, Any]) -> str:
    """What `stockfc universe import` prints: what was kept and left out, why, and how many."""
    lines = [imported["source"]]
    for group in imported["groups"]:
        verdict = "kept" if group["kept"] else "left out"
        more = ", ..." if group["issues"] > len(group["examples"]) else ""
        lines.append(f"  {verdict:<9}{group['issues']:>6,}  {group['reason']}: {', '.join(group['examples'])}{more}")
    return "\n".join([*lines, *(f"note: {remark}" for remark in imported["remarks"])])


def backtest_text(document: Mapping[str, Any]) -> str:
    """What `stockfc backtest` prints: figures per portfolio side by side, and what the rules left undone."""
    rules, portfolios = document["rules"], document["portfolios"]
    source = document["source"]
    names = {name: name.replace("_", "-") for name in portfolios} | {"benchmark": document["benchmark"]}
    lines = [
        f"Backtest of {len(document['decisions'])} monthly rankings by the {document['horizon']}-month forecast, "
        f"{document['from']} to {document['to']}",
        f"{'SIMULATED DATA - ' if source['simulated'] else 'Prices: '}{source['label']}",
        f"Costs: {rules['base_cost_bp'] + rules['slippage_bp']:g} bp + {rules['impact_bp']:g} bp x sqrt(participation), "
        f"at most {rules['max_participation']:.0%} of a day's turnover; capital {rules['capital']:,.0f}",
        "",
        f"{'after costs':<24}" + "".join(f"{names[name]:>16}" for name in portfolios),
    ]
    for key, (label, style) in BACKTEST_ROWS.items():
        shown = [figures.get(key) for figures in portfolios.values()]
        cells = ("-" if value is None else format(value, style) for value in shown)
        lines.append(f"{label:<24}" + "".join(f"{cell:>16}" for cell in cells))
    if document["skipped"]:
        lines += ["", f"No stored forecast, so not traded: {', '.join(document['skipped'])}"]
    return "\n".join([*lines, "", _verdict(portfolios["long_only"])])


def _verdict(long_only: Mapping[str, Any]) -> str:
    excess, t = long_only["excess_per_year"], long_only["excess_t"]
    if t is None:
        return "The top group against the universe: too few days to tell."
    noise = "which chance alone often gives" if abs(t) < 2 else "more than chance alone usually gives"
    return f"The top group against the equal-weighted universe: {excess:+.1%} a year, t {t:+.2f}, {noise}."


def scores_text(document: Mapping[str, Any]) -> str:
    """What `stockfc scores` prints: scores per horizon beside "no change", by year and by sector."""
    overall = document["overall"]
    lines = [f"How forecasts turned out whose horizon was over before {document['matured_before']}"]
    if not overall["n"]:
        return "\n".join([*lines, f"{document['note']}: nothing is proven"])
    lines += ["", f"{'months':<8}" + "".join(f"{label:>{width}}" for label, width, *_ in SCORE_COLUMNS)]
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
        lines += ["", f"{title:<28}" + "".join(f"{label:>{width}}" for label, width, *_ in BREAKDOWN_COLUMNS)]
        lines += [f"{row[key]!s:<28}" + _score_cells(row, BREAKDOWN_COLUMNS) for row in rows]
    return "\n".join([*lines, "", _skill_verdict(overall)])


def _score_cells(row: Mapping[str, Any], columns: Sequence[tuple[str, int, str, str]]) -> str:
    cells = (("-" if row[key] is None else format(row[key], style), width) for _, width, key, style in columns)
    return "".join(f"{cell:>{width}}" for cell, width in cells)


def _skill_verdict(overall: Mapping[str, Any]) -> str:
    skill, t = overall["skill"], overall["skill_hac_t"]
    if skill is None:
        return "No price has changed: there is nothing to compare with."
    verdict = "beat" if skill > 0 else "do not beat"
    error = "too few dates to say how sure that is" if t is None else f"t {t:+.2f}; beyond 2 chance alone is unlikely"
    return f'The forecasts {verdict} "no change": skill {skill:+.3f} ({error}).'


def doctor_text(findings: Sequence[Mapping[str, Any]]) -> str:
    """What `stockfc doctor` prints: one line per check, and whether all are well."""
    lines = [
        f"{'ok  ' if finding['ok'] else 'FAIL'}  {finding['check']:<14} {finding['message']}" for finding in findings
    ]
    failed = sum(not finding["ok"] for finding in findings)
    return "\n".join([*lines, "", "all is well" if not failed else f"{failed} of {len(findings)} checks failed"])


def _heading(document: Mapping[str, Any]) -> list[str]:
    model, source = document["model"], document["source"]
    lines = [
        f"Forecast of {document['session']}: {document['num_predictions']} stocks, model {model['id']} ({model['status']})"
    ]
    if source["simulated"]:
        lines.append(f"SIMULATED DATA - {source['label']}: these are not prices of real companies")
    else:
        lines.append(f"Prices: {source['label']}")
    return lines


def _bars(rows: Sequence[tuple[str, float, str]]) -> list[str]:
    """One line per row: its name, its log return in percent, a bar to the left or right of the middle, and a remark."""
    longest = max(abs(value) for _, value, _ in rows) or 1.0
    lines = []
    for name, value, remark in rows:
        length = round(BAR_WIDTH * abs(value) / longest)
        left, right = ("-" * length, "") if value < 0 else ("", "+" * length)
        bar = f"{left:>{BAR_WIDTH}}|{right:<{BAR_WIDTH}}"
        lines.append(f"  {name:<20} {value * 100:>+z7.2f}  {bar}  {remark if length else ''}".rstrip())
    return lines


def _when(document: Mapping[str, Any], at: int) -> list[tuple[str, float, str]]:
    """Blocks of weeks, newest first: what the forecast owes to them, and which group did most of it."""
    width, blocks = document["block_weeks"], document["weeks"][at]
    groups = [group for group in document["groups"] if group["weeks"]]
    rows = []
    for number, value in enumerate(reversed(blocks)):
        most = max(groups, key=lambda group: math.copysign(1, value) * group["weeks"][at][-1 - number])
        rows.append((f"{number * width}-{(number + 1) * width - 1} weeks before", value, f"mostly {most['group']}"))
    return rows


def _inputs_read(group: Mapping[str, Any]) -> list[str]:
    def shown(value: float | str | None) -> str:
        return "missing" if value is None else value if isinstance(value, str) else f"{value:.3g}"

    read = "; ".join(f"{each['name']} {shown(each['value'])} ({shown(each['typical'])})" for each in group["inputs"])
    title = f"  {group['group']:<20} "
    return textwrap.wrap(
        read, REASON_WIDTH, initial_indent=title, subsequent_indent=" " * len(title), break_on_hyphens=False
    )


def _columns() -> str:
    months = "".join(f"{f'{month} m':>9}" for month in SHOWN_MONTHS)
    return f"{'':>3}  {'ticker':<9} {'name':<{NAME_WIDTH}} {'price':>11}{months}   80 % interval, 12 months"


def _row(rank: int, stock: Mapping[str, Any]) -> str:
    returns = {month["month"]: month["return"] for month in stock["predictions"]}
    shown = "".join(f"{returns[month]:>+9.1%}" for month in SHOWN_MONTHS)
    last = stock["predictions"][-1]
    interval = "" if last["lower"] is None else f"   {_price(last['lower'])} to {_price(last['upper'])}"
    name = stock.get("name", "")[:NAME_WIDTH]
    return f"{rank:>3}  {stock['ticker']:<9} {name:<{NAME_WIDTH}} {_price(stock['current_price']):>11}{shown}{interval}"


def _price(value: float) -> str:
    return f"{value:,.1f}" if value >= 1000 else f"{value:,.2f}"


def _track_record(document: Mapping[str, Any]) -> list[str]:
    overall = document["track_record"]["overall"]
    if not overall["n"]:
        return ["Track record: no forecast has matured yet, so nothing is proven."]
    verdict = "beats" if overall["skill"] > 0 else "does not beat"
    return [
        f'Track record over {overall["n"]} matured forecasts: {verdict} "no change" '
        f"(skill {overall['skill']:+.3f}, hit rate {overall['hit_rate']:.1%})."
    ]
