"""Scores against naive second implementations, scipy and statsmodels; outcomes against prices worked out by hand."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockfc_assets.evaluation.scores import (
    MIN_STOCKS,
    NOTHING_MATURED,
    hac_t,
    realised_outcomes,
    score_forecasts,
    track_record,
)
from stockfc_assets.storage.warehouse import document_bytes
from stockfc_assets.tables import RawOhlcv

SCORES = (
    "mse", "mse_random_walk", "skill", "mae", "ic", "ic_hac_t", "rank_ic", "rank_ic_hac_t", "hit_rate", "coverage",
)  # fmt: skip


def forecasts_and_outcomes(
    sessions: list[dt.date], stocks: int, horizons: list[int], seed: int = 0, signal: float = 0.3
) -> tuple[pl.DataFrame, pl.DataFrame]:
    random = np.random.default_rng(seed)
    rows, outcomes = [], []
    for session in sessions:
        for horizon in horizons:
            forecast = random.normal(0.01, 0.05, stocks)
            outcome = signal * forecast + random.normal(0, 0.1, stocks)
            for number in range(stocks):
                key = {"ticker": f"{1000 + number}.T", "session": session, "horizon": horizon}
                price = 1000.0 + number
                rows.append(
                    {
                        **key,
                        "log_return": forecast[number],
                        "lower": price * math.exp(forecast[number] - 0.13),
                        "upper": price * math.exp(forecast[number] + 0.13),
                        "current_price": price,
                    }
                )
                outcomes.append({**key, "realised_log_return": outcome[number]})
    return pl.DataFrame(rows), pl.DataFrame(outcomes)


def weekdays(start: dt.date, count: int) -> list[dt.date]:
    days = (start + dt.timedelta(days=offset) for offset in range(2 * count + 10))
    return [day for day in days if day.weekday() < 5][:count]


def raw_rows(ticker: str, rows: list[tuple[dt.date, float, float]]) -> pl.DataFrame:
    """RawOhlcv rows of one ticker from (session, close, split ratio)."""
    prices = {name: [close for _, close, _ in rows] for name in ("open", "high", "low", "close")}
    return pl.DataFrame(
        {
            "ticker": [ticker] * len(rows),
            "session": [day for day, _, _ in rows],
            **prices,
            "volume": [1000] * len(rows),
            "dividend": [0.0] * len(rows),
            "split_ratio": [ratio for _, _, ratio in rows],
            "currency": ["JPY"] * len(rows),
        },
        schema=RawOhlcv.create_empty().schema,
    )


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_equal_a_naive_implementation_and_scipy():
    sessions = weekdays(dt.date(2024, 1, 8), 12)
    forecasts, outcomes = forecasts_and_outcomes(sessions, stocks=9, horizons=[1, 3])
    joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).filter(pl.col("horizon") == 3)
    forecast, outcome = joined["log_return"].to_numpy(), joined["realised_log_return"].to_numpy()
    by_date = [joined.filter(pl.col("session") == session) for session in sessions]
    found = score_forecasts(forecasts, outcomes)["horizons"][2]

    assert (found["horizon"], found["n"], found["n_dates"]) == (3, 108, 12)
    assert found["mse"] == pytest.approx(np.mean((outcome - forecast) ** 2), abs=1e-12)
    assert found["skill"] == pytest.approx(1 - np.sum((outcome - forecast) ** 2) / np.sum(outcome**2), abs=1e-12)
    assert found["mae"] == pytest.approx(np.mean(np.abs(outcome - forecast)), abs=1e-12)
    assert found["hit_rate"] == pytest.approx(np.mean(np.sign(outcome) == np.sign(forecast)), abs=1e-12)
    assert found["coverage"] == pytest.approx(np.mean(np.abs(outcome - forecast) <= 0.13), abs=1e-12)
    for name, correlation in (("ic", stats.pearsonr), ("rank_ic", stats.spearmanr)):
        expected = np.mean([correlation(d["log_return"], d["realised_log_return"]).statistic for d in by_date])
        assert found[name] == pytest.approx(expected, abs=1e-9), name


def test_ties_get_their_average_rank_as_in_scipy():
    forecast = [0.1, 0.1, 0.2, 0.3, 0.3, 0.3]
    outcome = [0.0, 0.5, 0.5, 0.1, 0.9, 0.2]
    tickers = [f"{number}.T" for number in range(6)]
    key = {"ticker": tickers, "session": [dt.date(2024, 1, 9)] * 6, "horizon": [1] * 6}
    forecasts = pl.DataFrame({**key, "log_return": forecast}).with_columns(
        lower=pl.lit(None, pl.Float64), upper=pl.lit(None, pl.Float64), current_price=pl.lit(1.0)
    )
    found = score_forecasts(forecasts, pl.DataFrame({**key, "realised_log_return": outcome}))["horizons"][0]
    assert found["rank_ic"] == pytest.approx(stats.spearmanr(forecast, outcome).statistic, abs=1e-12)
    assert found["coverage"] is None


def test_perfect_inverted_and_no_change_forecasts():
    forecasts, outcomes = forecasts_and_outcomes(weekdays(dt.date(2024, 1, 8), 3), stocks=6, horizons=[1])
    joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"])

    def scores(log_return: pl.Expr) -> dict:
        return score_forecasts(joined.with_columns(log_return=log_return).drop("realised_log_return"), outcomes)[
            "overall"
        ]

    perfect = scores(pl.col("realised_log_return"))
    assert (perfect["skill"], perfect["mae"], perfect["hit_rate"]) == (1.0, 0.0, 1.0)
    assert (perfect["ic"], perfect["rank_ic"]) == (pytest.approx(1), pytest.approx(1))
    inverted = scores(-pl.col("realised_log_return"))
    assert inverted["skill"] == pytest.approx(-3)
    assert (inverted["hit_rate"], inverted["rank_ic"]) == (0.0, pytest.approx(-1))
    no_change = scores(pl.col("realised_log_return") * 0)
    assert no_change["skill"] == 0.0
    assert (no_change["ic"], no_change["rank_ic"], no_change["hit_rate"]) == (None, None, None)


def test_dates_with_too_few_stocks_count_for_errors_but_not_for_correlations():
    full, full_outcomes = forecasts_and_outcomes([dt.date(2024, 1, 9)], MIN_STOCKS, [1], seed=1)
    thin, thin_outcomes = forecasts_and_outcomes([dt.date(2024, 1, 10)], MIN_STOCKS - 1, [1], seed=2)
    both = score_forecasts(pl.concat([full, thin]), pl.concat([full_outcomes, thin_outcomes]))["horizons"][0]
    alone = score_forecasts(full, full_outcomes)["horizons"][0]
    assert (both["n"], both["n_dates"]) == (2 * MIN_STOCKS - 1, 2)
    assert (both["ic"], both["rank_ic"]) == (alone["ic"], alone["rank_ic"])
    assert score_forecasts(thin, thin_outcomes)["horizons"][0]["ic"] is None


def test_overall_pools_errors_and_averages_the_correlations_of_each_date_first():
    sessions = weekdays(dt.date(2024, 1, 8), 2)
    forecasts, outcomes = forecasts_and_outcomes(sessions, 7, [1, 2])
    keep = ~((pl.col("session") == sessions[1]) & (pl.col("horizon") == 2))
    joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"]).filter(keep)
    ic = {
        key: stats.pearsonr(group["log_return"], group["realised_log_return"]).statistic
        for key, group in joined.group_by("session", "horizon")
    }
    found = score_forecasts(forecasts, outcomes.filter(keep))["overall"]
    expected = np.mean([np.mean([ic[sessions[0], 1], ic[sessions[0], 2]]), ic[sessions[1], 1]])
    assert found["ic"] == pytest.approx(expected, abs=1e-12)
    error = joined["realised_log_return"] - joined["log_return"]
    assert (found["n"], found["mse"]) == (21, pytest.approx((error**2).mean(), abs=1e-15))


def market(sessions: list[dt.date], stocks: int) -> pl.DataFrame:
    random = np.random.default_rng(9)
    walks = {
        f"{1000 + number}.T": 500 * np.exp(random.normal(0, 0.02, len(sessions)).cumsum()) for number in range(stocks)
    }
    rows = [
        raw_rows(ticker, [(day, price, 1.0) for day, price in zip(sessions, walk, strict=True)])
        for ticker, walk in walks.items()
    ]
    return pl.concat(rows)


def record_of(forecasts: pl.DataFrame, raw: pl.DataFrame, month: dt.date) -> dict:
    return track_record(forecasts, realised_outcomes(raw, forecasts, month), known_before=month)


def test_without_matured_forecasts_every_score_is_null():
    session = dt.date(2024, 1, 9)
    forecasts, _ = forecasts_and_outcomes([session], 6, list(range(1, 13)))
    for rows, raw in ((forecasts, market([session], 6)), (forecasts.clear(), RawOhlcv.create_empty())):
        record = record_of(rows, raw, dt.date(2024, 1, 31))
        assert (record["note"], record["matured_before"]) == (NOTHING_MATURED, "2024-01-31")
        assert [row["horizon"] for row in record["horizons"]] == list(range(1, 13))
        for row in [record["overall"], *record["horizons"]]:
            assert (row["n"], row["n_dates"]) == (0, 0)
            assert {name: row[name] for name in SCORES} == dict.fromkeys(SCORES)
        document_bytes(record)


def test_a_track_record_scores_what_matured_and_does_not_depend_on_the_order_of_rows():
    sessions = weekdays(dt.date(2023, 1, 9), 180)
    forecasts, _ = forecasts_and_outcomes(sessions[:100], 8, [1, 2, 12])
    raw = market(sessions, 8)
    record = record_of(forecasts, raw, dt.date(2023, 7, 1))
    shuffled = record_of(
        forecasts.sample(fraction=1, shuffle=True, seed=1),
        raw.sample(fraction=1, shuffle=True, seed=2),
        dt.date(2023, 7, 1),
    )
    assert record["note"] is None
    # 9 January to 26 May + 1 month = 26 June; to 30 April + 2 months = 30 June; nothing after 12 months.
    assert [record["horizons"][h - 1]["n"] for h in (1, 2, 12)] == [8 * 100, 8 * 80, 0]
    assert record["horizons"][0]["ic_hac_t"] is not None
    assert document_bytes(record) == document_bytes(shuffled)


# --- the HAC t statistic ----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), lag=st.integers(0, 12), extra=st.integers(0, 60), persistence=st.floats(-0.8, 0.95))
@settings(deadline=None, max_examples=40)
def test_hac_t_equals_statsmodels(seed, lag, extra, persistence):
    statsmodels = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    random = np.random.default_rng(seed)
    shocks = random.normal(0.02, 0.1, 3 * (lag + 1) + 1 + extra)
    series = np.array([shocks[0]] + [0.0] * (len(shocks) - 1))
    for index in range(1, len(shocks)):
        series[index] = persistence * series[index - 1] + shocks[index]
    fit = statsmodels.OLS(series, np.ones(len(series))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False, "kernel": "bartlett"}
    )
    assert hac_t(series, lag) == pytest.approx(float(fit.tvalues[0]), rel=1e-9)


def test_hac_t_worked_by_hand():
    # mean 2, deviations -1 1 -1 1 -1 1: g0 = 1, g1 = -5/6; Bartlett weight 1/2: variance = 1 - 5/6 = 1/6.
    assert hac_t(np.array([1.0, 3, 1, 3, 1, 3]), lag=1) == pytest.approx(2 / math.sqrt(1 / 6 / 6))


def test_hac_t_is_null_for_short_or_constant_series():
    series = np.random.default_rng(3).normal(size=12)
    assert hac_t(series, lag=3) is not None
    assert hac_t(series[:11], lag=3) is None
    assert hac_t(series[:1], lag=0) is None
    assert hac_t(np.full(40, 0.1), lag=2) is None


def test_overlapping_outcomes_of_pure_chance_are_rarely_called_significant():
    random = np.random.default_rng(4)
    series = [np.convolve(random.normal(size=800), np.ones(21), mode="valid") for _ in range(300)]
    beyond = np.mean([abs(hac_t(values, lag=21)) > 1.96 for values in series])
    beyond_if_independent = np.mean([abs(hac_t(values, lag=0)) > 1.96 for values in series])
    assert beyond < 0.2
    assert beyond_if_independent > 0.5


def test_the_lag_spans_the_horizon_for_daily_and_for_monthly_forecasts():
    def t_and_series(sessions: list[dt.date]) -> tuple[float, np.ndarray]:
        forecasts, outcomes = forecasts_and_outcomes(sessions, 6, [1], seed=5)
        joined = forecasts.join(outcomes, on=["ticker", "session", "horizon"])
        series = [
            stats.pearsonr(day["log_return"], day["realised_log_return"]).statistic
            for _, day in joined.group_by("session", maintain_order=True)
        ]
        return score_forecasts(forecasts, outcomes)["horizons"][0]["ic_hac_t"], np.array(series)

    daily, series = t_and_series(weekdays(dt.date(2024, 1, 1), 100))
    # 31 days from a weekday of January hold 23 later weekdays at most (1 January + 1 month = 1 February).
    assert daily == pytest.approx(hac_t(series, lag=23))
    monthly, series = t_and_series([dt.date(2023 + month // 12, month % 12 + 1, 15) for month in range(24)])
    assert monthly == pytest.approx(hac_t(series, lag=1))


# --- outcomes ---------------------------------------------------------------------------------------------------------


def keys(ticker: str, session: dt.date, horizons: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"ticker": [ticker] * len(horizons), "session": [session] * len(horizons), "horizon": horizons},
        schema={"ticker": pl.String, "session": pl.Date, "horizon": pl.Int64},
    )


def test_outcomes_end_at_the_last_row_on_or_before_the_month_end_and_see_through_splits():
    raw = raw_rows(
        "7203.T",
        [
            (dt.date(2024, 8, 30), 2600.0, 1.0),
            (dt.date(2024, 9, 30), 2700.0, 1.0),
            (dt.date(2024, 10, 1), 560.0, 5.0),
            (dt.date(2024, 10, 30), 546.0, 1.0),
            (dt.date(2024, 10, 31), 999.0, 1.0),
        ],
    )
    found = realised_outcomes(raw, keys("7203.T", dt.date(2024, 8, 30), [1, 2, 3]), dt.date(2024, 11, 1))
    assert found["horizon"].to_list() == [1, 2]
    assert found["realised_log_return"].to_list() == pytest.approx([math.log(2700 / 2600), math.log(546 * 5 / 2600)])


def test_a_split_on_the_as_of_session_itself_is_already_in_its_price():
    raw = raw_rows("A.T", [(dt.date(2024, 3, 1), 100.0, 2.0), (dt.date(2024, 4, 1), 110.0, 1.0)])
    found = realised_outcomes(raw, keys("A.T", dt.date(2024, 3, 1), [1]), dt.date(2024, 5, 1))
    assert found["realised_log_return"].to_list() == pytest.approx([math.log(1.1)])


def test_month_arithmetic_saturates_at_the_end_of_february():
    raw = raw_rows(
        "A.T", [(dt.date(2023, 8, 31), 100.0, 1.0), (dt.date(2024, 2, 29), 120.0, 1.0), (dt.date(2024, 3, 1), 1.0, 1.0)]
    )
    forecasts = keys("A.T", dt.date(2023, 8, 31), [6])
    assert realised_outcomes(raw, forecasts, dt.date(2024, 2, 29)).is_empty()
    found = realised_outcomes(raw, forecasts, dt.date(2024, 3, 1))
    assert found["realised_log_return"].to_list() == pytest.approx([math.log(1.2)])


def test_a_close_stands_in_for_five_sessions_and_no_longer():
    days = weekdays(dt.date(2024, 1, 1), 24)
    calendar = raw_rows("OTHER.T", [(day, 10.0, 1.0) for day in days])

    def outcome(last: int) -> list[float]:
        """The label of 1 January ends on 1 February (index 23); the ticker's last row is at index ``last``."""
        own = raw_rows("A.T", [(days[0], 100.0, 1.0), (days[last], 120.0, 1.0)])
        found = realised_outcomes(pl.concat([own, calendar]), keys("A.T", days[0], [1]), dt.date(2024, 2, 2))
        return found["realised_log_return"].to_list()

    assert days[23] == dt.date(2024, 2, 1)
    assert outcome(18) == pytest.approx([math.log(1.2)])
    assert outcome(17) == []


def test_no_outcome_without_a_price_on_the_session_or_after_it():
    raw = raw_rows("A.T", [(dt.date(2024, 1, 9), 100.0, 1.0)])
    forecasts = pl.concat(
        [
            keys("A.T", dt.date(2024, 1, 9), [1]),
            keys("A.T", dt.date(2024, 1, 10), [1]),
            keys("B.T", dt.date(2024, 1, 9), [1]),
        ]
    )
    assert realised_outcomes(raw, forecasts, dt.date(2024, 6, 1)).is_empty()


@given(future=st.lists(st.floats(1, 1e6), min_size=40, max_size=40), known=st.integers(25, 120))
@settings(deadline=None, max_examples=25)
def test_no_outcome_depends_on_a_price_of_known_before_or_later(future, known):
    sessions = weekdays(dt.date(2024, 1, 1), 160)
    prices = np.exp(np.random.default_rng(1).normal(0, 0.02, 160).cumsum()) * 500
    before = sessions[known]
    altered = [
        future[index % 40] if day >= before else price
        for index, (day, price) in enumerate(zip(sessions, prices, strict=True))
    ]
    forecasts = pl.concat([keys("A.T", day, list(range(1, 7))) for day in sessions])
    outcomes = [
        realised_outcomes(
            raw_rows("A.T", [(d, p, 1.0) for d, p in zip(sessions, series, strict=True)]), forecasts, before
        )
        for series in (prices, altered)
    ]
    assert outcomes[0].equals(outcomes[1])
    by_day = dict(zip(sessions, prices, strict=True))
    for row in outcomes[0].iter_rows(named=True):
        month = row["session"].month + row["horizon"]
        last_day = (dt.date(2024 + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)).day
        end = dt.date(2024, month, min(row["session"].day, last_day))
        assert end < before
        last = max(day for day in sessions if day <= end)
        assert row["realised_log_return"] == pytest.approx(math.log(by_day[last] / by_day[row["session"]]))
