"""LocalStore: whole files or none, also when the writer is killed."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from stockfc_assets.errors import InputError
from stockfc_assets.storage import LocalStore
from stockfc_assets.storage.local import STAGING


def test_reads_back_what_was_written_and_replaces_it(tmp_path):
    store = LocalStore(tmp_path)
    store.write_bytes("a/b.txt", b"one")
    store.write_bytes("a/b.txt", b"two")
    assert store.read_bytes("a/b.txt") == b"two"
    assert store.list("a") == ["a/b.txt"]
    assert store.exists("a/b.txt")
    assert not store.exists("a")
    assert store.list("nowhere") == []
    store.delete("a/b.txt")
    assert not store.exists("a/b.txt")


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "", "a/../../b"])
def test_refuses_keys_outside_the_root(tmp_path, key):
    with pytest.raises(InputError, match="relative path inside"):
        LocalStore(tmp_path).write_bytes(key, b"x")


def test_a_killed_writer_leaves_the_old_file_and_no_rubbish(tmp_path):
    store = LocalStore(tmp_path)
    store.write_bytes("a/b.bin", b"old")
    code = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        import stockfc_assets.storage.local as local
        # The power goes after the bytes are written and before they are in place.
        local.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        local.LocalStore(pathlib.Path(sys.argv[1])).write_bytes("a/b.bin", b"new")
        """
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert store.read_bytes("a/b.bin") == b"old"
    assert os.listdir(tmp_path / "a") == ["b.bin"]
    assert len(os.listdir(tmp_path / STAGING)) == 1
    LocalStore(tmp_path)
    assert os.listdir(tmp_path / STAGING) == []


def test_a_failed_write_names_its_cause_and_keeps_what_stood(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.write_bytes("a.bin", b"old")
    (tmp_path / "folder.bin").mkdir()
    with pytest.raises(OSError, match=r"folder\.bin"):
        store.write_bytes("folder.bin", b"new")
    assert os.listdir(tmp_path / STAGING) == []
    assert store.read_bytes("a.bin") == b"old"
