import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from stockfc_assets.configuration import load_settings
from stockfc_assets.running_settings import ApiSettings
from stockfc_assets.serving.app import create_app
from stockfc_assets.settings import Settings
from stockfc_assets.storage import LocalStore, Store
from stockfc_assets_tests.conftest import NOW, tiny_config
from stockfc_assets_tests.serving.asgi import Client
from stockfc_assets_tests.serving.publishing import plant_secrets, publish_everything


@pytest.fixture(scope="package")
def api_settings(tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("api")
    config = tiny_config(folder)
    settings = load_settings({"STOCKFC_CONFIG": str(config), "STOCKFC_DATA": str(folder / "root" / "data")})
    store = LocalStore(settings.data_root)
    publish_everything(store, settings)
    plant_secrets(settings.data_root)
    return settings


@pytest.fixture(scope="package")
def store(api_settings) -> Store:
    return LocalStore(api_settings.data_root)


def with_api(settings: Settings, **api: object) -> Settings:
    """``settings`` with other settings of the API, checked as a file's would be."""
    environment = settings.environment.model_copy(update={"api": ApiSettings.model_validate(api)})
    return settings.model_copy(update={"environment": environment})


@pytest.fixture(scope="package")
def make_client(api_settings) -> Callable[..., Client]:
    """A client of a new app; keyword arguments are `ApiSettings`."""

    def make(*, settings: Settings = api_settings, now: dt.datetime = NOW, store: Store | None = None, **api) -> Client:
        return Client(create_app(with_api(settings, **{"refresh_seconds": 0, **api}), store=store, clock=lambda: now))

    return make


@pytest.fixture(scope="package")
def client(make_client) -> Client:
    return make_client()


def copy_of(root: Path, target: Path) -> Path:
    """A copy of a data root that a test may damage."""
    import shutil

    shutil.copytree(root, target)
    return target
