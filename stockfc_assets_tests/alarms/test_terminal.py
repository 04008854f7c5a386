"""`stockfc alarms` and `stockfc status --check`, as cron and monitoring call them."""

import json
import os

import pytest

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
        assert "told webhook of 1" in out
        assert "somebody ran `stockfc alarms --test`; nothing is wrong" in json.loads(got[0][2])["text"]
    assert not (tmp_path / "data/alarms").exists()


def test_where_incidents_cannot_be_kept_cron_gets_the_cause(terminal, tmp_path):
    (tmp_path / "data").mkdir()
    for blocked in ("alarms", ".locks"):
        (tmp_path / "data" / blocked).write_text("a file where a folder must be")
        code, _, err = terminal("alarms")
        assert code == 1
        assert err.startswith(f"Error: {tmp_path}/data/alarms/incidents.json: ")
        (tmp_path / "data" / blocked).unlink()
