"""Code server, daemon and webserver as processes of their own, configured by the files of deploy/ as they are shipped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from stockfc_assets_tests.conftest import REPO
from stockfc_assets_tests.local_aws import free_port

BIN = Path(sys.executable).parent
START_SECONDS = 120
STOP_SECONDS = 20
Value = TypeVar("Value")

INTERVALS = {
    "run_coordinator": {"config": {"dequeue_interval_seconds": 1}},
    "run_monitoring": {"poll_interval_seconds": 2, "free_slots_after_run_end_seconds": 1},
}
"""The only keys of the shipped file that tests change, so that they need not wait for minutes."""


def shipped_home(folder: Path) -> Path:
    """A DAGSTER_HOME with deploy/dagster.yaml, its intervals shortened, and deploy/workspace.yaml."""
    home = folder / "home"
    home.mkdir()
    content = yaml.safe_load((REPO / "deploy/dagster.yaml").read_text())
    content["run_coordinator"]["config"] |= INTERVALS["run_coordinator"]["config"]
    content["run_monitoring"] |= INTERVALS["run_monitoring"]
    (home / "dagster.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(REPO / "deploy/workspace.yaml", home)
    return home


def wait_for(look: Callable[[], Value | None], what: str, *, seconds: float) -> Value:
    """The first answer of ``look`` that is neither None nor false. Raises TimeoutError naming ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := look():
            return answer
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


class Stack:
    """``environ`` is what all three processes have in common: docs/production.md lists it."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = dict(environ)
        self.web_port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        home = self.environ["DAGSTER_HOME"]
        place = ["--host", "127.0.0.1", "--port"]
        code = ["code-server", "start", *place, self.environ["STOCKFC_CODE_PORT"], "-m", "stockfc_assets.definitions"]
        workspace = ["-w", f"{home}/workspace.yaml"]
        self._start("code", "dagster", *code)
        wait_for(self._code_answers, "code server", seconds=START_SECONDS)
        self._start("webserver", "dagster-webserver", *place, str(self.web_port), *workspace)
        self._start("daemon", "dagster-daemon", "run", *workspace)
        wait_for(self.assets, "webserver with the code location", seconds=START_SECONDS)

    def stop(self) -> None:
        """Asks them to end, and ends what is left after a while, with what they started."""
        for process in self.processes.values():
            process.send_signal(signal.SIGINT)
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def logs(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def require_running(self) -> None:
        """Raises RuntimeError with the last words of a process that has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.logs(name)[-2000:]}")

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer. Raises AssertionError with what the server said."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.web_port}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    def assets(self) -> list[str] | None:
        """Names of the assets of the code location; None while the webserver does not answer."""
        self.require_running()
        try:
            nodes = self.query("{assetNodes { assetKey { path } }}")["assetNodes"]
        except OSError:
            return None
        return ["/".join(node["assetKey"]["path"]) for node in nodes]

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [BIN / program, *arguments],
                stdout=output,
                stderr=output,
                env=self.environ,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_interruptible,
            )

    def _code_answers(self) -> bool:
        self.require_running()
        port = self.environ["STOCKFC_CODE_PORT"]
        check = [BIN / "dagster", "api", "grpc-health-check", "--host", "127.0.0.1", "--port", port]
        return subprocess.run(check, capture_output=True, env=self.environ).returncode == 0


def _interruptible() -> None:
    """A shell's background job ignores SIGINT, and so would everything that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running_stack(folder: Path, environ: Mapping[str, str]) -> Iterator[Stack]:
    stack = Stack(folder, {**os.environ, **environ})
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
