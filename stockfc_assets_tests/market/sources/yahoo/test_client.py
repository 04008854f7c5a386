"""yfinance as we set it up: one connection per process that may change hands, nothing on disk, reasons in words."""

from __future__ import annotations

import json

import pytest
import yfinance
from yfinance import cache
from yfinance.exceptions import YFException, YFPricesMissingError, YFRateLimitError

from stockfc_assets.market.sources.yahoo.client import connect, reason_of
from stockfc_assets.market.sources.yahoo.session import ServiceError
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.market.sources.yahoo.conftest import TODAY

FAST = {"requests_per_minute": 1e6}


def test_two_sources_in_one_process_keep_their_servers_and_crumbs_apart(source, yahoo, simulated):
    with LocalYahoo(simulated, today=TODAY) as other:
        other.crumb = "another"
        here, there = source(**FAST), source(server=other, **FAST)
        for _ in range(2):
            for asked in (here, there):
                result = asked.fetch_facts(["S00001.T"], TODAY)
                assert (result.failures, result.facts.height) == ({}, 1)
        assert {request.status for request in [*yahoo.requests, *other.requests] if request.kind == "quoteSummary"} == {
            200
        }
        assert yahoo.count("quoteSummary") == other.count("quoteSummary") == 2


def test_an_answer_about_the_past_is_not_remembered(source, yahoo):
    yahoo.today = TODAY.replace(month=2)
    asked = source(**FAST)
    first = asked.fetch_bars(["S00001.T"], TODAY.replace(month=1), TODAY).bars
    yahoo.today = TODAY
    assert asked.fetch_bars(["S00001.T"], TODAY.replace(month=1), TODAY).bars.height > first.height


def test_nothing_is_kept_on_disk(polite):
    connect(polite())
    assert isinstance(cache.get_cookie_cache(), cache._CookieCacheDummy)
    assert isinstance(cache.get_tz_cache(), cache._TzCacheDummy)
    assert isinstance(cache.get_isin_cache(), cache._ISINCacheDummy)
    assert yfinance.config.debug.hide_exceptions is False


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ServiceError("404 Not Found: No data"), "404 Not Found: No data"),
        (YFRateLimitError(), "429 Too Many Requests"),
        (YFPricesMissingError("X", "(1d)", yahoo_reason="No data found"), "No data found"),
        (YFPricesMissingError("X", "(1d)"), "the answer holds no prices"),
        (YFException("said so"), "said so"),
        (KeyError("timestamp"), "the answer cannot be read (KeyError: 'timestamp')"),
    ],
)
def test_reasons(error, reason):
    assert reason_of(error) == reason


def test_errors_of_yahoo_in_an_answer_of_200_keep_their_words(source, yahoo, monkeypatch):
    body = {"chart": {"result": None, "error": {"code": "Internal", "description": "Something of ours broke"}}}
    monkeypatch.setattr(
        yahoo, "_answer", lambda asked: type("Answer", (), {"status": 200, "body": json.loads(json.dumps(body))})
    )
    assert source(**FAST).fetch_bars(["S00001.T"], TODAY, TODAY).failures == {"S00001.T": "Something of ours broke"}
