"""What goes wrong in a fleet, drawn from a seed: the same seed gives the same faults (pure)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioning.errors import ProvisioningError


class Fault(StrEnum):
    """What an edge may suffer."""

    CUT = "cut"
    """Its connection ends, now and then, and comes back some seconds later."""
    SLOW = "slow"
    """Each of its calls takes a second more."""
    SKEW = "skew"
    """Its clock is an hour ahead."""
    CLONE = "clone"
    """A second box speaks with its identity, under another boot id."""
    CRASH = "crash"
    """It dies after it sent a batch and before it heard the answer: the same batch comes again."""
    OLD = "old"
    """It runs an older release, which says less of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which edges suffer what."""

    shares: Mapping[Fault, float]
    """The part of the fleet, 0 to 1, for each fault."""
    seed: int = 1

    def of(self, number: int) -> frozenset[Fault]:
        """The faults of the edge with this number."""
        chance = random.Random(f"{self.seed}:{number}")
        return frozenset(fault for fault in Fault if chance.random() < self.shares.get(fault, 0.0))

    def cuts(self, number: int, *, every: float = 20.0) -> Iterator[tuple[float, float]]:
        """Seconds until the next cut and how long it lasts, without end."""
        chance = random.Random(f"{self.seed}:cut:{number}")
        while True:
            yield chance.uniform(0.5, 1.5) * every, chance.uniform(0.5, 5.0)


def read_faults(text: str) -> dict[Fault, float]:
    """`cut=0.1,slow=0.05` as shares of the fleet.

    Raises:
        ProvisioningError: a fault that does not exist, or a share that is none.
    """
    shares: dict[Fault, float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, share = part.partition("=")
        try:
            fault, value = Fault(name), float(share)
        except ValueError:
            known = ", ".join(Fault)
            raise ProvisioningError(f"{part!r} is no fault", hint=f"Write NAME=SHARE; the names: {known}.") from None
        if not 0 <= value <= 1:
            raise ProvisioningError(f"{part!r}: a share is a number from 0 to 1")
        shares[fault] = value
    return shares
