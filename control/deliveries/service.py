"""What the centre learns of deliveries. Called inside the transaction that also moves the node's cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.deliveries import repository
from control.deliveries.changes import DeliveryChange


async def learn_deliveries(
    session: AsyncSession, owed: Iterable[DeliveryChange], changes: Sequence[DeliveryChange]
) -> None:
    """Keep what nodes owe (from receptions) and how far they are. The same event twice leaves the same rows."""
    await repository.store(session, owed, changes)
