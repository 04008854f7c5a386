"""The distributions of a full training on its card: of which rows, of nothing later, and carried on by fine-tuning."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from stockfc_assets.features.names import STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import Panel
from stockfc_assets.models import normalisation
from stockfc_assets.models.card import TrainedModel, card_bytes, feature_reference
from stockfc_assets.models.fine_tuning import fine_tune
from stockfc_assets.models.samples import training_split
from stockfc_assets_tests.models.conftest import PARENT_MONTH
from stockfc_assets_tests.models.synthetic import tiny_settings

MONTH = dt.date(2022, 3, 1)


@pytest.fixture(scope="module")
def last(panel: Panel) -> int:
    """Index of the last session that trained the parent."""
    split = training_split(panel, PARENT_MONTH, validation_months=3, embargo_sessions=5)
    return int(split.train.session_index.max())


def test_of_each_weeks_last_training_session(panel: Panel, parent: TrainedModel, last: int) -> None:
    found = parent.card["feature_reference"]
    # The panel's sessions are weekdays, all of them, so a week ends on Friday.
    fridays = [i for i, day in enumerate(panel.sessions.tolist()) if day.weekday() == 4 and i <= last]
    assert found["basis"] == "2022-02"
    assert found["sessions"] == [str(panel.sessions[fridays[0]]), str(panel.sessions[fridays[-1]])]
    assert list(found["features"]) == [*WEEKLY_FEATURES, *STATIC_FEATURES]
    for array, names in ((panel.features, WEEKLY_FEATURES), (panel.static, STATIC_FEATURES)):
        for number, name in enumerate(names):
            rows = [
                array[ticker, friday, number]
                for ticker in range(len(panel.tickers))
                for friday in fridays
                if panel.traded[ticker, friday]
            ]
            known = [float(value) for value in rows if not np.isnan(value)]
            feature = found["features"][name]
            assert feature["n"] == sum(feature["counts"]) == len(rows)
            assert feature["counts"][-1] == len(rows) - len(known)
            assert feature["missing"] == pytest.approx(1 - len(known) / len(rows), abs=1e-6)
            if known:
                assert feature["quantiles"] == pytest.approx(np.quantile(known, found["levels"]).tolist(), rel=1e-6)
            else:
                assert (name, feature["quantiles"]) == ("log_market_cap", None)


def test_nothing_later_is_looked_at(panel: Panel, last: int) -> None:
    """Sessions after the last that trained may hold anything, and the panel may go on for longer or end there."""
    expected = card_bytes(feature_reference(panel, last, PARENT_MONTH))
    features, static, traded = panel.features.copy(), panel.static.copy(), panel.traded.copy()
    features[:, last + 1 :], static[:, last + 1 :], traded[:, last + 1 :] = 1e9, -1e9, True
    changed = replace(panel, features=features, static=static, traded=traded)
    assert card_bytes(feature_reference(changed, last, PARENT_MONTH)) == expected
    features[:, last - 7 : last] = 1e9
    assert card_bytes(feature_reference(changed, last, PARENT_MONTH)) != expected


def test_it_begins_where_prices_begin(panel: Panel, last: int) -> None:
    traded = panel.traded.copy()
    traded[:, :100] = False
    found = feature_reference(replace(panel, traded=traded), last, PARENT_MONTH)
    assert found["sessions"][0] == str(next(day for day in panel.sessions[100:] if day.item().weekday() == 4))


def test_of_very_many_rows_an_even_part_is_taken(panel: Panel, last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = feature_reference(panel, last, PARENT_MONTH)["features"]["volatility_13w"]
    monkeypatch.setattr(normalisation, "MAX_ROWS", 300)
    part = feature_reference(panel, last, PARENT_MONTH)["features"]["volatility_13w"]
    assert everything["n"] > 3 * part["n"]
    assert part["n"] == 300
    # Each ticker has a volatility of its own, so an uneven draw would lack some.
    assert part["quantiles"] == pytest.approx(everything["quantiles"], abs=0.08)


def test_a_fine_tuned_model_carries_it_on(panel: Panel, parent: TrainedModel) -> None:
    child = fine_tune(panel, parent, tiny_settings(), MONTH)
    assert child.card["feature_reference"] == parent.card["feature_reference"]
    assert (child.card["month"], child.card["feature_reference"]["basis"]) == ("2022-03", "2022-02")


def test_a_parent_without_one_gives_a_child_without_one(panel: Panel, parent: TrainedModel) -> None:
    card = {key: value for key, value in parent.card.items() if key != "feature_reference"}
    child = fine_tune(panel, replace(parent, card=card), tiny_settings(), MONTH)
    assert child.card["feature_reference"] is None
