"""REST of logins and API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from control import metrics
from control.auth import SESSION_COOKIE, Admin, Caller, refuse_foreign_page
from control.errors import WrongCredentials
from control.injection import provided
from control.limits import AttemptLimiter
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.principals import Grant
from control.users.schemas import Credentials, KeyItem, MadeKey, Me, NewKey
from control.users.service import SESSION_LIFE, UserService

router = APIRouter(tags=["users"])
COMMANDS = "skerry-control/"
"""How the User-Agent of our command line begins."""
Users = Annotated[UserService, Depends(provided(UserService))]


class LoginLimiter(AttemptLimiter):
    """The brake on guessing passwords."""


Brake = Annotated[LoginLimiter, Depends(provided(LoginLimiter))]


@router.post("/login", operation_id="log_in", dependencies=[Depends(refuse_foreign_page)])
async def log_in(request: Request, response: Response, users: Users, brake: Brake, body: Credentials) -> Me:
    """Open a session: its token comes as a cookie that scripts cannot read and other sites cannot send."""
    address = request.client.host if request.client else ""
    brake.reserve(address)
    try:
        by_command = request.headers.get("user-agent", "").startswith(COMMANDS)
        login = await users.log_in(body.username, body.password, address=address, by_command=by_command)
    except WrongCredentials:
        metrics.LOGINS.labels("refused").inc()
        await users.note_refusal(body.username, address=address)
        raise
    brake.give_back(address)
    metrics.LOGINS.labels("accepted").inc()
    response.set_cookie(
        SESSION_COOKIE,
        login.token,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",  # the plain listener is for this machine and for proxies
    )
    return Me.model_validate(login.principal)


@router.post("/logout", status_code=204, operation_id="log_out")
async def log_out(_caller: Caller, request: Request, response: Response, users: Users) -> None:
    """Close the session."""
    await users.log_out(request.cookies.get(SESSION_COOKIE, ""))
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")


@router.get("/me", operation_id="who_am_i")
async def who_am_i(caller: Caller) -> Me:
    """The caller."""
    return Me.model_validate(caller)


@router.get("/api-keys", operation_id="list_api_keys")
async def list_api_keys(
    _caller: Admin, users: Users, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[KeyItem]:
    """All API keys by name, revoked ones too."""
    after = str(read_cursor(cursor, str)[0]) if cursor else ""
    found = await users.keys(after=after, limit=limit)
    more = write_cursor(found[-1].name) if len(found) == limit else None
    return Page(items=[KeyItem.model_validate(one) for one in found], next_cursor=more)


@router.post("/api-keys", status_code=201, operation_id="create_api_key")
async def create_api_key(caller: Admin, users: Users, body: NewKey) -> MadeKey:
    """Make a key for a program."""
    grants = [Grant(role=body.role, site=one) for one in body.sites or (None,)]
    life = timedelta(days=body.days) if body.days is not None else None
    text, facts = await users.create_key(body.name, *grants, actor=caller.actor, life=life)
    return MadeKey(**KeyItem.model_validate(facts).model_dump(), key=text)


@router.post("/api-keys/{name}/revoke", operation_id="revoke_api_key")
async def revoke_api_key(caller: Admin, users: Users, name: str) -> KeyItem:
    """Let a key open nothing from now on."""
    return KeyItem.model_validate(await users.revoke_key(name, actor=caller.actor))
