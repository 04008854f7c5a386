"""The server itself: what it logs, that it stops, that its own defects come to light, and the command."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from curl_cffi import requests
from curl_cffi.requests.exceptions import RequestException

from stockfc_assets.errors import ConfigError
from stockfc_assets_tests.local_yahoo import LocalYahoo
from stockfc_assets_tests.local_yahoo.__main__ import main, served_settings
from stockfc_assets_tests.local_yahoo.market import GivenMarket, bars_of

REPO = Path(__file__).parents[2]
TODAY = dt.date(2024, 2, 20)
CHART = "query2.finance.yahoo.com/v8/finance/chart/"


def one_stock():
    return GivenMarket(bars_of("7203.T", {"session": [TODAY], "close": [100.0]}))


def test_every_question_is_logged_in_order(get):
    with LocalYahoo(one_stock(), today=TODAY) as yahoo:
        get(yahoo, CHART + "%5EN225", range="1d")
        get(yahoo, CHART + "7203.T", range="1d", interval="1d")
        get(yahoo, "query1.finance.yahoo.com/v7/finance/quote", symbols="7203.T", crumb=yahoo.crumb)
        get(yahoo, "fc.yahoo.com")
        get(yahoo, "finance.yahoo.com/quote/7203.T")
        assert [(r.host, r.path, r.kind, r.ticker, r.status) for r in yahoo.requests] == [
            ("query2.finance.yahoo.com", "/v8/finance/chart/%5EN225", "chart", "^N225", 404),
            ("query2.finance.yahoo.com", "/v8/finance/chart/7203.T", "chart", "7203.T", 200),
            ("query1.finance.yahoo.com", "/v7/finance/quote", "quote", "7203.T", 200),
            ("fc.yahoo.com", "/", "cookie", None, 404),
            ("finance.yahoo.com", "/quote/7203.T", "other", None, 404),
        ]
        assert yahoo.requests[1].query == {"range": "1d", "interval": "1d"}
        assert [yahoo.count(kind) for kind in ("chart", "quote", "cookie", "crumb", "other")] == [2, 1, 1, 0, 1]
        assert yahoo.count("chart", "7203.T") == 1


def test_cookie_is_yahoos(get):
    with LocalYahoo(None, today=TODAY) as yahoo:
        cookie = get(yahoo, "fc.yahoo.com").headers["Set-Cookie"]
        assert cookie.startswith("A3=")
        assert "Domain=.yahoo.com" in cookie
        form = get(yahoo, "guce.yahoo.com/consent").text
        assert re.findall(r'name="(csrfToken|sessionId)" value="([^"]+)"', form) == [
            ("csrfToken", "local"),
            ("sessionId", "3_cc-session_local"),
        ]


def test_stopped_server_answers_nobody_even_on_kept_connections():
    session = requests.Session()
    with LocalYahoo(one_stock(), today=TODAY) as yahoo:
        url = f"{yahoo.url}/{CHART}7203.T"
        assert session.get(url).status_code == 200
    with pytest.raises(RequestException):
        session.get(url, timeout=2)
    assert len(yahoo.requests) == 1


def test_defect_of_the_source_is_a_500_and_raised_when_the_server_stops(get):
    class BrokenMarket(GivenMarket):
        def fetch_bars(self, tickers, start, end):
            raise ArithmeticError("the source broke")

    statuses = []
    with pytest.raises(ArithmeticError, match="the source broke"), LocalYahoo(BrokenMarket(None), today=TODAY) as yahoo:
        statuses.append(get(yahoo, CHART + "7203.T").status_code)
    assert statuses == [500]


def test_command_serves_the_configured_market_until_interrupted():
    arguments = ["--port", "0", "--today", "2024-03-01", "--tickers", "3"]
    command = [sys.executable, "-m", "stockfc_assets_tests.local_yahoo", *arguments]
    environ = {**os.environ, "STOCKFC_CONFIG": str(REPO / "config")}
    with subprocess.Popen(command, cwd=REPO, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            greeting, export = process.stdout.readline(), process.stdout.readline()
            url = greeting.split()[0]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
            assert "simulated market (seed 20100104), 3 tickers, data until 2024-03-01" in greeting
            assert export == f"export STOCKFC_SOURCE=yahoo STOCKFC_YAHOO_ENDPOINT={url}\n"
            result = requests.get(f"{url}/{CHART}S00003.T", params={"range": "5d"}).json()["chart"]["result"][0]
            assert dt.datetime.fromtimestamp(result["timestamp"][-1], dt.UTC) == dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
        assert process.wait(timeout=10) == 0
        assert rest == "stopped after 1 requests\n"


def test_command_refuses_what_does_not_fit(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("STOCKFC_CONFIG", str(REPO / "config"))
    assert main(["--recorded", str(tmp_path)]) == 1
    assert f"--recorded {tmp_path}: there is no folder `recorded` in it" in capsys.readouterr().err
    with LocalYahoo(None, today=TODAY) as other:
        port = other.url.rpartition(":")[2]
        assert main(["--port", port]) == 1
        assert f"--port {port}: Address already in use; choose another" in capsys.readouterr().err
    assert main(["--source", "files"]) == 1
    assert "sources.files is missing" in capsys.readouterr().err
    monkeypatch.setenv("STOCKFC_ENV", "files")
    monkeypatch.setenv("STOCKFC_PRICES", str(tmp_path))
    monkeypatch.setenv("STOCKFC_SPLITS", str(tmp_path / "splits.csv"))
    with pytest.raises(ConfigError, match="--tickers 5: only the simulated source"):
        served_settings("files", 5)
