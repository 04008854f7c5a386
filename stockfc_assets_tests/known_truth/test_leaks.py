"""Leaks put in on purpose: the market in which nothing can be predicted shows each of them as a forecast that works.

The probe is the ridge baseline, which reads what the network reads: a line finds one day's return in the newest row from
far fewer samples than a network that has to find the row first. Eight markets; honest panels beside the leaking ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stockfc_assets.features.names import VOLATILITY_FEATURE, WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel
from stockfc_assets.models.normalisation import fit_normalisation
from stockfc_assets_tests.known_truth.market import (
    MONTH,
    baseline,
    out_of_sample_scores,
    over_markets,
    simulated_panel,
)

MARKETS = range(1, 9)
HONEST, CAUGHT = 3.50, 4.79
"""Student t over eight markets (7 degrees of freedom): 99 % of honest ones are smaller than the first, and one in a
thousand passes the second."""


def features_of_the_next_session(panel: Panel) -> Panel:
    """A row knows the close after its own."""
    features = panel.features.copy()
    features[:, :-1] = panel.features[:, 1:]
    return replace(panel, features=features)


def labels_one_session_early(panel: Panel) -> Panel:
    """A label begins with the return of a day that the features already hold."""
    labels = panel.labels.copy()
    labels[:, 1:] = panel.labels[:, :-1]
    return replace(panel, labels=labels)


def normalised_on_everything(panel: Panel) -> Panel:
    """Each stock's inputs in units of its own mean and deviation over all years, those to come among them."""

    def standardised(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        deviation = np.where(known, values, 0) - np.where(known, values, 0).sum(axis=1, keepdims=True) / count
        spread = np.sqrt((np.where(known, deviation, 0) ** 2).sum(axis=1, keepdims=True) / count)
        return np.where(known, deviation / np.maximum(spread, 1e-6), np.nan).astype(np.float32)

    features = standardised(panel.features)
    volatility = WEEKLY_FEATURES.index(VOLATILITY_FEATURE)
    features[..., volatility] = panel.features[..., volatility]
    return replace(panel, features=features, static=standardised(panel.static))


def facts_of_today_in_the_past(panel: Panel) -> Panel:
    """Who is large in the end was always called large."""
    return replace(panel, static=np.broadcast_to(panel.static[:, -1:], panel.static.shape).copy())


LEAKS: dict[Callable[[Panel], Panel], tuple[int, int]] = {
    features_of_the_next_session: (1, 30),
    labels_one_session_early: (1, 30),
    normalised_on_everything: (12, 30),
    facts_of_today_in_the_past: (12, 200),
}
"""Leak -> (months ahead, stocks of each market) at which it shows. Facts hardly change, so that each market tells about
them once, and in few stocks chance says more than they do."""


def honest(panel: Panel) -> Panel:
    return panel


def _t_over_markets(change: Callable[[Panel], Panel], horizon: int, stocks: int) -> float:
    scores = [out_of_sample_scores(change(simulated_panel(seed, stocks=stocks)), baseline("ridge")) for seed in MARKETS]
    return over_markets(scores, "rank_ic", horizon)[1]


@pytest.mark.parametrize(("horizon", "stocks"), sorted(set(LEAKS.values())))
def test_an_honest_panel_shows_nothing(horizon: int, stocks: int) -> None:
    assert abs(_t_over_markets(honest, horizon, stocks)) < HONEST


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_leak_is_caught(leak: Callable[[Panel], Panel]) -> None:
    assert _t_over_markets(leak, *LEAKS[leak]) > CAUGHT


def test_the_products_normalisation_does_not_change_with_the_future() -> None:
    """A median over all stocks and years moves no ranking, so no score would show it: the truncation law does."""
    panel = simulated_panel(1)
    known = int(np.searchsorted(panel.sessions, np.datetime64(MONTH)))
    future = panel.features.copy()
    future[:, known:] = 3 * future[:, known:] + 1
    other = replace(panel, features=future)

    def medians(panel: Panel, last: int) -> np.ndarray:
        return fit_normalisation(panel, last).weekly_median

    np.testing.assert_array_equal(medians(panel, known - 1), medians(other, known - 1))
    everything = len(panel.sessions) - 1
    assert not np.array_equal(medians(panel, everything), medians(other, everything))
