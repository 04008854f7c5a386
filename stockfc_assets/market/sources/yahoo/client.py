"""yfinance set up for our use. It keeps its session, cookie and crumb in one place per process."""

from __future__ import annotations

import logging
import warnings

import yfinance
from yfinance import cache
from yfinance.data import YfData
from yfinance.exceptions import YFException, YFPricesMissingError, YFRateLimitError
from yfinance.scrapers.history import PriceHistory

from stockfc_assets.market.sources.yahoo.session import PoliteSession, ServiceError

# Its own affairs with pandas, once per line and question.
warnings.filterwarnings("ignore", module="yfinance")


def connect(session: PoliteSession) -> YfData:
    """yfinance's connection, through ``session`` from now on and without anything left from another session.

    Failures become visible as exceptions. Nothing is kept on disk: yfinance's cookie cache is a pickle, and it would
    ask for each ticker's time zone to cache it, which the exchange's profile knows.
    """
    yfinance.config.debug.hide_exceptions = False
    # What it logs it also raises, and then it is said once, with the ticker.
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    cache._CookieCacheManager._Cookie_cache = cache._CookieCacheDummy()
    cache._TzCacheManager._tz_cache = cache._TzCacheDummy()
    cache._ISINCacheManager._isin_cache = cache._ISINCacheDummy()
    data = YfData(session=None)
    if data._session is not session:
        data._set_session(session)
        data._cookie_strategy = "basic"
        data._cookie = data._crumb = None
    # It would answer a question about the past a second time without asking, even on another day.
    data.cache_get.cache_clear()
    return data


def ticker(name: str, session: PoliteSession, time_zone: str) -> yfinance.Ticker:
    """yfinance's ticker, which with its ``time_zone`` given spends no request on asking for it.

    Left alone, its price history would open a session of its own for each ticker and never use it.
    """
    made = yfinance.Ticker(name, session=session)
    made._tz = time_zone
    made._price_history = PriceHistory(made._data, made.ticker, time_zone, session=session)
    return made


def reason_of(error: Exception) -> str:
    """Why a question failed, in a few words, the service's own where it has any."""
    if isinstance(error, ServiceError):
        return error.reason
    if isinstance(error, YFRateLimitError):
        return "429 Too Many Requests"
    if isinstance(error, YFPricesMissingError):
        return str(error.yahoo_reason or "the answer holds no prices")
    if isinstance(error, YFException):
        return str(error)
    return f"the answer cannot be read ({type(error).__name__}: {error})"
