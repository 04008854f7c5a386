"""A real server: HTTP as it is on the wire, and `stockfc serve` as it is called."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from stockfc_assets.serving.app import create_app
from stockfc_assets.serving.server import MAX_HEAD_BYTES
from stockfc_assets_tests.conftest import NOW, REPO
from stockfc_assets_tests.local_aws import free_port
from stockfc_assets_tests.serving.running import get, raw, running, wait_until_alive


@pytest.fixture(scope="module")
def port(api_settings):
    with running(create_app(api_settings, clock=lambda: NOW)) as port:
        yield port


def test_latest_on_the_wire(port, store):
    data = store.read_bytes("predictions/latest.json")
    status, headers, body = get(port, "/v1/forecasts/latest")
    assert (status, body, headers["content-length"]) == (200, data, str(len(data)))
    assert "server" not in headers
    assert get(port, "/v1/forecasts/latest", {"If-None-Match": headers["etag"]})[0] == 304
    status, head, body = get(port, "/v1/forecasts/latest", method="HEAD")
    assert (status, body, head["content-length"]) == (200, b"", str(len(data)))


def test_a_connection_is_kept_after_head_304_and_problems(port):
    """A wrong length of one answer would spoil the next on the same connection."""
    requests = [b"HEAD /v1/forecasts/latest", b"GET /v1/nothing", b"GET /v1/forecasts/x", b"GET /v1/health"]
    answer = raw(port, b"".join(request + b" HTTP/1.1\r\nHost: a\r\n\r\n" for request in requests))
    assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"200", b"404", b"422", b"200"]
    assert answer.endswith(b'"version": "0.1.0"\n}\n')


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET http://[bad HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(port, sent):
    head, _, body = raw(port, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


def test_headers_without_end_are_cut_off(port):
    endless = [b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Long: "] + [b"a" * 8_192] * (2 * MAX_HEAD_BYTES // 8_192)
    answer = raw(port, *endless)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), "the connection may be closed before it is read"
    assert get(port, "/v1/health")[0] == 200
    within = raw(
        port, b"GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long: " + b"a" * 10_000 + b"\r\n\r\n"
    )
    assert within.startswith(b"HTTP/1.1 200 ")


def test_many_short_requests_on_one_connection_are_no_long_head(port):
    request = b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Pad: " + b"a" * 1_000 + b"\r\n\r\n"
    answer = raw(port, *[request] * (2 * MAX_HEAD_BYTES // 1_000))
    assert answer.count(b"HTTP/1.1 200 ") == 2 * MAX_HEAD_BYTES // 1_000


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def environ(api_settings):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STOCKFC_")}
    return {**clean, "STOCKFC_CONFIG": str(api_settings.config_dir), "STOCKFC_DATA": str(api_settings.data_root)}


@pytest.mark.parametrize("workers", [1, 2])
def test_stockfc_serve(environ, store, workers):
    port = free_port()
    command = [sys.executable, "-m", "stockfc_assets.cli", "serve", "--port", str(port), "--workers", str(workers)]
    server = subprocess.Popen(command, env=environ, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_until_alive(port)
        assert get(port, "/v1/forecasts/latest")[2] == store.read_bytes("predictions/latest.json")
    finally:
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=30)[0].decode()
    assert f"http://127.0.0.1:{port}/v1/forecasts/latest" in said
    assert "Traceback" not in said


def test_serve_needs_no_dagster_torch_or_onnxruntime(environ):
    code = (
        "import sys; from stockfc_assets.serving.server import app_from_environment; app_from_environment();"
        "print([name for name in ('dagster', 'torch', 'onnxruntime', 'pandas', 'boto3') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=REPO, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_without_the_extra_the_command_says_how_to_get_it(environ):
    code = "import sys; sys.modules['fastapi'] = None; from stockfc_assets.cli import main; main(['serve'])"
    done = subprocess.run([sys.executable, "-c", code], env=environ, cwd=REPO, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install -c constraints.txt -e '.[serving]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_is_told_before_anything_listens(environ):
    done = subprocess.run(
        [sys.executable, "-m", "stockfc_assets.cli", "serve", "--port", str(free_port())],
        env={**environ, "STOCKFC_ENV": "nowhere"}, cwd=REPO, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "known environments" in done.stderr
