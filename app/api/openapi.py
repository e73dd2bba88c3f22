"""The OpenAPI document, made of the schemas that requests are really checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi.openapi.utils import get_openapi

from app.api import answers
from app.api.schemas import FeedbackEvent, ItemChange, RankRequest

if TYPE_CHECKING:
    from fastapi import FastAPI

REF: Final = "#/components/schemas/{name}"

_TYPES: Final[tuple[Any, ...]] = (
    RankRequest,
    FeedbackEvent,
    ItemChange,
    answers.RankAnswer,
    answers.FeedbackAnswer,
    answers.UserAnswer,
    answers.RemovedAnswer,
    answers.ItemsAnswer,
    answers.ItemAnswer,
    answers.LiveAnswer,
    answers.ReadyAnswer,
    answers.LatencyAnswer,
    answers.ErrorAnswer,
)

_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "RankRequest": {"user": "ada", "top_k": 5},
    "FeedbackEvent": {"id": "click-8f3a", "user": "ada", "item": "p00003"},
    "ItemChange": {"id": "new-1", "text": "walnut standing desk", "columns": {"category": "Desks"}},
}
"""Bodies that every bundle takes; made from the schema alone, Swagger UI's would be refused: every field is null."""

NEEDS_NO_KEY: Final[dict[str, Any]] = {"security": []}
"""What an open route adds to its operation; see `app.api.edge.access_of`."""

_ERRORS: Final = {
    400: "The body is no JSON, or `items` is empty.",
    401: "No key, or an unknown one.",
    403: "The key is good, but not for this.",
    404: "No such model or item.",
    413: "The body is longer than the service takes.",
    422: "A field is missing, of the wrong type or out of bounds; the error names its path.",
    429: "The line is full or a rate limit is passed; `Retry-After` says for how long.",
    503: "Starting, draining, or Redis refused; `Retry-After` says for how long.",
    504: "The budget passed, and `strict` forbids a degraded answer.",
}


def schema_ref(name: str) -> dict[str, Any]:
    """Return a reference to a schema of the document."""
    return {"$ref": REF.format(name=name)}


def body_of(name: str, *, or_many: bool = False) -> dict[str, Any]:
    """Return what a route adds to its operation to document its body: one object, or an array of them too."""
    schema = schema_ref(name)
    if or_many:
        schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
    content = {"application/json": {"schema": schema, "example": _EXAMPLES[name]}}
    return {"requestBody": {"required": True, "content": content}}


def answers_of(name: str | None, *statuses: int, ok: str = "Done.") -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route: its good answer, and the errors that it may end in."""
    schema = schema_ref(name) if name is not None else {"type": "object"}
    documented: dict[int | str, dict[str, Any]] = {200: {"description": ok, "content": _json(schema)}}
    for status in statuses:
        documented[status] = {"description": _ERRORS[status], "content": _json(schema_ref("ErrorAnswer"))}
    return documented


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def install(app: FastAPI, *, max_items: int) -> None:
    """Let ``/openapi.json`` show the schemas with this service's limits."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, schemas = msgspec.json.schema_components(_TYPES, ref_template=REF)
            _limit(schemas, max_items)
            components = document.setdefault("components", {})
            components["schemas"] = schemas
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            # each of them is enough, and so is neither where no keys are set
            document["security"] = [{"bearer": []}, {"key": []}, {}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _limit(schemas: dict[str, Any], max_items: int) -> None:
    """Add what the schemas cannot say of themselves: limits that are settings, and rules between fields."""
    rank = schemas["RankRequest"]
    rank["anyOf"] = [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ("user", "history")
    ]
    for name in ("items", "history"):
        for choice in rank["properties"][name]["anyOf"]:
            if choice.get("type") == "array":
                choice["maxItems"] = max_items
                if name == "items":
                    choice |= {"minItems": 1, "uniqueItems": True}
