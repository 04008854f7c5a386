import asyncio
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.serving.protection import MAX_HEADER_BYTES, MAX_PATH_BYTES, MAX_QUERY_BYTES, client_network
from stockfc_assets_tests.serving.asgi import Client
from stockfc_assets_tests.serving.publishing import SECRET

PUBLISHED = ("predictions/", "forecast_report/", "forecast_scores/", "backtest/", "champion_model/", "onnx_model/")


def is_problem(answer, status: int) -> bool:
    return (
        answer.status == status
        and answer.headers["content-type"] == "application/problem+json"
        and answer.json()["status"] == status
        and bool(answer.json()["detail"])
    )


# --- hostile input ----------------------------------------------------------------------------------------------------

HOSTILE = [
    "/v1/forecasts/../../secret.txt", "/v1/forecasts/..%2f..%2fsecret.txt", "/v1/forecasts/%2e%2e/%2e%2e/secret.txt",
    "/v1/forecasts/..%5c..%5csecret.txt", "/v1/forecasts/%2fetc%2fpasswd", "//etc/passwd", "/v1/forecasts//etc/passwd",
    "/v1/forecasts/secret.txt", "/v1/forecasts/a", "/v1/reports/..%2f..%2fsecret", "/v1/models/..%2f..%2fsecret",
    "/v1/models/2024-03-01", "/v1/models/2024-3", "/v1/models/2024-13", "/v1/tickers/..%2f..%2fsecret/history",
    "/v1/tickers/%00/history", "/v1/forecasts/2024-03-01%00", "/v1/forecasts/2024-03-01%0a", "/v1/forecasts/2024-03-01.json",
    "/v1/forecasts/99999999999-01-01", "/v1/forecasts/-1-01-01", "/v1/forecasts/2024-02-30", "/v1/forecasts/0",
    "/v1/forecasts/1709251200", "/v1/forecasts/２０２４-03-01", "/v1/ranking?session=../../secret.txt",
    "/v1/ranking?horizon=0", "/v1/ranking?horizon=13", "/v1/ranking?horizon=1e3", "/v1/ranking?horizon=99999999999999999999",
    "/v1/ranking?top=-1", "/v1/track-record?month=2024-03-01", "/v1/track-record?month=../../secret", "/v1/forecasts?limit=0",
    "/v1/forecasts?before=0", "/v1/backtest?month=%00", "/v1/tickers/" + "A" * 21 + "/history", "/%", "/%ff%fe", "/v1/%f0%9f",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
def test_hostile_input_is_refused_with_a_problem(client, target):
    answer = client.get(target)
    assert answer.status in (404, 422), answer.content
    assert is_problem(answer, answer.status)
    assert SECRET not in answer.content


segments = st.one_of(
    st.sampled_from(
        ["v1", "forecasts", "latest", "reports", "models", "tickers", "history", "..", ".", "%2e%2e", "%2f", "%5c", "%00", "", "~",
         "predictions", "secret.txt", "a", "a.json", "secret", "dagster", "2024-03-01", "2024-03", "source.json", "%252e%252e",
         "2024-03-01.json", "..%2fsecret.txt", "..%2f..%2fdagster%2fsecret.json", "..;", "%c0%ae%c0%ae", "secret.json"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, blacklist_characters="?#"), max_size=8),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["/v1/forecasts/", "/v1/reports/", "/v1/models/", "/v1/tickers/", "/v1/", "/"]),
    st.lists(segments, max_size=6),
    st.sampled_from(["", "?session=", "?month=", "?before="]),
    segments,
)
def test_no_path_reaches_a_file_that_is_not_published(client, store, start, parts, question, value):
    answer = client.get(start + "/".join(parts) + (question + value if question else ""))
    assert SECRET not in answer.content
    assert answer.status in (200, 400, 404, 422)
    if answer.status != 200:
        assert is_problem(answer, answer.status)
        assert str(store.root).encode() not in answer.content


@settings(deadline=None, max_examples=100)
@given(
    st.text(max_size=30),
    st.dictionaries(st.sampled_from(["horizon", "top", "session", "month", "before"]), st.text(max_size=12)),
)
def test_any_query_has_an_answer(client, text, values):
    from urllib.parse import quote, urlencode

    for path in ("/v1/ranking", "/v1/forecasts", "/v1/track-record", f"/v1/tickers/{quote(text, safe='')}/history"):
        assert client.get(f"{path}?{urlencode(values)}").status in (200, 404, 422)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "X"])
def test_only_get_and_head(client, method):
    answer = client.get("/v1/forecasts/latest", method=method)
    assert is_problem(answer, 405)
    assert answer.headers["allow"] == "GET"


def test_sizes(client):
    assert is_problem(client.get("/v1/" + "a" * MAX_PATH_BYTES), 400)
    assert is_problem(client.get("/v1/forecasts?before=" + "a" * MAX_QUERY_BYTES), 400)
    assert is_problem(client.get("/v1/forecasts", {"X-Long": "a" * MAX_HEADER_BYTES}), 431)
    assert is_problem(client.get("/v1/forecasts", {"Content-Length": "1"}, body=b"x"), 413)
    assert is_problem(client.get("/v1/forecasts", {"Transfer-Encoding": "chunked"}), 413)
    assert client.get("/v1/forecasts", {"Content-Length": "0"}).status == 200
    assert client.get("/v1/forecasts", {"X-Long": "a" * (MAX_HEADER_BYTES - 200)}).status == 200


def test_safe_headers(client):
    page = client.get("/v1/reports/latest")
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    own = re.search(rb'http-equiv="Content-Security-Policy" content="([^"]+)"', page.body)
    assert own is not None
    assert page.headers["content-security-policy"].startswith(own[1].decode()), "not stricter than the page needs"
    for path in ("/v1/forecasts/latest", "/v1/nothing", "/v1/forecasts/x"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == page.headers["x-content-type-options"] == "nosniff"


# --- key --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(make_client) -> Client:
    return make_client(key="open sesame")


@pytest.mark.parametrize(
    "given", [{}, {"X-API-Key": ""}, {"X-API-Key": "open sesam"}, {"X-API-Key": "open sesame "}, {"X-API-Key": "é"}]
)
def test_without_the_key_there_is_nothing_but_health(locked, given):
    for path in ("/v1/forecasts/latest", "/v1/metrics", "/v1/readiness", "/v1/openapi.json", "/v1/nothing"):
        answer = locked.get(path, given)
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "X-API-Key"
    assert locked.get("/v1/health", given).status == 200


def test_with_the_key(locked):
    answer = locked.get("/v1/forecasts/latest", {"X-API-Key": "open sesame"})
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, max-age=60", "no shared cache may give it to others"
    schema = locked.get("/v1/openapi.json", {"X-API-Key": "open sesame"}).json()
    assert schema["security"] == [{"key": []}]
    assert schema["paths"]["/v1/health"]["get"]["security"] == []


def test_the_key_is_in_no_text_of_the_app(locked):
    assert b"sesame" not in locked.get("/v1/openapi.json", {"X-API-Key": "open sesame"}).body
    assert b"sesame" not in locked.get("/v1/metrics", {"X-API-Key": "open sesame"}).body


# --- rate limit -------------------------------------------------------------------------------------------------------


def test_beyond_the_limit_a_client_waits_and_others_do_not(make_client):
    client = make_client(requests_per_minute=5)
    statuses = [client.get("/v1/forecasts").status for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    refused = client.get("/v1/forecasts")
    assert is_problem(refused, 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/v1/health").status == 200
    assert Client(client.app, host="203.0.113.8").get("/v1/forecasts").status == 200


def test_wrong_keys_count_too(make_client):
    client = make_client(requests_per_minute=3, key="open sesame")
    assert [client.get("/v1/forecasts", {"X-API-Key": str(n)}).status for n in range(5)] == [401] * 3 + [429] * 2


def test_many_at_once_are_counted_exactly(make_client):
    client = make_client(requests_per_minute=20)

    async def run() -> list[int]:
        return [answer.status for answer in await asyncio.gather(*(client.ask("/v1/forecasts") for _ in range(50)))]

    began = time.time()
    statuses = asyncio.run(run())
    assert time.time() - began < 30, "within one window"
    assert statuses.count(200) == 20


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"), ("testclient", "testclient"),
    ],
)  # fmt: skip
def test_a_client_is_an_address_or_an_ipv6_network(host, network):
    assert client_network({"client": (host, 1)}) == network


# --- CORS -------------------------------------------------------------------------------------------------------------


def test_pages_of_named_origins_may_ask(make_client):
    client = make_client(cors_origins=["https://desk.example.com"], key="open sesame")
    origin = {"Origin": "https://desk.example.com"}
    preflight = client.get(
        "/v1/forecasts/latest", {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"},
        method="OPTIONS",
    )  # fmt: skip
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == origin["Origin"]
    answer = client.get("/v1/forecasts/latest", {**origin, "X-API-Key": "open sesame"})
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert {part.strip() for part in answer.headers["vary"].split(",")} == {"Accept-Encoding", "Origin"}
    refused = client.get("/v1/forecasts/latest", origin)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, origin["Origin"])
    other = client.get("/v1/forecasts/latest", {"Origin": "https://evil.example.com", "X-API-Key": "open sesame"})
    assert "access-control-allow-origin" not in other.headers


def test_without_origins_no_page_may_ask(client):
    assert "access-control-allow-origin" not in client.get("/v1/forecasts", {"Origin": "https://a.example"}).headers
