"""Texts for the terminal: forecasts, status and findings as plain tables. No colour, so that pipes and logs read well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        lines += ["", "Skipped", *(f"  {entry['ticker']:<8} {entry['reason']}" for entry in document["skipped"])]
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
    return f"{'':>3}  {'ticker':<8} {'name':<{NAME_WIDTH}} {'price':>11}{months}   80 % interval, 12 months"


def _row(rank: int, stock: Mapping[str, Any]) -> str:
    returns = {month["month"]: month["return"] for month in stock["predictions"]}
    shown = "".join(f"{returns[month]:>+9.1%}" for month in SHOWN_MONTHS)
    last = stock["predictions"][-1]
    interval = "" if last["lower"] is None else f"   {last['lower']:,.1f} to {last['upper']:,.1f}"
    name = stock.get("name", "")[:NAME_WIDTH]
    return f"{rank:>3}  {stock['ticker']:<8} {name:<{NAME_WIDTH}} {stock['current_price']:>11,.1f}{shown}{interval}"


def _track_record(document: Mapping[str, Any]) -> list[str]:
    overall = document["track_record"]["overall"]
    if not overall["n"]:
        return ["Track record: no forecast has matured yet, so nothing is proven."]
    verdict = "beats" if overall["skill"] > 0 else "does not beat"
    return [
        f'Track record over {overall["n"]} matured forecasts: {verdict} "no change" '
        f"(skill {overall['skill']:+.3f}, hit rate {overall['hit_rate']:.1%})."
    ]
