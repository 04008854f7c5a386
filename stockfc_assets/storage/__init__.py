"""Where bytes go: one small interface, so that every other room is blind to folders and buckets."""

from stockfc_assets.storage.local import LocalStore
from stockfc_assets.storage.opening import open_store
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets.storage.store import Store
from stockfc_assets.storage.warehouse import Warehouse

__all__ = ["LocalStore", "S3Store", "Store", "Warehouse", "open_store"]
