"""The live feed: `GET /events?after=` and the WebSocket `/live?after=`."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, WebSocket
from pydantic import BaseModel
from starlette.websockets import WebSocketDisconnect

from control.auth import Authenticator, Viewer, recognised
from control.errors import CrossSiteRequest, NotAuthenticated
from control.injection import provided
from control.live.hub import LiveHub
from control.live.mailbox import Mailbox, Refetch
from control.live.schemas import LiveHello, LiveLine, LivePage, LiveRefetch
from control.live.service import FeedService
from control.principals import Role, Scope

log = structlog.get_logger(__name__)

router = APIRouter(tags=["live"])
Feed = Annotated[FeedService, Depends(provided(FeedService))]
Hub = Annotated[LiveHub, Depends(provided(LiveHub))]
Known = Annotated[Authenticator, Depends(provided(Authenticator))]

MAX_SEQUENCE = 2**63 - 1
After = Annotated[int, Query(ge=0, le=MAX_SEQUENCE, description="The last sequence that you know.")]

RESUME_LINES = 500
"""A watcher that was away for more is quicker with a fresh look."""

MAX_WATCHERS = 500
ASK_AGAIN_SECONDS = 60.0
"""A session that ended or a key that was revoked stops watching after this long."""
SEND_SECONDS = 30.0

CLOSE_NOT_AUTHENTICATED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_TRY_LATER = 1013
"""RFC 6455 registry: try again later."""


@router.get("/events", operation_id="list_events")
async def list_events(
    caller: Viewer, feed: Feed, after: After = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 500
) -> LivePage:
    """Lines of the live feed behind `after`, in order; kept for a day."""
    page = await feed.read_after(after, limit, scope=caller.sites())
    items = [LiveLine.model_validate(line) for line in page.lines]
    return LivePage(items=items, newest=page.newest, refetch=page.gap)


@router.websocket("/live")
async def live(
    socket: WebSocket,
    hub: Hub,
    feed: Feed,
    known: Known,
    after: Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE)] = None,
) -> None:
    """Every line as it happens. Says hello first; with `after`, then what was missed, or that it is too much."""
    try:
        caller = await recognised(socket, known)
    except CrossSiteRequest:
        await socket.close()  # before the handshake: 403
        return
    except NotAuthenticated:
        await socket.accept()  # a browser shows its page a close code, but never an HTTP status
        await socket.close(CLOSE_NOT_AUTHENTICATED, "log in first")
        return
    await socket.accept()
    if caller.sites(Role.VIEWER) == frozenset():
        await socket.close(CLOSE_FORBIDDEN, "your role does not allow this")
        return
    if hub.watchers >= MAX_WATCHERS:
        log.warning("live.too_many_watchers", watchers=hub.watchers)
        await socket.close(CLOSE_TRY_LATER, "too many watchers")
        return
    with hub.watch() as mailbox:
        telling = asyncio.create_task(_tell(socket, mailbox, feed, known, after, caller.sites()))
        gone = asyncio.create_task(_until_gone(socket))
        try:
            await asyncio.wait((telling, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, gone):
                task.cancel()
                with suppress(asyncio.CancelledError, WebSocketDisconnect, TimeoutError, RuntimeError):
                    await task


async def _tell(
    socket: WebSocket, mailbox: Mailbox, feed: FeedService, known: Authenticator, after: int | None, scope: Scope
) -> None:
    # The mailbox is open already: what is written while we read here is in both, and told once.
    told = await _catch_up(socket, feed, after, scope)
    ask_again = time.monotonic() + ASK_AGAIN_SECONDS
    while True:
        # By the time, not by silence: on a busy feed there is none.
        if (left := ask_again - time.monotonic()) <= 0:
            try:
                caller = await recognised(socket, known)
            except NotAuthenticated:
                await socket.close(CLOSE_NOT_AUTHENTICATED, "log in again")
                return
            scope = caller.sites()  # what was granted or taken back meanwhile
            ask_again = time.monotonic() + ASK_AGAIN_SECONDS
            continue
        try:
            news = await asyncio.wait_for(mailbox.get(), left)
        except TimeoutError:
            continue
        if isinstance(news, Refetch):
            told = news.sequence
            await _send(socket, LiveRefetch(sequence=told))
        elif news.sequence > told:
            told = news.sequence
            if news.is_for(scope):
                await _send(socket, LiveLine.model_validate(news))


async def _catch_up(socket: WebSocket, feed: FeedService, after: int | None, scope: Scope) -> int:
    """Say hello and what was missed; the sequence that the watcher is up to date with."""
    newest = await feed.newest()
    await _send(socket, LiveHello(sequence=newest))
    if after is None or after == newest:
        return newest
    page = await feed.read_after(after, RESUME_LINES, scope=scope)
    if page.gap or page.newest - after > RESUME_LINES:
        await _send(socket, LiveRefetch(sequence=page.newest))
        return page.newest
    for line in page.lines:
        await _send(socket, LiveLine.model_validate(line))
    # Not `newest`: a line may have come between the two looks. What is not for this watcher may be looked at twice.
    return page.lines[-1].sequence if page.lines else newest


async def _send(socket: WebSocket, message: BaseModel) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await socket.send_text(message.model_dump_json())


async def _until_gone(socket: WebSocket) -> None:
    """Watchers say nothing; what they send is thrown away."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
