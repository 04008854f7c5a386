"""Amazon's APIs on loopback: moto's server as a process of its own, and a fresh bucket for each test that asks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REGION = "ap-northeast-1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def moto_server(*, log: Path = Path(os.devnull)) -> Iterator[str]:
    """Starts moto's server; yields its address. ``log`` gets a line for each request.

    Raises RuntimeError when it does not answer within a minute.
    """
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as lines:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lines)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/moto-api/data.json", process)
        yield address
    finally:
        process.kill()
        process.wait()


def aws_environ(address: str) -> Mapping[str, str]:
    """What AWS's clients read, so that they ask the server at ``address``; its keys are invented."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _wait_for(url: str, process: subprocess.Popen[bytes], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"moto's server does not answer at {url}")
