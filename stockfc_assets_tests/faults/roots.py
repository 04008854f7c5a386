"""Data roots to break: copies that share their files with the original, and what is stored in one."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import yaml

from stockfc_assets.storage.local import LOCKS, STAGING
from stockfc_assets_tests.conftest import tiny_config

NOT_DATA = ("dagster", STAGING, LOCKS)


def small_config(folder: Path, **options: object) -> Path:
    """`tiny_config` with a training of two short epochs on one thread: seconds, also beside other work."""
    config = tiny_config(folder, **options)
    model = yaml.safe_load((config / "model.yaml").read_text())
    model["training"]["threads"] = 1
    model["training"]["full"] |= {"samples_per_epoch": 256, "epochs": 2, "validation_months": 4}
    (config / "model.yaml").write_text(yaml.safe_dump(model))
    return config


def copied(original: Path, copy: Path) -> Path:
    """A data root with the same files by hard link (the store replaces files, it never changes one) and its own instance."""
    shutil.copytree(original, copy, copy_function=os.link, ignore=shutil.ignore_patterns(*NOT_DATA))
    if (original / "dagster").is_dir():
        shutil.copytree(original / "dagster", copy / "dagster")
    return copy


def stored(root: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file of a data root but the instance's."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in NOT_DATA
    }


def damaged(path: Path, how: str) -> None:
    """Damages a file: ``truncated``, ``flipped`` (one bit in its middle), ``empty``. Other links to it keep their content."""
    data = path.read_bytes()
    path.unlink()
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "flipped":
        data = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    else:
        data = b""
    path.write_bytes(data)
