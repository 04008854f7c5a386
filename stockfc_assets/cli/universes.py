"""Commands that show the universe or make one of a list of the exchange."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import asdict
from pathlib import Path

import click

from stockfc_assets import terminal
from stockfc_assets.cli.common import Date
from stockfc_assets.errors import InputError


@click.group()
def universe() -> None:
    """Show the stocks to forecast, or make a universe file from a list of the exchange."""


@universe.command("show")
@click.option("--date", type=Date(), help="Members on this date (default: today).")
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
@click.option("--since", type=Date(), help="Take the listed issues as members since this date: an assumption.")
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


def _write_text(path: Path, text: str) -> None:
    """Writes beside ``path`` and renames, so that no half file is ever read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
