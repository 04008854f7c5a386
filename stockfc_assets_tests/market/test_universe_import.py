"""Universe files from the exchange's list of issues and from dated member lists: exact counts, and who was known when."""

from __future__ import annotations

import csv
import datetime as dt
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.cli import main
from stockfc_assets.configuration import load_sector_names, load_settings
from stockfc_assets.errors import ConfigError, InputError
from stockfc_assets.market.universe_import import UniverseImport, import_universe, membership, universe_yaml
from stockfc_assets.settings import Universe

CONFIG = Path(__file__).parents[2] / "config"
SECTORS = load_sector_names(CONFIG)
D = dt.date

LISTED = "日付,コード,銘柄名,市場・商品区分,33業種コード,33業種区分,17業種コード,17業種区分,規模コード,規模区分\n"
SNAPSHOTS = "as_of,code,name,sector33,sector17\n"


def listed(tmp_path: Path, *rows: str, header: str = LISTED) -> Path:
    """A list of issues; each row: code,name,segment,sector."""
    lines = []
    for row in rows:
        code, name, segment, sector = row.split(",")
        lines.append(f"20251031,{code},{name},{segment},50,水産・農林業,1,{sector},-,-\n")
    path = tmp_path / "issues.csv"
    path.write_text(header + "".join(lines), encoding="utf-8")
    return path


def snapshots(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "lists.csv"
    path.write_text(SNAPSHOTS + "".join(f"{row},食料品,食品\n" for row in rows), encoding="utf-8")
    return path


def take(path: Path, since: D | None = None) -> UniverseImport:
    return import_universe(path, name="x", sector_names=SECTORS, since=since)


def intervals(universe: Universe) -> dict[str, list[tuple[D, D | None]]]:
    return {stock.ticker: [(m.member_from, m.member_to) for m in stock.member] for stock in universe.stocks}


# --- the exchange's list of issues ------------------------------------------------------------------------------------


def test_the_exchange_s_list_of_2025_10_31(shared_data: Path) -> None:
    imported = take(shared_data / "facts/jpx_listed_20251031.csv")
    assert imported.source == "jpx_listed_20251031.csv: 4,417 issues listed on 2025-10-31"
    assert [(group.kept, group.reason, group.issues) for group in imported.groups] == [
        (True, "domestic common stocks, プライム(内国株式)", 1611),
        (True, "domestic common stocks, スタンダード(内国株式)", 1562),
        (True, "domestic common stocks, グロース(内国株式)", 608),
        (False, "funds (ETF, ETN)", 404),
        (False, "PRO Market (for professional investors)", 157),
        (False, "funds (REIT, venture, country, infrastructure)", 63),
        (False, "foreign shares", 5),
        (False, "preferred and class shares", 5),
        (False, "investment securities", 2),
    ]
    universe = imported.universe
    assert len(universe.stocks) == 3786 - 5
    assert {"1301.T", "130A.T", "7203.T", "9984.T"} <= set(universe.tickers)
    assert not {"1306.T", "25935.T", "94346.T", "8301.T", "8421.T", "4875.T", "131A.T"} & set(universe.tickers)
    assert {interval for stock in universe.stocks for interval in stock.member} == {universe.stocks[0].member[0]}
    assert intervals(universe)["7203.T"] == [(D(2025, 10, 31), None)]
    assert universe.exchange == "XTKS"


def test_stocks_and_sectors_agree_with_a_plain_count_of_the_file(shared_data: Path) -> None:
    path = shared_data / "facts/jpx_listed_20251031.csv"
    universe = take(path).universe
    with path.open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["市場・商品区分"].endswith("（内国株式）") and not row["銘柄名"].endswith("株式")
        ]
    assert [stock.ticker for stock in universe.stocks] == sorted(f"{row['コード']}.T" for row in rows)
    theirs = Counter(row["17業種区分"] for row in rows)
    assert Counter(stock.sector for stock in universe.stocks) == {
        SECTORS[name]: count for name, count in theirs.items()
    }
    assert len(theirs) == 17


def test_issues_are_left_out_by_their_fields_not_by_their_codes(tmp_path: Path) -> None:
    imported = take(
        listed(
            tmp_path,
            "12345,五桁の普通株,プライム（内国株式）,食品",
            "1234,四桁第１種優先株式,プライム（内国株式）,食品",
            "2345,四桁種類株式,スタンダード（内国株式）,食品",
            "3456,市場改革前,市場第一部（内国株）,食品",
            "4567,外国会社,市場第二部（外国株）,-",
            "5678,上場投信,ETF・ETN,-",
        )
    )
    assert imported.universe.tickers == ("12345.T", "3456.T")
    assert {group.reason: group.issues for group in imported.groups if not group.kept} == {
        "preferred and class shares": 2,
        "foreign shares": 1,
        "funds (ETF, ETN)": 1,
    }


def test_full_width_letters_become_plain_ones(tmp_path: Path) -> None:
    universe = take(listed(tmp_path, "1301,ＮＴＴ　データ　&　Ｃｏ．,プライム（内国株式）,金融（除く銀行）")).universe
    assert universe.stocks[0].name == "NTT データ & Co."
    assert universe.stocks[0].sector == "Financials (Ex Banks)"


def test_a_past_that_is_assumed_is_called_survivorship_biased(tmp_path: Path) -> None:
    path = listed(tmp_path, "1301,極洋,プライム（内国株式）,食品")
    known, assumed = take(path), take(path, since=D(2016, 1, 4))
    assert intervals(known.universe) == {"1301.T": [(D(2025, 10, 31), None)]}
    assert "survivorship" not in known.universe.note
    assert intervals(assumed.universe) == {"1301.T": [(D(2016, 1, 4), None)]}
    assert "since 2016-01-04 is assumed, not known" in assumed.universe.note
    assert "survivorship-biased" in assumed.universe.note


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1301,極洋,市場第三部,食品", r"issues.csv: 1301 極洋: the segment '市場第三部' is unknown"),
        (
            "1301,極洋,プライム（内国株式）,漁業",
            r"issues.csv: 1 issues have a sector .*sector_names.yaml does not map, such as 1301 極洋: '漁業'",
        ),
        ("1301,,プライム（内国株式）,食品", r"issues.csv: row 2: name is empty"),
        ("9999,二度目,プライム（内国株式）,食品", r"code 9999 is there twice on 2025-10-31"),
    ],
)
def test_a_row_that_cannot_be_placed_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = listed(tmp_path, "9999,最初,プライム（内国株式）,食品", row)
    with pytest.raises((InputError, ConfigError), match=message):
        take(path)


def test_files_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    good = listed(tmp_path, "1301,極洋,プライム（内国株式）,食品")
    content = good.read_text(encoding="utf-8")
    spreadsheet, shift_jis, other, two, empty, header = (
        tmp_path / name for name in ("data_j.xls", "sjis.csv", "other.csv", "two.csv", "empty.csv", "header.csv")
    )
    empty.write_text("")
    header.write_text(LISTED, encoding="utf-8")
    spreadsheet.write_bytes(b"\xd0\xcf\x11\xe0")
    shift_jis.write_bytes(content.encode("cp932"))
    other.write_text("ticker,name\n1,x\n")
    two.write_text(content + content.splitlines()[1].replace("20251031", "20251128") + "\n", encoding="utf-8")
    for path, message in (
        (tmp_path / "absent.csv", "there is no such file"),
        (spreadsheet, "spreadsheets are not read; save it as 'CSV UTF-8'"),
        (shift_jis, "is not a text in UTF-8; save it as 'CSV UTF-8'"),
        (other, r"found the columns ticker, name; expected those of the exchange's list \(日付, コード"),
        (two, r"holds lists of 2 dates \(2025-10-31 to 2025-11-28\); import one list"),
        (empty, "cannot be read as CSV"),
        (header, "has no rows"),
    ):
        with pytest.raises(InputError, match=message):
            take(path)
    with pytest.raises(InputError, match="--since 2026-01-05 is after the list's date 2025-10-31"):
        take(good, since=D(2026, 1, 5))
    with pytest.raises(InputError, match="none of its 1 issues is a domestic common stock"):
        take(listed(tmp_path, "1306,投信,ETF・ETN,-"))


def test_the_mark_that_spreadsheets_put_before_utf_8_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = listed(tmp_path, "1301,極洋,プライム（内国株式）,食品", header="\ufeff" + LISTED)
    assert take(path).universe.tickers == ("1301.T",)


# --- dated lists of members -------------------------------------------------------------------------------------------


def newest_list(rows: list[tuple[D, str]], date: D) -> set[str]:
    """The members by the newest list of ``date`` or before: what a person could know on that day."""
    known = [as_of for as_of, _ in rows if as_of <= date]
    return {ticker for as_of, ticker in rows if as_of == max(known)} if known else set()


def test_core30_is_on_every_day_what_the_newest_list_said(shared_data: Path) -> None:
    path = shared_data / "facts/core30_snapshots.csv"
    imported = take(path)
    with path.open(encoding="utf-8") as file:
        rows = [(D.fromisoformat(row["as_of"]), f"{row['code']}.T") for row in csv.DictReader(file)]
    day, known = D(2017, 2, 1), {}
    while day < D(2026, 12, 31):
        known = newest_list(rows, day) if day in {as_of for as_of, _ in rows} else known
        assert set(imported.universe.members(day)) == (known or set()), day
        day += dt.timedelta(days=1)
    assert len(imported.universe.stocks) == 46
    assert [(group.reason, group.issues) for group in imported.groups] == [
        ("members on 2026-05-31", 31),
        ("former members", 15),
    ]
    found = intervals(imported.universe)
    assert found["2914.T"] == [(D(2017, 2, 28), D(2021, 12, 29)), (D(2025, 1, 31), None)]
    assert found["8801.T"] == [(D(2017, 2, 28), D(2017, 10, 30))]
    assert found["8729.T"] == [(D(2025, 10, 31), None)]
    assert "up to 699 days late (2020-01-31 to 2021-12-30)" in imported.universe.note
    assert imported.remarks == (
        "6594: name changed: 日本電産 -> ニデック",
        "6758: name changed: ソニー -> ソニーグループ",
        "9432: name changed: 日本電信電話 -> NTT",
    )


def test_the_bundled_universe_dates_its_members_in_the_same_way(shared_data: Path) -> None:
    bundled = load_settings({"STOCKFC_CONFIG": str(CONFIG)}).universe
    imported = take(shared_data / "facts/core30_snapshots.csv").universe
    found = intervals(imported)
    assert intervals(bundled) == {ticker: found[ticker] for ticker in bundled.tickers}
    sectors = {stock.ticker: stock.sector for stock in imported.stocks}
    assert {stock.ticker: stock.sector for stock in bundled.stocks}.items() <= sectors.items()


def test_a_code_that_changed_hands_is_one_ticker_with_two_intervals(tmp_path: Path) -> None:
    path = snapshots(
        tmp_path,
        "20200131,8729,ソニーフィナンシャルホールディングス",
        "20200131,7203,トヨタ自動車",
        "20211230,7203,トヨタ自動車",
        "20251031,7203,トヨタ自動車",
        "20251031,8729,ソニーフィナンシャルグループ",
    )
    imported = take(path)
    assert intervals(imported.universe) == {
        "7203.T": [(D(2020, 1, 31), None)],
        "8729.T": [(D(2020, 1, 31), D(2021, 12, 29)), (D(2025, 10, 31), None)],
    }
    assert imported.universe.stocks[1].name == "ソニーフィナンシャルグループ"
    assert imported.remarks == (
        "8729: name changed: ソニーフィナンシャルホールディングス -> ソニーフィナンシャルグループ; it was away in "
        "between: is it the same company?",
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=12))
def test_membership_follows_the_newest_list_and_has_no_needless_interval(steps: list[tuple[int, bool]]) -> None:
    """``steps``: days since the list before, and whether the stock is on the list."""
    dates, seen, day = [], set(), D(2020, 1, 1)
    for gap, is_there in steps:
        day += dt.timedelta(days=gap)
        dates.append(day)
        seen |= {day} if is_there else set()
    found = membership(seen, dates)
    for offset in range((dates[-1] - D(2020, 1, 1)).days + 40):
        today = D(2020, 1, 1) + dt.timedelta(days=offset)
        newest = max((date for date in dates if date <= today), default=None)
        inside = [m for m in found if m.member_from <= today and (m.member_to is None or today <= m.member_to)]
        assert len(inside) == (newest in seen)
    for before, after in pairwise(found):
        assert after.member_from - before.member_to > dt.timedelta(days=1)


def test_member_lists_date_themselves(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lists\.csv dates the membership itself; leave --since out"):
        take(snapshots(tmp_path, "20200131,7203,トヨタ自動車"), since=D(2016, 1, 4))


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_has_a_line_per_stock_and_reads_back_the_same(tmp_path: Path) -> None:
    universe = take(
        listed(
            tmp_path,
            "1301,極洋: 魚 # と,プライム（内国株式）,食品",
            '130A,"ＯＮ",グロース（内国株式）,情報通信・サービスその他',
        )
    ).universe
    text = universe_yaml(universe, "One line.\nAnother.")
    assert text == universe_yaml(universe, "One line.\nAnother.")
    assert text.splitlines()[:2] == ["# One line.", "# Another."]
    assert "  - {ticker: 1301.T, name: '極洋: 魚 # と', sector: Foods, member: [{member_from: 2025-10-31}]}\n" in text
    assert sum(line.startswith("  - {ticker: ") for line in text.splitlines()) == 2
    assert Universe.model_validate(yaml.safe_load(text)) == universe


def test_sector_names_cover_the_exchange_s_17_and_name_only_ours(tmp_path: Path) -> None:
    ours = load_settings({"STOCKFC_CONFIG": str(CONFIG)}).sectors
    assert sorted(SECTORS.values()) == sorted(set(ours) - {"Unknown"})
    shutil.copytree(CONFIG, tmp_path / "config")
    path = tmp_path / "config/sector_names.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("食品: Foods", "食品: Fish"), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"sector_names.yaml: 食品: sector 'Fish' is not in .*sectors.yaml; use one of"
    ):
        load_sector_names(tmp_path / "config")


# --- in a terminal ----------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(CONFIG, tmp_path / "config")
    monkeypatch.setenv("STOCKFC_CONFIG", str(tmp_path / "config"))

    def run(*arguments: object) -> tuple[int, str, str]:
        codes: list[int] = []
        main([str(argument) for argument in arguments], leave=codes.append)
        output = capsys.readouterr()
        return (codes or [0])[0], output.out, output.err

    return run


def test_import_writes_a_universe_that_can_be_used(terminal, tmp_path: Path) -> None:
    path = snapshots(
        tmp_path, "20200131,7203,トヨタ自動車", "20200131,2914,日本たばこ産業", "20211230,7203,トヨタ自動車"
    )
    code, out, _ = terminal("universe", "import", path, "--name", "Two Lists")
    target = tmp_path / "config/universes/two_lists.yaml"
    assert code == 0
    assert "kept          1  former members: 2914 日本たばこ産業" in out
    assert f"Written: {target} (2 stocks)" in out
    assert "set `universe: two_lists` in config/environments/local.yaml" in out
    assert [file.name for file in target.parent.iterdir() if file.name.startswith(".")] == []

    local = tmp_path / "config/environments/local.yaml"
    local.write_text(local.read_text().replace("topix_core30", "two_lists"))
    code, out, _ = terminal("universe", "show", "--date", "2021-12-29")
    assert out.splitlines()[:2] == [
        "two_lists: XTKS, benchmark 1306.T",
        "2 members on 2021-12-29, 2 stocks at any time",
    ]
    code, out, _ = terminal("universe", "show", "--date", "2021-12-30")
    assert out.splitlines()[1] == "1 members on 2021-12-30, 2 stocks at any time"
    assert out.splitlines()[-1] == "       1        2  Foods"


def test_import_replaces_nothing_unless_told(terminal, tmp_path: Path) -> None:
    path = snapshots(tmp_path, "20200131,7203,トヨタ自動車")
    target = tmp_path / "config/universes/lists.yaml"
    assert terminal("universe", "import", path)[0] == 0
    first = target.read_bytes()
    target.write_text("mine")
    code, _, err = terminal("universe", "import", path)
    assert (code, target.read_text()) == (2, "mine")
    assert f"{target}: is there already; choose another --name, or replace it with --force" in err
    assert terminal("universe", "import", path, "--force")[0] == 0
    assert target.read_bytes() == first


def test_output_may_lie_elsewhere_and_errors_leave_no_file(terminal, tmp_path: Path) -> None:
    path = snapshots(tmp_path, "20200131,7203,トヨタ自動車")
    code, out, _ = terminal("universe", "import", path, "--output", tmp_path / "elsewhere.yaml")
    assert code == 0
    assert f"Copy it to {tmp_path / 'config/universes'}" in out
    assert Universe.model_validate(yaml.safe_load((tmp_path / "elsewhere.yaml").read_text())).name == "elsewhere"
    code, _, err = terminal("universe", "import", path, "--output", tmp_path / "no/such/folder.yaml")
    assert (code, "cannot be written: No such file or directory" in err) == (2, True)
    bad = listed(tmp_path, "1301,極洋,市場第三部,食品")
    code, _, err = terminal("universe", "import", bad)
    assert (code, "the segment '市場第三部' is unknown" in err) == (2, True)
    assert not (tmp_path / "config/universes/issues.yaml").exists()
    assert terminal("universe", "import", path, "--name", "東京")[2].startswith("Error: --name '東京': has no letter")
