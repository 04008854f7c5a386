"""The API against its own description, by schemathesis: examples, the edges of every parameter, wrong ones, random ones."""

import subprocess
import sys

import pytest

from stockfc_assets.serving.app import create_app
from stockfc_assets_tests.conftest import NOW
from stockfc_assets_tests.serving.conftest import with_api
from stockfc_assets_tests.serving.running import running


def schemathesis(app, *options: str) -> subprocess.CompletedProcess[str]:
    """`schemathesis run` with every check; it ends with 0 only when it has found nothing."""
    with running(app) as port:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/v1/openapi.json"]
        return subprocess.run(
            [*command, "--checks=all", "--seed=1", "--generation-deterministic", "--no-color", *options],
            capture_output=True, text=True, timeout=500,
        )  # fmt: skip


def test_schemathesis_finds_nothing(api_settings):
    done = schemathesis(
        create_app(api_settings, clock=lambda: NOW), "--max-examples=8", "--phases=examples,coverage,fuzzing"
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


@pytest.mark.service
@pytest.mark.parametrize("key", [None, "open sesame"])
def test_schemathesis_finds_nothing_for_long(api_settings, key):
    app = create_app(with_api(api_settings, key=key), clock=lambda: NOW)
    options = ["--max-examples=150"] + ([f"--header=X-API-Key: {key}"] if key else [])
    done = schemathesis(app, *options)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
