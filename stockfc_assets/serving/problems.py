"""Errors as answers: RFC 9457 "problem details", with what is wrong and what to do, never with a path of this machine."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from stockfc_assets.errors import StockfcError
from stockfc_assets.storage import Store

LOG = logging.getLogger("stockfc.api")
URL = re.compile(r"https?://[^\s\"')]+")
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer other than the one asked for."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """``members``: further keys of the document, such as ``errors``."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return Response(
        json.dumps(document, ensure_ascii=False),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def add_problem_handlers(app: FastAPI, store: Store) -> None:
    """Every error of ``app`` becomes a problem document. What is wrong with stored files names them below the root."""

    def stored_is_broken(request: Request, error: Exception) -> Response:
        LOG.warning("%s", error)
        return problem_response(503, without_root(store, str(error)), {"Retry-After": "60"})

    def unreadable(request: Request, error: Exception) -> Response:
        LOG.warning("%s", error)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return problem_response(503, f"what is stored cannot be read: {reason}", {"Retry-After": "60"})

    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(HTTPException, _of_the_framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StockfcError, stored_is_broken)
    app.add_exception_handler(OSError, unreadable)
    app.add_exception_handler(Exception, _unexpected)


def without_root(store: Store, message: str) -> str:
    """``message`` with files named by their keys: where the root lies, or a bucket is asked, is nothing for a client."""
    root = store.location("").rstrip("/")
    return URL.sub("its address", message).replace(f"{root}/", "").replace(root, "the data root")


def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, error.headers)


def _of_the_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {404: "there is nothing at this address; /v1/openapi.json lists what there is", 405: "only GET and HEAD"}
    return problem_response(error.status_code, details.get(error.status_code, str(error.detail)), error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"in": item["loc"][0], "name": str(item["loc"][-1]), "reason": item["msg"]} for item in error.errors()]
    first = errors[0]
    return problem_response(422, f"{first['in']} parameter {first['name']}: {first['reason']}", errors=errors)


def _unexpected(request: Request, error: Exception) -> Response:
    return problem_response(500, "an error that nobody foresaw; the server's log has it")
