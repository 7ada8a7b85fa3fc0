"""Every query of users, sessions and API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.users.models import ApiKey, LoginSession, User


async def count(session: AsyncSession) -> int:
    """How many users there are."""
    return await session.scalar(select(func.count()).select_from(User)) or 0


async def user_named(session: AsyncSession, name: str, *, lock: bool = False) -> User | None:
    """The user of this name; with `lock`, held until the transaction ends."""
    query = select(User).where(User.name == name)
    return await session.scalar(query.with_for_update() if lock else query)


async def users_after(session: AsyncSession, *, after: str, limit: int) -> Sequence[User]:
    """Users by name."""
    return (await session.scalars(select(User).where(User.name > after).order_by(User.name).limit(limit))).all()


async def active_users(tx: AsyncSession) -> Sequence[User]:
    """Everybody who can log in, held until the transaction ends: nobody else can stop being an administrator."""
    query = select(User).where(User.disabled_at.is_(None)).order_by(User.id).with_for_update()
    return (await tx.scalars(query)).all()


def add_user(tx: AsyncSession, user: User) -> None:
    """A new user."""
    tx.add(user)


def add_session(tx: AsyncSession, session: LoginSession) -> None:
    """A new login."""
    tx.add(session)


async def user_of_session(session: AsyncSession, token_sha256: str, now: datetime) -> User | None:
    """Whose session this is, as long as it is good."""
    query = (
        select(User)
        .join(LoginSession, LoginSession.user_id == User.id)
        .where(LoginSession.token_sha256 == token_sha256, LoginSession.expires_at > now, User.disabled_at.is_(None))
    )
    return await session.scalar(query)


async def end_session(tx: AsyncSession, token_sha256: str) -> None:
    """Forget a login."""
    await tx.execute(delete(LoginSession).where(LoginSession.token_sha256 == token_sha256))


async def sessions_of(
    session: AsyncSession, user: str | None, now: datetime, *, after: str, limit: int
) -> Sequence[tuple[LoginSession, str]]:
    """Logins that are still good, with the user's name, in the order of their hashes."""
    query = (
        select(LoginSession, User.name)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.expires_at > now, LoginSession.token_sha256 > after)
        .order_by(LoginSession.token_sha256)
        .limit(limit)
    )
    if user is not None:
        query = query.where(User.name == user)
    return [(login, name) for login, name in (await session.execute(query))]


async def session_beginning(session: AsyncSession, start: str) -> tuple[LoginSession, str] | None:
    """The login whose hash begins so, with the user's name."""
    query = (
        select(LoginSession, User.name)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.token_sha256 >= start, LoginSession.token_sha256 < start + "g")
    )
    found = (await session.execute(query)).first()
    return (found[0], found[1]) if found is not None else None


async def end_sessions_of(tx: AsyncSession, user_id: int) -> None:
    """Forget all logins of a user."""
    await tx.execute(delete(LoginSession).where(LoginSession.user_id == user_id))


async def end_old_sessions(tx: AsyncSession, now: datetime) -> None:
    """Forget the logins whose time is over."""
    await tx.execute(delete(LoginSession).where(LoginSession.expires_at <= now))


def add_key(tx: AsyncSession, key: ApiKey) -> None:
    """A new API key."""
    tx.add(key)


async def key_of_prefix(session: AsyncSession, prefix: str) -> ApiKey | None:
    """The API key with this prefix, as long as it was not revoked."""
    return await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None)))


async def key_named(session: AsyncSession, name: str) -> ApiKey | None:
    """The API key of this name."""
    return await session.scalar(select(ApiKey).where(ApiKey.name == name))


async def keys_after(session: AsyncSession, *, after: str, limit: int) -> Sequence[ApiKey]:
    """API keys by name."""
    query = select(ApiKey).where(ApiKey.name > after).order_by(ApiKey.name).limit(limit)
    return (await session.scalars(query)).all()
