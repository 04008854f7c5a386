"""The six static features: company facts known at the as-of date, at that session's price.

Per-share facts of an enrichment stand on the share basis of the last session strictly before its ``as_of``: a split
taking effect on the first session on or after ``as_of`` is not in them yet. They are moved to a session's basis by the
splits of all sessions from ``as_of`` to that session, both inclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from stockfc_assets.features.grids import locate, split_events
from stockfc_assets.features.names import STATIC_FEATURES

_FORMULAS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "earnings_yield": ("eps_ttm", np.divide),
    "book_to_price": ("book_value_per_share", np.divide),
    "dividend_yield": ("dividend_per_share_ttm", np.divide),
    "return_on_equity": ("return_on_equity", lambda ratio, _: ratio),
    "profit_margin": ("profit_margin", lambda ratio, _: ratio),
    "log_market_cap": ("shares_outstanding", lambda shares, price: np.log(shares * price)),
}
"""Feature: the fact that it is made of, and how with the price per share on the fact's basis."""


def static_features(
    enrichment: pl.DataFrame, raw: pl.DataFrame, tickers: Sequence[str], days: np.ndarray
) -> np.ndarray:
    """float32 [tickers, sessions, 6] in the order of `STATIC_FEATURES`; NaN = missing.

    enrichment: `tables.UniverseEnrichment` rows of any number of months; of each ticker, the row with the newest
    ``as_of`` on or before the session counts, whole: a null in it is missing, not taken from an older row.
    raw: `tables.RawOhlcv` rows of ``days`` (ascending datetime64[D]) and of every session from the ``as_of`` dates in
    use on. The price is the session's own as-traded close: without a trade the ratios to price are missing.

    With f = product of the split ratios since as_of, P the close: earnings_yield = eps_ttm / f / P, book_to_price =
    book_value_per_share / f / P, dividend_yield = dividend_per_share_ttm / f / P (ratios per year, 0.05 = 5 %);
    return_on_equity and profit_margin as they are (ratios); log_market_cap = log(shares_outstanding x f x P), P in
    listing currency.
    """
    shape = (len(tickers), len(days))
    facts, newest, as_of = _newest_facts(enrichment, tickers, days)
    price = locate(raw, tickers, days).dense("close", shape) * _splits_since(raw, tickers, days, as_of)
    features = np.empty((*shape, len(STATIC_FEATURES)), dtype=np.float32)
    with np.errstate(all="ignore"):
        for number, name in enumerate(STATIC_FEATURES):
            fact, formula = _FORMULAS[name]
            features[:, :, number] = formula(facts[fact][newest], price)
    return features


def _newest_facts(
    enrichment: pl.DataFrame, tickers: Sequence[str], days: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(facts by row; row of the newest facts or -1; their as_of as int64 days), the latter two [tickers, sessions]."""
    index = {ticker: i for i, ticker in enumerate(tickers)}
    rows = enrichment.filter(pl.col("ticker").is_in(list(index))).sort("as_of", "ticker")
    as_of = rows["as_of"].cast(pl.Int32).to_numpy().astype(np.int64)
    first = np.searchsorted(days.astype(np.int64), as_of, side="left")
    owner = np.array([index[ticker] for ticker in rows["ticker"]], dtype=np.int64)
    newest = np.full((len(tickers), len(days)), -1, dtype=np.int64)
    in_time = first < len(days)
    # Ascending as_of: of several rows known by the same session the last one written is the newest.
    newest[owner[in_time], first[in_time]] = np.flatnonzero(in_time)
    np.maximum.accumulate(newest, axis=1, out=newest)
    # One row past the end, so that -1 reads a missing fact even when there are none at all.
    facts = {name: np.append(rows[name].cast(pl.Float64).to_numpy(), np.nan) for name, _ in _FORMULAS.values()}
    never = np.iinfo(np.int64).max
    return facts, newest, np.append(as_of, never)[newest]


def _splits_since(raw: pl.DataFrame, tickers: Sequence[str], days: np.ndarray, as_of: np.ndarray) -> np.ndarray:
    """Product of the split ratios from the facts' as_of to each session, oldest first; float64 [tickers, sessions]."""
    factor = np.ones(as_of.shape)
    for split in split_events(raw, tickers):
        day = split.day.astype(np.int64)
        since = np.searchsorted(days.astype(np.int64), day, side="left")
        factor[split.ticker, since:] *= np.where(as_of[split.ticker, since:] <= day, split.ratio, 1.0)
    return factor
