"""Manners: spacing, waiting, giving up, and what a refusal costs. The server is real, only time is not."""

from __future__ import annotations

import pytest
from curl_cffi import requests

from stockfc_assets.market.sources.yahoo.session import ServiceError

CHART = "https://query2.finance.yahoo.com/v8/finance/chart/"
CRUMB = "https://query1.finance.yahoo.com/v1/test/getcrumb"


def chart(session, ticker="S00001.T"):
    return session.get(CHART + ticker, params={"range": "5d", "interval": "1d"})


def test_https_questions_reach_the_endpoint_with_their_host_and_the_answer_is_kept(polite, yahoo):
    session = polite()
    assert chart(session).status_code == 200
    asked = yahoo.requests[0]
    assert (asked.host, asked.path) == ("query2.finance.yahoo.com", "/v8/finance/chart/S00001.T")
    assert asked.query == {"range": "5d", "interval": "1d"}
    assert session.answer["chart"]["result"][0]["meta"]["symbol"] == "S00001.T"
    assert session.requests_made == 1


def test_requests_start_apart_and_the_first_does_not_wait(polite, time):
    session = polite(requests_per_minute=30, jitter_seconds=0)
    for _ in range(3):
        chart(session)
    assert time.slept == [2.0, 2.0]
    time.now += 100
    chart(session)
    assert time.slept == [2.0, 2.0]


def test_jitter_adds_up_to_its_seconds(polite, time):
    session = polite(requests_per_minute=60, jitter_seconds=0.5)
    for _ in range(20):
        chart(session)
    assert all(1 <= wait <= 1.5 for wait in time.slept)
    assert len(set(time.slept)) == 19


@pytest.mark.parametrize("fault", [429, 500, 503, "cut", "malformed", "half"])
def test_a_fault_that_passes_is_asked_again_after_a_growing_wait(polite, yahoo, time, fault):
    yahoo.faults.add(fault, times=3)
    session = polite(requests_per_minute=1e6, first_backoff_seconds=5)
    assert chart(session).status_code == 200
    assert [asked.status for asked in yahoo.requests][-1] == 200
    assert len(yahoo.requests) == session.requests_made == 4
    waits = [wait for wait in time.slept if wait > 1]
    assert all(5 * 2**n <= wait <= 5 * 2**n * 1.25 for n, wait in enumerate(waits))
    assert session.seconds_waited == sum(waits)


def test_silence_ends_with_the_timeout(polite, yahoo):
    yahoo.faults.add("stall", seconds=5)
    with pytest.raises(ServiceError, match=r"no answer within 0\.1 s"):
        chart(polite(requests_per_minute=1e6, timeout_seconds=0.1))
    assert len(yahoo.requests) == 4


def test_the_service_names_the_wait(polite, yahoo, time):
    yahoo.faults.add(429, times=1, retry_after=77)
    chart(polite(requests_per_minute=1e6))
    assert 77 in time.slept


def test_a_wait_never_exceeds_the_longest(polite, yahoo, time):
    yahoo.faults.add(429, times=8)
    chart(polite(requests_per_minute=1e6, first_backoff_seconds=5, longest_backoff_seconds=20, budget_seconds=900))
    waits = [wait for wait in time.slept if wait > 1]
    assert all(wait <= 25 for wait in waits)
    assert len(waits) == 8


def test_a_rate_limit_for_ever_uses_the_budget_and_then_fails_at_once(polite, yahoo, time):
    yahoo.faults.add(429)
    session = polite(requests_per_minute=1e6, budget_seconds=300)
    for _ in range(2000):
        with pytest.raises(ServiceError, match="429 Too Many Requests"):
            chart(session)
    assert session.seconds_waited <= 300
    assert sum(time.slept) < 301
    asked = len(yahoo.requests)
    assert asked < 12
    with pytest.raises(ServiceError, match=r"429 Too Many Requests; not asked, after \d+ s of waiting"):
        chart(session)
    assert len(yahoo.requests) == asked


def test_the_next_fetch_tries_again_without_a_budget_until_the_service_answers(polite, yahoo):
    yahoo.faults.add(429)
    session = polite(requests_per_minute=1e6, budget_seconds=10)
    for _ in range(5):
        with pytest.raises(ServiceError):
            chart(session)
    asked, waited = len(yahoo.requests), session.seconds_waited
    session.begin()
    with pytest.raises(ServiceError, match=r"^429 Too Many Requests$"):
        chart(session)
    assert (len(yahoo.requests), session.seconds_waited) == (asked + 1, waited)
    yahoo.faults.clear()
    chart(session)
    yahoo.faults.add(429, times=1)
    session.begin()
    chart(session)
    assert session.seconds_waited > waited


def test_a_ticker_that_always_fails_costs_four_tries_and_not_the_others(polite, yahoo):
    yahoo.faults.add(500, ticker="S00001.T")
    session = polite(requests_per_minute=1e6, budget_seconds=60)
    for _ in range(6):
        with pytest.raises(ServiceError, match="500 Internal Server Error: An internal error occurred"):
            chart(session)
        assert chart(session, "S00002.T").status_code == 200
    assert session.seconds_waited <= 60


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "404 Not Found: No data found, symbol may be delisted"), (422, "422 .*1d data not available")],
)
def test_a_refusal_costs_one_request_and_keeps_yahoos_words(polite, yahoo, status, reason):
    yahoo.faults.add(status)
    with pytest.raises(ServiceError, match=reason) as caught:
        chart(polite())
    assert caught.value.status == status
    assert len(yahoo.requests) == 1


def test_an_unauthorized_question_is_handed_back_once(polite, yahoo):
    yahoo.faults.add(401)
    session = polite()
    assert chart(session).status_code == 401
    with pytest.raises(ServiceError, match="401 Unauthorized: Invalid Crumb"):
        chart(session)
    assert chart(session, "S00002.T").status_code == 401


def test_a_crumb_is_asked_for_once_and_a_refused_one_handed_back(polite, yahoo):
    yahoo.faults.add(429, kind="crumb")
    assert polite().get(CRUMB).status_code == 429
    assert yahoo.count("crumb") == 1


def test_a_missing_local_server_is_named_without_waiting(polite, yahoo, time):
    session = polite()
    yahoo.__exit__(None, None, None)
    with pytest.raises(ServiceError, match=r"no server at http://127\.0\.0\.1:\d+ \(sources\.yahoo\.endpoint\)"):
        chart(session)
    assert session.seconds_waited == 0


def test_the_cookie_is_asked_for_once_until_it_is_refused(polite, yahoo):
    session = polite()
    for _ in range(3):
        session.get("https://fc.yahoo.com")
    assert yahoo.count("cookie") == 1
    yahoo.faults.add(401, times=1)
    chart(session)
    session.get("https://fc.yahoo.com")
    assert yahoo.count("cookie") == 2


def test_it_is_a_session_of_the_librarys_own_kind(polite):
    assert isinstance(polite(), requests.Session)
