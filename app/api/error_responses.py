"""The one table: error class to status code."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.api import failures
from app.api.reply import Reply, json_reply
from app.errors import (
    MOST_SHOWN,
    BudgetExceeded,
    EmptyCandidates,
    InvalidRequest,
    NotReady,
    Overloaded,
    ScoringFailed,
    SeqrankError,
    ShuttingDown,
    StorageUnavailable,
    UnknownItem,
    UnknownModel,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)

TABLE: Final[dict[type[Exception], tuple[int, str]]] = {
    failures.MalformedBody: (400, "malformed"),
    EmptyCandidates: (400, "empty"),
    failures.BadKey: (401, "unauthorized"),
    failures.KeyOutOfScope: (403, "forbidden"),
    UnknownModel: (404, "unknown_model"),
    UnknownItem: (404, "unknown_item"),
    failures.BodyTooLarge: (413, "body_too_large"),
    InvalidRequest: (422, "validation"),
    failures.RateLimited: (429, "rate_limited"),
    Overloaded: (429, "overloaded"),
    NotReady: (503, "not_ready"),
    ShuttingDown: (503, "draining"),
    StorageUnavailable: (503, "storage_unavailable"),
    ScoringFailed: (503, "model_failed"),
    BudgetExceeded: (504, "timeout"),
}
"""Error class -> status and ``error_type``; the first class in an error's ancestry that is listed counts."""

RETRY_AFTER_S: Final = {429: 1.0, 503: 1.0}
"""Where the error has no estimate of its own."""


def error_reply(error: Exception) -> Reply:
    """Return the reply for an error; for one that is not ours, a 500 that says nothing of its inside."""
    for ancestor in type(error).__mro__:
        if ancestor in TABLE:
            status, error_type = TABLE[ancestor]
            break
    else:
        logger.error("a request failed unexpectedly", exc_info=error)
        return error_body(500, "the service failed unexpectedly; its log says more", "internal")
    path = getattr(error, "path", "")
    reply = error_body(status, f"{path}: {error}" if path else str(error), error_type)
    if status in RETRY_AFTER_S:
        retry_after_s = getattr(error, "retry_after_s", RETRY_AFTER_S[status])
        reply.headers.append((b"retry-after", str(max(1, math.ceil(retry_after_s))).encode()))
    if status == HTTPStatus.UNAUTHORIZED:
        reply.headers.append((b"www-authenticate", b"Bearer"))
    return reply


def error_body(status: int, message: str, error_type: str) -> Reply:
    """Return a reply with the two fields of every error."""
    return json_reply({"error": message, "error_type": error_type}, status)


def install(app: FastAPI) -> None:
    """Make the framework's own errors and ours look the same."""

    async def ours(_: Request, error: Exception) -> Response:
        return error_reply(error).as_response()

    async def theirs(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 -- registered for nothing else
        message, error_type = _framework_error(error.status_code, request)
        reply = error_body(error.status_code, message, error_type)
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = _allowed(request)
        reply.headers += [(name.encode(), value.encode()) for name, value in headers.items()]
        return reply.as_response()

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for nothing else
        first = error.errors()[0]
        # the framework itself checks nothing but ids in paths
        where = str(first["loc"][-1])
        given = repr(first.get("input"))[:MOST_SHOWN]
        return error_body(422, f"{where}: {first['msg']}, got {given}", "validation").as_response()

    app.add_exception_handler(Exception, ours)
    app.add_exception_handler(SeqrankError, ours)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(RequestValidationError, invalid)


def _allowed(request: Request) -> str:
    """Return every method of the path; the framework names those of the first route alone."""
    methods: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _framework_error(status: int, request: Request) -> tuple[str, str]:
    path = request.scope["path"][:MOST_SHOWN]
    if status == HTTPStatus.NOT_FOUND:
        return f"there is nothing at {path!r}; /docs lists what there is", "not_found"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{path!r} does not take {request.method[:20]}, expected {_allowed(request)}", "method_not_allowed"
    return HTTPStatus(status).phrase, "http"
