"""From stored prices to what a forecast reads, without Dagster: the steps of the job daily_forecast before the forecast.

The same functions as the assets', so the same bytes. What a blocking check of the job forbids raises here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from stockfc_assets.errors import DataError
from stockfc_assets.features.laws import feature_problems
from stockfc_assets.features.session_features import write_features
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.collect import PriceCollector
from stockfc_assets.market.configured import fetched_tickers, source_identity
from stockfc_assets.market.membership import universe_table
from stockfc_assets.market.quality.session import QUALITY, SessionQuality, write_quality
from stockfc_assets.market.session_laws import coverage_problems, law_problems
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse


class DailyChain:
    """Prices, quality and features of a session, and of those before it that were missed."""

    def __init__(self, warehouse: Warehouse, settings: Settings, calendar: TradingCalendar) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self.calendar = calendar

    def missing(self, session: dt.date) -> list[dt.date]:
        """``session`` and the sessions before it that are newer than the newest stored features; none if it has some.

        Raises DataError when nothing is stored before it, or when they are more than a function should make up for
        (``schedules.missing_sessions_per_tick``).
        """
        stored = [key for key in self.warehouse.partitions("weekly_features") if key <= session.isoformat()]
        if not stored:
            raise DataError(
                f"{self.warehouse.store.location('weekly_features')}: nothing is stored before {session}; run "
                f"`stockfc backfill --from {self.settings.environment.history_start}` first"
            )
        newest = dt.date.fromisoformat(stored[-1])
        lacking = [day for day in self.calendar.between(newest, session) if day > newest]
        most = self.settings.environment.schedules.missing_sessions_per_tick
        if len(lacking) > most:
            raise DataError(
                f"{len(lacking)} sessions before {session} are missing since {newest}, at most {most} are made up for; run "
                f"`stockfc backfill --from {lacking[0]} --to {session}`"
            )
        return lacking

    def fetch(
        self, sessions: Sequence[dt.date], *, now: Callable[[], dt.datetime], say: Callable[[str], object]
    ) -> None:
        """Asks the price source for ``sessions`` and stores what it answers, with the universe's table.

        ``now`` tells an aware time; ``say`` gets a line for each question and each doubt.
        """
        from stockfc_assets.market.sources import build_source

        source = build_source(self.settings, now=now)
        self.warehouse.require_source(source_identity(self.settings))
        members = universe_table(self.settings.universe, self.settings.sectors, self.calendar.profile.currency)
        self.warehouse.write_table("universe", "universe", members)
        collector = PriceCollector(self.warehouse, source, self.calendar, say=say, warn=say)
        for _ in collector.collect(sessions, fetched_tickers(self.settings, sessions[0])):
            pass

    def prepare(self, session: dt.date, lacking: Sequence[dt.date]) -> None:
        """Judges the prices of ``session`` and ``lacking`` (ascending), and writes what they have not: quality, features.

        Raises DataError where prices are missing, break a law or cover too few members, or features break theirs.
        """
        sessions = sorted({*lacking, session})
        self._require_prices(sessions)
        judged = set(self.warehouse.partitions(QUALITY, ".json")) - {day.isoformat() for day in lacking}
        quality = SessionQuality(self.warehouse, self.calendar, self.settings.quality)
        for day, rows, findings in quality.examine([day for day in sessions if day.isoformat() not in judged]):
            write_quality(self.warehouse, day.isoformat(), findings, checked=rows)
        if lacking:
            for _ in write_features(self.warehouse, self.settings, self.calendar, lacking):
                pass
        rows = self.warehouse.read_tables("weekly_features", [day.isoformat() for day in sessions])
        self._refuse([] if rows is None else feature_problems(rows), "weekly_features")

    def _require_prices(self, sessions: Sequence[dt.date]) -> None:
        keys = [day.isoformat() for day in sessions]
        stored = set(self.warehouse.partitions("raw_ohlcv"))
        if absent := [key for key in keys if key not in stored]:
            raise DataError(
                f"{self.warehouse.store.location('raw_ohlcv')}: no prices of {', '.join(absent)}; run `stockfc backfill "
                f"--from {absent[0]} --to {absent[-1]}`, or send fetch: true where the price source is installed"
            )
        self._refuse(law_problems(self.warehouse, self.settings, keys), "raw_ohlcv")
        self._refuse(coverage_problems(self.warehouse, self.settings, self.calendar, keys), "raw_ohlcv")

    def _refuse(self, problems: Sequence[str], asset: str) -> None:
        if problems:
            raise DataError(
                f"{self.warehouse.store.location(asset)}: not fit to forecast from:\n" + "\n".join(problems)
            )
