"""Yahoo Finance through yfinance: live prices and company facts (docs/yahoo.md)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import yfinance

from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.findings import in_order
from stockfc_assets.market.source import BARS_SCHEMA, FactsResult, FetchResult
from stockfc_assets.market.sources.yahoo.client import connect, reason_of
from stockfc_assets.market.sources.yahoo.facts import CompanyFacts
from stockfc_assets.market.sources.yahoo.prices import NOTHING, History, ask_chart, read_history
from stockfc_assets.market.sources.yahoo.session import PoliteSession
from stockfc_assets.settings import QualitySettings, Universe, YahooSettings

EARLIER_SESSIONS = 20
"""So many sessions before a range are handed over with it, to be compared with what is stored."""

LATE_SESSIONS = 5
"""Rows that end within so many sessions before now may go on; a stock that is silent for longer is halted or gone."""


class YahooSource:
    """Prices and facts from Yahoo Finance; one question per ticker and range, politely put (session.PoliteSession).

    ``now`` tells an aware time. A ticker that Yahoo does not answer for is a failure with Yahoo's own reason; the others
    are handed over.
    """

    name = "yahoo"
    is_remote = True

    def __init__(
        self,
        settings: YahooSettings,
        universe: Universe,
        calendar: TradingCalendar,
        quality: QualitySettings,
        *,
        now: Callable[[], dt.datetime],
        session: PoliteSession | None = None,
    ) -> None:
        self.is_simulated = settings.is_simulated
        self.label = settings.label
        self._settings = settings
        self._calendar = calendar
        self._quality = quality
        self._now = now
        self._session = session or PoliteSession(settings)
        self._currency = {stock.ticker: stock.currency for stock in universe.stocks if stock.currency}
        self._facts = CompanyFacts(settings, calendar, quality, self._session, self._currency_of)

    @property
    def requests_made(self) -> int:
        """How many requests went out since this source was made, those for cookies and crumbs included."""
        return self._session.requests_made

    @property
    def seconds_waited(self) -> float:
        """Seconds spent in back-off since this source was made."""
        return self._session.seconds_waited

    def describe(self) -> dict[str, Any]:
        """No request is made for it."""
        return {
            "service": f"Yahoo Finance through yfinance {yfinance.__version__}",
            "requests_per_minute": self._settings.requests_per_minute,
            "endpoint": self._settings.endpoint,
        }

    def fetch_bars(self, tickers: Sequence[str], start: dt.date, end: dt.date) -> FetchResult:
        """As-traded bars; ``earlier`` holds up to `EARLIER_SESSIONS` sessions before ``start``.

        Rows of sessions that are not over are not handed over. A ticker that was not listed yet, or has no rows in the
        range, is no failure.
        """
        bars, earlier, findings = [NOTHING.bars], [NOTHING.bars], [NOTHING.findings]
        failures: dict[str, str] = {}
        late: dict[str, dt.date] = {}
        names = sorted(set(tickers))
        if not names:
            return FetchResult(pl.DataFrame(schema=BARS_SCHEMA))
        end = min(end, self._calendar.newest_closed(self._now()))
        compared = self._calendar.before(start, EARLIER_SESSIONS)
        reported = self._calendar.before(start, 1)
        connect(self._session)
        self._session.begin()
        for name in names:
            try:
                history = self._history(name, start)
            except Exception as error:  # yfinance reads answers of any shape; one ticker's must not cost the others
                failures[name] = reason_of(error)
                continue
            if (since := self._late_since(history)) is not None:
                late[name] = since
            session = pl.col("session")
            bars.append(history.bars.filter(session.is_between(start, end)))
            earlier.append(history.bars.filter(session.is_between(compared, start, closed="left") & (session <= end)))
            findings.append(history.findings.filter((session > reported) & (session <= end)))
        return FetchResult(
            pl.concat(bars).sort("session", "ticker"),
            failures,
            in_order(pl.concat(findings)),
            pl.concat(earlier).sort("session", "ticker"),
            late,
        )

    def fetch_facts(self, tickers: Sequence[str], as_of: dt.date) -> FactsResult:
        """The facts of today for the current month; for a past one only what statements said by then (facts.py)."""
        data = connect(self._session)
        self._session.begin()
        return self._facts.fetch(sorted(set(tickers)), as_of, self._now().astimezone(self._zone), data)

    def _late_since(self, history: History) -> dt.date | None:
        """The first session after the newest row, if that row is recent: Yahoo shows some rows hours late."""
        newest = self._calendar.newest_closed(self._now())
        # A row that was refused has come, too.
        last = pl.concat([history.bars["session"], history.findings["session"]]).max()
        if last is None or not self._calendar.before(newest, LATE_SESSIONS) <= last < newest:
            return None
        return self._calendar.between(last + dt.timedelta(days=1), newest)[0]

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._calendar.profile.time_zone)

    def _currency_of(self, ticker: str) -> str:
        return self._currency.get(ticker, self._calendar.profile.currency)

    def _history(self, name: str, start: dt.date) -> History:
        profile, today = self._calendar.profile, self._now().astimezone(self._zone).date()
        first = start - dt.timedelta(days=self._settings.history_days)
        chart = ask_chart(name, self._session, profile.time_zone, first, today)
        if chart is None:
            return NOTHING
        return read_history(name, chart, self._currency_of(name), self._calendar, self._quality, today)
