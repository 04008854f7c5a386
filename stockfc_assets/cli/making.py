"""Commands that run jobs: prices, models, forecasts, and which model serves."""

from __future__ import annotations

import datetime as dt

import click

from stockfc_assets import terminal
from stockfc_assets.cli.common import Date, Month, print_document, workbench

DEMO_YEARS = 10


@click.command()
@click.option("--from", "start", type=Date(), required=True, help="First session to fetch.")
@click.option("--to", "end", type=Date(), help="Last session to fetch (default: the newest finished one).")
@click.option("--force", is_flag=True, help="Also materialise what is already there.")
def backfill(start: dt.date, end: dt.date | None, force: bool) -> None:
    """Fetch prices and compute weekly features for past sessions, in one run.

    Sessions that are already there are left alone unless --force is given. Forecasts of the past are published by
    `stockfc daily --from ... --to ...` once models exist (`stockfc monthly --from ... --to ...`).
    """
    with workbench() as bench:
        bench.backfill(start, end, force=force)


@click.command()
@click.option("--session", type=Date(), help="Session to forecast (default: the newest finished one).")
@click.option("--from", "start", type=Date(), help="Publish past forecasts, and the report of the last.")
@click.option("--to", "end", type=Date(), help="Last session of the range (default: the newest finished one).")
def daily(session: dt.date | None, start: dt.date | None, end: dt.date | None) -> None:
    """Fetch a session's prices, forecast, publish and write the report.

    Sessions missed since the newest stored one are fetched first.
    """
    if session and (start or end):
        raise click.UsageError("give either --session or --from/--to")
    if end and not start:
        raise click.UsageError("--to needs --from")
    with workbench() as bench:
        if start:
            bench.daily_range(start, end)
        else:
            bench.show(bench.daily(session), top=5)


@click.command()
@click.option(
    "--month",
    type=Month(),
    help="Month whose model is made (default: the current one; at first, the newest session's).",
)
@click.option("--from", "start", type=Month(), help="First month of a walk-forward, made in one run.")
@click.option("--to", "end", type=Month(), help="Last month of the walk (default: the current one).")
def monthly(month: dt.date | None, start: dt.date | None, end: dt.date | None) -> None:
    """Fetch company facts, build the panel, train or fine-tune, export to ONNX and decide which model serves.

    The model of a month knows only what was known before its first day.
    """
    if month and (start or end):
        raise click.UsageError("give either --month or --from/--to")
    if end and not start:
        raise click.UsageError("--to needs --from")
    with workbench() as bench:
        bench.monthly(start or month, end if start else month, walk=bool(start))


@click.command()
@click.option("--month", type=Month(), help="Month (default: the newest that was judged).")
@click.option("--json", "as_json", is_flag=True, help="Print the record as it is.")
def gate(month: dt.date | None, as_json: bool) -> None:
    """Show which model serves from a month on, and why: the gate's decision and its evidence."""
    with workbench() as bench:
        record = bench.gate(month)
        print_document(record, terminal.gate_text, as_json=as_json)


@click.command()
@click.option("--to", "month", type=Month(), required=True, help="Month whose model is to serve.")
@click.option("--reason", required=True, help="Why; it stands in the record and in Dagster.")
def rollback(month: dt.date, reason: str) -> None:
    """Let an earlier month's model serve from today on.

    Forecasts of earlier sessions stay as they are. The model serves until newer ones have proved not worse, or
    until the current month's own model is chosen the same way (docs/gate.md).
    """
    with workbench() as bench:
        bench.roll_back(month, reason)


@click.command()
def demo() -> None:
    """Ten years of prices, a trained model, a forecast and a report, from nothing."""
    with workbench() as bench:
        newest = bench.newest_session()
        bench.backfill(newest.replace(year=newest.year - DEMO_YEARS, day=1), newest)
        bench.ensure_model(newest)
        document = bench.ensure_forecast(newest)
        click.echo()
        bench.show(document, top=5)
        click.echo(f"\nLook at every step of it, re-run and back-fill: {terminal.UI_COMMAND}")


COMMANDS = (backfill, daily, monthly, gate, rollback, demo)
