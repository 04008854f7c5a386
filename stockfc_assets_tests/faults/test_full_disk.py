"""A disk that is full, for real: a small tmpfs, mounted by the test (root only)."""

import os
import re
import subprocess
import sys

import pytest

from stockfc_assets.errors import StorageError
from stockfc_assets.storage import LocalStore
from stockfc_assets.storage.local import STAGING
from stockfc_assets_tests.conftest import REPO
from stockfc_assets_tests.faults.roots import small_config, stored

MEGABYTE = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={16 * MEGABYTE}", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"this user may not mount a tmpfs: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk, *, leave: int):
    """A file that leaves so many bytes free."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(b"x" * (free - leave))
    return ballast


def test_a_write_names_the_path_and_the_cause_and_leaves_what_stood(small_disk):
    store = LocalStore(small_disk / "data")
    store.write_bytes("a/one.bin", b"old")
    ballast = fill(small_disk, leave=MEGABYTE // 2)
    with pytest.raises(StorageError) as raised:
        store.write_bytes("a/one.bin", b"n" * MEGABYTE)
    path = small_disk / "data/a/one.bin"
    assert str(raised.value) == (
        f"{path}: cannot be written (No space left on device); make room or give the right to write there, then run it "
        "again: what is stored stays"
    )
    assert store.read_bytes("a/one.bin") == b"old"
    assert os.listdir(small_disk / "data" / STAGING) == []
    ballast.unlink()
    store.write_bytes("a/one.bin", b"n" * MEGABYTE)
    assert store.read_bytes("a/one.bin") == b"n" * MEGABYTE


def stockfc(folder, data, *arguments):
    environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environ |= {"STOCKFC_CONFIG": str(folder / "config"), "STOCKFC_DATA": str(data)}
    command = [sys.executable, "-m", "stockfc_assets.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=REPO, check=False)


@pytest.mark.service
@pytest.mark.parametrize("leave", [0, 100_000, 400_000, 900_000])
def test_a_run_that_meets_a_full_disk_fails_and_ends_in_the_same_bytes_after_room_was_made(tmp_path, small_disk, leave):
    """The instance's databases lie on the same disk, and meet the same end."""
    small_config(tmp_path)
    root, elsewhere = small_disk / "data", tmp_path / "roomy"
    first = ["backfill", "--from", "2024-02-05", "--to", "2024-02-09"]
    whole = ["backfill", "--from", "2024-02-05", "--to", "2024-03-29"]
    assert stockfc(tmp_path, elsewhere, *whole).returncode == 0
    assert stockfc(tmp_path, root, *first).returncode == 0
    before = stored(root)
    ballast = fill(small_disk, leave=leave)
    failed = stockfc(tmp_path, root, *whole)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert str(root) in failed.stderr
    assert re.search(r"No space left on device|\b0\.\d MB are free there", failed.stderr)
    assert "Traceback" not in failed.stderr
    assert before.items() <= stored(root).items()
    ballast.unlink()
    again = stockfc(tmp_path, root, *whole)
    assert again.returncode == 0, again.stdout + again.stderr
    assert stored(root) == stored(elsewhere)
