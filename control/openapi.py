"""The OpenAPI document: what FastAPI derives from the routes, and what all of them promise together.

`make openapi` writes it to control/openapi.json (`openapi_file.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from control.promises.middleware import NOT_TRIED
from control.role_matrix import ROUTES, Rule

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `code` is the stable word for programs, `hint` says what to do.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}
TRIAL: dict[str, Any] = {
    "name": "dry_run",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": False},
    "description": "The same transaction, rolled back at its end: the answer says what would be.",
}
KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "The same request with the same key gets the same answer for 24 hours, and is done once.",
}


def describe(app: FastAPI) -> None:
    """Let the app tell of itself with what holds for every route."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(title=app.title, version=app.version, routes=app.routes, openapi_version="3.1.0")
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "session": {"type": "apiKey", "in": "cookie", "name": "skerry_session", "description": "From /login."},
    }
    for path, method, operation in _operations(document):
        rule = ROUTES.get((method.upper(), path))
        operation["responses"].pop("422", None)
        # Beside the media type of a success: whatever goes wrong is a problem document.
        for status in ("4XX", "5XX"):
            content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            operation["responses"][status] = {"description": "A problem.", "content": content}
        if rule is not None:
            _say_who(operation, rule)
        if method != "get" and path not in NOT_TRIED:
            operation.setdefault("parameters", []).append(TRIAL)
            operation["parameters"].append(KEY)
    return document


def _say_who(operation: dict[str, Any], rule: Rule) -> None:
    operation["security"] = [] if rule.open else [{"key": []}, {"session": []}]
    operation["x-least-role"] = "none" if rule.open else (rule.least or "any")
    operation["x-scoped"] = rule.scoped.value


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]
