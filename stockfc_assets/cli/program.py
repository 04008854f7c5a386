"""The program `stockfc`, and how its errors are told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from stockfc_assets import __version__
from stockfc_assets.cli import looking, making, operating, universes
from stockfc_assets.cli.common import BAD_INPUT, RUN_FAILED
from stockfc_assets.errors import StockfcError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stockfc")
def cli() -> None:
    """Forecast monthly stock prices 1 to 12 months ahead, with the track record beside each forecast.

    STOCKFC_ENV chooses the environment file (default: local), STOCKFC_DATA the root of all data (default: data),
    STOCKFC_SOURCE the price source (simulated, files, yahoo).
    """


for command in (*making.COMMANDS, *looking.COMMANDS, *operating.COMMANDS, universes.universe):
    cli.add_command(command)


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
