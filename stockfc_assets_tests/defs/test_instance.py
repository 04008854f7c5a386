"""DAGSTER_HOME of a data root."""

import pytest

from stockfc_assets.defs.instance import prepare_home
from stockfc_assets.errors import ConfigError
from stockfc_assets.running_settings import S3Storage


@pytest.fixture(autouse=True)
def no_home(monkeypatch):
    # Set first, so that what prepare_home sets is taken back after the test.
    monkeypatch.setenv("DAGSTER_HOME", "")


def in_bucket(settings, bucket: str):
    storage = S3Storage(kind="s3", bucket=bucket, prefix="team")
    return settings.model_copy(update={"environment": settings.environment.model_copy(update={"storage": storage})})


def test_an_instance_is_of_one_store(settings, monkeypatch):
    home = prepare_home(in_bucket(settings, "one-bucket"))
    for other, name in ((in_bucket(settings, "another"), "s3://another/team/"), (settings, "this folder")):
        monkeypatch.setenv("DAGSTER_HOME", "")
        with pytest.raises(ConfigError) as raised:
            prepare_home(other)
        assert str(raised.value) == (
            f"{home}/store: Dagster's record there is of s3://one-bucket/team/, and the configured store is {name}; "
            "set STOCKFC_DATA to another folder, or the store back"
        )
    assert prepare_home(in_bucket(settings, "one-bucket")) == home


def test_a_data_root_may_be_moved_with_its_instance(settings, monkeypatch):
    prepare_home(settings)
    moved = settings.data_root.with_name("moved")
    settings.data_root.rename(moved)
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert prepare_home(settings.model_copy(update={"data_root": moved})) == moved / "dagster"


def test_a_home_that_the_operator_has_set_is_left_alone(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert prepare_home(in_bucket(settings, "one-bucket")) == tmp_path
    assert not (tmp_path / "store").exists()
