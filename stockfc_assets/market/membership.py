"""Dated membership of the universe as a table, and stocks that were taken out of its file."""

import datetime as dt

import polars as pl

from stockfc_assets.settings import Membership, Stock, Universe
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


def removed_stocks(universe: Universe, stored: pl.DataFrame, last_session: dt.date) -> tuple[Stock, ...]:
    """Stocks of the ``stored`` table (tables.Universe) that the file no longer lists, in order of ticker.

    Nothing is deleted when a stock is taken out of the file: it was a member, and scores of the past must count it.
    An interval that was still open ends on ``last_session``, or on its first date if it began later.
    """
    gone = stored.filter(~pl.col("ticker").is_in(list(universe.tickers))).sort("ticker", "member_from")
    stocks = []
    for (ticker,), rows in gone.partition_by("ticker", as_dict=True, maintain_order=True).items():
        first = rows.row(0, named=True)
        intervals = tuple(
            Membership(member_from=start, member_to=end or max(start, last_session))
            for start, end in rows.select("member_from", "member_to").iter_rows()
        )
        stocks.append(
            Stock(
                ticker=str(ticker),
                name=first["name"],
                sector=first["sector"],
                currency=first["currency"],
                member=intervals,
            )
        )
    return tuple(stocks)
