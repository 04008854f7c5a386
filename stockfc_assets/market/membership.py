"""Dated membership of the universe as a table."""

import polars as pl

from stockfc_assets.settings import Universe
from stockfc_assets.tables import Universe as UniverseTable


def universe_table(universe: Universe, sectors: dict[str, int], currency: str) -> pl.DataFrame:
    """One row per ticker and membership interval (tables.Universe), sorted by ticker and date.

    ``currency`` is used for stocks that do not name their own.
    """
    rows = [
        {
            "ticker": stock.ticker,
            "member_from": interval.member_from,
            "member_to": interval.member_to,
            "name": stock.name,
            "sector": stock.sector,
            "sector_id": sectors[stock.sector],
            "currency": stock.currency or currency,
        }
        for stock in universe.stocks
        for interval in stock.member
    ]
    schema = {name: column.dtype for name, column in UniverseTable.columns().items()}
    return UniverseTable.validate(pl.DataFrame(rows, schema=schema).sort("ticker", "member_from"))
