"""Makes and stores a large simulated market, without Dagster: ``python -m benchmarks.large_market CONFIG DATA SESSION``."""

from __future__ import annotations

import datetime as dt
import sys

from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.features.names import SEQUENCE_WEEKS, SESSIONS_PER_WEEK
from stockfc_assets.features.weekly import LOOKBACK_SESSIONS, weekly_features

BLOCK = 200


def store_market(platform: Platform, session: dt.date) -> None:
    """Prices and weekly features of the weeks that a forecast of ``session`` reads, in blocks of sessions."""
    calendar, settings = platform.calendar, platform.settings
    first = calendar.before(session, (SEQUENCE_WEEKS + 4) * SESSIONS_PER_WEEK)
    targets = calendar.between(first, session)
    for begin in range(0, len(targets), BLOCK):
        block = targets[begin : begin + BLOCK]
        raw = platform.source.fetch_bars(
            platform.known_tickers(), calendar.before(block[0], LOOKBACK_SESSIONS), block[-1]
        ).bars
        features = weekly_features(raw, block, calendar.sessions, settings.universe, benchmark=settings.benchmark)
        for asset, frame in (("raw_ohlcv", raw), ("weekly_features", features)):
            for key, rows in frame.partition_by("session", as_dict=True).items():
                platform.warehouse.write_table(asset, key[0].isoformat(), rows)


def main() -> None:
    config, data, session = sys.argv[1:]
    settings = open_settings({"STOCKFC_CONFIG": config, "STOCKFC_DATA": data})
    store_market(Platform(settings), dt.date.fromisoformat(session))


if __name__ == "__main__":
    main()
