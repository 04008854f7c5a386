"""How fresh and how sound what is served is, on the exchange's clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cached_property
from typing import Any

from stockfc_assets.alarms.conditions import conditions
from stockfc_assets.market.calendar import TradingCalendar, trading_calendar
from stockfc_assets.serving.problems import without_root
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse


class Watch:
    """``clock`` tells an aware time."""

    def __init__(self, warehouse: Warehouse, settings: Settings, clock: Callable[[], dt.datetime]) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self.clock = clock

    @cached_property
    def calendar(self) -> TradingCalendar:
        return trading_calendar(self.settings.universe.exchange)

    def readiness(self) -> dict[str, Any]:
        """``ready``, and the ``conditions`` that `stockfc status` tells, too."""
        found = conditions(self.warehouse, self.settings, self.calendar, self.clock())
        store = self.warehouse.store
        shown = [{"name": each.name, "ok": each.ok, "message": without_root(store, each.message)} for each in found]
        return {"ready": all(each.ok for each in found), "conditions": shown}

    def sessions_behind(self, newest: dt.date) -> int:
        """Finished sessions after ``newest``, that of the newest forecast."""
        closed = self.calendar.newest_closed(self.clock())
        return len(self.calendar.between(newest + dt.timedelta(days=1), closed))
