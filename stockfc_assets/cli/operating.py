"""Commands for whoever runs it: alarms, retention, Dagster's pages, the HTTP API."""

from __future__ import annotations

import os
import socket
import sys
from functools import partial
from pathlib import Path

import click

from stockfc_assets import terminal
from stockfc_assets.cli.common import RUN_FAILED, print_document, workbench
from stockfc_assets.errors import InputError


@click.command()
@click.option("--test", is_flag=True, help="Only send a message to every channel, to see whether it arrives.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def alarms(test: bool, as_json: bool) -> None:
    """Look whether something is wrong, and tell webhook, SNS topic and log what they were not told yet.

    For cron, where Dagster's daemon does not run; docs/alarms.md has the channels and the conditions. Exits with 1 when
    a channel could not be told, when the store cannot be reached, and when --test finds no channel to test.
    """
    from stockfc_assets.configuration import load_settings
    from stockfc_assets.defs.alarms import check_from_terminal, evaluation_document, no_channel, try_alarms

    say, settings, lost = partial(click.echo, err=as_json), load_settings(), None
    if test:
        looked = try_alarms(settings, say)
    else:
        looked, lost = check_from_terminal(workbench, say)
    print_document(evaluation_document(looked), partial(terminal.alarms_text, test=test), as_json=as_json)
    if nobody := no_channel(settings):
        click.echo(f"warning: {nobody}", err=True)
    if looked.failures or lost or (test and nobody):
        sys.exit(RUN_FAILED)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def retention(dry_run: bool, as_json: bool) -> None:
    """Remove reports, training panels and log lines that the environment's `retention` no longer keeps.

    All of them can be made again, or were only log lines; docs/retention.md says what is never removed.
    """
    from stockfc_assets.defs.maintenance import apply_retention, retention_plan

    with workbench() as bench:
        plan = retention_plan(bench.platform, bench.instance)
        if not dry_run:
            apply_retention(bench.definitions, bench.instance)
    print_document({"dry_run": dry_run, **plan}, terminal.retention_text, as_json=as_json)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def ui(port: int) -> None:
    """Open Dagster's web server and daemon on loopback, with this data root's instance."""
    from stockfc_assets.defs.instance import open_instance
    from stockfc_assets.defs.resources import open_settings

    settings = open_settings()
    with open_instance(settings):
        pass  # It is ready, and of this store.
    os.environ["STOCKFC_CONFIG"] = str(settings.config_dir)
    os.environ["STOCKFC_DATA"] = str(settings.data_root)
    workspace = settings.config_dir.parent / "workspace.yaml"
    if not workspace.is_file():
        raise InputError(f"{workspace}: missing; run `stockfc ui` from the project's folder")
    _require_free_port(port)
    command = ["dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace)]
    click.echo(f"Dagster opens at http://127.0.0.1:{port} (stop with Ctrl-C)")
    os.execv(Path(sys.executable).with_name("dagster"), command)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 = all networks.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve what was published over HTTP: forecasts, history, ranking, track record, reports (docs/api.md)."""
    try:
        from stockfc_assets.serving.server import serve as answer
    except ModuleNotFoundError as error:
        raise InputError(
            f"the package {error.name} is not installed; `.venv/bin/pip install -c constraints.txt -e '.[serving]'`"
        ) from None
    _require_free_port(port)
    click.echo(f"The API answers at http://{host}:{port}/v1/forecasts/latest (stop with Ctrl-C)")
    answer(host, port, workers)


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise InputError(f"--port {port}: something listens there already; choose another port") from None


COMMANDS = (alarms, retention, ui, serve)
