"""What a report shows: documents and prices, nothing computed yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from stockfc_assets.forecasts.said_earlier import EarlierForecast
from stockfc_assets.forecasts.session_record import superseded_by

Document = Mapping[str, Any]


@dataclass(frozen=True)
class ReportData:
    """Everything on a session's page. What is None or empty is replaced by a sentence that says how to get it."""

    document: Document
    """The content of the predictions file (publication.py)."""
    history: pl.DataFrame
    """ticker, session, close: split-adjusted to the session; about two years up to it."""
    card: Document
    """Of the model that made the forecast."""
    names: Mapping[str, str]
    """Company names by ticker."""
    currency: str = ""
    exchange: str = ""
    """Its code, such as XTKS: what sales are taxed."""
    said: Mapping[str, Sequence[EarlierForecast]] = field(default_factory=dict)
    scores: Document | None = None
    """forecast_scores/{month}.json; without it the track record inside ``document`` is shown."""
    backtest: Document | None = None
    """backtest/{month}.json."""
    gate: Document | None = None
    """champion_model/{month}.json as it stood on the session."""
    drift: Document | None = None
    """`drift_record.session_drift`."""
    undrifted: str = ""
    """Why there is no ``drift``, in a sentence."""
    explanations: Sequence[Document] = ()
    """`explanation.explanation_document` of some stocks of the session."""
    unexplained: str = ""
    """Why there are no ``explanations``, in a sentence."""

    @property
    def session(self) -> dt.date:
        return dt.date.fromisoformat(self.document["session"])

    @property
    def record(self) -> Document:
        """Scores per horizon and overall: those of the month, or what was published with the forecast."""
        return self.document["track_record"] if self.scores is None else self.scores

    @property
    def superseded_by(self) -> str | None:
        """The model that serves on the session by now, where it is not the one that made this forecast."""
        return superseded_by(self.document, self.gate)

    def name(self, ticker: str) -> str:
        return self.names.get(ticker, ticker)
