"""Texts for the terminal: forecasts, status and findings as plain tables. No colour, so that pipes and logs read well."""

from __future__ import annotations

import datetime as dt
import math
import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stockfc_assets.terminal_record import record_text

UI_COMMAND = "make ui   (or: stockfc ui), then open http://127.0.0.1:3000"
SHOWN_MONTHS = (1, 3, 6, 12)
NAME_WIDTH = 28
BAR_WIDTH = 20
REASON_WIDTH = 110
INDENT = " " * len("decision  ")


def forecast_text(
    document: Mapping[str, Any],
    *,
    top: int | None = None,
    scores: Mapping[str, Any] | None = None,
    backtest: Mapping[str, Any] | None = None,
    superseded_by: str | None = None,
) -> str:
    """The ranked forecasts of a published document, and what earlier ones were worth (`terminal_record.record_text`).

    With ``top``, only so many of the highest and lowest. ``scores`` and ``backtest`` are those of the session's month,
    ``superseded_by`` is the model that serves on the session by now, if it is another.
    """
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
    return "\n".join([*lines, "", record_text(document, scores, backtest, superseded_by)])


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
    lines += [
        "",
        "conditions",
        *(f"  {_verdict(each)}  {each['name']:<19} {each['message']}" for each in state["conditions"]),
    ]
    lines += ["", "last runs"]
    lines += [
        f"  {run['id'][:8]}  {run['status']:<9} {run['job'].replace('__ASSET_JOB', 'single assets'):<16} {run['partition']}"
        for run in state["runs"]
    ]
    return "\n".join(lines if state["runs"] else [*lines, "  none"])


def retention_text(plan: Mapping[str, Any]) -> str:
    """What `stockfc retention` prints."""
    done = "would be removed" if plan["dry_run"] else "removed"
    files = plan["files"]
    lines = [f"{each['file']}  {each['bytes']:,} bytes" for each in files]
    size = sum(each["bytes"] for each in files)
    return "\n".join(
        [*lines, f"{len(files)} files, {size:,} bytes, and the log lines of {len(plan['runs'])} runs: {done}"]
    )


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


def doctor_text(findings: Sequence[Mapping[str, Any]]) -> str:
    """What `stockfc doctor` prints: one line per check, and whether all are well."""
    lines = [f"{_verdict(finding)}  {finding['check']:<14} {finding['message']}" for finding in findings]
    failed = sum(not finding["ok"] for finding in findings)
    return "\n".join([*lines, "", "all is well" if not failed else f"{failed} of {len(findings)} checks failed"])


def alarms_text(looked: Mapping[str, Any], *, test: bool = False) -> str:
    """What `stockfc alarms` prints: what is wrong, who was told of it now, and who could not be told.

    ``test``: nothing was looked at, and nothing is told again.
    """
    lines = [
        f"WRONG since {each['began'][:16]} UTC: {' '.join(filter(None, (each['name'], each['subject'])))}: {each['message']}"
        for each in looked["open"]
    ] or ["this was a test; nothing was looked at" if test else "nothing is wrong"]
    lines += [
        f"told {channel}: {count} {'incident' if count == 1 else 'incidents'}"
        for channel, count in looked["told"].items()
    ]
    later = "" if test else "; it is told again at the next look"
    lines += [f"could not tell {channel}: {why}{later}" for channel, why in looked["failures"].items()]
    return "\n".join(lines if not looked["deferred"] else [*lines, "another evaluator is telling at this moment"])


def _verdict(finding: Mapping[str, Any]) -> str:
    return "ok  " if finding["ok"] else "FAIL"


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
