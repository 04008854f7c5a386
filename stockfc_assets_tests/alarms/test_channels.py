"""Webhook, SNS and log, against real servers on loopback that answer, fail, hang, redirect and ask for patience."""

import datetime as dt
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from stockfc_assets.alarms.channels import DeliveryError, SnsChannel, WebhookChannel, configured_channels
from stockfc_assets.alarms.incidents import Incident, News
from stockfc_assets.alarms.messages import SHOWN_CHARACTERS, SHOWN_NEWS, Wording, lasted
from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.running_settings import AlarmSettings
from stockfc_assets_tests.conftest import tiny_config
from stockfc_assets_tests.local_aws import REGION, free_port

BEGAN = dt.datetime(2026, 2, 6, 14, 46, tzinfo=dt.UTC)
WORDING = Wording("s3", ZoneInfo("Asia/Tokyo"))
SECRET = "T0-SECRET-B1"
INCIDENT = Incident(
    1, "stale_forecast", "", "the newest forecast is of 2026-02-05 & <none> of 2026-02-06", began=BEGAN, seen=BEGAN
)
NEWS = [News("began", INCIDENT)]


@contextmanager
def receiver(*answers):
    """A server that gives these answers in turn, the last one from then on; yields its address and what it got.

    An answer is a status, or (status, headers), or ``hang``.
    """
    got, released, turn = [], threading.Event(), iter(answers)
    last = [answers[-1]]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            answer = next(turn, last[0])
            if answer == "hang":
                released.wait(20)
                return
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            got.append((self.path, self.headers, b"GET"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/{SECRET}", got
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Patience:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now, self.waits = 0.0, []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


def webhook(url, patience, **options):
    return WebhookChannel(url, WORDING, sleep=patience.sleep, clock=lambda: patience.now, **options)


def test_a_webhook_gets_json_as_slack_reads_it():
    with receiver(200) as (url, got):
        webhook(url, Patience()).send(NEWS)
    ((path, headers, body),) = got
    assert path == f"/services/{SECRET}"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(body) == {
        "text": "*stockfc (s3): stale forecast*\n\n"
        "WRONG: stale forecast, seen since 2026-02-06 23:46 (Asia/Tokyo)\n"
        "the newest forecast is of 2026-02-05 &amp; &lt;none&gt; of 2026-02-06\n"
        "Readers see an older forecast, or none."
    }


def test_the_recovery_names_how_long_it_lasted():
    over = Incident(
        1, "run_failed", "history 2026-02-06", "x", BEGAN, BEGAN, BEGAN + dt.timedelta(hours=26), "it is there"
    )
    message = WORDING.message([News("ended", over)])
    assert message.title == "stockfc (s3): run failed: history 2026-02-06 over"
    assert message.paragraphs == ("OVER: run failed: history 2026-02-06, after 1 day 2 h\nNow: it is there",)
    assert [lasted(dt.timedelta(minutes=each)) for each in (0.5, 7, 125, 3 * 1440 + 61)] == [
        "under a minute", "7 min", "2 h 5 min", "3 days 1 h",
    ]  # fmt: skip


def test_a_flood_is_one_message_of_bounded_length():
    flood = [News("began", Incident(n, "run_failed", str(n), "x" * 9_999, BEGAN, BEGAN)) for n in range(500)]
    message = WORDING.message(flood)
    assert message.title == "stockfc (s3): 500 wrong"
    assert len(message.paragraphs) == SHOWN_NEWS + 1
    assert message.paragraphs[-1] == "... and 480 more: `stockfc alarms` lists them"
    assert len(message.text) < (SHOWN_NEWS + 1) * (SHOWN_CHARACTERS + 300) < 40_000


def test_a_server_that_fails_twice_gets_it_at_the_third_try_with_growing_waits():
    patience = Patience()
    with receiver(500, 503, 200) as (url, got):
        webhook(url, patience).send(NEWS)
    assert len(got) == 3
    assert len({body for _, _, body in got}) == 1
    assert patience.waits == [1.0, 2.0]


def test_retry_after_is_kept_and_one_beyond_the_budget_ends_the_attempt():
    patience = Patience()
    with receiver((429, {"Retry-After": "7"}), 200) as (url, got):
        webhook(url, patience).send(NEWS)
    assert (len(got), patience.waits) == (2, [7.0])
    impatient = Patience()
    with (
        receiver((429, {"Retry-After": "3600"})) as (url, got),
        pytest.raises(DeliveryError, match=r"^webhook: it answered 429$"),
    ):
        webhook(url, impatient).send(NEWS)
    assert (len(got), impatient.waits) == (1, [])


def test_retry_after_may_be_a_date():
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=8)
    patience = Patience()
    with receiver((503, {"Retry-After": f"{until:%a, %d %b %Y %H:%M:%S} GMT"}), 200) as (url, _):
        webhook(url, patience).send(NEWS)
    assert len(patience.waits) == 1
    assert 1.0 <= patience.waits[0] <= 8.0


@pytest.mark.parametrize(("answer", "told"), [(500, "it answered 500"), ("hang", "no answer (TimeoutError)")])
def test_a_server_that_never_answers_well_costs_a_bounded_time(answer, told):
    patience = Patience()
    with receiver(answer) as (url, got), pytest.raises(DeliveryError) as caught:
        webhook(url, patience, timeout=0.1).send(NEWS)
    assert patience.waits == [1.0, 2.0, 4.0, 8.0]
    assert len(got) == 5
    assert str(caught.value) == f"webhook: {told}"


@pytest.mark.parametrize("status", [302, 307, 400, 403, 404])
def test_an_answer_that_will_not_change_is_final_and_a_redirection_is_not_followed(status):
    with receiver((status, {"Location": "/elsewhere"})) as (url, got), pytest.raises(DeliveryError) as caught:
        webhook(url, Patience()).send(NEWS)
    assert str(caught.value) == f"webhook: it answered {status}; check STOCKFC_ALARM_WEBHOOK"
    assert len(got) == 1


def test_no_error_holds_the_secret_address(caplog):
    bad = [
        "http://[" + SECRET,
        f"http://127.0.0.1:{free_port()}/{SECRET}",
        f"http://{SECRET}.invalid/x",
        f"http://h/{SECRET} x",
    ]
    for url in bad:
        with pytest.raises(DeliveryError) as caught:
            webhook(url, Patience(), timeout=0.2).send(NEWS)
        assert SECRET.lower() not in f"{caught.value!r}{caught.value.__cause__!r}".lower()
    assert SECRET not in caplog.text


def test_settings_show_the_secret_nowhere(tmp_path):
    environ = {"STOCKFC_CONFIG": str(tiny_config(tmp_path)), "STOCKFC_DATA": str(tmp_path)}
    settings = load_settings({**environ, "STOCKFC_ALARM_WEBHOOK": f"https://hooks.example.com/{SECRET}"})
    assert SECRET not in repr(settings) + settings.model_dump_json()
    assert list(configured_channels(settings, print)) == ["log", "webhook"]
    assert list(configured_channels(load_settings({**environ, "STOCKFC_ALARM_WEBHOOK": ""}), print)) == ["log"]
    for wrong in (f"file:///{SECRET}", f"{SECRET}", f"https:/{SECRET}", f"ftp://x/{SECRET}", f"http://[{SECRET}"):
        with pytest.raises(ConfigError, match="correct STOCKFC_ALARM_WEBHOOK") as caught:
            load_settings({**environ, "STOCKFC_ALARM_WEBHOOK": wrong})
        assert SECRET not in str(caught.value)


def test_an_unquoted_time_of_day_is_refused_with_the_way_to_write_it(tmp_path):
    config = tiny_config(tmp_path)
    environ = {"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(tmp_path)}
    path = config / "environments/local.yaml"
    text = path.read_text()
    assert "alarms:" in text
    for written, due in [('"22:30"', dt.time(22, 30)), ("null", None)]:
        path.write_text(text.replace("alarms:", f"alarms:\n  forecast_due: {written}"))
        assert load_settings(environ).environment.alarms.forecast_due == due
    path.write_text(text.replace("alarms:", "alarms:\n  forecast_due: 23:45"))
    with pytest.raises(ConfigError) as caught:
        load_settings(environ)
    assert str(caught.value) == (
        f'{path}: alarms.forecast_due: 1425 is a number: YAML reads 23:45 without quotes as 1425; write "23:45"'
    )
    with pytest.raises(ValidationError, match="leave the zone out"):
        AlarmSettings(forecast_due="23:45+09:00")


def test_sns_delivers_to_those_who_subscribed(bucket):
    import boto3

    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="stockfc-alarms")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    assert AlarmSettings(sns_topic=topic).sns_topic == topic
    SnsChannel(topic, WORDING).send([News("began", Incident(1, "run_failed", "é" * 200, "日本", BEGAN, BEGAN))])
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2)["Messages"]
    body = json.loads(message["Body"])
    assert len(body["Subject"]) == 100
    assert body["Subject"].startswith("stockfc (s3): run failed:")
    assert "日本\nIts partition is not finished" in body["Message"]


def test_a_topic_that_does_not_exist_is_named_with_amazons_reason(bucket):
    topic = f"arn:aws:sns:{REGION}:123456789012:nobody"
    with pytest.raises(DeliveryError, match=f"SNS topic {topic}: NotFound"):
        SnsChannel(topic, WORDING).send(NEWS)
    for wrong in ("stockfc-alarms", f"{topic}.fifo", f"arn:aws:sqs:{REGION}:123456789012:q"):
        with pytest.raises(ValidationError):
            AlarmSettings(sns_topic=wrong)
