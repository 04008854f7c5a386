import datetime as dt
import hashlib
import json
import shutil

import pytest

from stockfc_assets.storage import LocalStore
from stockfc_assets_tests.serving.publishing import NEWEST

FILES = {
    "/v1/forecasts/latest": "predictions/latest.json",
    "/v1/forecasts/2024-03-01": "predictions/2024-03-01.json",
    "/v1/forecasts/2022-12-30": "predictions/2022-12-30.json",
    "/v1/track-record": "forecast_scores/2024-03-01.json",
    "/v1/track-record?month=2024-03": "forecast_scores/2024-03-01.json",
    "/v1/backtest": "backtest/2024-03-01.json",
    "/v1/backtest?month=2024-03": "backtest/2024-03-01.json",
    "/v1/models/2024-03": "onnx_model/2024-03-01/model.json",
    "/v1/reports/latest": "forecast_report/2024-03-01.html",
    "/v1/reports/2024-03-01": "forecast_report/2024-03-01.html",
}


@pytest.fixture
def damaged(api_settings, make_client, tmp_path):
    """(a client of a copy of everything, the copy's store): for tests that change files."""
    root = tmp_path / "data"
    shutil.copytree(api_settings.data_root, root)
    settings = api_settings.model_copy(update={"data_root": root})
    return make_client(settings=settings), LocalStore(root)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "key"), FILES.items())
def test_a_file_is_sent_byte_for_byte(client, store, path, key):
    data = store.read_bytes(key)
    plain = client.get(path)
    assert (plain.status, plain.body) == (200, data)
    assert plain.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    assert plain.headers["cache-control"] == "public, max-age=60"
    assert plain.headers["content-type"] == ("text/html; charset=utf-8" if key.endswith("html") else "application/json")
    zipped = client.get(path, {"Accept-Encoding": "gzip"})
    assert (zipped.headers["content-encoding"], zipped.content) == ("gzip", data)
    assert len(zipped.body) < len(data) / 2
    for answer in (plain, zipped):
        encoding = {"Accept-Encoding": answer.headers.get("content-encoding", "identity")}
        again = client.get(path, {"If-None-Match": answer.headers["etag"], **encoding})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])


@pytest.mark.parametrize(("path", "key"), FILES.items())
def test_head_is_get_without_its_body(client, path, key):
    got, head = client.get(path), client.get(path, method="HEAD")
    assert head.body == b""
    assert (head.status, head.headers) == (got.status, got.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/forecasts/2024-03-02", "/v1/forecasts/0001-01-01", "/v1/forecasts/9999-12-31", "/v1/ranking?session=2024-03-02",
        "/v1/track-record?month=2024-02", "/v1/backtest?month=0000-01", "/v1/models/2024-02", "/v1/reports/2024-02-29",
        "/v1/tickers/NONE.T/history", "/v1/nothing", "/", "/v1", "/docs", "/v1/forecasts/",
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_404_that_says_so(client, path):
    answer = client.get(path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", "Not Found", 404)
    assert problem["detail"]


def test_an_empty_store_says_what_to_run(api_settings, make_client, tmp_path):
    client = make_client(settings=api_settings.model_copy(update={"data_root": tmp_path / "empty"}))
    for path, remedy in {
        "/v1/forecasts/latest": "stockfc daily", "/v1/ranking": "stockfc daily", "/v1/reports/latest": "stockfc daily",
        "/v1/track-record": "stockfc monthly", "/v1/backtest": "stockfc monthly", "/v1/models/champion": "stockfc monthly",
    }.items():  # fmt: skip
        answer = client.get(path)
        assert (answer.status, remedy in answer.json()["detail"]) == (404, True), path
    assert client.get("/v1/forecasts").json() == {"total": 0, "next": None, "sessions": []}
    assert client.get("/v1/health").status == 200
    readiness = client.get("/v1/readiness")
    assert (readiness.status, readiness.json()["ready"]) == (503, False)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/ranking?horizn=3", "query parameter horizn: unknown; known: session, horizon, top"),
        ("/v1/forecasts/latest?session=2024-03-01", "query parameter session: unknown; there are none here"),
        ("/v1/forecasts?limit=2&befor=2024-03-01", "query parameter befor: unknown; known: before, limit"),
        ("/v1/tickers/7203.T/history?%00=1", "query parameter \x00: unknown; known: before, limit"),
    ],
)
def test_a_misspelt_parameter_is_named_and_not_left_out(client, path, told):
    answer = client.get(path)
    assert (answer.status, answer.json()["detail"]) == (422, told)
    (error,) = answer.json()["errors"]
    assert f"{error['in']} parameter {error['name']}: {error['reason']}" == told


def test_what_load_balancers_add_to_a_probe_is_their_business(client):
    assert client.get("/v1/health?from=elb").status == 200


# --- views ------------------------------------------------------------------------------------------------------------


def test_sessions_are_paged_newest_first(client, store):
    published = sorted(
        (key.rpartition("/")[2][:10] for key in store.list("predictions") if key.rpartition("/")[2][:2] == "20"),
        reverse=True,
    )
    assert len(published) == 19
    assert client.get("/v1/forecasts").json() == {"total": 19, "next": None, "sessions": published}
    page, seen = client.get("/v1/forecasts?limit=8").json(), []
    assert page["next"] == f"/v1/forecasts?before={published[7]}&limit=8"
    seen += page["sessions"]
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += page["sessions"]
    assert seen == published
    assert client.get("/v1/forecasts?before=2022-12-31").json()["sessions"] == ["2022-12-30"]


@pytest.mark.parametrize("horizon", [1, 7, 12])
def test_ranking_orders_the_published_returns(client, store, horizon):
    document = json.loads(store.read_bytes("predictions/latest.json"))
    expected = sorted(
        ((stock["predictions"][horizon - 1], stock) for stock in document["predictions"]),
        key=lambda pair: (-pair[0]["return"], pair[1]["ticker"]),
    )
    ranking = client.get(f"/v1/ranking?horizon={horizon}").json()
    assert (ranking["session"], ranking["horizon"], ranking["stocks"]) == ("2024-03-01", horizon, 12)
    assert (ranking["model"], ranking["source"]) == (document["model"], document["source"])
    assert ranking["source"]["simulated"] is True
    assert ranking["ranking"] == [
        {
            "rank": rank,
            **{key: stock[key] for key in ("ticker", "name", "sector", "current_price")},
            **{key: month[key] for key in ("predicted_price", "return", "lower", "upper")},
        }
        for rank, (month, stock) in enumerate(expected, start=1)
    ]
    top = client.get(f"/v1/ranking?horizon={horizon}&top=3&session=2024-03-01").json()
    assert top == {**ranking, "ranking": ranking["ranking"][:3]}


def test_champion_is_the_gates_record(client, store):
    assert client.get("/v1/models/champion").json() == json.loads(store.read_bytes("champion_model/2024-03-01.json"))


def test_a_roll_back_counts_from_its_day_on_the_exchanges_clock(damaged, api_settings, make_client):
    _, store = damaged
    record = json.loads(store.read_bytes("champion_model/2024-03-01.json"))
    first = {"model": {**record["model"], "id": "first"}, "reason": "the gate's", "decision": "installed"}
    back = {"model": {**record["model"], "id": "back"}, "reason": "a person's", "decision": "restored"}
    rolled = {**record, **back, "gate": first, "rollbacks": [{**back, "from": "2024-03-05"}]}
    store.write_bytes("champion_model/2024-03-01.json", json.dumps(rolled).encode())
    settings = api_settings.model_copy(update={"data_root": store.root})
    for hour, expected in ((14, "first"), (15, "back")):  # 15:00 UTC is midnight in Tokyo
        now = dt.datetime(2024, 3, 4, hour, tzinfo=dt.UTC)
        assert make_client(settings=settings, now=now).get("/v1/models/champion").json()["model"]["id"] == expected


# --- change and damage ------------------------------------------------------------------------------------------------


def test_a_new_forecast_is_seen(damaged):
    client, store = damaged
    old = client.get("/v1/forecasts/latest")
    other = store.read_bytes("predictions/2024-02-29.json")
    store.write_bytes("predictions/latest.json", other)
    new = client.get("/v1/forecasts/latest", {"If-None-Match": old.headers["etag"]})
    assert (new.status, new.body) == (200, other)
    assert client.get("/v1/ranking").json()["session"] == "2024-02-29"


def test_a_new_session_is_listed_at_once_although_views_are_kept(damaged):
    client, store = damaged
    assert client.get("/v1/forecasts?limit=2").json()["sessions"] == ["2024-03-01", "2024-02-29"]
    store.write_bytes("predictions/2024-03-04.json", store.read_bytes("predictions/latest.json"))
    assert client.get("/v1/forecasts?limit=2").json()["sessions"] == ["2024-03-04", "2024-03-01"]


def test_a_file_is_believed_for_refresh_seconds(damaged, make_client, api_settings):
    _, store = damaged
    client = make_client(settings=api_settings.model_copy(update={"data_root": store.root}), refresh_seconds=3600)
    old = client.get("/v1/forecasts/latest").body
    store.write_bytes("predictions/latest.json", store.read_bytes("predictions/2024-02-29.json"))
    assert client.get("/v1/forecasts/latest").body == old


@pytest.mark.parametrize(
    "content", [b"", b"{", b"not json", b"[]", b'{"timestamp": "2024-03-01T23:00:00"}', b"\xff\xfe"]
)
def test_a_damaged_forecast_is_a_503_that_names_it_but_not_where_it_lies(damaged, content):
    client, store = damaged
    good = store.read_bytes("predictions/latest.json")
    store.write_bytes("predictions/latest.json", content)
    for path in ("/v1/forecasts/latest", "/v1/ranking", "/v1/reports/latest"):
        answer = client.get(path)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "60"
        assert answer.json()["detail"].startswith("predictions/latest.json: ")
        assert str(store.root).encode() not in answer.body
    assert b"stockfc_newest_forecast_age_sessions NaN" in client.get("/v1/metrics").body
    readiness = client.get("/v1/readiness")
    assert readiness.status == 503
    assert str(store.root).encode() not in readiness.body
    assert client.get("/v1/forecasts/2024-03-01").status == 200
    store.write_bytes("predictions/latest.json", good)
    assert client.get("/v1/forecasts/latest").body == good


def test_other_damaged_files_are_named_too(damaged):
    client, store = damaged
    for path, key in {
        "/v1/track-record": "forecast_scores/2024-03-01.json",
        "/v1/models/2024-03": "onnx_model/2024-03-01/model.json",
        "/v1/models/champion": "champion_model/2024-03-01.json",
        "/v1/reports/2024-03-01": "forecast_report/2024-03-01.html",
        "/v1/tickers/9984.T/history": "daily_predictions/2024-02-29.parquet",
    }.items():
        store.write_bytes(key, b"damaged")
        answer = client.get(path)
        assert (answer.status, key in answer.json()["detail"]) == (503, True), answer.content
        assert str(store.root).encode() not in answer.body


# --- operation --------------------------------------------------------------------------------------------------------


def test_readiness_tells_the_conditions_of_the_alarms(client, api_settings, store, make_client):
    from stockfc_assets.alarms.conditions import conditions
    from stockfc_assets.market.calendar import trading_calendar
    from stockfc_assets.storage import Warehouse

    late = dt.datetime(2024, 3, 8, 15, tzinfo=dt.UTC)
    answer = make_client(now=late).get("/v1/readiness")
    expected = conditions(Warehouse(store), api_settings, trading_calendar("XTKS"), late)
    assert [(c["name"], c["ok"]) for c in answer.json()["conditions"]] == [(c.name, c.ok) for c in expected]
    assert (answer.status, answer.json()["ready"]) == (503, False)
    assert {c["name"] for c in answer.json()["conditions"] if not c["ok"]} == {"stale_forecast"}
    good = client.get("/v1/readiness")
    assert (good.status, good.json()["ready"], good.headers["cache-control"]) == (200, True, "no-store")


def test_metrics_count_by_template_and_tell_the_age(make_client):
    client = make_client(now=dt.datetime(2024, 3, 6, 14, tzinfo=dt.UTC))
    for path in (
        "/v1/forecasts/latest",
        "/v1/forecasts/2024-03-01",
        "/v1/forecasts/2024-02-29",
        "/v1/forecasts/x",
        "/a",
        "/b",
    ):
        client.get(path)
    client.get("/v1/forecasts/latest", method="HEAD")
    client.get("/v1/forecasts/latest", method="BREW")
    text = client.get("/v1/metrics").body.decode()
    for line in (
        'stockfc_api_requests_total{method="GET",route="/v1/forecasts/latest",status="200"} 2.0',
        'stockfc_api_requests_total{method="other",route="/v1/forecasts/latest",status="405"} 1.0',
        'stockfc_api_requests_total{method="GET",route="/v1/forecasts/{session}",status="200"} 2.0',
        'stockfc_api_requests_total{method="GET",route="/v1/forecasts/{session}",status="422"} 1.0',
        'stockfc_api_requests_total{method="GET",route="none",status="404"} 2.0',
        'stockfc_api_request_seconds_count{route="/v1/forecasts/{session}"} 3.0',
        "stockfc_newest_forecast_age_sessions 3.0",
    ):
        assert line in text, f"{line}\n{text}"
    assert dt.date(2024, 3, 1) == NEWEST, "4, 5 and 6 March are over"


def test_two_apps_count_for_themselves(make_client):
    first, second = make_client(), make_client()
    first.get("/v1/forecasts")
    assert b'route="/v1/forecasts"' not in second.get("/v1/metrics").body
