"""The one table from domain errors to HTTP statuses, and how they look on the wire (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from control import errors
from control.db.outage import DATABASE_OUTAGES
from control.names import NAME
from control.policy_errors import PolicyMoved

log = structlog.get_logger(__name__)

STATUSES: Mapping[type[errors.ControlError], HTTPStatus] = {
    errors.SettingsError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    PolicyMoved: HTTPStatus.PRECONDITION_FAILED,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TokenMalformed: HTTPStatus.BAD_REQUEST,
    errors.TokenRefused: HTTPStatus.FORBIDDEN,
    errors.TokenExpired: HTTPStatus.GONE,
    errors.TokenUsed: HTTPStatus.CONFLICT,
    errors.Refused: HTTPStatus.FORBIDDEN,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.WrongCredentials: HTTPStatus.UNAUTHORIZED,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The nearest class in an error's ancestry decides."""


def status_of(error: errors.ControlError) -> HTTPStatus:
    """The status of an error."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem(*, status: int, code: str, title: str, hint: str = "", **more: object) -> JSONResponse:
    """A problem document. `code` is the stable word for programs."""
    kind = f"urn:skerry:problem:{code.lower().replace('_', '-')}"
    body: dict[str, object] = {"type": kind, "title": title, "status": status, "code": code, "detail": title}
    if hint:
        body["hint"] = hint
    return JSONResponse(body | more, status_code=status, media_type="application/problem+json")


async def _control_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ControlError)
    return answer_to(error)


def answer_to(error: errors.ControlError) -> JSONResponse:
    """An error of ours as a problem document."""
    status = status_of(error)
    answer = problem(status=status, code=error.code, title=str(error), hint=error.hint, **error.details())
    if isinstance(error, errors.TooManyAttempts):
        answer.headers["Retry-After"] = str(error.retry_after)
    if status is HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


async def _bad_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Only where and why: the value itself may be a secret or a patient's name.
    places = [{"where": list(one["loc"]), "why": _why(one)} for one in error.errors()]
    return problem(status=422, code="INVALID_REQUEST", title="The request cannot be understood.", errors=places)


def _why(fault: Mapping[str, Any]) -> str:
    pattern = fault.get("ctx", {}).get("pattern") if fault["type"] == "string_pattern_mismatch" else None
    return str(errors.InvalidName()) if pattern == f"^{NAME.pattern}$" else str(fault["msg"])


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = problem(status=error.status_code, code=HTTPStatus(error.status_code).name, title=str(error.detail))
    answer.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(_methods_of(request))  # of all routes of this path, not of the first
    return answer


def _methods_of(request: Request) -> Sequence[str]:
    fitting: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path_regex is not None and route.path_regex.match(request.scope["path"]):
            fitting |= set(route.methods or ())
    return sorted(fitting)


async def _outage(_request: Request, error: Exception) -> JSONResponse:
    log.warning("request.database_outage", error=type(error).__name__)
    busy = errors.Busy("The control plane's database does not answer.")
    return problem(status=status_of(busy), code=busy.code, title=str(busy), hint=busy.hint)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request.failed", method=request.method, route=_route_of(request), error=type(error).__name__)
    return problem(status=500, code="INTERNAL_ERROR", title="The control plane failed.", hint="Its log says why.")


def _route_of(request: Request) -> str:
    """The route's pattern, never the path: that may hold the UID of a study."""
    route: Any = request.scope.get("route")
    return getattr(route, "path", "")


def install(app: FastAPI) -> None:
    """Let every error of an app leave as a problem document."""
    app.add_exception_handler(errors.ControlError, _control_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, _http_error)
    for outage in DATABASE_OUTAGES:
        app.add_exception_handler(outage, _outage)
    app.add_exception_handler(Exception, _unexpected)
