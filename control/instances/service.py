"""What the centre learns of receptions. Called inside the transaction that also moves the node's cursor."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.deliveries.changes import DeliveryChange
from control.instances import repository
from control.instances.received import ReceivedInstance


async def learn_receptions(session: AsyncSession, receptions: Sequence[ReceivedInstance]) -> None:
    """Keep what nodes hold. The same event twice leaves the same rows."""
    await repository.store_receptions(session, receptions)


async def learn_from_deliveries(session: AsyncSession, changes: Sequence[DeliveryChange]) -> None:
    """Keep objects of which only a delivery was told: a trace must show them, not hide them."""
    await repository.store_stubs(session, changes)
