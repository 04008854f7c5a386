"""The store that an environment names."""

from __future__ import annotations

from importlib.util import find_spec

from stockfc_assets.errors import ConfigError
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.settings import Settings
from stockfc_assets.storage.local import LocalStore
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets.storage.store import Store


def open_store(settings: Settings) -> Store:
    """A folder (``data_root``) or a bucket, as ``environment.storage`` says.

    Raises ConfigError where a bucket is asked for and boto3 is not installed.
    """
    chosen = settings.environment.storage
    if not isinstance(chosen, S3Storage):
        return LocalStore(settings.data_root)
    if find_spec("boto3") is None:
        raise ConfigError(
            f"environment {settings.env!r} keeps its data in S3, but the package boto3 is not installed; "
            "`.venv/bin/pip install -c constraints.txt -e '.[aws]'`"
        )
    return S3Store(chosen)
