"""Rules for putting freshly fetched bars beside those already stored."""

from collections.abc import Collection

import polars as pl


def keep_rows_of_failed_tickers(stored: pl.DataFrame, fetched: pl.DataFrame, failed: Collection[str]) -> pl.DataFrame:
    """The fetched rows of one session, and the stored ones of tickers that could not be fetched this time.

    Both frames are tables.RawOhlcv of the same session; the result is sorted by ticker. A ticker that was fetched and
    has no row any more loses it: the source says that it did not trade.
    """
    kept = stored.filter(pl.col("ticker").is_in(list(failed)) & ~pl.col("ticker").is_in(fetched["ticker"].implode()))
    return pl.concat([fetched, kept]).sort("ticker")
