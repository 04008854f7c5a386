"""The report in a real browser: no console error, everything drawn, ranking, sorting, filtering, narrow, dark, keyboard."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from stockfc_assets.forecasts.report import render_report
from stockfc_assets_tests.forecasts.report_samples import full_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--hide-scrollbars",
)  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: the report is not tried in a browser"),
]

PROBE = """
<script>
const wait = () => new Promise((done) => setTimeout(done, 20));
const visible = (element) => element.getClientRects().length > 0;
const stocks = (selector) =>
  [...document.querySelectorAll(selector)].filter(visible).map((element) => element.dataset.stock);
const rows = () => stocks("#ranking-table tbody tr");
const cards = () => stocks("#cards > article");
const header = (key) => document.querySelector(`#ranking-table th[data-key="${key}"]`);
const click = (key) => header(key).querySelector("button").click();
const said = () => [...document.querySelectorAll("[data-for]")].filter(visible).map((one) => one.dataset.for);
const drawn = (selector) => [...document.querySelectorAll(selector)].filter((chart) => {
  const marks = [...chart.querySelectorAll("polyline, circle, rect")].map((mark) => mark.getBBox());
  return chart.getBoundingClientRect().width > 200 && marks.some((box) => box.width + box.height > 5);
}).length;
(async () => {
  const root = document.documentElement;
  const found = { start: rows(), width: root.scrollWidth, window: innerWidth, said: said() };
  found.wide = [...document.querySelectorAll("main *")].filter((element) =>
    !element.closest(".scroll, svg") && element.getBoundingClientRect().right > root.clientWidth + 1
  ).map((element) => element.tagName + "." + element.className);
  found.cards = drawn("#cards article > svg");
  found.why = drawn(".why svg");
  found.figures = drawn("figure svg");
  found.all = document.querySelectorAll("figure svg").length;
  found.ink = getComputedStyle(document.body).color;
  found.paper = getComputedStyle(document.body).backgroundColor;
  found.months = [...document.querySelectorAll("#ranking-table thead th[data-month]")].filter(visible).length;
  found.font = Math.min(...[...document.querySelectorAll('svg[role="img"] text')].filter(visible).map((words) =>
    11 * words.closest("svg").getBoundingClientRect().width / words.closest("svg").viewBox.baseVal.width));
  click("m12"); found.descending = rows(); found.sort = header("m12").getAttribute("aria-sort");
  click("m12"); found.ascending = rows(); found.ascendingCards = cards();
  click("name"); found.names = rows();
  document.querySelector('input[name="horizon"][value="3"]').click();
  found.by3 = rows(); found.cardsBy3 = cards(); found.said3 = said();
  found.rank3 = [...document.querySelectorAll("#ranking-table tbody tr")].map((row) => row.cells[0].textContent);
  found.sorted3 = header("rank").getAttribute("aria-sort");
  const sector = document.getElementById("sector");
  sector.value = "Banks"; sector.dispatchEvent(new Event("change"));
  found.banks = rows(); found.bankCards = cards(); found.shown = document.getElementById("shown").textContent;
  sector.value = ""; sector.dispatchEvent(new Event("change"));
  const find = document.getElementById("find");
  find.value = "toyota"; find.dispatchEvent(new Event("input"));
  found.search = rows();
  find.value = ""; find.dispatchEvent(new Event("input"));
  found.anchors = [];
  for (const link of document.querySelectorAll("nav a")) {
    link.focus();
    link.click();
    await wait();
    const target = document.querySelector(link.getAttribute("href"));
    found.anchors.push([target.id, document.activeElement === target]);
  }
  found.unreachable = [...document.querySelectorAll("a[href], button, select, input, summary, .scroll")]
    .filter((element) => visible(element) && element.tabIndex < 0).length;
  parent.postMessage(JSON.stringify(found), "*");
})();
</script>
"""
LISTEN = """
<script>
addEventListener("message", (event) => {
  const out = document.createElement("pre");
  out.id = "probe"; out.textContent = event.data;
  document.body.append(out);
});
</script>
"""


def probe(folder: Path, source: str, *flags: str, width: int = 1280) -> tuple[dict, list[str]]:
    """What the page's own DOM says, and its console messages. Below 500 pixels, no window: a frame of that width."""
    page = folder / "report.html"
    if width < 500:
        frame = f'<iframe style="border:0;width:{width}px;height:800px" src="inside.html"></iframe>'
        (folder / "inside.html").write_text(source.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
        page.write_text(f'<meta charset="utf-8"><body style="margin:0">{LISTEN}{frame}</body>', encoding="utf-8")
    else:
        page.write_text(source.replace("</body>", f"{LISTEN}{PROBE}</body>"), encoding="utf-8")
    process = subprocess.run(
        [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"--window-size={max(width, 500)},900",
         "--virtual-time-budget=20000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', process.stdout, re.DOTALL)
    assert found, process.stderr[-2000:]
    console = [line for line in process.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(found[1])), console


def test_the_page_works_in_a_browser(tmp_path):
    data = full_report()
    found, console = probe(tmp_path, render_report(data))
    assert console == []
    stocks = data.document["predictions"]

    def ranked(horizon: int) -> list[str]:
        return [s["ticker"] for s in sorted(stocks, key=lambda s: -s["predictions"][horizon - 1]["return"])]

    names = {stock["ticker"]: stock["name"] for stock in stocks}
    assert found["start"] == ranked(12)
    assert (found["cards"], found["why"]) == (30, 6)
    assert found["figures"] == found["all"] == 9
    assert set(found["said"]) == {"12"}
    assert (found["descending"], found["sort"]) == (ranked(12), "descending")
    assert found["ascending"] == found["ascendingCards"] == ranked(12)[::-1]
    assert found["names"] == sorted(names, key=lambda ticker: names[ticker].lower())
    assert found["by3"] == found["cardsBy3"] == ranked(3) != ranked(12)
    assert (set(found["said3"]), found["sorted3"]) == ({"3"}, "ascending")
    assert len(found["said3"]) == len(found["said"])
    assert found["rank3"] == [str(rank) for rank in range(1, 31)]
    banks = [ticker for ticker in ranked(3) if {s["ticker"]: s["sector"] for s in stocks}[ticker] == "Banks"]
    assert found["banks"] == found["bankCards"] == banks
    assert found["shown"] == f"{len(banks)} of 30 stocks"
    assert found["search"] == ["7203.T"]
    assert found["width"] <= found["window"]
    assert found["wide"] == []
    assert found["months"] == 4


def test_the_page_is_read_with_a_keyboard(tmp_path):
    found, _ = probe(tmp_path, render_report(full_report()))
    sections = ["answers", "ranking", "stocks", "record", "backtest", "model", "drift", "glossary"]
    assert found["anchors"] == [[section, True] for section in sections]
    assert found["unreachable"] == 0


def test_the_page_reads_on_a_phone_in_the_dark(tmp_path):
    found, console = probe(tmp_path, render_report(full_report()), "--blink-settings=preferredColorScheme=0", width=360)
    assert console == []
    assert (found["cards"], found["why"], found["figures"]) == (30, 6, 9)
    # Nothing is wider than the window: only the tables scroll, inside themselves.
    assert found["width"] <= found["window"] == 360
    assert found["wide"] == []
    assert found["font"] >= 7
    assert found["months"] == 1, "only the ranked horizon has a column"
    paper, ink = (sum(map(int, re.findall(r"\d+", found[key])[:3])) for key in ("paper", "ink"))
    assert paper < 120
    assert ink > 500
