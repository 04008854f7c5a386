"""The simulated market as a source: laws of the rows, determinism to the bit, and what can be predicted in it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stockfc_assets import tables
from stockfc_assets.configuration import load_settings
from stockfc_assets.errors import ConfigError
from stockfc_assets.market.as_traded import adjusted_bars
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.market.quality.moves import jumped, with_moves
from stockfc_assets.market.source import BARS_SCHEMA, FACTS_SCHEMA
from stockfc_assets.market.sources import simulated
from stockfc_assets.market.sources.simulated import SimulatedSource, simulated_universe
from stockfc_assets.settings import PriceQuality, SimulatedSettings

D = dt.date
EPOCH = D(2010, 1, 4)
SECTORS = {"Unknown": 0, "Foods": 1, "Banks": 2, "Machinery": 3}


def market(
    calendar: TradingCalendar, count: int, predictability: float = 0.3, seed: int = 20100104, **options: int
) -> SimulatedSource:
    universe = simulated_universe(count, SECTORS, "XTKS").model_copy(update={"benchmark": "1306.T"})
    return SimulatedSource(
        SimulatedSettings(seed=seed, predictability=predictability), universe, SECTORS, calendar, **options
    )


def tickers(count: int) -> list[str]:
    return [f"S{number:05d}.T" for number in range(1, count + 1)]


@pytest.fixture(scope="module")
def null_market(calendar: TradingCalendar) -> SimulatedSource:
    return market(calendar, 400, predictability=0.0)


@pytest.fixture(scope="module")
def null_bars(null_market: SimulatedSource) -> pl.DataFrame:
    return null_market.fetch_bars([*tickers(400), "1306.T"], EPOCH, D(2019, 12, 31)).bars


# --- laws of the rows -------------------------------------------------------------------------------------------------


def test_rows_keep_the_laws(null_bars: pl.DataFrame, calendar: TradingCalendar) -> None:
    tables.RawOhlcv.validate(null_bars)
    assert null_bars.schema == BARS_SCHEMA
    assert_frame_equal(null_bars, null_bars.sort("session", "ticker"))
    assert null_bars["session"].unique().sort().to_list() == list(calendar.between(EPOCH, D(2019, 12, 31)))
    for column in ("open", "high", "low", "close"):
        assert (null_bars[column] == null_bars[column].round(1)).all()
    jumps = with_moves(null_bars).filter(jumped(PriceQuality()))
    assert jumps.height < 40  # real moves, about 1 in 25,000 rows


def test_levels_are_those_of_a_stock_market(null_bars: pl.DataFrame) -> None:
    adjusted = adjusted_bars(null_bars, D(2019, 12, 31)).with_columns(
        r=(pl.col("close") / pl.col("close").shift(1).over("ticker")).log()
    )
    facts = adjusted.group_by("ticker").agg(
        volatility=pl.col("r").std() * np.sqrt(245),
        clustering=pl.corr(pl.col("r").abs(), pl.col("r").abs().shift(1)),
        memory=pl.corr("r", pl.col("r").shift(1)),
        kurtosis=pl.col("r").kurtosis(fisher=False),
        volume=pl.corr(pl.col("r").abs(), pl.col("volume").log()),
    )
    stocks = facts.filter(pl.col("ticker") != "1306.T")
    assert stocks["volatility"].quantile(0.1) > 0.22
    assert 0.27 < stocks["volatility"].median() < 0.36
    assert stocks["volatility"].quantile(0.9) < 0.45
    assert facts.filter(pl.col("ticker") == "1306.T")["volatility"].item() == pytest.approx(0.18, abs=0.04)
    assert stocks["clustering"].median() > 0.1
    assert abs(stocks["memory"].median()) < 0.01
    assert stocks["kurtosis"].median() > 4
    assert stocks["volume"].median() > 0.2


def test_most_are_listed_from_the_epoch_and_halts_are_rare(null_bars: pl.DataFrame, calendar: TradingCalendar) -> None:
    stocks = null_bars.filter(pl.col("ticker") != "1306.T")
    first = stocks.group_by("ticker").agg(pl.col("session").min(), pl.len())
    late = first.filter(pl.col("session") > D(2010, 1, 29))
    assert 0.01 < late.height / first.height < 0.08
    position = {session: number for number, session in enumerate(calendar.between(EPOCH, D(2019, 12, 31)))}
    possible = sum(len(position) - position[session] for session in first["session"])
    assert 1 - stocks.height / possible == pytest.approx(0.0005, abs=0.0002)
    assert null_bars.filter(pl.col("ticker") == "1306.T").height == len(position)


def test_splits_divide_the_price_and_multiply_the_volume(null_bars: pl.DataFrame) -> None:
    splits = null_bars.sort("ticker", "session").with_columns(
        before=pl.col("close").shift(1).over("ticker"), usual=pl.col("volume").log().rolling_mean(20).over("ticker")
    ).filter((pl.col("split_ratio") != 1) & pl.col("before").is_not_null())  # fmt: skip
    assert set(splits["split_ratio"]) == {0.2, 2.0, 3.0, 5.0, 10.0}
    moves = (splits["open"] * splits["split_ratio"] / splits["before"]).log()
    assert moves.abs().max() < 0.3
    forward = splits.filter(pl.col("split_ratio") > 1)
    assert forward["before"].min() > 3000
    assert splits.filter(pl.col("split_ratio") < 1)["before"].max() < 250
    assert set(splits["session"].dt.month()) == {3, 6, 9, 12}


def test_the_benchmark_is_the_market_factor(null_market: SimulatedSource, null_bars: pl.DataFrame) -> None:
    fund = null_bars.filter(pl.col("ticker") == "1306.T").sort("session")
    assert set(fund["split_ratio"]) == {1.0}
    returns = np.diff(np.log(fund["close"].to_numpy()))
    factor = null_market._factors[("market", max(days for name, days in null_market._factors if name == "market"))]
    expected = np.diff(factor.level[simulated.WARM_UP_SESSIONS :])[: len(returns)]
    assert np.abs(returns - expected).max() < 2e-4  # rounding of prices to 0.1
    # An equal-weighted mean of many stocks must move with it.
    wide = null_bars.filter(pl.col("split_ratio") == 1).sort("ticker", "session")
    wide = wide.with_columns(r=(pl.col("close") / pl.col("close").shift(1).over("ticker")).log())
    mean = wide.filter(pl.col("ticker") != "1306.T").group_by("session").agg(pl.col("r").median()).sort("session")
    assert np.corrcoef(mean["r"].to_numpy()[1:].astype(float), returns)[0, 1] > 0.9


# --- determinism ------------------------------------------------------------------------------------------------------


def test_rows_depend_on_nothing_but_seed_epoch_and_ticker(calendar: TradingCalendar) -> None:
    """Other block sizes, more tickers, one ticker alone, a shorter or a longer horizon, another order: not one bit."""
    start, end = D(2011, 3, 1), D(2012, 2, 10)
    reference = market(calendar, 37).fetch_bars(tickers(37), start, end).bars
    assert reference.height > 37 * 200
    for source in (
        market(calendar, 37, block_tickers=1),
        market(calendar, 37, block_tickers=7),
        market(calendar, 300),
    ):
        assert_frame_equal(source.fetch_bars(tickers(37)[::-1], start, end).bars, reference, check_exact=True)
    longer = market(calendar, 37)
    longer.fetch_bars(tickers(1), D(2019, 1, 4), D(2019, 1, 4))
    assert_frame_equal(longer.fetch_bars(tickers(37), start, end).bars, reference, check_exact=True)
    alone = market(calendar, 37, block_tickers=7).fetch_bars(["S00020.T"], start, end).bars
    assert_frame_equal(alone, reference.filter(pl.col("ticker") == "S00020.T"), check_exact=True)


def test_one_session_at_a_time_gives_the_same_rows(calendar: TradingCalendar) -> None:
    source, days = market(calendar, 5), calendar.between(D(2010, 12, 20), D(2011, 1, 20))
    whole = market(calendar, 5).fetch_bars(tickers(5), days[0], days[-1]).bars
    assert_frame_equal(
        pl.concat([source.fetch_bars(tickers(5), day, day).bars for day in days]), whole, check_exact=True
    )
    facts = market(calendar, 5).fetch_facts(tickers(5), D(2011, 2, 1)).facts
    source.fetch_bars(tickers(5), D(2016, 1, 4), D(2016, 1, 4))
    assert_frame_equal(source.fetch_facts(tickers(5), D(2011, 2, 1)).facts, facts, check_exact=True)


def test_seed_and_epoch_make_another_market(calendar: TradingCalendar) -> None:
    day = D(2011, 3, 1)
    closes = {
        tuple(market(calendar, 3, seed=seed).fetch_bars(tickers(3), day, day).bars["close"])
        for seed in (1, 2, 20100104)
    }
    assert len(closes) == 3


def test_bundled_market_is_the_same_on_every_machine(calendar: TradingCalendar) -> None:
    """Golden rows: prices to the tick."""
    settings = load_settings({})
    source = SimulatedSource(SimulatedSettings(), settings.universe, settings.sectors, calendar)
    rows = source.fetch_bars(["7203.T", "1306.T"], D(2026, 11, 20), D(2026, 11, 20)).bars.rows()
    assert rows == GOLDEN


def test_cache_is_bounded_and_changes_nothing(calendar: TradingCalendar, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = market(calendar, 12).fetch_bars(tickers(12), D(2010, 5, 6), D(2010, 8, 6)).bars
    monkeypatch.setattr(simulated, "CACHED_CELLS", 1000)
    source = market(calendar, 12, block_tickers=4)
    for _ in range(2):
        bars = source.fetch_bars(tickers(12), D(2010, 5, 6), D(2010, 8, 6)).bars
        assert_frame_equal(bars, reference, check_exact=True)
    assert len(source._cache) == 1


# --- what can be predicted --------------------------------------------------------------------------------------------


def monthly_rank_ic(bars: pl.DataFrame, signal: pl.Expr) -> np.ndarray:
    """Rank correlation across stocks of ``signal`` (per ticker) with the next 20 sessions' return, every 20 sessions.

    ``signal`` sees columns of split-adjusted bars, and ``paid``, the as-traded close.
    """
    stocks = bars.filter(pl.col("ticker") != "1306.T").sort("ticker", "session")
    panel = adjusted_bars(stocks, D(2100, 1, 1)).with_columns(paid=stocks["close"])
    panel = panel.with_columns(
        _signal=signal.over("ticker"), _ahead=(pl.col("close").shift(-20) / pl.col("close")).log().over("ticker")
    )
    days = panel["session"].unique().sort()[70::20]
    return (
        panel.drop_nulls()
        .filter(pl.col("session").is_in(days.implode()))
        .group_by("session")
        .agg(ic=pl.corr("_signal", "_ahead", method="spearman"))
        .sort("session")["ic"]
        .to_numpy()
    )


LOG_CLOSE = pl.col("close").log()
SIGNALS = {
    "return of 13 weeks": LOG_CLOSE - LOG_CLOSE.shift(65),
    "return of a week": LOG_CLOSE - LOG_CLOSE.shift(5),
    "volatility": LOG_CLOSE.diff().rolling_std(60),
    "price": pl.col("paid"),
    "volume": pl.col("volume").log() - pl.col("volume").log().rolling_mean(60),
}


def t_statistic(values: np.ndarray) -> float:
    return float(values.mean() / values.std(ddof=1) * np.sqrt(len(values)))


@pytest.mark.parametrize("name", list(SIGNALS))
def test_null_market_gives_no_signal_an_edge(null_bars: pl.DataFrame, name: str) -> None:
    ic = monthly_rank_ic(null_bars, SIGNALS[name])
    assert len(ic) > 110
    assert abs(t_statistic(ic)) < 3
    assert abs(ic.mean()) < 0.03


def test_null_market_unmasks_a_leak(null_bars: pl.DataFrame) -> None:
    """The same test must fail for a signal that knows the future. A price adjusted for splits that are yet to come is
    low just where the stock will rise: the classical leak of adjusted histories."""
    assert t_statistic(monthly_rank_ic(null_bars, pl.col("close"))) < -8


def test_null_market_earnings_know_nothing_of_the_future(null_market: SimulatedSource, null_bars: pl.DataFrame) -> None:
    closes = null_bars.select("ticker", "session", "close", "split_ratio")
    ics = []
    for as_of in [D(year, month, 1) for year in range(2011, 2019) for month in (1, 4, 7, 10)]:
        facts = null_market.fetch_facts(tickers(400), as_of).facts.select("ticker", "eps_ttm")
        now = closes.filter(pl.col("session") < as_of).group_by("ticker").agg(pl.col("close").last())
        ahead = closes.filter(pl.col("session").is_between(as_of, as_of + dt.timedelta(days=80)))
        later = ahead.group_by("ticker").agg(later=pl.col("close").last() * pl.col("split_ratio").product())
        joined = facts.join(now, on="ticker").join(later, on="ticker")
        ics.append(joined.select(pl.corr(pl.col("eps_ttm") / pl.col("close"), (pl.col("later") / pl.col("close")).log(),
                                         method="spearman")).item())  # fmt: skip
    assert abs(t_statistic(np.array(ics))) < 3


def test_predictability_is_found_with_the_same_sign_for_every_ticker(calendar: TradingCalendar) -> None:
    bars = market(calendar, 150, predictability=0.5).fetch_bars(tickers(150), EPOCH, D(2017, 12, 29)).bars
    ic = monthly_rank_ic(bars, SIGNALS["return of 13 weeks"])
    assert ic.mean() < -0.25
    assert t_statistic(ic) < -15
    own = (
        adjusted_bars(bars, D(2017, 12, 29))
        .with_columns(level=LOG_CLOSE - LOG_CLOSE.mean().over("session"))
        .with_columns(
            past=(pl.col("level") - pl.col("level").shift(65)).over("ticker"),
            ahead=(pl.col("level").shift(-20) - pl.col("level")).over("ticker"),
        )
        .drop_nulls()
        .group_by("ticker")
        .agg(pl.len(), slope=pl.cov("past", "ahead") / pl.col("past").var())
        .filter(pl.col("len") > 1000)
    )
    assert own.height > 135
    assert own["slope"].max() < 0


# --- company facts ----------------------------------------------------------------------------------------------------


def test_facts_are_consistent_with_prices_and_splits(null_market: SimulatedSource, null_bars: pl.DataFrame) -> None:
    as_of = D(2019, 6, 3)
    facts = null_market.fetch_facts(tickers(400), as_of).facts
    assert facts.schema == FACTS_SCHEMA
    assert 0.9 < facts.height / 400 < 1.0
    assert set(facts["sector"]) == {"Foods", "Banks", "Machinery"}
    assert facts["published"].max() < as_of
    assert facts["published"].min() >= D(2019, 3, 31) + dt.timedelta(days=35)
    close = null_bars.filter(pl.col("session") < as_of).group_by("ticker").agg(pl.col("close").last())
    joined = facts.join(close, on="ticker").with_columns(per=pl.col("close") / pl.col("eps_ttm"))
    assert 10 < joined.filter(pl.col("per") > 0)["per"].median() < 25
    assert 0 < joined.filter(pl.col("per") < 0).height < 30
    assert 0.5 < (joined["close"] / joined["book_value_per_share"]).median() < 2
    roe = joined["eps_ttm"] / joined["book_value_per_share"]
    assert (roe - joined["return_on_equity"]).abs().max() < 1e-3


def test_facts_are_known_only_after_publication(null_market: SimulatedSource) -> None:
    earlier = null_market.fetch_facts(tickers(50), D(2015, 5, 20)).facts
    row = earlier.row(0, named=True)
    on_the_day = null_market.fetch_facts([row["ticker"]], row["published"]).facts
    the_day_after = null_market.fetch_facts([row["ticker"]], row["published"] + dt.timedelta(days=1)).facts
    assert on_the_day["published"].item() < row["published"]
    assert the_day_after.row(0, named=True) == row
    assert null_market.fetch_facts(tickers(50), EPOCH).facts.height == 0


def test_dividends_of_facts_are_those_of_the_bars(null_market: SimulatedSource, null_bars: pl.DataFrame) -> None:
    """The trailing dividend is the sum of the last year's payments, on the share basis of the publication."""
    facts = null_market.fetch_facts(tickers(400), D(2016, 6, 20)).facts
    checked = 0
    histories = null_bars.filter(pl.col("session") >= D(2015, 1, 4)).partition_by("ticker", as_dict=True)
    for row in facts.iter_rows(named=True):
        bars = adjusted_bars(histories[(row["ticker"],)], row["published"])
        if bars["session"].min() > D(2015, 1, 30):
            continue
        year = bars.filter(pl.col("session").is_between(D(2015, 4, 1), D(2016, 3, 31)))
        assert year["dividend"].sum() == pytest.approx(row["dividend_per_share_ttm"], abs=2e-4)
        assert (year["dividend"] > 0).sum() <= 2
        checked += row["dividend_per_share_ttm"] > 0
    assert checked > 300


def test_shares_follow_the_splits(null_market: SimulatedSource, null_bars: pl.DataFrame) -> None:
    split = null_bars.filter((pl.col("split_ratio") == 5) & pl.col("session").is_between(D(2012, 1, 4), D(2018, 1, 4)))
    assert split.height > 10
    ratios = set()
    for ticker, session in split.select("ticker", "session").rows():
        known = [null_market.fetch_facts([ticker], session + dt.timedelta(days=days)).facts for days in (0, 100)]
        if known[0].height and known[1].height:
            ratios.add(known[1]["shares_outstanding"].item() / known[0]["shares_outstanding"].item())
    assert ratios == {5.0}


# --- faces and errors -------------------------------------------------------------------------------------------------


def test_unknown_tickers_are_failures_and_late_listings_are_none(calendar: TradingCalendar) -> None:
    source = market(calendar, 60)
    result = source.fetch_bars(["9999.T", *tickers(60)], EPOCH, D(2010, 1, 8))
    assert list(result.failures) == ["9999.T"]
    assert "universe" in result.failures["9999.T"]
    assert result.findings.is_empty()
    late = set(tickers(60)) - set(result.bars["ticker"])
    assert 0 < len(late) < 10
    assert source.fetch_bars(["9999.T"], EPOCH, EPOCH).bars.schema == BARS_SCHEMA
    assert source.fetch_bars(tickers(60), D(2009, 1, 5), D(2009, 12, 30)).bars.height == 0
    assert source.fetch_facts(["9999.T"], D(2015, 1, 5)).failures.keys() == {"9999.T"}


def test_description_and_label(calendar: TradingCalendar) -> None:
    source = market(calendar, 31)
    assert source.label == "simulated market (seed 20100104)"
    assert source.is_simulated
    described = source.describe()
    assert described["tickers"] == 32
    assert described["first_session"] == "2010-01-04"


def test_a_universe_may_be_its_own_benchmark(calendar: TradingCalendar) -> None:
    three = simulated_universe(3, SECTORS, "XTKS")
    for benchmark, count in (("equal_weighted", 3), ("S00002.T", 3), ("1306.T", 4)):
        universe = three.model_copy(update={"benchmark": benchmark})
        assert SimulatedSource(SimulatedSettings(), universe, SECTORS, calendar).describe()["tickers"] == count


def test_errors_name_the_key(calendar: TradingCalendar) -> None:
    universe = simulated_universe(1, SECTORS, "XTKS")
    with pytest.raises(ConfigError, match=r"sources.simulated.epoch: 2000-06-01 is too early; the first .* 2001-"):
        SimulatedSource(SimulatedSettings(epoch=D(2000, 6, 1)), universe, SECTORS, calendar)
    with pytest.raises(ConfigError, match=r"S00001.T: sector 'Foods' is not in config/sectors.yaml"):
        SimulatedSource(SimulatedSettings(), universe, {"Banks": 1}, calendar)


def test_invented_universe(calendar: TradingCalendar) -> None:
    universe = simulated_universe(50_000, SECTORS, "XTKS")
    assert (universe.tickers[0], universe.tickers[-1], universe.benchmark) == ("S00001.T", "S50000.T", "S00000.T")
    assert [stock.sector for stock in universe.stocks[:4]] == ["Foods", "Banks", "Machinery", "Foods"]
    assert len(universe.members(D(2010, 1, 4))) == len(set(universe.tickers)) == 50_000
    source = SimulatedSource(SimulatedSettings(), universe, SECTORS, calendar)
    bars = source.fetch_bars(["S40000.T", "S00000.T"], D(2010, 3, 1), D(2010, 3, 1)).bars
    assert bars["ticker"].to_list() == ["S00000.T", "S40000.T"]


GOLDEN = [
    ("1306.T", D(2026, 11, 20), 1487.6, 1491.8, 1487.5, 1490.3, 4478500, 0.0, 1.0, "JPY"),
    ("7203.T", D(2026, 11, 20), 1817.1, 1835.1, 1810.6, 1826.9, 348200, 0.0, 1.0, "JPY"),
]
