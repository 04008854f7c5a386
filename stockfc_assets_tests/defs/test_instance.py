"""The instance of a data root, and which store it is of."""

import shutil

import pytest

from stockfc_assets.defs.instance import open_instance
from stockfc_assets.errors import ConfigError
from stockfc_assets.running_settings import S3Storage
from stockfc_assets_tests.conftest import REPO


@pytest.fixture
def opened(monkeypatch):
    """Opens the instance of settings, under a DAGSTER_HOME of the operator's where one is given; tells its home."""

    def open_one(chosen, home=""):
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        with open_instance(chosen) as instance:
            return instance.root_directory

    return open_one


def in_bucket(settings, bucket: str):
    storage = S3Storage(kind="s3", bucket=bucket, prefix="team")
    return settings.model_copy(update={"environment": settings.environment.model_copy(update={"storage": storage})})


@pytest.mark.parametrize("of_the_operator", [False, True])
def test_an_instance_is_of_one_store(settings, opened, tmp_path, monkeypatch, of_the_operator):
    given, home = "", settings.data_root / "dagster"
    monkeypatch.chdir(tmp_path)
    if of_the_operator:
        given = home = tmp_path / "home"
        home.mkdir()
        shutil.copy(REPO / "dagster.yaml", home)
    opened(in_bucket(settings, "one-bucket"), given)
    for other, name in ((in_bucket(settings, "another"), "s3://another/team/"), (settings, "a folder")):
        with pytest.raises(ConfigError) as raised:
            opened(other, given)
        assert str(raised.value) == (
            f"Dagster's record in {home} is of s3://one-bucket/team/, and the configured store is {name}; set STOCKFC_DATA "
            "to another folder (or DAGSTER_HOME, where you have set it), or the store back"
        )
    opened(in_bucket(settings, "one-bucket"), given)


def test_a_data_root_may_be_moved_with_its_instance(settings, opened):
    opened(settings)
    moved = settings.data_root.with_name("moved")
    settings.data_root.rename(moved)
    assert opened(settings.model_copy(update={"data_root": moved})) == str(moved / "dagster")
