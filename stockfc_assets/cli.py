"""`stockfc`: the same Dagster jobs from a terminal, on the same instance, so that the UI shows every run.

Exit codes: 0 done, 1 a run or a check failed, 2 the input or the configuration is wrong (nothing was touched).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from stockfc_assets import __version__, terminal, terminal_drift, terminal_record
from stockfc_assets.errors import InputError, StockfcError

RUN_FAILED = 1
BAD_INPUT = 2
DEMO_YEARS = 10


class _Date(click.ParamType):
    """``2026-02-06``"""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as 2026-02-06", param, ctx)


class _Month(click.ParamType):
    """``2026-02``, as the first day of the month"""

    name = "YYYY-MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.datetime.strptime(value, "%Y-%m").date()  # noqa: DTZ007 - a month has no time zone
        except ValueError:
            self.fail(f"{value!r} is not a month; write it as 2026-02", param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stockfc")
def cli() -> None:
    """Forecast monthly stock prices 1 to 12 months ahead, with the track record beside each forecast.

    STOCKFC_ENV chooses the environment file (default: local), STOCKFC_DATA the root of all data (default: data),
    STOCKFC_SOURCE the price source (simulated, files, yahoo).
    """


@cli.command()
@click.option("--from", "start", type=_Date(), required=True, help="First session to fetch.")
@click.option("--to", "end", type=_Date(), help="Last session to fetch (default: the newest finished one).")
@click.option("--force", is_flag=True, help="Also materialise what is already there.")
def backfill(start: dt.date, end: dt.date | None, force: bool) -> None:
    """Fetch prices and compute weekly features for past sessions, in one run.

    Sessions that are already there are left alone unless --force is given. Forecasts of the past are published by
    `stockfc daily --from ... --to ...` once models exist (`stockfc monthly --from ... --to ...`).
    """
    with _workbench() as bench:
        bench.backfill(start, end, force=force)


@cli.command()
@click.option("--session", type=_Date(), help="Session to forecast (default: the newest finished one).")
@click.option("--from", "start", type=_Date(), help="Publish past forecasts, and the report of the last.")
@click.option("--to", "end", type=_Date(), help="Last session of the range (default: the newest finished one).")
def daily(session: dt.date | None, start: dt.date | None, end: dt.date | None) -> None:
    """Fetch a session's prices, forecast, publish and write the report.

    Sessions missed since the newest stored one are fetched first.
    """
    if session and (start or end):
        raise click.UsageError("give either --session or --from/--to")
    if end and not start:
        raise click.UsageError("--to needs --from")
    with _workbench() as bench:
        if start:
            bench.daily_range(start, end)
        else:
            bench.show(bench.daily(session), top=5)


@cli.command()
@click.option("--month", type=_Month(), help="Month whose model is made (default: the current one).")
@click.option("--from", "start", type=_Month(), help="First month of a walk-forward, made in one run.")
@click.option("--to", "end", type=_Month(), help="Last month of the walk (default: the current one).")
def monthly(month: dt.date | None, start: dt.date | None, end: dt.date | None) -> None:
    """Fetch company facts, build the panel, train or fine-tune, export to ONNX and decide which model serves.

    The model of a month knows only what was known before its first day.
    """
    if month and (start or end):
        raise click.UsageError("give either --month or --from/--to")
    if end and not start:
        raise click.UsageError("--to needs --from")
    with _workbench() as bench:
        bench.monthly(start or month, end if start else month, walk=bool(start))


@cli.command()
@click.option("--month", type=_Month(), help="Month (default: the newest that was judged).")
@click.option("--json", "as_json", is_flag=True, help="Print the record as it is.")
def gate(month: dt.date | None, as_json: bool) -> None:
    """Show which model serves from a month on, and why: the gate's decision and its evidence."""
    with _workbench() as bench:
        record = bench.gate(month)
        _print(record, terminal.gate_text, as_json=as_json)


@cli.command()
@click.option("--to", "month", type=_Month(), required=True, help="Month whose model is to serve.")
@click.option("--reason", required=True, help="Why; it stands in the record and in Dagster.")
def rollback(month: dt.date, reason: str) -> None:
    """Let an earlier month's model serve from today on.

    Forecasts of earlier sessions stay as they are. The model serves until newer ones have proved not worse, or
    until the current month's own model is chosen the same way (docs/gate.md).
    """
    with _workbench() as bench:
        bench.roll_back(month, reason)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(as_json: bool) -> None:
    """Show what is stored, which model serves, the newest forecast and the last runs."""
    with _workbench() as bench:
        _print(bench.status(), terminal.status_text, as_json=as_json)


@cli.command()
@click.option("--session", type=_Date(), help="Session to show (default: the newest published one).")
@click.option("--top", type=click.IntRange(min=1), help="Only so many of the highest and the lowest.")
@click.option("--json", "as_json", is_flag=True, help="Print the published file as it is.")
def show(session: dt.date | None, top: int | None, as_json: bool) -> None:
    """Show a published forecast, ranked by its 12-month return, and what earlier ones were worth."""
    with _workbench() as bench:
        _print(bench.document(session), partial(bench.forecast_text, top=top), as_json=as_json)


@cli.command()
@click.argument("ticker")
@click.option("--session", type=_Date(), help="Session (default: the newest published one).")
@click.option("--horizon", type=click.IntRange(1, 12), default=12, show_default=True, help="Months ahead.")
@click.option("--json", "as_json", is_flag=True, help="Print all horizons as JSON.")
def explain(ticker: str, session: dt.date | None, horizon: int, as_json: bool) -> None:
    """Show which inputs moved the forecast of TICKER away from that of the session's typical stock."""
    with _workbench() as bench:
        document = bench.explain(ticker, session)
        _print(document, partial(terminal.explanation_text, horizon=horizon), as_json=as_json)


@cli.command()
@click.option("--session", type=_Date(), help="Session (default: the newest published one).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def drift(session: dt.date | None, as_json: bool) -> None:
    """Show whether a session's inputs look like those that its model was trained on."""
    with _workbench() as bench:
        _print(bench.drift(session), terminal_drift.drift_text, as_json=as_json)


@cli.command()
@click.option("--session", type=_Date(), help="Session (default: the newest published one).")
def report(session: dt.date | None) -> None:
    """Write the HTML report of a published session and print where it is."""
    with _workbench() as bench:
        click.echo(bench.report(session))


@cli.command()
@click.option("--from", "start", type=_Date(), help="First session (default: the newest recorded one).")
@click.option("--to", "end", type=_Date(), help="Last session (default: the newest finished one).")
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
    with _workbench() as bench:
        if again:
            bench.judge_again(start, end)
        documents = bench.quality(start, end)
        _print(documents, terminal.quality_text, as_json=as_json)


@cli.command()
@click.option("--from", "start", type=_Date(), help="First session (default: that of the oldest published forecast).")
@click.option("--to", "end", type=_Date(), help="Last session (default: the newest finished one).")
@click.option(
    "--horizon", type=click.IntRange(1, 12), help="Rank by the forecast so many months ahead (default: config)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backtest(start: dt.date | None, end: dt.date | None, horizon: int | None, as_json: bool) -> None:
    """Show what trading on the published forecasts would have brought, after costs.

    Every month the stocks are ranked by the forecast of its last session and traded at the close of the session after.
    docs/backtest.md has the rules, config/backtest.yaml the costs.
    """
    with _workbench() as bench:
        document = bench.backtest(start, end, horizon)
        _print(document, terminal_record.backtest_text, as_json=as_json)


@cli.command()
@click.option("--month", type=_Month(), help="Month (default: the newest that was scored).")
@click.option("--json", "as_json", is_flag=True, help="Print the published record as it is.")
def scores(month: dt.date | None, as_json: bool) -> None:
    """Show how published forecasts turned out, of those whose horizon was over when the month began."""
    with _workbench() as bench:
        document = bench.scores(month)
        _print(document, terminal_record.scores_text, as_json=as_json)


@cli.command()
def doctor() -> None:
    """Check configuration, storage, price source, calendar and model."""
    with _workbench() as bench:
        findings = bench.doctor()
    click.echo(terminal.doctor_text(findings))
    if not all(finding["ok"] for finding in findings):
        sys.exit(RUN_FAILED)


@cli.command()
def demo() -> None:
    """Ten years of prices, a trained model, a forecast and a report, from nothing."""
    with _workbench() as bench:
        newest = bench.newest_session()
        bench.backfill(newest.replace(year=newest.year - DEMO_YEARS, day=1), newest)
        bench.ensure_model(newest)
        document = bench.ensure_forecast(newest)
        click.echo()
        bench.show(document, top=5)
        click.echo(f"\nLook at every step of it, re-run and back-fill: {terminal.UI_COMMAND}")


@cli.group()
def universe() -> None:
    """Show the stocks to forecast, or make a universe file from a list of the exchange."""


@universe.command("show")
@click.option("--date", type=_Date(), help="Members on this date (default: today).")
def show_universe(date: dt.date | None) -> None:
    """Show the universe in use: exchange, note, and how many stocks of each sector belong."""
    from stockfc_assets.configuration import load_settings
    from stockfc_assets.market.sources import effective_settings

    chosen = effective_settings(load_settings()).universe
    date = date or dt.datetime.now().astimezone().date()
    click.echo(terminal.universe_text(chosen.model_dump(), members=chosen.members(date), date=date))


@universe.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the universe (default: the file's name).")
@click.option("--since", type=_Date(), help="Take the listed issues as members since this date: an assumption.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write (default: config/universes/NAME.yaml).")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def import_universe(file: Path, name: str | None, since: dt.date | None, output: Path | None, force: bool) -> None:
    """Make a universe file of FILE: the exchange's list of issues, or dated lists of an index's members (CSV, UTF-8).

    Of the exchange's list only domestic common stocks are kept; what is left out, and why, is shown. docs/universes.md
    says where the lists come from and what their dates mean.
    """
    from stockfc_assets.configuration import config_folder, load_sector_names
    from stockfc_assets.market import universe_import

    config = config_folder(os.environ)
    name = universe_import.universe_name(name or (output or file).stem)
    target = output or config / "universes" / f"{name}.yaml"
    if target.exists() and not force:
        raise InputError(f"{target}: is there already; choose another --name, or replace it with --force")
    imported = universe_import.import_universe(file, name=name, sector_names=load_sector_names(config), since=since)
    origin = f"Made by `stockfc universe import {file.name}{f' --since {since}' if since else ''}`."
    _write_text(target, universe_import.universe_yaml(imported.universe, origin))
    click.echo(terminal.import_text(asdict(imported)))
    click.echo(f"\nWritten: {target} ({len(imported.universe.stocks):,} stocks)")
    if target.resolve().parent != config / "universes":
        click.echo(f"Copy it to {config / 'universes'}, where universes are looked for.")
    click.echo(
        f"Use it: set `universe: {target.stem}` in config/environments/{os.environ.get('STOCKFC_ENV', 'local')}.yaml"
    )


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def ui(port: int) -> None:
    """Open Dagster's web server and daemon on loopback, with this data root's instance."""
    from stockfc_assets.defs.instance import prepare_home
    from stockfc_assets.defs.resources import open_settings

    settings = open_settings()
    prepare_home(settings)
    os.environ["STOCKFC_CONFIG"] = str(settings.config_dir)
    os.environ["STOCKFC_DATA"] = str(settings.data_root)
    workspace = settings.config_dir.parent / "workspace.yaml"
    if not workspace.is_file():
        raise InputError(f"{workspace}: missing; run `stockfc ui` from the project's folder")
    _require_free_port(port)
    command = ["dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace)]
    click.echo(f"Dagster opens at http://127.0.0.1:{port} (stop with Ctrl-C)")
    os.execv(Path(sys.executable).with_name("dagster"), command)


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise InputError(f"--port {port}: something listens there already; choose another port") from None


def _write_text(path: Path, text: str) -> None:
    """Writes beside ``path`` and renames, so that no half file is ever read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _print(document: Any, text: Callable[[Any], str], *, as_json: bool) -> None:
    """A document as JSON, or as a person reads it."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False) if as_json else text(document))


def _workbench() -> Any:
    from stockfc_assets.defs.workbench import open_workbench

    return open_workbench(say=click.echo)


def main(arguments: list[str] | None = None, *, leave: Callable[[int], Any] = sys.exit) -> None:
    """The entry point: errors that a user can mend are printed as they are, without a traceback."""
    try:
        cli.main(arguments, standalone_mode=False)
    except click.exceptions.Exit as error:
        leave(error.exit_code)
    except click.ClickException as error:
        error.show()
        leave(error.exit_code)
    except click.Abort:
        click.echo("stopped", err=True)
        leave(RUN_FAILED)
    except StockfcError as error:
        click.echo(f"Error: {error}", err=True)
        leave(getattr(error, "exit_code", BAD_INPUT))


if __name__ == "__main__":
    main()
