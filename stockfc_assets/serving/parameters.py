"""What a client may ask with: checked dates, months, tickers and numbers. Whatever else it writes is a 422."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

from fastapi import Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _iso_date(value: Any) -> Any:
    """Pydantic would take ``0`` for 1970-01-01."""
    if isinstance(value, str) and not DATE.fullmatch(value):
        raise ValueError("not a date; write it as 2026-02-06")
    return value


IsoDate = Annotated[dt.date, BeforeValidator(_iso_date)]
Session = Annotated[IsoDate, Path(description="Trading session", examples=["2026-02-06"])]
Ticker = Annotated[
    str, Path(description="Listing code with exchange suffix", pattern=r"^[A-Za-z0-9.^=-]{1,20}$", examples=["7203.T"])
]
MONTH = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
MonthPath = Annotated[str, Path(description="Month of the model", pattern=MONTH, examples=["2026-02"])]
MonthQuery = Annotated[
    str | None, Query(description="Month (default: the newest that is stored)", pattern=MONTH, examples=["2026-02"])
]
SessionQuery = Annotated[
    IsoDate | None, Query(description="Session (default: the newest forecast)", examples=["2026-02-06"])
]
Before = Annotated[IsoDate | None, Query(description="Only sessions before this date", examples=["2026-02-06"])]
Sessions = Annotated[int, Query(ge=1, le=1_000, description="Most sessions on a page")]
Sessions100 = Annotated[int, Query(ge=1, le=100, description="Most sessions on a page")]
Horizon = Annotated[int, Query(ge=1, le=12, description="Months ahead")]
Top = Annotated[int | None, Query(ge=1, le=10_000, description="Only so many of the highest")]


async def known_parameters(request: Request) -> None:
    """Refuses a parameter that the route does not have: misspelt, it would silently be the default."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    allowed = f"known: {', '.join(known)}" if known else "there are none here"
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError([{"loc": ("query", name), "msg": f"unknown; {allowed}"} for name in unknown])
