"""On a market in which nothing can be predicted no forecaster has skill; where something can, it is found.

Twenty simulated markets, each with prices, facts, network and training of its own seed: minutes, so that what asks for
`of_network` runs with `make test-services`.
"""

from __future__ import annotations

from typing import Any

import pytest

from stockfc_assets.evaluation.gate import critical_t
from stockfc_assets_tests.known_truth.market import (
    baseline,
    network,
    out_of_sample_scores,
    over_markets,
    simulated_panel,
)

MARKETS = range(1, 21)
JUDGED = (1, 3, 6, 12)
STUDENT_99 = 2.861
"""99 % of means over 20 markets without skill have a smaller Student t (19 degrees of freedom)."""

Scores = list[dict[str, Any]]


@pytest.fixture(scope="module")
def of_network() -> Scores:
    return [out_of_sample_scores(simulated_panel(seed), network(seed)) for seed in MARKETS]


@pytest.mark.service
def test_large_t_values_are_as_frequent_as_chance_makes_them(of_network: Scores) -> None:
    """One month ahead: |t| > 2 has probability 0.05, and more than four in twenty 0.003."""
    found = [document["horizons"][0]["rank_ic_hac_t"] for document in of_network]
    assert len(found) == 20
    assert sum(abs(t) > 2 for t in found) <= 4
    assert sum(t > 2 for t in found) <= 3


@pytest.mark.service
@pytest.mark.parametrize("horizon", [3, 6])
def test_long_horizons_exceed_the_limit_of_their_few_periods_as_often_as_chance(
    of_network: Scores, horizon: int
) -> None:
    """147 dates hold 11 periods of three months: 2 is then no limit. The gate's own is exceeded in one case of ten."""
    rows = [document["horizons"][horizon - 1] for document in of_network]
    beyond = [abs(row["rank_ic_hac_t"]) > critical_t(row["n_dates"], lag=round(horizon * 21 / 5)) for row in rows]
    assert sum(beyond) <= 6


@pytest.mark.service
@pytest.mark.parametrize("horizon", JUDGED)
def test_no_rank_ic_and_no_skill_over_all_markets(of_network: Scores, horizon: int) -> None:
    _, t = over_markets(of_network, "rank_ic", horizon)
    assert abs(t) < STUDENT_99
    skill, t = over_markets(of_network, "skill", horizon)
    assert skill < 0.005
    assert t < STUDENT_99


@pytest.mark.service
def test_skill_is_claimed_of_no_market(of_network: Scores) -> None:
    gains = [document["horizons"][0]["skill_hac_t"] for document in of_network]
    assert sum(t > 2 for t in gains) <= 2


@pytest.mark.parametrize("name", ["momentum_12_1", "mean_reversion_1m", "ridge"])
def test_baselines_find_nothing_either(name: str) -> None:
    scores = [out_of_sample_scores(simulated_panel(seed), baseline(name)) for seed in range(1, 11)]
    for horizon in JUDGED:
        _, t = over_markets(scores, "rank_ic", horizon)
        assert abs(t) < 3.25, f"{name}, {horizon} months"


@pytest.mark.service
def test_what_can_be_predicted_is_found_and_more_of_it_gives_more(of_network: Scores) -> None:
    """The past explains 0, 20 and 60 % of the variance of a month's own return."""
    seeds = range(1, 5)
    some, much = (
        [out_of_sample_scores(simulated_panel(seed, share), network(seed)) for seed in seeds] for share in (0.2, 0.6)
    )
    (nothing, _), (little, t), (more, clear) = (
        over_markets(scores, "rank_ic", 1) for scores in (of_network[: len(seeds)], some, much)
    )
    assert nothing < 0.1 < little < more - 0.05
    assert t > 5
    assert clear > 5
    assert all(document["horizons"][0]["rank_ic_hac_t"] > 2 for document in [*some, *much])
    skill, _ = over_markets(much, "skill", 1)
    assert skill > 0
