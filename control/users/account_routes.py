"""REST of accounts and sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from control.auth import Admin, Caller
from control.errors import Forbidden
from control.injection import provided
from control.paging import DEFAULT_LIMIT, Cursor, Limit, Page, read_cursor, write_cursor
from control.principals import Role
from control.users.accounts import AccountService
from control.users.routes import Brake
from control.users.schemas import GrantItem, NewPassword, NewUser, PasswordChange, SessionItem, UserItem

router = APIRouter(tags=["users"])
Accounts = Annotated[AccountService, Depends(provided(AccountService))]


@router.get("/users", operation_id="list_users")
async def list_users(
    _caller: Admin, accounts: Accounts, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[UserItem]:
    """All accounts by name, disabled ones too."""
    after = str(read_cursor(cursor, str)[0]) if cursor else ""
    found = await accounts.page(after=after, limit=limit)
    more = write_cursor(found[-1].name) if len(found) == limit else None
    return Page(items=[UserItem.model_validate(one) for one in found], next_cursor=more)


@router.post("/users", status_code=201, operation_id="add_user")
async def add_user(caller: Admin, accounts: Accounts, body: NewUser) -> UserItem:
    """Add an account."""
    grants = [one.grant() for one in body.grants]
    return UserItem.model_validate(await accounts.add(body.name, body.password, grants, actor=caller.actor))


@router.post("/users/{name}/password", operation_id="set_password")
async def set_password(caller: Admin, accounts: Accounts, name: str, body: NewPassword) -> UserItem:
    """Give an account another password. Its open sessions end."""
    return UserItem.model_validate(await accounts.set_password(name, body.password, actor=caller.actor))


@router.post("/users/{name}/grant", operation_id="grant_role")
async def grant_role(caller: Admin, accounts: Accounts, name: str, body: GrantItem) -> UserItem:
    """Give a role at a site, or everywhere. It counts from the next request on."""
    return UserItem.model_validate(await accounts.grant(name, body.grant(), actor=caller.actor))


@router.post("/users/{name}/revoke", operation_id="revoke_role")
async def revoke_role(caller: Admin, accounts: Accounts, name: str, body: GrantItem) -> UserItem:
    """Take a role back. It counts from the next request on."""
    return UserItem.model_validate(await accounts.revoke(name, body.grant(), actor=caller.actor))


@router.post("/users/{name}/disable", operation_id="disable_user")
async def disable_user(caller: Admin, accounts: Accounts, name: str) -> UserItem:
    """Keep an account out from now on. Its open sessions end."""
    return UserItem.model_validate(await accounts.set_disabled(name, True, actor=caller.actor))


@router.post("/users/{name}/enable", operation_id="enable_user")
async def enable_user(caller: Admin, accounts: Accounts, name: str) -> UserItem:
    """Let an account in again."""
    return UserItem.model_validate(await accounts.set_disabled(name, False, actor=caller.actor))


@router.post("/me/password", operation_id="change_own_password")
async def change_own_password(
    caller: Caller, accounts: Accounts, brake: Brake, request: Request, body: PasswordChange
) -> UserItem:
    """Another password for oneself. All open sessions end, this one too."""
    if not caller.actor.startswith("user:"):
        raise Forbidden("An API key has no password.")
    address = request.client.host if request.client else ""
    brake.reserve(address)
    changed = await accounts.change_own_password(caller.name, body.old, body.new)
    brake.give_back(address)
    return UserItem.model_validate(changed)


@router.get("/sessions", operation_id="list_sessions")
async def list_sessions(
    caller: Caller,
    accounts: Accounts,
    user: Annotated[str | None, Query(max_length=63, pattern=r"^[a-z0-9-]*$")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SessionItem]:
    """Open logins: an administrator sees everybody's, others their own."""
    after = str(read_cursor(cursor, str)[0]) if cursor else ""
    whose = user or None
    if not caller.may(Role.ADMIN, None):
        whose = _oneself(caller)
    found = await accounts.sessions(whose, after=after, limit=limit)
    more = write_cursor(found[-1].place) if len(found) == limit else None
    return Page(items=[SessionItem.model_validate(one) for one in found], next_cursor=more)


@router.post("/sessions/{session_id}/end", operation_id="end_session")
async def end_session(caller: Caller, accounts: Accounts, session_id: str) -> SessionItem:
    """End an open login: an administrator anybody's, others their own."""
    whose = None if caller.may(Role.ADMIN, None) else _oneself(caller)
    return SessionItem.model_validate(await accounts.end_session(session_id, of_user=whose, actor=caller.actor))


def _oneself(caller: Caller) -> str:
    """The caller's own user name; of a key, one that no user has."""
    return caller.name if caller.actor.startswith("user:") else "-"
