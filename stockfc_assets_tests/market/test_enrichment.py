import datetime as dt

import polars as pl

from stockfc_assets import tables
from stockfc_assets.market.enrichment import enrich
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA

D = dt.date
AS_OF = D(2024, 10, 1)


def facts_of(ticker: str, published: dt.date, **values: float | str | None) -> dict:
    full = {
        "shares_outstanding": 1e6, "eps_ttm": 100.0, "book_value_per_share": 800.0, "dividend_per_share_ttm": 40.0,
        "return_on_equity": 0.125, "profit_margin": 0.08, "sector": "Foods", "industry": "Noodles",
    }  # fmt: skip
    return {"ticker": ticker, "published": published, **full, **values}


def frame(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=FACTS_SCHEMA)


def raw(*rows: tuple[str, dt.date, float, float]) -> pl.DataFrame:
    """Rows of (ticker, session, close, split_ratio)."""
    return pl.DataFrame(
        [(t, s, c, c, c, c, 100, 0.0, r, "JPY") for t, s, c, r in rows], schema=BARS_SCHEMA, orient="row"
    )


def row_of(table: pl.DataFrame, ticker: str) -> dict:
    return table.row(by_predicate=pl.col("ticker") == ticker, named=True)


def test_values_stand_on_the_share_basis_of_as_of() -> None:
    """A 5:1 split between publication and as_of; one before and one after must not count."""
    prices = raw(
        ("1.T", D(2024, 8, 9), 6000.0, 2.0),
        ("1.T", D(2024, 9, 26), 6100.0, 1.0),
        ("1.T", D(2024, 9, 27), 1210.0, 5.0),
        ("1.T", D(2024, 9, 30), 1200.0, 1.0),
        ("1.T", D(2024, 10, 1), 400.0, 3.0),
    )
    table = enrich(frame(facts_of("1.T", D(2024, 8, 9))), prices, AS_OF, ["1.T"])
    assert tables.UniverseEnrichment.validate(table).height == 1
    assert row_of(table, "1.T") == {
        "ticker": "1.T", "as_of": AS_OF, "shares_outstanding": 5e6, "eps_ttm": 20.0, "book_value_per_share": 160.0,
        "dividend_per_share_ttm": 8.0, "return_on_equity": 0.125, "profit_margin": 0.08, "sector": "Foods",
        "industry": "Noodles", "per": 60.0, "pbr": 7.5, "dividend_yield": 8.0 / 1200.0, "market_cap": 6e9,
    }  # fmt: skip


def test_facts_published_on_or_after_as_of_do_not_exist_yet() -> None:
    facts = frame(
        facts_of("1.T", D(2024, 5, 10), eps_ttm=50.0),
        facts_of("1.T", D(2024, 9, 30), eps_ttm=60.0),
        facts_of("1.T", AS_OF, eps_ttm=70.0),
        facts_of("2.T", AS_OF),
    )
    table = enrich(facts, raw(("1.T", D(2024, 9, 30), 600.0, 1.0)), AS_OF, ["1.T", "2.T"])
    assert row_of(table, "1.T")["eps_ttm"] == 60.0
    assert row_of(table, "1.T")["per"] == 10.0
    assert row_of(table, "2.T")["eps_ttm"] is None


def test_one_row_per_member_and_null_where_nothing_is_known() -> None:
    facts = frame(facts_of("1.T", D(2024, 8, 9)), facts_of("9.T", D(2024, 8, 9)))
    prices = raw(("3.T", D(2024, 9, 30), 100.0, 1.0))
    table = tables.UniverseEnrichment.validate(enrich(facts, prices, AS_OF, ["3.T", "1.T"]))
    assert table["ticker"].to_list() == ["1.T", "3.T"]
    unknown = row_of(table, "3.T")
    assert {name for name, value in unknown.items() if value is not None} == {"ticker", "as_of"}
    without_price = row_of(table, "1.T")
    assert without_price["eps_ttm"] == 100.0
    assert [without_price[name] for name in ("per", "pbr", "dividend_yield", "market_cap")] == [None] * 4


def test_losses_give_a_negative_ratio_and_zero_gives_null() -> None:
    facts = frame(
        facts_of("1.T", D(2024, 8, 9), eps_ttm=-20.0),
        facts_of("2.T", D(2024, 8, 9), eps_ttm=0.0, book_value_per_share=0.0),
        facts_of("3.T", D(2024, 8, 9), eps_ttm=None, shares_outstanding=None, dividend_per_share_ttm=0.0),
    )
    prices = raw(*((ticker, D(2024, 9, 30), 100.0, 1.0) for ticker in ("1.T", "2.T", "3.T")))
    table = enrich(facts, prices, AS_OF, ["1.T", "2.T", "3.T"])
    assert table["per"].to_list() == [-5.0, None, None]
    assert table["pbr"].to_list() == [0.125, None, 0.125]
    assert table["dividend_yield"].to_list() == [0.4, 0.4, 0.0]
    assert table["market_cap"].to_list() == [1e8, 1e8, None]


def test_nothing_known_at_all() -> None:
    table = enrich(pl.DataFrame(schema=FACTS_SCHEMA), pl.DataFrame(schema=BARS_SCHEMA), AS_OF, ["2.T", "1.T"])
    assert tables.UniverseEnrichment.validate(table)["ticker"].to_list() == ["1.T", "2.T"]
