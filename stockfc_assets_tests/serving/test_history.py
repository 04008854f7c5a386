"""What a stock's history says beside a second, plain account of what happened."""

import calendar
import datetime as dt
import json
import math
from dataclasses import dataclass

import pytest

from stockfc_assets.features.grids import STALE_SESSIONS
from stockfc_assets.storage import Warehouse
from stockfc_assets_tests.serving.publishing import NEWEST, SPLIT


def months_on(date: dt.date, months: int) -> dt.date:
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))


@dataclass(frozen=True)
class Plain:
    """Every session, and each stock's rows by session."""

    days: list[dt.date]
    rows: dict[str, dict[dt.date, dict]]

    def outcome(self, ticker: str, session: dt.date, end: dt.date) -> float | None:
        """The simple return from ``session`` to ``end``, by walking through the rows."""
        rows = self.rows[ticker]
        near = [day for day in self.days if day <= end][-1 - STALE_SESSIONS :]
        found = [day for day in near if day in rows]
        if end > NEWEST or not found or found[-1] <= session:
            return None
        shares = math.prod(row["split_ratio"] for day, row in rows.items() if session < day <= found[-1])
        return rows[found[-1]]["close"] * shares / rows[session]["close"] - 1


@pytest.fixture(scope="module")
def plain(store) -> Plain:
    warehouse = Warehouse(store)
    rows: dict[str, dict[dt.date, dict]] = {}
    for row in warehouse.read_tables("raw_ohlcv", warehouse.partitions("raw_ohlcv")).to_dicts():
        rows.setdefault(row["ticker"], {})[row["session"]] = row
    return Plain(sorted({day for days in rows.values() for day in days}), rows)


def history(client, ticker: str, query: str = "limit=100") -> dict:
    answer = client.get(f"/v1/tickers/{ticker}/history?{query}")
    assert answer.status == 200, answer.content
    return answer.json()


def test_forecasts_and_outcomes_of_every_stock(client, api_settings, store, plain):
    compared = missing = 0
    for ticker in api_settings.universe.tickers:
        for entry in history(client, ticker)["history"]:
            session = dt.date.fromisoformat(entry["session"])
            document = json.loads(store.read_bytes(f"predictions/{session}.json"))
            published = next(stock for stock in document["predictions"] if stock["ticker"] == ticker)
            assert entry["current_price"] == published["current_price"]
            assert entry["model"] == document["model"]["id"]
            for told, said in zip(entry["forecasts"], published["predictions"], strict=True):
                assert {key: told[key] for key in said} == said
                end = months_on(session, told["month"])
                assert told["end"] == end.isoformat()
                expected = plain.outcome(ticker, session, end)
                if expected is None:
                    assert told["outcome"] is None
                    missing += 1
                    continue
                price = entry["current_price"] * (1 + expected)
                assert told["outcome"]["return"] == pytest.approx(expected, abs=1e-6)
                assert told["outcome"]["price"] == pytest.approx(price, rel=1e-4)
                assert told["outcome"]["inside"] == (said["lower"] <= price <= said["upper"])
                compared += 1
    assert compared > 1_000
    assert missing > 1_000


def test_a_halted_stock_has_no_outcome_though_it_traded_before_and_after(client, api_settings):
    halted = api_settings.universe.tickers[1]
    past = {entry["session"]: entry["forecasts"] for entry in history(client, halted)["history"]}
    assert "2023-06-30" not in past, "it did not trade"
    outcomes = [forecast["outcome"] for forecast in past["2023-03-31"]]
    assert outcomes[0] is not None
    assert outcomes[2:4] == [None, None], "the ends of June and July lie in its halt"
    assert outcomes[5] is not None


def test_outcomes_stand_on_the_share_basis_of_the_forecast(client, api_settings, plain):
    split = api_settings.universe.tickers[2]
    before = next(entry for entry in history(client, split)["history"] if entry["session"] == "2023-08-31")
    later = plain.rows[split][dt.date(2023, 9, 29)]
    assert plain.rows[split][SPLIT]["split_ratio"] == 2
    assert before["forecasts"][0]["outcome"]["price"] == pytest.approx(2 * later["close"], rel=1e-6)


def test_pages_go_back_in_time_and_lose_nothing(client, api_settings):
    ticker = api_settings.universe.tickers[0]
    whole = history(client, ticker)
    assert whole["next"] is None
    assert whole["source"] == {
        "name": "simulated", "label": "simulated market (seed 20100104)", "simulated": True,
    }  # fmt: skip
    page, seen = history(client, ticker, "limit=4"), []
    while True:
        seen += page["history"]
        assert page["total"] == whole["total"] == 19
        if page["next"] is None:
            break
        page = client.get(page["next"]).json()
    assert seen == whole["history"]
    assert [entry["session"] for entry in seen] == sorted((entry["session"] for entry in seen), reverse=True)


def test_before_the_first_session_there_is_nothing(client, api_settings):
    ticker = api_settings.universe.tickers[0]
    assert history(client, ticker, "before=2000-01-01")["history"] == []
    assert history(client, ticker, "before=9999-12-31&limit=1")["history"][0]["session"] == NEWEST.isoformat()
