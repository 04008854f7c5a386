"""Configuration: the bundled one, and one clear message for each way to get one wrong."""

import datetime as dt
import shutil
from pathlib import Path

import pytest
import yaml

from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.running_settings import S3Storage

CONFIG = Path(__file__).parents[1] / "config"


@pytest.fixture
def config(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    return tmp_path / "config"


def edit(path: Path, change) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def load(config: Path, **environ: str):
    return load_settings({"STOCKFC_CONFIG": str(config), **environ})


def test_the_bundled_universe_is_core30_of_2025_10_31(config):
    universe = load(config).universe
    assert len(universe.stocks) == 31
    assert len(universe.members(dt.date(2025, 10, 31))) == 31
    assert universe.exchange == "XTKS"
    members_before = universe.members(dt.date(2025, 10, 30))
    assert set(universe.tickers) - set(members_before) == {"6857.T", "8729.T"}
    japan_tobacco = universe.stocks[0]
    assert japan_tobacco.is_member(dt.date(2021, 12, 29))  # the list of 2021-12-30 is the first without it
    assert not japan_tobacco.is_member(dt.date(2021, 12, 30))
    assert japan_tobacco.is_member(dt.date(2025, 1, 31))


def test_membership_agrees_with_every_known_list_of_the_exchange():
    import csv

    snapshots = Path(__file__).parents[2] / "shared/data/facts/core30_snapshots.csv"
    if not snapshots.is_file():
        pytest.skip("shared data are not beside the checkout")
    universe = load_settings({"STOCKFC_CONFIG": str(CONFIG)}).universe
    rows = list(csv.DictReader(snapshots.open(encoding="utf-8")))
    for as_of in sorted({row["as_of"] for row in rows}):
        listed = {f"{row['code']}.T" for row in rows if row["as_of"] == as_of} & set(universe.tickers)
        assert set(universe.members(dt.datetime.strptime(as_of, "%Y%m%d").date())) == listed  # noqa: DTZ007


def test_environment_variables_choose_environment_data_and_source(config, tmp_path):
    settings = load(config, STOCKFC_DATA=str(tmp_path / "d"))
    assert (settings.env, settings.source, settings.data_root) == ("local", "simulated", tmp_path / "d")
    prices = {"STOCKFC_ENV": "files", "STOCKFC_PRICES": str(tmp_path), "STOCKFC_SPLITS": str(tmp_path / "s.csv")}
    files = load(config, **prices)
    assert files.environment.sources.files.prices == tmp_path
    assert files.benchmark == "equal_weighted"
    assert load(config, **prices, STOCKFC_SOURCE="simulated").source == "simulated"


def test_a_local_server_may_answer_in_yahoos_place(config):
    assert load(config, STOCKFC_SOURCE="yahoo").environment.sources.yahoo.endpoint is None
    chosen = {"STOCKFC_SOURCE": "yahoo", "STOCKFC_YAHOO_ENDPOINT": "http://127.0.0.1:8917/"}
    settings = load(config, **chosen)
    assert (settings.source, settings.environment.sources.yahoo.endpoint) == ("yahoo", "http://127.0.0.1:8917")
    edit(
        config / "environments/local.yaml",
        lambda c: c.update(sources={"yahoo": {"requests_per_minute": 30, "endpoint": "http://localhost:1"}}),
    )
    yahoo = load(config, **chosen).environment.sources.yahoo
    assert (yahoo.requests_per_minute, yahoo.endpoint) == (30, "http://127.0.0.1:8917")
    assert load(config).environment.sources.yahoo.endpoint == "http://localhost:1"


@pytest.mark.parametrize("address", ["https://query1.finance.yahoo.com", "http://10.0.0.1:80", "127.0.0.1:80"])
def test_an_endpoint_beyond_this_machine_is_refused(config, address):
    with pytest.raises(ConfigError, match=r"STOCKFC_YAHOO_ENDPOINT=.*not the address of a server on this machine"):
        load(config, STOCKFC_YAHOO_ENDPOINT=address)
    edit(config / "environments/local.yaml", lambda c: c.update(sources={"yahoo": {"endpoint": address}}))
    with pytest.raises(ConfigError, match=r"local\.yaml: sources\.yahoo\.endpoint: "):
        load(config)


def test_a_source_section_that_is_no_mapping_is_still_named(config):
    edit(config / "environments/local.yaml", lambda c: c.update(sources=["yahoo"]))
    with pytest.raises(ConfigError, match=r"local\.yaml: sources: "):
        load(config, STOCKFC_YAHOO_ENDPOINT="http://127.0.0.1:1")


BAD = [
    ("environments/local.yaml", lambda c: c.update(sorce="files"), r"local\.yaml: sorce: unknown key; allowed here: .*source"),
    ("environments/local.yaml", lambda c: c.update(history_start="2020-02-30"), r"history_start: '2020-02-30' .*date"),
    ("environments/local.yaml", lambda c: c.update(min_coverage=1.5), r"min_coverage: 1\.5 .*less than or equal to 1"),
    ("environments/local.yaml", lambda c: c.update(min_coverage="most"), r"min_coverage: 'most' .*number"),
    ("environments/local.yaml", lambda c: c.update(schedules={"activ": True}), r"schedules\.activ: unknown key; allowed here: active"),
    ("environments/local.yaml", lambda c: c.update(source="files"), r"sources\.files is missing"),
    ("model.yaml", lambda c: c["training"].update(threads=0), r"model\.yaml: training\.threads: 0 .*greater than or equal to 1"),
    ("model.yaml", lambda c: c["training"]["full"].update(epoch=3), r"training\.full\.epoch: unknown key; allowed here: batch_size"),
    ("sectors.yaml", lambda c: c["sectors"].update(Foods=2), r"sectors\.yaml: sectors: sector 'Energy Resources': id 2 is used twice"),
    ("sectors.yaml", lambda c: c["sectors"].update(New=99), r"sectors\.yaml: New: id 99 needs network\.sector_capacity > 99"),
    ("universes/topix_core30.yaml", lambda c: c["stocks"].append(c["stocks"][0]), r"stocks: duplicate ticker '2914\.T'"),
    ("universes/topix_core30.yaml", lambda c: c["stocks"][3].update(sector="Drugs"), r"4502\.T: sector 'Drugs' is not in .*sectors\.yaml; append"),
    ("universes/topix_core30.yaml", lambda c: c["stocks"][1].pop("name"), r"stocks\.1\.name: missing; add it"),
    ("universes/topix_core30.yaml", lambda c: c["stocks"][1].update(ticker="../x"), r"stocks\.1\.ticker: '\.\./x'"),
    (
        "universes/topix_core30.yaml",
        lambda c: c["stocks"][0].update(member=[{"member_from": "2020-01-02", "member_to": "2020-01-01"}]),
        r"stocks\.0\.member\.0: member_to 2020-01-01 is before member_from 2020-01-02",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("file", "change", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_bad_configuration_is_refused_by_name(config, file, change, message):
    edit(config / file, change)
    with pytest.raises(ConfigError, match=message) as error:
        load(config)
    assert Path(file).name in str(error.value)


def test_a_duplicate_key_is_refused_with_its_line(config):
    path = config / "environments/local.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "source: files"]))
    with pytest.raises(ConfigError, match=rf"duplicate key 'source'(.|\n)*line {len(lines) + 1}\b"):
        load(config)


def test_not_yaml_at_all_is_refused(config):
    (config / "model.yaml").write_text("training: [1, 2")
    with pytest.raises(ConfigError, match=r"model\.yaml: not valid YAML"):
        load(config)


def test_an_unknown_environment_lists_the_known_ones(config):
    with pytest.raises(ConfigError, match=r"STOCKFC_ENV=prod: .*known environments: files, local"):
        load(config, STOCKFC_ENV="prod")


def test_a_variable_that_is_not_set_is_named(config):
    with pytest.raises(
        ConfigError, match=r"files\.yaml: '\$\{STOCKFC_PRICES\}' needs the environment variable STOCKFC_PRICES"
    ):
        load(config, STOCKFC_ENV="files")


def test_a_source_that_does_not_exist_is_named_with_its_variable():
    with pytest.raises(
        ConfigError, match=r"STOCKFC_SOURCE=yaho: there is no such price source; known: simulated, files, yahoo"
    ):
        load_settings({"STOCKFC_SOURCE": "yaho"})


def test_a_bucket_comes_from_the_environment_and_what_is_left_out_is_not_set(config):
    storage = load(config, STOCKFC_ENV="s3", STOCKFC_S3_BUCKET="prices").environment.storage
    assert storage == S3Storage(kind="s3", bucket="prices")
    given = {"STOCKFC_S3_PREFIX": "a/b", "STOCKFC_S3_ENCRYPTION": "aws:kms", "STOCKFC_S3_KMS_KEY": "alias/prices"}
    storage = load(config, STOCKFC_ENV="s3", STOCKFC_S3_BUCKET="prices", **given).environment.storage
    assert storage == S3Storage(kind="s3", bucket="prices", prefix="a/b", encryption="aws:kms", kms_key="alias/prices")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, r"needs the environment variable STOCKFC_S3_BUCKET, which is not set"),
        ({"STOCKFC_S3_BUCKET": "My_Bucket"}, r"storage\.s3\.bucket: 'My_Bucket' String should match pattern"),
        ({"STOCKFC_S3_BUCKET": "prices", "STOCKFC_S3_PREFIX": "/a/"}, r"storage\.s3\.prefix: '/a/'"),
        (
            {"STOCKFC_S3_BUCKET": "prices", "STOCKFC_S3_KMS_KEY": "alias/x"},
            r"kms_key is given, but encryption is not aws:kms; set it, or leave kms_key out",
        ),
    ],
)
def test_a_bucket_that_cannot_be_is_refused(config, environ, message):
    with pytest.raises(ConfigError, match=message):
        load(config, STOCKFC_ENV="s3", **environ)


def test_dask_without_a_scheduler_is_refused(config):
    edit(config / "environments/local.yaml", lambda content: content.update(execution={"executor": "dask"}))
    with pytest.raises(ConfigError, match=r"execution: executor is dask, but dask_address is missing"):
        load(config)


@pytest.mark.parametrize("environment", ["local", "files", "s3"])
def test_every_environment_hears_the_key_and_the_channels_that_are_set(config, environment):
    """A key that is set and not asked for would be worse than none."""
    given = {"STOCKFC_API_KEY": "k", "STOCKFC_ALARM_WEBHOOK": "https://127.0.0.1/h", "STOCKFC_S3_BUCKET": "prices"}
    files = {"STOCKFC_PRICES": ".", "STOCKFC_SPLITS": "splits.csv"}
    chosen = load(config, STOCKFC_ENV=environment, **given, **files).environment
    assert chosen.api.key.get_secret_value() == "k"
    assert chosen.alarms.webhook_url.get_secret_value() == "https://127.0.0.1/h"
