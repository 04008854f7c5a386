"""``python -m stockfc_assets_tests.local_yahoo --source simulated``: a Yahoo on this machine until Ctrl-C.

It reads the normal configuration, as ``STOCKFC_SOURCE=simulated`` would, and serves that source's market. Without
``--today`` its data grow with the clock: a session is there once it is over.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError, StockfcError
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.market.sources import build_source, effective_settings
from stockfc_assets.settings import Settings
from stockfc_assets_tests.local_yahoo.server import LocalYahoo

CLOCK_SECONDS = 30


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stockfc_assets_tests.local_yahoo", description=__doc__)
    parser.add_argument("--source", choices=("simulated", "files"), default="simulated", help="whose market is served")
    parser.add_argument("--port", type=int, default=8917, help="0 = any free one")
    parser.add_argument("--today", type=dt.date.fromisoformat, help="the last day with data; default: follow the clock")
    parser.add_argument("--tickers", type=int, help="simulate this many invented tickers instead of the universe's")
    parser.add_argument("--recorded", type=Path, help="folder of recorded answers, such as ../shared/data/yahoo")
    return parser.parse_args(argv)


def served_settings(source: str, tickers: int | None) -> Settings:
    """The configuration with ``source``, and with so many invented tickers where ``tickers`` is given."""
    settings = load_settings({**os.environ, "STOCKFC_SOURCE": source})
    if tickers is None:
        return effective_settings(settings)
    if source != "simulated":
        raise ConfigError(f"--tickers {tickers}: only the simulated source invents tickers; leave it away")
    sources = settings.environment.sources
    simulated = sources.simulated.model_copy(update={"tickers": tickers})
    sources = sources.model_copy(update={"simulated": simulated})
    environment = settings.environment.model_copy(update={"sources": sources})
    return effective_settings(settings.model_copy(update={"environment": environment}))


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    try:
        settings = served_settings(options.source, options.tickers)
        source = build_source(settings)
        if options.recorded is not None and not (options.recorded / "recorded").is_dir():
            raise ConfigError(f"--recorded {options.recorded}: there is no folder `recorded` in it; correct the path")
    except StockfcError as problem:
        print(problem, file=sys.stderr)
        return 1
    exchange = settings.universe.exchange
    calendar = trading_calendar(exchange)

    def today() -> dt.date:
        return options.today or calendar.newest_closed(dt.datetime.now(dt.UTC))

    try:
        server = LocalYahoo(source, today=today(), exchange=exchange, recorded=options.recorded, port=options.port)
    except OSError as problem:
        print(f"--port {options.port}: {problem.strerror}; choose another, or 0 for any free one", file=sys.stderr)
        return 1
    with server as yahoo:
        print(f"{yahoo.url}  {source.label}, {len(settings.universe.tickers)} tickers, data until {yahoo.today}")
        print(f"export STOCKFC_SOURCE=yahoo STOCKFC_YAHOO_ENDPOINT={yahoo.url}", flush=True)
        try:
            while True:
                time.sleep(CLOCK_SECONDS)
                yahoo.today = today()
        except KeyboardInterrupt:
            print(f"stopped after {len(yahoo.requests)} requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
