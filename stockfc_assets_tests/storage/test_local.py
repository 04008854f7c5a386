"""LocalStore: whole files or none, also when the writer is killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from stockfc_assets.errors import InputError, StorageError
from stockfc_assets.storage import LocalStore
from stockfc_assets.storage.local import ABANDONED_SECONDS, STAGING


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
    (abandoned,) = (tmp_path / STAGING).iterdir()
    LocalStore(tmp_path)
    assert abandoned.is_file(), "so young a file may be one that its writer is about to hold"
    age(abandoned)
    LocalStore(tmp_path)
    assert not abandoned.exists()


def age(path):
    old = time.time() - ABANDONED_SECONDS - 1
    os.utime(path, (old, old))


def test_a_write_under_way_is_left_alone_however_long_it_takes(tmp_path):
    """Also by a process that numbers processes differently, as those of two containers do: nothing looks at numbers."""
    code = textwrap.dedent(
        """
        import pathlib, sys
        import stockfc_assets.storage.local as local
        rename = local.os.replace
        def slowly(*names):
            print("staged", flush=True)
            sys.stdin.read()
            rename(*names)
        local.os.replace = slowly
        local.LocalStore(pathlib.Path(sys.argv[1])).write_bytes("a.bin", b"slow")
        """
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"staged\n"
        (staged,) = (tmp_path / STAGING).iterdir()
        age(staged)
        store = LocalStore(tmp_path)
        assert staged.exists()
        writer.stdin.close()
    assert writer.returncode == 0
    assert store.read_bytes("a.bin") == b"slow"


def test_replaces_only_what_has_not_changed(tmp_path):
    store = LocalStore(tmp_path)
    assert store.replace_if("a.txt", b"one", None)
    assert not store.replace_if("a.txt", b"two", None)
    seen = store.version("a.txt")
    store.write_bytes("a.txt", b"by another")
    assert not store.replace_if("a.txt", b"two", seen)
    assert store.read_bytes("a.txt") == b"by another"
    assert store.replace_if("a.txt", b"two", store.version("a.txt"))
    assert store.read_bytes("a.txt") == b"two"


def test_a_failed_write_names_its_cause_and_keeps_what_stood(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.write_bytes("a.bin", b"old")
    (tmp_path / "folder.bin").mkdir()
    with pytest.raises(StorageError, match=r"folder\.bin: cannot be written \(Is a directory\); make room"):
        store.write_bytes("folder.bin", b"new")
    assert os.listdir(tmp_path / STAGING) == []
    assert store.read_bytes("a.bin") == b"old"
