"""Which model a month continues from, and when it trains in full."""

import datetime as dt

from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.parents import find_parent

SETTINGS = ModelSettings.model_validate({"training": {"retrain_every_months": 3}})
GOOD = {
    "spread_ratio": 0.3, "distinct_share": 1.0, "mean_cosine": 0.5, "finite_losses": 1.0, "finite_outputs": 1.0,
    "finite_weights": 1.0,
}  # fmt: skip


def line(*months: str, collapsed: tuple[str, ...] = ()) -> dict:
    """Cards of consecutive fine-tunings; the first is a full training."""
    cards, parent = {}, None
    for month in months:
        guards = GOOD | ({"spread_ratio": 0.0} if month in collapsed else {})
        cards[f"{month}-01"] = {"model_id": f"id-{month}", "parent": parent, "guards": guards}
        parent = f"id-{month}"
    return cards


def test_no_earlier_model_means_full_training():
    assert find_parent({}, dt.date(2024, 3, 1), SETTINGS) is None
    assert find_parent(line("2024-03", "2024-04"), dt.date(2024, 3, 1), SETTINGS) is None


def test_the_newest_earlier_model_is_continued_also_over_a_gap():
    assert find_parent(line("2024-01", "2024-02"), dt.date(2024, 3, 1), SETTINGS) == "2024-02-01"
    assert find_parent(line("2024-01"), dt.date(2024, 3, 1), SETTINGS) == "2024-01-01"


def test_a_model_that_failed_its_guards_is_passed_over():
    cards = line("2024-01", "2024-02", collapsed=("2024-02",))
    assert find_parent(cards, dt.date(2024, 3, 1), SETTINGS) == "2024-01-01"
    assert find_parent(line("2024-02", collapsed=("2024-02",)), dt.date(2024, 3, 1), SETTINGS) is None


def test_full_training_again_when_the_line_is_old_enough():
    cards = line("2024-01", "2024-02", "2024-03")
    assert find_parent(cards, dt.date(2024, 4, 1), SETTINGS) is None
    assert find_parent(cards | line("2024-04"), dt.date(2024, 5, 1), SETTINGS) == "2024-04-01"
