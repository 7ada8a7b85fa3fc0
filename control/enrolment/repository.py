"""Every query of enrolment tokens and of the mesh's row."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from control.db.upsert import insert_missing
from control.enrolment.models import EnrolmentToken, Mesh


def add_token(tx: AsyncSession, token: EnrolmentToken) -> None:
    """A new door."""
    tx.add(token)


async def consume(tx: AsyncSession, *, token_id: str, secret_sha256: str, now: datetime) -> EnrolmentToken | None:
    """Use a token up. One statement: of two boxes that come at the same moment, one gets it."""
    statement = (
        update(EnrolmentToken)
        .where(
            EnrolmentToken.id == token_id,
            EnrolmentToken.secret_sha256 == secret_sha256,
            EnrolmentToken.used_at.is_(None),
            EnrolmentToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(EnrolmentToken)
    )
    return await tx.scalar(statement)


async def token(session: AsyncSession, token_id: str) -> EnrolmentToken | None:
    """A token, used or not."""
    return await session.scalar(select(EnrolmentToken).where(EnrolmentToken.id == token_id))


async def bind_mesh(tx: AsyncSession, *, ca_pin: str, created_at: datetime) -> str:
    """Bind this database to a certificate authority, unless it is bound already; the pin that counts."""
    table = cast("Table", Mesh.__table__)
    await insert_missing(tx, table, [{"id": 1, "ca_pin": ca_pin, "created_at": created_at}])
    return (await tx.scalars(select(Mesh.ca_pin))).one()
