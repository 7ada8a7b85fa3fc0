"""Every query of enrolment tokens and of the mesh's row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import insert_missing
from control.enrolment.models import EnrolmentRequest, EnrolmentToken, Mesh


def add_token(tx: AsyncSession, token: EnrolmentToken) -> None:
    """A new door."""
    tx.add(token)


async def lock_token(tx: AsyncSession, token_id: str) -> EnrolmentToken | None:
    """A token, used or not, held until the transaction ends: of two boxes that come at once, one gets it."""
    return await tx.scalar(select(EnrolmentToken).where(EnrolmentToken.id == token_id).with_for_update())


def add_request(tx: AsyncSession, request: EnrolmentRequest) -> None:
    """A box that waits."""
    tx.add(request)


async def request_of(session: AsyncSession, token_id: str) -> EnrolmentRequest:
    """The request that came with a token."""
    return (await session.scalars(select(EnrolmentRequest).where(EnrolmentRequest.token_id == token_id))).one()


async def request(session: AsyncSession, request_id: str, *, lock: bool = False) -> EnrolmentRequest | None:
    """One request; with `lock`, held until the transaction ends."""
    query = select(EnrolmentRequest).where(EnrolmentRequest.id == request_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def waiting_requests(session: AsyncSession, *, state: str, now: datetime) -> Sequence[EnrolmentRequest]:
    """The boxes that wait, the oldest first. Each took a token, so there are few."""
    query = select(EnrolmentRequest).where(EnrolmentRequest.state == state, EnrolmentRequest.expires_at > now)
    return (await session.scalars(query.order_by(EnrolmentRequest.asked_at, EnrolmentRequest.id))).all()


async def bind_mesh(tx: AsyncSession, *, ca_pin: str, created_at: datetime) -> str:
    """Bind this database to a certificate authority, unless it is bound already; the pin that counts."""
    table = cast("Table", Mesh.__table__)
    await insert_missing(tx, table, [{"id": 1, "ca_pin": ca_pin, "created_at": created_at}])
    return (await tx.scalars(select(Mesh.ca_pin))).one()
