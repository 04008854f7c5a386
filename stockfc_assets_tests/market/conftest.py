from pathlib import Path

import pytest

from stockfc_assets.market.calendar import TradingCalendar, trading_calendar

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def calendar() -> TradingCalendar:
    return trading_calendar("XTKS")


@pytest.fixture
def shared_data() -> Path:
    """Real data beside the repository; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA
