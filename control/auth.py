"""Who asks, and what they may do: a permission is a type in a route's signature.

    async def add_site(caller: Admin, ...)         # an administrator
    async def upload(caller: SiteAdmin, site, ...) # a site-admin of the site in the path
    async def list_sites(caller: Viewer, ...)      # a viewer of any site; the handler narrows to `caller.sites()`

A route whose path names a `{site}` asks for the role at that site. Every route stands in `role_matrix.py` as well, and
a test asks each as every role. Works for HTTP and for WebSocket routes. A cookie alone never changes anything: see
`require_same_origin`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection

from control.errors import CrossSiteRequest, Forbidden, NotAuthenticated
from control.injection import provided
from control.limits import RequestBrake
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


async def recognised(connection: HTTPConnection, authenticator: Authenticator) -> Principal:
    """The caller, by the key or the session that came along.

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


async def principal(
    connection: HTTPConnection,
    authenticator: Annotated[Authenticator, Depends(provided(Authenticator))],
    brake: Annotated[RequestBrake, Depends(provided(RequestBrake))],
) -> Principal:
    """The caller of one request.

    Raises:
        NotAuthenticated, CrossSiteRequest
        TooManyRequests: this caller has asked too much in too little time.
    """
    known = await recognised(connection, authenticator)
    brake.take(known.actor)
    return known


def _at_least(least: Role) -> Callable[[HTTPConnection, Principal], Awaitable[Principal]]:
    async def permitted(connection: HTTPConnection, caller: Annotated[Principal, Depends(principal)]) -> Principal:
        site = connection.path_params.get("site")
        if site is not None or least is Role.ADMIN:
            caller.require(least, site)
        elif caller.sites(least) == frozenset():
            raise Forbidden(f"This needs the role {least.value}.")
        return caller

    return permitted


Caller = Annotated[Principal, Depends(principal)]
"""Anybody who is logged in, whatever they may do."""

Viewer = Annotated[Principal, Depends(_at_least(Role.VIEWER))]
"""Somebody who may see the site in the path, or any site when the path names none: narrow to `caller.sites()`."""

Operator = Annotated[Principal, Depends(_at_least(Role.OPERATOR))]
"""The same for acting on what runs: narrow to `caller.sites(Role.OPERATOR)`."""

SiteAdmin = Annotated[Principal, Depends(_at_least(Role.SITE_ADMIN))]
"""The same for changing a site."""

Admin = Annotated[Principal, Depends(_at_least(Role.ADMIN))]
"""An administrator."""

Auditor = Annotated[Principal, Depends(_at_least(Role.AUDITOR))]
"""Somebody who may read the trail of any site: narrow to `caller.sites(Role.AUDITOR)`."""
