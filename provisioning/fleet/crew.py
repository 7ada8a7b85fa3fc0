"""A fleet at work: all boxes on one event loop, and what is known of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from provisioning.fleet.box import Box
from provisioning.fleet.faults import Fault, Plan
from provisioning.fleet.identities import Identity
from provisioning.fleet.ledger import Ledger, Version
from provisioning.fleet.nudge import stay_at_the_broker

GREETING_AT_ONCE = 32
"""Connections that are being made to the broker at a time: each is a handshake on this machine too."""


class Crew:
    """Boxes that live while `aboard` is open."""

    def __init__(
        self,
        identities: Sequence[Identity],
        *,
        plan: Plan,
        events_per_second: float = 0.0,
        batch: int = 100,
        broker: bool = True,
    ) -> None:
        """`events_per_second` of the whole fleet."""
        self.ledger = Ledger()
        each = events_per_second / max(1, len(identities))
        self._boxes = [
            Box(number, identity, self.ledger, plan, events_per_second=each, batch=batch)
            for number, identity in enumerate(identities)
        ]
        self._broker = broker

    def __len__(self) -> int:
        return len(self._boxes)

    @property
    def node_ids(self) -> Sequence[str]:
        """All of them."""
        return [box.identity.node_id for box in self._boxes]

    @asynccontextmanager
    async def aboard(self) -> AsyncIterator[None]:
        """All of them start at once, as after a power cut of the centre. More than once: each is a reconnect."""
        self.ledger.spoke.clear()
        self.ledger.present.clear()
        turn = asyncio.Semaphore(GREETING_AT_ONCE)
        tasks = [asyncio.ensure_future(box.run()) for box in self._boxes]
        if self._broker:
            tasks += [
                asyncio.ensure_future(stay_at_the_broker(box, self.ledger, turn))
                for box in self._boxes
                if box.identity.mqtt_endpoint
            ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait(self, share: float, version: Version, since: float, *, seconds: float) -> float | None:
        """Seconds from `since` until this share of the fleet runs a version; None when that does not come in time."""
        while time.monotonic() < since + seconds:
            took = self.ledger.seconds_until(share, version, since, len(self._boxes))
            if took is not None:
                return took
            await asyncio.sleep(0.02)
        return None

    def facts(self) -> dict[str, Any]:
        """How it stands now."""
        ledger = self.ledger
        return {
            "boxes": len(self._boxes),
            "spoke": len(ledger.spoke),
            "present": len(ledger.present),
            "with_policy": len(ledger.applied),
            "events_acknowledged": ledger.acknowledged,
            "told_to_wait": ledger.told_to_wait,
            "errors": dict(ledger.errors),
            "faults": {fault: sum(fault in box.faults for box in self._boxes) for fault in Fault},
        }
