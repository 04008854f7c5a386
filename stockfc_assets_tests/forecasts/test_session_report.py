"""A session's report from what is stored: everything that is there is on the page, what is not is said."""

import datetime as dt

import polars as pl
import pytest

from stockfc_assets.errors import DataError
from stockfc_assets.forecasts.session_report import report_data, session_report
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.storage import LocalStore, Warehouse
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets_tests.forecasts.html_page import cells, section, words
from stockfc_assets_tests.forecasts.report_samples import sample_backtest, sample_gate, sample_scores
from stockfc_assets_tests.forecasts.samples import SESSION, sample_forecast, sample_settings

CALENDAR = trading_calendar("XTKS")
SESSIONS = CALENDAR.between(dt.date(2024, 1, 4), SESSION)
SPLIT = SESSIONS[-20]
EARLIER = dt.date(2025, 11, 6)
TICKER = "7203.T"


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    """A published session with its card and prices, one earlier forecast, and a split of Toyota in between."""
    warehouse = Warehouse(LocalStore(tmp_path))
    document, _, card, _ = sample_forecast()
    warehouse.write_file(f"predictions/{SESSION}.json", document_bytes(document))
    warehouse.write_file("onnx_model/2026-02-01/model.json", document_bytes(card))
    now = {stock["ticker"]: stock["current_price"] for stock in document["predictions"]}
    for day in SESSIONS:
        before = {ticker: price * (2 if ticker == TICKER and day < SPLIT else 1) for ticker, price in now.items()}
        ratios = [2.0 if ticker == TICKER and day == SPLIT else 1.0 for ticker in now]
        warehouse.write_table("raw_ohlcv", day.isoformat(), bars(day, before, ratios))
    earlier = pl.DataFrame(
        [
            {
                "ticker": TICKER, "session": EARLIER, "horizon": horizon, "current_price": 2 * now[TICKER],
                "predicted_price": 2.1 * now[TICKER], "lower": 1.9 * now[TICKER], "upper": 2.2 * now[TICKER],
            }
            for horizon in range(1, 13)
        ]
    )  # fmt: skip
    warehouse.write_table("daily_predictions", EARLIER.isoformat(), earlier)
    return warehouse


def bars(day: dt.date, closes: dict[str, float], ratios: list[float]) -> pl.DataFrame:
    prices = list(closes.values())
    return pl.DataFrame(
        {
            "ticker": list(closes), "session": day, "open": prices, "high": prices, "low": prices, "close": prices,
            "volume": 1000, "dividend": 0.0, "split_ratio": ratios,
        }
    )  # fmt: skip


def test_what_is_stored_beside_the_forecast_is_on_the_page(warehouse):
    for asset, document in (
        ("forecast_scores", sample_scores()), ("backtest", sample_backtest()), ("champion_model", sample_gate()),
    ):  # fmt: skip
        warehouse.write_file(f"{asset}/2026-02-01.json", document_bytes(document))
    report = session_report(warehouse, sample_settings(), CALENDAR, SESSION)
    page = report.page.decode()
    assert cells(section(page, "record"), "ridge regression")[1] == "−5.0 % (t 0.5)"
    assert cells(section(page, "backtest"), "return a year, after")[1] == "+11.1 %"
    assert "It has not been worse." in words(section(page, "model"))
    assert len(report.headlines) == 5
    assert report.headlines[4].startswith("What would trading on them have brought, after costs? +11.1")


def test_what_was_said_before_a_split_is_compared_on_todays_basis(warehouse):
    page = session_report(warehouse, sample_settings(), CALENDAR, SESSION).page.decode()
    assert cells(page, EARLIER.isoformat()) == ["2025-11-06", "2026-02-06", "+5.0 %", "0.0 %", "yes"]
    history = report_data(warehouse, sample_settings(), CALENDAR, SESSION).history
    assert history.filter(pl.col("ticker") == TICKER)["close"].n_unique() == 1


def test_what_is_missing_never_fails_the_page(warehouse):
    data = report_data(warehouse, sample_settings(), CALENDAR, SESSION)
    assert (data.scores, data.backtest, data.gate, data.drift) == (None, None, None, None)
    assert data.unexplained == "onnx_model/2026-02-01/model.onnx: missing; run `stockfc monthly --month 2026-02`"
    page = words(session_report(warehouse, sample_settings(), CALENDAR, SESSION).page.decode())
    assert "model.onnx: missing; run `stockfc monthly --month 2026-02`" in page


def test_nothing_that_is_stored_later_changes_the_page(warehouse):
    before = session_report(warehouse, sample_settings(), CALENDAR, SESSION).page
    later = CALENDAR.between(SESSION + dt.timedelta(days=1), dt.date(2026, 3, 10))
    for day in later:
        warehouse.write_table("raw_ohlcv", day.isoformat(), bars(day, {TICKER: 1.0}, [3.0]))
    warehouse.write_table("daily_predictions", later[0].isoformat(), pl.DataFrame({"ticker": ["nonsense"]}))
    for asset in ("forecast_scores", "backtest", "champion_model"):
        warehouse.write_file(f"{asset}/2026-03-01.json", b"{}")
    assert session_report(warehouse, sample_settings(), CALENDAR, SESSION).page == before


def test_a_session_without_forecast_or_prices_is_refused(warehouse):
    with pytest.raises(DataError, match=r"run `stockfc daily --session 2026-02-05` first"):
        session_report(warehouse, sample_settings(), CALENDAR, dt.date(2026, 2, 5))
    for day in SESSIONS:
        warehouse.store.delete(f"raw_ohlcv/{day}.parquet")
    with pytest.raises(DataError, match="no raw_ohlcv; run `stockfc backfill --from"):
        session_report(warehouse, sample_settings(), CALENDAR, SESSION)
