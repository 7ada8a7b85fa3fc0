"""What the centre learns of receptions. Called inside the transaction that also moves the node's cursor."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.deliveries.changes import DeliveryChange
from control.instances import repository
from control.instances.received import ReceivedInstance


async def learn_objects(
    session: AsyncSession, receptions: Sequence[ReceivedInstance], untold: Sequence[DeliveryChange]
) -> None:
    """Keep what nodes hold, also objects of which only a delivery was told: a trace must show them, not hide them.

    The same event twice leaves the same rows.
    """
    await repository.store(session, receptions, untold)
