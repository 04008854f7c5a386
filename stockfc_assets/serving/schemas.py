"""The shapes of the answers, for the API's description. Answers are sent as they are stored; keys may be added to them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from stockfc_assets.serving.answers import JSON
from stockfc_assets.serving.problems import MEDIA_TYPE

Price = Annotated[float, Field(description="Listing currency, as traded on the session's own share basis")]
Return = Annotated[float, Field(description="Simple return over the horizon: 0.1 = +10 %")]


class Open(BaseModel):
    """Keys that are not named here may be there."""

    model_config = ConfigDict(extra="allow")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "no forecast of 2026-02-07",
            }
        },
    )
    type: str
    title: str
    status: int
    detail: str


class Month(Open):
    month: Annotated[int, Field(ge=1, le=12, description="Months ahead")]
    predicted_price: Price
    simple_return: Annotated[Return, Field(alias="return")]
    lower: Price | None = None
    upper: Price | None = None


class Stock(Open):
    ticker: str
    name: str | None = None
    as_of_date: dt.date
    current_price: Price
    sector: str
    predictions: list[Month]
    predicted_12m_price: Price
    predicted_12m_return: Return


class Forecast(Open):
    """A published predictions file, as it is stored."""

    timestamp: Annotated[str, Field(description="The session's 23:00 on the exchange's clock")]
    session: dt.date | None = None
    num_predictions: int
    source: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    interval_level: float | None = None
    predictions: list[Stock]
    skipped: Annotated[list[dict[str, Any]], Field(description="Stocks without a forecast, with the reason")] = []
    track_record: dict[str, Any] | None = None


class Page(BaseModel):
    """A part of a list, newest first."""

    total: Annotated[int, Field(ge=0)]
    next: Annotated[str | None, Field(description="Address of the next page; null on the last one")]


class Sessions(Page):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "total": 512,
                "next": "/v1/forecasts?before=2026-02-05&limit=2",
                "sessions": ["2026-02-06", "2026-02-05"],
            }
        }
    )
    sessions: list[dt.date]


class Ranked(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "rank": 1, "ticker": "7203.T", "name": "Toyota Motor", "sector": "Automobiles & Transportation Equipment",
                "current_price": 2870.5, "predicted_price": 2993.1, "return": 0.04271, "lower": 2310.2, "upper": 3877.9,
            }
        }
    )  # fmt: skip
    rank: Annotated[int, Field(ge=1)]
    ticker: str
    name: str | None
    sector: str | None
    current_price: Price | None
    predicted_price: Price
    simple_return: Annotated[Return, Field(alias="return")]
    lower: Price | None
    upper: Price | None


class Ranking(BaseModel):
    session: dt.date
    horizon: Annotated[int, Field(ge=1, le=12)]
    source: dict[str, Any] | None
    model: dict[str, Any] | None
    stocks: Annotated[int, Field(description="So many have a forecast; `top` may show fewer")]
    ranking: list[Ranked]


class Outcome(BaseModel):
    price: Price
    simple_return: Annotated[Return, Field(alias="return")]
    inside: Annotated[bool | None, Field(description="Whether the interval held it; null without an interval")]


class PastForecast(BaseModel):
    month: Annotated[int, Field(ge=1, le=12)]
    end: Annotated[dt.date, Field(description="When the horizon is over")]
    predicted_price: Price
    simple_return: Annotated[Return, Field(alias="return")]
    lower: Price | None
    upper: Price | None
    outcome: Annotated[Outcome | None, Field(description="Null until the horizon is over, or without a price then")]


class PastSession(BaseModel):
    session: dt.date
    model: str
    sector: str
    current_price: Price
    forecasts: list[PastForecast]


class History(Page):
    ticker: str
    source: Annotated[dict[str, Any] | None, Field(description="Where the prices are from, and whether simulated")]
    history: list[PastSession]


class Document(Open):
    """A published JSON file, as it is stored."""


class Health(BaseModel):
    status: str
    version: str


class ConditionState(BaseModel):
    name: str
    ok: bool
    message: str


class Readiness(BaseModel):
    ready: bool
    conditions: list[ConditionState]


# --- routes -----------------------------------------------------------------------------------------------------------

PROBLEMS = {
    400: "The path or the query is too long",
    401: "The key is missing or wrong",
    413: "A request with a body",
    422: "A parameter is not what it must be",
    429: "Too many requests; Retry-After says when to come back",
    431: "The headers are too long",
    503: "What is stored is damaged or cannot be read; the detail names it",
}


def described(
    what: str,
    model: type[BaseModel] | None = None,
    *,
    media: str = JSON,
    missing: str | None = None,
    cached: bool = True,
) -> dict[str, Any]:
    """Keyword arguments of a route that sends a finished `Response`: its answers, as the API's description shows them.

    ``missing``: when it answers 404; ``cached``: whether it knows If-None-Match.
    """
    good: dict[str, Any] = {"description": what}
    good |= {"model": model} if model else {"content": {media: {"schema": {"type": "string"}}}}
    problems = PROBLEMS | ({404: missing} if missing else {})
    told = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    responses = {200: good} | {status: {"description": text, **told} for status, text in sorted(problems.items())}
    if cached:
        responses[304] = {"description": "The client has this very answer already (If-None-Match)"}
    return {"responses": responses, "response_class": Response}
