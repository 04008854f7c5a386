"""What a person reads below a forecast: what earlier ones were worth, beside what, and after costs."""

import pytest

from stockfc_assets import terminal, terminal_record
from stockfc_assets_tests.forecasts.samples import empty_track_record, sample_forecast


def row(n: int, skill: float, t: float | None, rank_ic: float | None, ic_t: float | None, **other: object) -> dict:
    scores = {"n": n, "skill": skill, "skill_hac_t": t, "rank_ic": rank_ic, "rank_ic_hac_t": ic_t, "coverage": 0.801}
    return {**scores, "note": None, **other}


@pytest.fixture
def document() -> dict:
    document, *_ = sample_forecast()
    record = empty_track_record()
    record["horizons"][0] = row(9300, -0.012, -1.34, 0.021, 0.93, horizon=1)
    record["horizons"][1] = row(9000, -0.02, -1.6, 0.02, 0.9, horizon=2)
    record["horizons"][2] = row(8700, -0.054, -2.61, 0.034, None, horizon=3)
    record["horizons"][5] = row(6200, 0.031, 2.4, -0.012, -0.4, horizon=6, note="too few independent periods")
    record["overall"] = row(33200, -0.02, -1.3, 0.022, 1.1)
    document["track_record"] = record
    return document


@pytest.fixture
def scores() -> dict:
    rows = [("network", row(20100, -0.018, -1.2, 0.02, 1.0)), ("no_change", row(20100, 0.0, None, None, None))]
    rows.append(("momentum_12_1", row(20100, 0.004, 2.05, 0.05, 2.2)))
    return {"overall": {"note": None}, "by_forecaster": [{"forecaster": name, **scores} for name, scores in rows]}


@pytest.fixture
def backtest() -> dict:
    def figures(growth: float, sharpe: float | None) -> dict:
        return {
            "annual_return": growth, "sharpe": sharpe, "sharpe_error": 0.706, "max_drawdown": -0.212,
            "cost_drag_per_year": 0.0123, "excess_per_year": 0.011, "excess_t": 0.44,
        }  # fmt: skip

    return {
        "decisions": ["2025-12-30"] * 24, "from": "2024-02-01", "to": "2026-01-30", "benchmark": "1306.T", "note": None,
        "portfolios": {"long_short": figures(-0.031, -0.2), "long_only": figures(0.121, 0.71), "benchmark": figures(0.1, None)},
    }  # fmt: skip


def test_a_glance_says_whether_it_beats_no_change_the_baselines_and_the_market(document, scores, backtest):
    assert terminal_record.record_text(document, scores, backtest).splitlines() == [
        "Track record: 33,200 forecasts whose horizon was over before 2026-02-01",
        'The forecasts do not beat "no change": skill -0.020 (t -1.30; beyond 2 chance alone is unlikely).',
        "",
        "months                  forecasts    skill      t  rank IC      t  in interval",
        '1                           9,300   -0.012   -1.3   +0.021   +0.9        80.1%  like "no change"',
        '3                           8,700   -0.054   -2.6   +0.034      -        80.1%  worse than "no change"',
        "6                           6,200   +0.031   +2.4   -0.012   -0.4        80.1%  too few periods to tell",
        'all                        33,200   -0.020   -1.3   +0.022   +1.1        80.1%  like "no change"',
        'skill above 0: nearer than "no change"; rank IC above 0: stocks in the right order; the interval aims at 80%',
        "",
        "On the same samples     forecasts    skill      t  rank IC      t",
        'network                    20,100   -0.018   -1.2   +0.020   +1.0  like "no change"',
        "no change                  20,100   +0.000      -        -      -",
        'momentum 12 1              20,100   +0.004   +2.0   +0.050   +2.2  better than "no change"',
        "",
        "Traded on once a month, after costs, 2024-02-01 to 2026-01-30 (24 rankings)",
        "                        return a year   Sharpe   error   drawdown  costs a year",
        "long-only                      +12.1%    +0.71    0.71     -21.2%         1.23%",
        "long-short                      -3.1%    -0.20    0.71     -21.2%         1.23%",
        "1306.T                         +10.0%        -    0.71     -21.2%         1.23%",
        "The top group against the equal-weighted universe: +1.1% a year (mean of daily differences), t +0.44, which chance alone often gives.",
    ]


def test_it_stands_below_the_ranking(document, scores, backtest):
    text = terminal.forecast_text(document, top=2, scores=scores, backtest=backtest)
    assert text.endswith("\n\n" + terminal_record.record_text(document, scores, backtest))


def test_what_is_not_there_yet_is_said_with_the_command_that_makes_it(document, scores, backtest):
    last = terminal_record.record_text(document, None, None).splitlines()[-1]
    assert last == (
        "Not there for 2026-02 yet: the baselines' scores and the backtest; `stockfc monthly --month 2026-02` makes them"
    )
    assert "the baselines' scores" not in terminal_record.record_text(document, scores, None)
    backtest |= {"portfolios": {}, "note": "no forecast is published"}
    assert (
        terminal_record.record_text(document, scores, backtest).splitlines()[-1]
        == "Traded on: no forecast is published"
    )


def test_nothing_matured_is_nothing_proven_and_small_samples_prove_nothing_for_the_baselines(document, scores):
    scores["overall"]["note"] = "too few independent periods"
    assert 'better than "no change"' not in terminal_record.record_text(document, scores, None)
    document["track_record"] = empty_track_record()
    assert terminal_record.record_text(document, None, None).startswith(
        "Track record: no forecast has matured yet, so nothing is proven."
    )


def test_a_forecast_of_an_earlier_version_still_shows(document):
    for scores in (document["track_record"]["overall"], *document["track_record"]["horizons"]):
        scores.pop("skill_hac_t", None), scores.pop("note", None)
    lines = terminal_record.record_text(document, None, None).splitlines()
    assert " ".join(lines[4].split()) == "1 9,300 -0.012 - +0.021 +0.9 80.1% too few periods to tell"
