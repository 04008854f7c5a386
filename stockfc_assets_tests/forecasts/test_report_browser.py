"""The report in a real browser: no console error, everything drawn, sorting, filtering, narrow and dark."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from stockfc_assets.forecasts.report import render_report
from stockfc_assets_tests.forecasts.samples import sample_forecast

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--hide-scrollbars",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH: the report is not tried in a browser"
)

PROBE = """
<script>
const wait = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
const visible = (element) => element.getClientRects().length > 0;
const stocks = (selector) =>
  [...document.querySelectorAll(selector)].filter(visible).map((element) => element.dataset.stock);
const rows = () => stocks("#ranking-table tbody tr");
const cards = () => stocks("#cards > article");
const header = (key) => document.querySelector(`#ranking-table th[data-key="${key}"]`);
const click = (key) => header(key).querySelector("button").click();
(async () => {
  const found = { start: rows(), width: document.documentElement.scrollWidth, window: innerWidth };
  found.drawn = [...document.querySelectorAll('article > svg[role="img"]')].filter((chart) => {
    const line = chart.querySelector("polyline").getBBox();
    return chart.getBoundingClientRect().width > 200 && line.width > 50 && line.height > 2;
  }).length;
  found.ink = getComputedStyle(document.querySelector("article polyline")).stroke;
  found.paper = getComputedStyle(document.body).backgroundColor;
  click("m12"); found.descending = rows(); found.sort = header("m12").getAttribute("aria-sort");
  click("m12"); found.ascending = rows(); found.cards = cards();
  click("name"); found.names = rows();
  const sector = document.getElementById("sector");
  sector.value = "Banks"; sector.dispatchEvent(new Event("change"));
  found.banks = rows(); found.bankCards = cards(); found.shown = document.getElementById("shown").textContent;
  sector.value = ""; sector.dispatchEvent(new Event("change"));
  const find = document.getElementById("find");
  find.value = "toyota"; find.dispatchEvent(new Event("input"));
  found.search = rows();
  await wait();
  const out = document.createElement("pre");
  out.id = "probe"; out.textContent = JSON.stringify(found);
  document.body.append(out);
})();
</script>
"""


def probe(folder: Path, *flags: str, width: int = 1280) -> tuple[dict, list[str], dict]:
    """What the page's own DOM says, its console messages, and the document behind it."""
    document, history, card, names = sample_forecast()
    page = folder / "report.html"
    page.write_text(
        render_report(document, history, card, names).replace("</body>", f"{PROBE}</body>"), encoding="utf-8"
    )
    process = subprocess.run(
        [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
         "--virtual-time-budget=3000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', process.stdout, re.DOTALL)
    assert found, process.stdout[-2000:]
    console = [line for line in process.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(found[1])), console, document


def test_the_page_works_in_a_browser(tmp_path):
    found, console, document = probe(tmp_path)
    assert console == []
    returns = {stock["ticker"]: stock["predicted_12m_return"] for stock in document["predictions"]}
    best_first = sorted(returns, key=lambda ticker: -returns[ticker])
    names = {stock["ticker"]: stock["name"] for stock in document["predictions"]}
    assert found["start"] == best_first
    assert found["drawn"] == 30
    assert (found["descending"], found["sort"]) == (best_first, "descending")
    assert found["ascending"] == found["cards"] == best_first[::-1]
    assert found["names"] == sorted(names, key=lambda ticker: names[ticker].lower())
    banks = {stock["ticker"] for stock in document["predictions"] if stock["sector"] == "Banks"}
    assert set(found["banks"]) == set(found["bankCards"]) == banks
    assert found["shown"] == f"{len(banks)} of 30 stocks"
    assert found["search"] == ["7203.T"]
    assert found["width"] <= found["window"]


def test_the_page_reads_on_a_phone_in_the_dark(tmp_path):
    found, console, _ = probe(tmp_path, "--blink-settings=preferredColorScheme=0", width=500)
    assert console == []
    assert found["drawn"] == 30
    # Nothing is wider than the window: only the tables scroll, inside themselves.
    assert found["width"] <= found["window"] <= 500
    paper, ink = (sum(map(int, re.findall(r"\d+", found[key])[:3])) for key in ("paper", "ink"))
    assert paper < 120
    assert ink > 500
