"""The rules of users: the first administrator, logins, API keys."""

from __future__ import annotations

import asyncio
import secrets as random_source
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.chain import Summary
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import InvalidGrant, NameTaken, NotFound, WrongCredentials
from control.limits import Fold
from control.names import checked_name, is_name
from control.principals import Authenticator, Grant, Principal, Role, read_grants
from control.sites.service import SiteService
from control.users import repository, secrets
from control.users.models import ApiKey, LoginSession, User

log = structlog.get_logger(__name__)

SESSION_LIFE = timedelta(hours=12)
HASHES_AT_ONCE = 2
"""Each takes tens of megabytes and one processor: logins wait for each other, not everything for logins."""
COMMANDS_FOLDED = timedelta(hours=1)
"""The command line logs in for each command; one row of the trail in this time tells of them all."""
FIRST_USER = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A fresh session."""

    token: str
    expires_at: datetime
    principal: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """An API key without its secret."""

    name: str
    prefix: str
    role: Role
    grants: tuple[Grant, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class UserService:
    """Who may come in."""

    def __init__(self, database: Database, sites: SiteService, audit: AuditService, clock: Clock) -> None:
        self._database = database
        self._sites = sites
        self._audit = audit
        self._clock = clock
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._commands = Fold(window=COMMANDS_FOLDED)

    def authenticator(self) -> Authenticator:
        """What the permissions of routes ask."""
        return Authenticator(by_session=self._by_session, by_api_key=self._by_api_key)

    async def needs_first_user(self) -> bool:
        """Whether nobody can log in yet."""
        async with self._database.snapshot() as session:
            return await repository.count(session) == 0

    async def add_first_user(self, password: str) -> None:
        """Make the first administrator. Does nothing when another replica was faster."""
        hashed = await asyncio.to_thread(secrets.hash_password, password)
        async with self._database.transaction() as tx:
            if await repository.count(tx):
                return
            everywhere = [Grant(role=Role.ADMIN).document()]
            user = User(name=FIRST_USER, password_hash=hashed, grants=everywhere, created_at=self._clock())
            repository.add_user(tx, user)
            await tx.flush()
            await self._audit.record(tx, actor="system", action="user.add", object=f"user:{FIRST_USER}")

    async def log_in(self, name: str, password: str, *, address: str = "", by_command: bool = False) -> Login:
        """A session for a user. The trail gets a row; for commands, the first of an hour from an address.

        Raises:
            WrongCredentials: no such user, or another password; nobody learns which, not even by the time it took.
        """
        async with self._database.snapshot() as session:
            user = await repository.user_named(session, name) if is_name(name) else None
        stored = user.password_hash if user is not None else None
        async with self._hashing:
            fits = await asyncio.to_thread(secrets.password_fits, password, stored)
        if user is None or not fits or user.disabled_at is not None:
            raise WrongCredentials
        token, now = secrets.draw_session(), self._clock()
        row = LoginSession(
            token_sha256=secrets.digest(token),
            user_id=user.id,
            created_at=now,
            expires_at=now + SESSION_LIFE,
            address=address[:64],
        )
        kind = f"{user.name} {address}"
        worth_a_row = not by_command or self._commands.due(kind, now)
        who = f"user:{user.name}"
        after: Summary = {"address": address, "by": "command, first of an hour" if by_command else "person or program"}
        async with self._database.transaction() as tx:
            await repository.end_old_sessions(tx, now)
            repository.add_session(tx, row)
            await tx.flush()
            if worth_a_row:
                await self._audit.record(tx, actor=who, action="user.login", object=who, after=after)
        if worth_a_row and by_command:
            self._commands.told(kind, now)
        return Login(token=token, expires_at=row.expires_at, principal=_user_principal(user))

    async def note_refusal(self, name: str, *, address: str) -> None:
        """Keep that a login was refused: never the password, and the name only when it is a user's.

        People type passwords into the wrong field.
        """
        async with self._database.snapshot() as session:
            user = await repository.user_named(session, name) if is_name(name) else None
        reason = "no such user" if user is None else "wrong password"
        log.warning("login.refused", address=address, reason=reason)
        who = "user:?" if user is None else f"user:{user.name}"
        await self._audit.refusal(address=address, action="user.login-refused", object=who, reason=reason)

    async def log_out(self, token: str) -> None:
        """End a session. One that is over already stays so."""
        async with self._database.transaction() as tx:
            await repository.end_session(tx, secrets.digest(token))

    async def create_key(
        self, name: str, *grants: Grant | Role, actor: str, life: timedelta | None = None
    ) -> tuple[str, KeyFacts]:
        """An API key: its text, shown once, and what is kept. A role alone counts everywhere; no life: no end.

        Raises:
            InvalidName, NameTaken, InvalidGrant, UnknownSite
        """
        checked_name(name)
        given = tuple(one if isinstance(one, Grant) else Grant(role=one) for one in grants)
        drawn, now = secrets.draw_key(), self._clock()
        row = ApiKey(
            prefix=drawn.prefix,
            name=name,
            secret_sha256=secrets.digest(drawn.secret),
            grants=[one.document() for one in given],
            created_at=now,
            created_by=actor,
            expires_at=now + life if life is not None else None,
        )
        ends = row.expires_at.isoformat() if row.expires_at else "never"
        after: Summary = {"grants": " ".join(map(str, given)), "expires_at": ends}
        async with self._database.transaction() as tx:
            await check_grants(tx, self._sites, given)
            repository.add_key(tx, row)
            try:
                await tx.flush()
            except IntegrityError:
                raise NameTaken(f"An API key called {name} exists already.") from None
            await self._audit.record(tx, actor=actor, action="api-key.create", object=f"key:{name}", after=after)
        return drawn.text(), _key_facts(row)

    async def revoke_key(self, name: str, *, actor: str) -> KeyFacts:
        """Let a key open nothing from now on. Done twice, it stays done.

        Raises:
            NotFound
        """
        async with self._database.transaction() as tx:
            row = await repository.key_named(tx, name) if is_name(name) else None
            if row is None:
                raise NotFound("There is no API key of this name.")
            if row.revoked_at is None:
                row.revoked_at = self._clock()
                await tx.flush()
                await self._audit.record(tx, actor=actor, action="api-key.revoke", object=f"key:{name}")
        return _key_facts(row)

    async def keys(self, *, after: str, limit: int) -> Sequence[KeyFacts]:
        """API keys by name, revoked ones too."""
        async with self._database.snapshot() as session:
            return [_key_facts(one) for one in await repository.keys_after(session, after=after, limit=limit)]

    async def _by_session(self, token: str) -> Principal | None:
        if not token:
            return None
        async with self._database.snapshot() as session:
            user = await repository.user_of_session(session, secrets.digest(token), self._clock())
        return _user_principal(user) if user is not None else None

    async def _by_api_key(self, text: str) -> Principal | None:
        key = secrets.read_key(text)
        if key is None:
            return None
        async with self._database.snapshot() as session:
            row = await repository.key_of_prefix(session, key.prefix)
        kept = row.secret_sha256 if row is not None else secrets.digest("")
        fits = random_source.compare_digest(kept, secrets.digest(key.secret))
        if row is None or not fits or (row.expires_at is not None and row.expires_at <= self._clock()):
            return None
        return Principal(actor=f"key:{row.name}", name=row.name, grants=read_grants(row.grants))


async def check_grants(tx: AsyncSession, sites: SiteService, grants: Sequence[Grant]) -> None:
    """Let only such grants pass as can be given.

    Raises:
        InvalidGrant: the role admin at one site.
        UnknownSite
    """
    for grant in grants:
        if grant.role is Role.ADMIN and grant.site is not None:
            raise InvalidGrant(
                "An admin is one everywhere.", hint="Leave the site out, or give site-admin for one site."
            )
        if grant.site is not None:
            await sites.require(tx, grant.site)


def _user_principal(user: User) -> Principal:
    return Principal(actor=f"user:{user.name}", name=user.name, grants=read_grants(user.grants))


def _key_facts(row: ApiKey) -> KeyFacts:
    return KeyFacts(
        name=row.name,
        prefix=row.prefix,
        role=read_grants(row.grants)[0].role,
        grants=read_grants(row.grants),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
