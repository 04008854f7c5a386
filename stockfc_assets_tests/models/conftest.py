"""A panel with something to learn, and a model trained on it, once for the whole folder."""

from __future__ import annotations

import datetime as dt

import pytest

from stockfc_assets.features.panel import Panel
from stockfc_assets.models.card import TrainedModel
from stockfc_assets.models.training import train_full
from stockfc_assets_tests.models.synthetic import random_panel, tiny_settings

PARENT_MONTH = dt.date(2022, 2, 1)


@pytest.fixture(scope="session")
def panel() -> Panel:
    """Of 2022-03, so it serves models of 2022-02 and 2022-03."""
    return random_panel(signal=1.0)


@pytest.fixture(scope="session")
def parent(panel: Panel) -> TrainedModel:
    return train_full(panel, tiny_settings(), PARENT_MONTH, data_versions={"training_panel": "abc"})
