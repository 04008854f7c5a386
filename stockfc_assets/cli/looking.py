"""Commands that show what is stored and what it is worth."""

from __future__ import annotations

import datetime as dt
import sys
from functools import partial

import click

from stockfc_assets import terminal, terminal_drift, terminal_record
from stockfc_assets.cli.common import RUN_FAILED, Date, Month, print_document, workbench
from stockfc_assets.errors import StorageError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--check", is_flag=True, help="Exit with 1 when a condition does not hold, for monitoring.")
def status(as_json: bool, check: bool) -> None:
    """Show what is stored, which model serves, the newest forecast, what must hold, and the last runs.

    A store that cannot be reached is an error, exit code 1; with --json it is the one condition that is told.
    """
    try:
        with workbench() as bench:
            state = bench.status()
    except StorageError as error:
        if not as_json:
            raise
        from stockfc_assets.alarms.conditions import STORAGE

        print_document({"conditions": [{"name": STORAGE, "ok": False, "message": str(error)}]}, str, as_json=True)
        sys.exit(RUN_FAILED)
    print_document(state, terminal.status_text, as_json=as_json)
    if check and not all(each["ok"] for each in state["conditions"]):
        sys.exit(RUN_FAILED)


@click.command()
@click.option("--session", type=Date(), help="Session to show (default: the newest published one).")
@click.option("--top", type=click.IntRange(min=1), help="Only so many of the highest and the lowest.")
@click.option("--json", "as_json", is_flag=True, help="Print the published file as it is.")
def show(session: dt.date | None, top: int | None, as_json: bool) -> None:
    """Show a published forecast, ranked by its 12-month return, and what earlier ones were worth."""
    with workbench() as bench:
        print_document(bench.document(session), partial(bench.forecast_text, top=top), as_json=as_json)


@click.command()
@click.argument("ticker")
@click.option("--session", type=Date(), help="Session (default: the newest published one).")
@click.option("--horizon", type=click.IntRange(1, 12), default=12, show_default=True, help="Months ahead.")
@click.option("--json", "as_json", is_flag=True, help="Print all horizons as JSON.")
def explain(ticker: str, session: dt.date | None, horizon: int, as_json: bool) -> None:
    """Show which inputs moved the forecast of TICKER away from that of the session's typical stock."""
    with workbench() as bench:
        document = bench.explain(ticker, session)
        print_document(document, partial(terminal.explanation_text, horizon=horizon), as_json=as_json)


@click.command()
@click.option("--session", type=Date(), help="Session (default: the newest published one).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def drift(session: dt.date | None, as_json: bool) -> None:
    """Show whether a session's inputs look like those that its model was trained on."""
    with workbench() as bench:
        print_document(bench.drift(session), terminal_drift.drift_text, as_json=as_json)


@click.command()
@click.option("--session", type=Date(), help="Session (default: the newest published one).")
def report(session: dt.date | None) -> None:
    """Write the HTML report of a published session and print where it is."""
    with workbench() as bench:
        click.echo(bench.report(session))


@click.command()
@click.option("--from", "start", type=Date(), help="First session (default: the newest recorded one).")
@click.option("--to", "end", type=Date(), help="Last session (default: the newest finished one).")
@click.option("--again", is_flag=True, help="Judge the range again first, after a change of config/quality.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print the published records as they are.")
def quality(start: dt.date | None, end: dt.date | None, again: bool, as_json: bool) -> None:
    """Show what is wrong with stored prices: ticker, session, what was seen, what was expected.

    docs/data-quality.md says what each defect means and what to do about it.
    """
    if end and not start:
        raise click.UsageError("--to needs --from")
    if again and not start:
        raise click.UsageError("--again needs --from")
    with workbench() as bench:
        if again:
            bench.judge_again(start, end)
        documents = bench.quality(start, end)
        print_document(documents, terminal.quality_text, as_json=as_json)


@click.command()
@click.option("--from", "start", type=Date(), help="First session (default: that of the oldest published forecast).")
@click.option("--to", "end", type=Date(), help="Last session (default: the newest finished one).")
@click.option(
    "--horizon", type=click.IntRange(1, 12), help="Rank by the forecast so many months ahead (default: config)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backtest(start: dt.date | None, end: dt.date | None, horizon: int | None, as_json: bool) -> None:
    """Show what trading on the published forecasts would have brought, after costs.

    Every month the stocks are ranked by the forecast of its last session and traded at the close of the session after.
    docs/backtest.md has the rules, config/backtest.yaml the costs.
    """
    with workbench() as bench:
        document = bench.backtest(start, end, horizon)
        print_document(document, terminal_record.backtest_text, as_json=as_json)


@click.command()
@click.option("--month", type=Month(), help="Month (default: the newest that was scored).")
@click.option("--json", "as_json", is_flag=True, help="Print the published record as it is.")
def scores(month: dt.date | None, as_json: bool) -> None:
    """Show how published forecasts turned out, of those whose horizon was over when the month began."""
    with workbench() as bench:
        document = bench.scores(month)
        print_document(document, terminal_record.scores_text, as_json=as_json)


@click.command()
def doctor() -> None:
    """Check configuration, storage, price source, calendar and model."""
    with workbench() as bench:
        findings = bench.doctor()
    click.echo(terminal.doctor_text(findings))
    if not all(finding["ok"] for finding in findings):
        sys.exit(RUN_FAILED)


COMMANDS = (status, show, explain, drift, report, quality, backtest, scores, doctor)
