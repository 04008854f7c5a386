"""What commands share: dates and months as arguments, printing, the workbench.

Exit codes: 0 done, 1 a run or a check failed, 2 the input or the configuration is wrong (nothing was touched).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import click

RUN_FAILED = 1
BAD_INPUT = 2


class Date(click.ParamType):
    """``2026-02-06``"""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date; write it as 2026-02-06", param, ctx)


class Month(click.ParamType):
    """``2026-02``, as the first day of the month"""

    name = "YYYY-MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.datetime.strptime(value, "%Y-%m").date()  # noqa: DTZ007 - a month has no time zone
        except ValueError:
            self.fail(f"{value!r} is not a month; write it as 2026-02", param, ctx)


def print_document(document: Any, text: Callable[[Any], str], *, as_json: bool) -> None:
    """A document as JSON, or as a person reads it."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False) if as_json else text(document))


def workbench() -> Any:
    """The workbench of this environment, as a context; Dagster is imported only now."""
    from stockfc_assets.defs.workbench import open_workbench

    return open_workbench(say=click.echo)
