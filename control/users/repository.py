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


async def user_named(session: AsyncSession, name: str) -> User | None:
    """The user of this name."""
    return await session.scalar(select(User).where(User.name == name))


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
        .where(LoginSession.token_sha256 == token_sha256, LoginSession.expires_at > now)
    )
    return await session.scalar(query)


async def end_session(tx: AsyncSession, token_sha256: str) -> None:
    """Forget a login."""
    await tx.execute(delete(LoginSession).where(LoginSession.token_sha256 == token_sha256))


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
