"""`stockfc alarms` and `stockfc status --check`, as cron and monitoring call them."""

import json
import os

import pytest
import yaml

from stockfc_assets.cli import main
from stockfc_assets_tests.alarms.test_channels import SECRET, receiver
from stockfc_assets_tests.conftest import tiny_config


@pytest.fixture
def terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STOCKFC_CONFIG", str(tiny_config(tmp_path)))
    monkeypatch.setenv("STOCKFC_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(*arguments):
        codes = []
        try:
            main(list(arguments), leave=codes.append)
        except SystemExit as leaving:
            codes.append(leaving.code)
        finally:
            os.environ.pop("DAGSTER_HOME", None)
        output = capsys.readouterr()
        return (codes or [0])[0], output.out, output.err

    return run


def test_status_tells_the_conditions_and_check_turns_them_into_an_exit_code(terminal):
    code, out, _ = terminal("status", "--json")
    told = json.loads(out)["conditions"]
    assert code == 0
    assert {each["name"]: each["ok"] for each in told} == {
        "storage": True, "published_forecast": True, "stale_forecast": False, "champion": False, "calendar": True,
    }  # fmt: skip
    assert all(set(each) == {"name", "ok", "message"} for each in told)
    assert terminal("status", "--check")[0] == 1
    code, out, _ = terminal("status")
    assert code == 0
    assert "  FAIL  stale_forecast      no forecast is published yet; run `stockfc daily --session " in out


def test_cron_tells_once_and_exits_with_1_while_somebody_could_not_be_told(terminal, monkeypatch):
    with receiver(404) as (url, _):
        monkeypatch.setenv("STOCKFC_ALARM_WEBHOOK", url)
        code, out, err = terminal("alarms", "--json")
        looked = json.loads(out)
        assert (code, looked["told"]) == (1, {"log": 2})
        assert looked["failures"] == {"webhook": "webhook: it answered 404; check STOCKFC_ALARM_WEBHOOK"}
        assert [each["name"] for each in looked["open"]] == ["stale_forecast", "champion"]
        assert "WRONG: stale forecast" in err
        assert SECRET not in out + err
    with receiver(200) as (url, got):
        monkeypatch.setenv("STOCKFC_ALARM_WEBHOOK", url)
        assert terminal("alarms")[0] == 0
        code, out, _ = terminal("alarms")
        assert len(got) == 1
        assert code == 0
        assert out.startswith("WRONG since ")
        assert "told" not in out


def test_a_test_message_goes_through_every_channel_and_leaves_nothing(terminal, monkeypatch, tmp_path):
    with receiver(200) as (url, got):
        monkeypatch.setenv("STOCKFC_ALARM_WEBHOOK", url)
        code, out, _ = terminal("alarms", "--test")
        assert code == 0
        assert "nothing is wrong" not in out
        ending = ["this was a test; nothing was looked at", "told log: 1 incident", "told webhook: 1 incident"]
        assert out.splitlines()[-3:] == ending
        text = json.loads(got[0][2])["text"]
        assert "TEST: test" in text
        assert "somebody ran `stockfc alarms --test`; it says nothing about the forecasts" in text
    assert not (tmp_path / "data/alarms").exists()


def test_a_test_without_a_channel_has_tested_nothing(terminal):
    code, _, err = terminal("alarms", "--test")
    assert code == 1
    assert "no channel is configured, only this output tells: set STOCKFC_ALARM_WEBHOOK" in err


def test_where_incidents_cannot_be_kept_that_is_told(terminal, tmp_path):
    (tmp_path / "data").mkdir()
    for blocked in ("alarms", ".locks"):
        (tmp_path / "data" / blocked).write_text("a file where a folder must be")
        code, out, _ = terminal("alarms")
        assert code == 1
        assert f"storage: {tmp_path}/data/alarms/incidents.json: " in out
        (tmp_path / "data" / blocked).unlink()


def test_a_bucket_that_cannot_be_reached_is_told_once_and_when_it_is_back(terminal, tmp_path, monkeypatch, bucket):
    path = tmp_path / "config/environments/s3.yaml"
    content = yaml.safe_load(path.read_text()) | {"source": "simulated", "universe": "tiny"}
    content["storage"]["attempts"] = 1
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("STOCKFC_ENV", "s3")
    monkeypatch.setenv("STOCKFC_S3_BUCKET", bucket)
    address = os.environ["AWS_ENDPOINT_URL"]
    with receiver(200) as (url, got):
        monkeypatch.setenv("STOCKFC_ALARM_WEBHOOK", url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        for _ in range(2):
            code, out, _ = terminal("alarms")
            assert code == 1
            assert f"storage: s3://{bucket}/" in out
        assert terminal("alarms", "--test")[0] == 0
        code, out, _ = terminal("status", "--json")
        (condition,) = json.loads(out)["conditions"]
        assert (code, condition["name"], condition["ok"]) == (1, "storage", False)
        assert condition["message"].startswith(f"s3://{bucket}/")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert terminal("alarms")[0] == 0
    texts = [json.loads(each[2])["text"] for each in got]
    assert "WRONG: storage" in texts[0]
    assert "TEST: test" in texts[1]
    assert "WRONG: stale forecast" in texts[2]
    assert "OVER: storage" in texts[3]
    assert len(texts) == 4
