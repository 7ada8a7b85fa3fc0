"""The rules of local accounts: who they are, what they may do, and their open sessions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import InvalidPassword, LastAdministrator, NameTaken, NotFound, WrongCredentials
from control.names import checked_name, is_name
from control.principals import Grant, Role, read_grants
from control.sites.service import SiteService
from control.users import repository, secrets
from control.users.models import LoginSession, User
from control.users.service import check_grants

SESSION_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFacts:
    """An account without its password."""

    name: str
    grants: tuple[Grant, ...]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """An open login. The id opens nothing: it is the beginning of a hash."""

    id: str
    user: str
    created_at: datetime
    expires_at: datetime
    address: str
    place: str
    """Where a list goes on behind this one."""


def checked_password(password: str) -> str:
    """The password, when it can be one.

    Raises:
        InvalidPassword
    """
    if not secrets.MIN_PASSWORD_CHARACTERS <= len(password) <= secrets.MAX_PASSWORD_CHARACTERS:
        raise InvalidPassword
    return password


class AccountService:
    """Add, change, disable and list accounts; list and end sessions."""

    def __init__(self, database: Database, sites: SiteService, audit: AuditService, clock: Clock) -> None:
        self._database = database
        self._sites = sites
        self._audit = audit
        self._clock = clock
        self._hashing = asyncio.Semaphore(1)

    async def add(self, name: str, password: str, grants: Sequence[Grant], *, actor: str) -> UserFacts:
        """A new account.

        Raises:
            InvalidName, InvalidPassword, InvalidGrant, UnknownSite, NameTaken
        """
        checked_name(name)
        hashed = await self._hash(password)
        given = tuple(dict.fromkeys(grants))
        row = User(
            name=name,
            password_hash=hashed,
            grants=[one.document() for one in given],
            created_at=self._clock(),
        )
        async with self._database.transaction() as tx:
            await check_grants(tx, self._sites, given)
            repository.add_user(tx, row)
            try:
                await tx.flush()
            except IntegrityError:
                raise NameTaken(f"A user called {name} exists already.") from None
            after = {"grants": _words(given)}
            await self._audit.record(tx, actor=actor, action="user.add", object=f"user:{name}", after=after)
        return _facts(row)

    async def page(self, *, after: str, limit: int) -> Sequence[UserFacts]:
        """Accounts by name, behind `after`."""
        async with self._database.snapshot() as session:
            return [_facts(one) for one in await repository.users_after(session, after=after, limit=limit)]

    async def set_password(self, name: str, password: str, *, actor: str) -> UserFacts:
        """Give an account another password. Its open sessions end.

        Raises:
            NotFound, InvalidPassword
        """
        hashed = await self._hash(password)
        async with self._database.transaction() as tx:
            user = await _require(tx, name)
            user.password_hash = hashed
            await tx.flush()
            await repository.end_sessions_of(tx, user.id)
            await self._audit.record(tx, actor=actor, action="user.password", object=f"user:{name}")
        return _facts(user)

    async def change_own_password(self, name: str, old: str, new: str) -> UserFacts:
        """The same for oneself, by whoever knows the old one.

        Raises:
            WrongCredentials, InvalidPassword
        """
        checked_password(new)
        async with self._database.snapshot() as session:
            user = await repository.user_named(session, name) if is_name(name) else None
        async with self._hashing:
            stored = user.password_hash if user is not None else None
            fits = await asyncio.to_thread(secrets.password_fits, old, stored)
        if not fits:
            raise WrongCredentials("The old password is wrong.")
        return await self.set_password(name, new, actor=f"user:{name}")

    async def grant(self, name: str, grant: Grant, *, actor: str) -> UserFacts:
        """Give a role at a site, or everywhere. Done twice, it stays done.

        Raises:
            NotFound, InvalidGrant, UnknownSite
        """
        async with self._database.transaction() as tx:
            await check_grants(tx, self._sites, [grant])
            user = await _require(tx, name)
            held = read_grants(user.grants)
            if grant not in held:
                await self._regrant(tx, user, (*held, grant), action="user.grant", grant=grant, actor=actor)
        return _facts(user)

    async def revoke(self, name: str, grant: Grant, *, actor: str) -> UserFacts:
        """Take a role back. Done twice, it stays done. The open sessions stay, with what is left.

        Raises:
            NotFound
            LastAdministrator
        """
        async with self._database.transaction() as tx:
            others = await repository.active_users(tx)
            user = await _require(tx, name)
            held = read_grants(user.grants)
            if grant in held:
                left = tuple(one for one in held if one != grant)
                _keep_an_administrator(others, user, left)
                await self._regrant(tx, user, left, action="user.revoke", grant=grant, actor=actor)
        return _facts(user)

    async def _regrant(
        self, tx: AsyncSession, user: User, grants: Sequence[Grant], *, action: str, grant: Grant, actor: str
    ) -> None:
        before = {"grants": _words(read_grants(user.grants))}
        after: dict[str, str | int | bool | None] = {"grants": _words(grants)}
        if grant.site is not None:
            after["site"] = grant.site
        user.grants = [one.document() for one in grants]
        await tx.flush()
        thing = f"user:{user.name}"
        await self._audit.record(tx, actor=actor, action=action, object=thing, before=before, after=after)

    async def set_disabled(self, name: str, disabled: bool, *, actor: str) -> UserFacts:
        """Keep an account out from now on, or let it in again. Its open sessions end.

        Raises:
            NotFound
            LastAdministrator
        """
        async with self._database.transaction() as tx:
            others = await repository.active_users(tx)
            user = await _require(tx, name)
            if disabled != (user.disabled_at is not None):
                if disabled:
                    _keep_an_administrator(others, user, ())
                user.disabled_at = self._clock() if disabled else None
                await tx.flush()
                await repository.end_sessions_of(tx, user.id)
                action = "user.disable" if disabled else "user.enable"
                await self._audit.record(tx, actor=actor, action=action, object=f"user:{name}")
        return _facts(user)

    async def sessions(self, user: str | None, *, after: str, limit: int) -> Sequence[SessionFacts]:
        """Open logins, of one user when one is named."""
        async with self._database.snapshot() as session:
            found = await repository.sessions_of(session, user, self._clock(), after=after, limit=limit)
        return [_session(*one) for one in found]

    async def end_session(self, session_id: str, *, of_user: str | None, actor: str) -> SessionFacts:
        """End an open login; only one of this user when one is named.

        Raises:
            NotFound
        """
        async with self._database.transaction() as tx:
            fits = SESSION_ID.fullmatch(session_id) is not None
            found = await repository.session_beginning(tx, session_id) if fits else None
            if found is None or of_user not in {None, found[1]}:
                raise NotFound(
                    "There is no open session of this id.", hint="`skerry-control user sessions` lists them."
                )
            ended = _session(*found)
            await repository.end_session(tx, found[0].token_sha256)
            await self._audit.record(tx, actor=actor, action="user.session-end", object=f"user:{found[1]}")
        return ended

    async def _hash(self, password: str) -> str:
        checked_password(password)
        async with self._hashing:
            return await asyncio.to_thread(secrets.hash_password, password)


def _keep_an_administrator(active: Sequence[User], user: User, left: Sequence[Grant]) -> None:
    still = [one for one in active if one.id != user.id and Grant(role=Role.ADMIN) in read_grants(one.grants)]
    was = Grant(role=Role.ADMIN) in read_grants(user.grants)
    if was and Grant(role=Role.ADMIN) not in left and not still:
        raise LastAdministrator


async def _require(tx: AsyncSession, name: str) -> User:
    user = await repository.user_named(tx, name, lock=True) if is_name(name) else None
    if user is None:
        raise NotFound("There is no user of this name.", hint="`skerry-control user list` names the users.")
    return user


def _words(grants: Sequence[Grant]) -> str:
    return " ".join(map(str, grants))


def _facts(user: User) -> UserFacts:
    return UserFacts(
        name=user.name,
        grants=read_grants(user.grants),
        created_at=user.created_at,
        disabled_at=user.disabled_at,
    )


def _session(login: LoginSession, user: str) -> SessionFacts:
    return SessionFacts(
        id=login.token_sha256[:16],
        user=user,
        created_at=login.created_at,
        expires_at=login.expires_at,
        address=login.address,
        place=login.token_sha256,
    )
