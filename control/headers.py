"""What goes around every HTTP answer: headers that browsers need, and the count of it."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control import metrics

MAX_BODY_BYTES = 2 << 20
"""Twice the largest policy. Nothing else that is sent here is larger."""
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class AnswerHeaders:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and dress its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        method = scope["method"] if scope["method"] in METHODS else "other"

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Referrer-Policy", "no-referrer")
                # Answers name patients: no proxy and no browser keeps them.
                headers.setdefault("Cache-Control", "no-store")
                metrics.REQUESTS.labels(method, str(message["status"])).inc()
                metrics.REQUEST_SECONDS.observe(time.monotonic() - began)
            await send(message)

        await self._app(scope, _limited(receive), dressed)


def _limited(receive: Receive) -> Receive:
    """The same stream, ended by an error when the body grows too large."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413, "The request is too large.")
        return message

    return counted
