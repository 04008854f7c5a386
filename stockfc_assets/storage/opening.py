"""The store that an environment names."""

from __future__ import annotations

from stockfc_assets.running_settings import S3Storage
from stockfc_assets.settings import Settings
from stockfc_assets.storage.local import LocalStore
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets.storage.store import Store


def open_store(settings: Settings) -> Store:
    """A folder (``data_root``) or a bucket, as ``environment.storage`` says."""
    chosen = settings.environment.storage
    return S3Store(chosen) if isinstance(chosen, S3Storage) else LocalStore(settings.data_root)
