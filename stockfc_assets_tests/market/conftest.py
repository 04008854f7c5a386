import pytest

from stockfc_assets.market.calendar import TradingCalendar, trading_calendar


@pytest.fixture(scope="session")
def calendar() -> TradingCalendar:
    return trading_calendar("XTKS")
