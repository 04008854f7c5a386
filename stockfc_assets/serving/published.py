"""What the API shows, read from the store: the published files as they are, and views made of them.

Everything here reads; nothing is scored or forecast. Keys of files are made of dates and months that were checked, never
of a client's text.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from stockfc_assets.errors import DataError
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.models import serving_on
from stockfc_assets.forecasts.publication import read_document
from stockfc_assets.market.calendar import profile_of
from stockfc_assets.serving.history import ticker_history
from stockfc_assets.serving.problems import Problem
from stockfc_assets.settings import Settings
from stockfc_assets.storage import Warehouse

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
RAW_COLUMNS = ("ticker", "session", "open", "high", "low", "close", "volume", "dividend", "split_ratio")


class Published:
    """Views of one warehouse. Raises Problem 404 where nothing is published, DataError naming a damaged file."""

    def __init__(self, warehouse: Warehouse, settings: Settings, clock: Callable[[], dt.datetime]) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self.clock = clock

    # --- files as they are --------------------------------------------------------------------------------------------

    def forecast(self, key: str) -> bytes:
        """A published predictions file, byte for byte, once it is known to be whole."""
        data = self._bytes(key, "run `stockfc daily` again")
        read_document(data, location=key)
        return data

    def document(self, key: str) -> bytes:
        """Another published JSON file."""
        data = self._bytes(key, "write it again")
        _parsed(data, key)
        return data

    def report(self, key: str) -> bytes:
        data = self._bytes(key, "run `stockfc report` again")
        if not data[:64].lstrip().lower().startswith(b"<!doctype html"):
            raise DataError(f"{key}: not an HTML page; run `stockfc report` again")
        return data

    def version(self, key: str) -> str | None:
        return self.warehouse.store.version(key)

    def _bytes(self, key: str, remedy: str) -> bytes:
        return self.warehouse.read_file(key, remedy=remedy)

    # --- folders ------------------------------------------------------------------------------------------------------

    def sessions(self) -> list[str]:
        """Sessions with a published forecast (ISO dates), oldest first."""
        return self._dated("predictions", ".json")

    def newest(self, asset: str) -> str:
        """Key of the newest month's file of ``asset``."""
        months = self._dated(asset, ".json")
        if not months:
            raise Problem(404, f"no {asset} is stored yet; run `stockfc monthly`")
        return f"{asset}/{months[-1]}.json"

    def _dated(self, asset: str, suffix: str = ".parquet") -> list[str]:
        """Partitions of ``asset``, sorted; files of other names are none."""
        return [name for name in self.warehouse.partitions(asset, suffix) if DATE.fullmatch(name)]

    def tickers(self) -> frozenset[str]:
        """All that ever belonged: those of the universe's file, and those that it no longer lists."""
        known = set(self.settings.universe.tickers)
        if self.warehouse.partitions("universe"):
            known |= set(self.warehouse.read_table("universe", "universe")["ticker"])
        return frozenset(known)

    # --- views --------------------------------------------------------------------------------------------------------

    def ranking(self, forecast: bytes, horizon: int, top: int | None) -> dict[str, Any]:
        """The stocks of a published forecast, highest return ``horizon`` months ahead first; equal ones by ticker."""
        document = json.loads(forecast)
        rows = []
        for stock in document["predictions"]:
            month = next((each for each in stock["predictions"] if each["month"] == horizon), None)
            if month is not None:
                named = {key: stock.get(key) for key in ("ticker", "name", "sector", "current_price")}
                rows.append(
                    {**named, **{key: month.get(key) for key in ("predicted_price", "return", "lower", "upper")}}
                )
        rows.sort(key=lambda row: (-row["return"], row["ticker"]))
        return {
            "session": session_of(document).isoformat(),
            "horizon": horizon,
            "source": document.get("source"),
            "model": document.get("model"),
            "stocks": len(rows),
            "ranking": [{"rank": rank, **row} for rank, row in enumerate(rows[:top], start=1)],
        }

    def source(self, sessions: list[str]) -> dict[str, Any] | None:
        """How the forecasts of ``sessions`` name the source of their prices; one store holds one source."""
        return json.loads(self.forecast(f"predictions/{sessions[-1]}.json")).get("source") if sessions else None

    def history(self, ticker: str, sessions: list[str]) -> list[dict[str, Any]]:
        """What was forecast of ``ticker`` on ``sessions``, newest first, with outcomes as far as prices are stored."""
        forecasts = self.warehouse.read_tables("daily_predictions", sessions, tickers=[ticker])
        if forecasts is None:
            return []
        last = add_months(dt.date.fromisoformat(sessions[-1]), 12).isoformat()
        priced = [key for key in self._dated("raw_ohlcv") if sessions[0] <= key <= last]
        raw = self.warehouse.read_tables("raw_ohlcv", priced, tickers=[ticker], columns=RAW_COLUMNS)
        if raw is None:
            raise DataError(f"raw_ohlcv: no prices are stored since {sessions[0]}; run `stockfc backfill`")
        days = [dt.date.fromisoformat(key) for key in priced]
        return ticker_history(forecasts, raw, days, days[-1] + dt.timedelta(days=1))

    def champion(self) -> dict[str, Any]:
        """The newest month's champion record, with the model and reason that stand today on the exchange's clock."""
        key = self.newest("champion_model")
        zone = ZoneInfo(profile_of(self.settings.universe.exchange).time_zone)
        record = _parsed(self._bytes(key, "materialise champion_model again"), key)
        return serving_on(record, self.clock().astimezone(zone).date())


def session_of(document: dict[str, Any]) -> dt.date:
    """Files of earlier versions name their session only in their time stamp."""
    return dt.date.fromisoformat(document.get("session") or document["timestamp"][:10])


def _parsed(data: bytes, key: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise DataError(f"{key}: not valid JSON ({error}); materialise its partition again") from None
