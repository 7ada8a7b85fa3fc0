"""What every request that changes something may ask for: `?dry_run=true`, and `Idempotency-Key`.

Around the whole application, so that no route can forget it.
"""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control.attempt import Attempt, attempted
from control.auth import SAFE_METHODS, SESSION_COOKIE, recognised
from control.db.outage import DATABASE_OUTAGES
from control.errors import ControlError, DatabaseAway, InvalidQuery, Refused
from control.http_errors import answer_to, problem
from control.injection import Provisions
from control.limits import RequestBrake
from control.principals import Authenticator
from control.promises.service import Answer, Claim, KeptAnswers

log = structlog.get_logger(__name__)

API = "/api/v1/"
NOT_TRIED = frozenset({f"{API}login", f"{API}logout", f"{API}enrol", f"{API}recover"})
"""They open and close doors: they cannot be tried, and their answers are not kept."""
TRIAL_HEADER = "Skerry-Dry-Run"
REPLAY_HEADER = "Idempotency-Replayed"
MAX_KEY_CHARACTERS = 255
KEPT_HEADERS = frozenset({"content-type", "etag", "location"})


class Promises:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, provisions: Provisions) -> None:
        self._app = app
        self._provisions = provisions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Try, run or repeat a request."""
        changes = scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        if not changes or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        try:
            attempt = Attempt(trial=_wants_trial(scope))
            key = _key_of(scope)
        except ControlError as error:
            await answer_to(error)(scope, receive, send)
            return
        with attempted(attempt):
            if attempt.trial:
                await self._app(scope, receive, _marked(send, TRIAL_HEADER))
            elif key is None:
                await self._app(scope, receive, send)
            else:
                await self._once(scope, receive, send, key, attempt)

    async def _once(self, scope: Scope, receive: Receive, send: Send, key: str, attempt: Attempt) -> None:
        begun: Claim | Answer | None
        body = b""
        try:
            body = await _body(receive)
            begun = await self._begin(scope, body, key)
        except HTTPException as error:
            refusal = problem(status=error.status_code, code="CONTENT_TOO_LARGE", title=str(error.detail))
            await refusal(scope, receive, send)
            return
        except Refused:
            begun = None  # the application says it in its own words
        except ControlError as error:
            await answer_to(error)(scope, receive, send)
            return
        except DATABASE_OUTAGES:
            await answer_to(DatabaseAway())(scope, receive, send)
            return
        again = _again(body, receive)
        if isinstance(begun, Answer):
            response = Response(begun.body, begun.status, headers=dict(begun.headers))
            await response(scope, receive, _marked(send, REPLAY_HEADER))
        elif begun is None:
            await self._app(scope, again, send)
        else:
            await self._run(scope, again, send, begun, attempt)

    async def _begin(self, scope: Scope, body: bytes, key: str) -> Claim | Answer:
        connection = HTTPConnection(scope)
        caller = await recognised(connection, self._provisions.get(Authenticator))
        self._provisions.get(RequestBrake).take(caller.actor)
        credential = connection.headers.get("authorization") or connection.cookies.get(SESSION_COOKIE, "")
        digest = hashlib.sha256()
        headers = connection.headers
        for part in (
            scope["method"].encode(),
            scope["path"].encode("utf-8", "surrogatepass"),
            scope["query_string"],
            headers.get("content-type", "").encode(),
            headers.get("if-match", "").encode(),
            body,
        ):
            digest.update(len(part).to_bytes(4, "big") + part)
        return await self._provisions.get(KeptAnswers).begin(credential, key, digest.hexdigest())

    async def _run(self, scope: Scope, receive: Receive, send: Send, claim: Claim, attempt: Attempt) -> None:
        heard: list[Message] = []
        attempt.commits = 0

        async def listening(message: Message) -> None:
            heard.append(message)

        try:
            await self._app(scope, receive, listening)
        finally:
            await self._close(claim, _answer(heard), attempt)
        for message in heard:
            await send(message)

    async def _close(self, claim: Claim, answer: Answer | None, attempt: Attempt) -> None:
        kept = self._provisions.get(KeptAnswers)
        try:
            if answer is not None and 200 <= answer.status < 300:
                await kept.end(claim, answer)
            elif attempt.commits == 0 or (answer is not None and answer.status < 500):
                await kept.forget(claim)
        except DATABASE_OUTAGES as error:
            # The change stands; who asks again is told that it has begun.
            log.warning("promises.answer_not_kept", error=type(error).__name__)


def _wants_trial(scope: Scope) -> bool:
    try:
        asked = parse_qs(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True).get("dry_run", [])
    except ValueError:
        asked = []
    if not set(asked) <= {"true", "false"}:
        raise InvalidQuery("dry_run is true or false.")
    wanted = "true" in asked
    if wanted and scope["path"] in NOT_TRIED:
        raise InvalidQuery("This cannot be tried.", hint="Leave dry_run out.")
    return wanted


def _key_of(scope: Scope) -> str | None:
    key = Headers(scope=scope).get("idempotency-key")
    if key is None or scope["path"] in NOT_TRIED:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        raise InvalidQuery(f"An Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} printable characters.")
    return key


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """The same request once more, for the application."""
    given = False

    async def repeated() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return repeated


def _marked(send: Send, header: str) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (header.lower().encode(), b"true")]}
        await send(message)

    return marked


def _answer(heard: list[Message]) -> Answer | None:
    if not heard:
        return None
    headers = Headers(raw=heard[0]["headers"])
    return Answer(
        status=heard[0]["status"],
        headers=tuple((name, value) for name, value in headers.items() if name in KEPT_HEADERS),
        body=b"".join(message.get("body", b"") for message in heard[1:]),
    )
