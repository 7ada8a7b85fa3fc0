"""Who asks, and what they may do: a permission is a type in a route's signature.

    async def add_site(caller: Admin, ...)      # only administrators get here
    async def list_sites(caller: Viewer, ...)   # everybody who is logged in

Works for HTTP and for WebSocket routes. A cookie alone never changes anything: see `require_same_origin`.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection

from control.errors import CrossSiteRequest, Forbidden, NotAuthenticated
from control.injection import provided
from control.principals import Authenticator as Authenticator
from control.principals import Principal, Role

SESSION_COOKIE = "skerry_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def refuse_foreign_page(connection: HTTPConnection) -> None:
    """Refuse what a page of another web site made a browser send.

    Raises:
        CrossSiteRequest: Sec-Fetch-Site or Origin says so. A program sends neither and passes.
    """
    if connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise CrossSiteRequest
    origin = connection.headers.get("origin")
    if origin is not None and _host_of(origin) != connection.headers.get("host"):
        raise CrossSiteRequest


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as half an IPv6 address
        return None


def require_same_origin(connection: HTTPConnection) -> None:
    """Let only our own pages pass: a cookie goes along with what other sites make a browser send.

    Raises:
        CrossSiteRequest: neither Sec-Fetch-Site nor Origin says that the request is from our own pages.
    """
    refuse_foreign_page(connection)
    if connection.headers.get("sec-fetch-site") != "same-origin" and "origin" not in connection.headers:
        raise CrossSiteRequest


async def principal(
    connection: HTTPConnection, authenticator: Annotated[Authenticator, Depends(provided(Authenticator))]
) -> Principal:
    """The caller.

    Raises:
        NotAuthenticated: no key and no session, or one that is not valid.
        CrossSiteRequest: a session cookie that did not come from our own pages.
    """
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        known = await authenticator.by_api_key(key.strip())
    else:
        known = await authenticator.by_session(connection.cookies.get(SESSION_COOKIE, ""))
        if known is not None and connection.scope.get("method") not in SAFE_METHODS:
            require_same_origin(connection)  # a WebSocket has no method: always asked
    if known is None:
        raise NotAuthenticated
    return known


async def _administrator(caller: Annotated[Principal, Depends(principal)]) -> Principal:
    if caller.role is not Role.ADMIN:
        raise Forbidden
    return caller


Viewer = Annotated[Principal, Depends(principal)]
"""Anybody who is logged in."""

Admin = Annotated[Principal, Depends(_administrator)]
"""An administrator."""
