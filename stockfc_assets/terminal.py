"""Texts for the terminal: forecasts, status and findings as plain tables. No colour, so that pipes and logs read well."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

UI_COMMAND = "make ui   (or: stockfc ui), then open http://127.0.0.1:3000"
SHOWN_MONTHS = (1, 3, 6, 12)
NAME_WIDTH = 28


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
