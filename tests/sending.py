"""What tests of the sender share: deliveries out of a spool, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.buffer.store import Buffer
from edge.forward.base import DestinationDown, Forwarder, Outcome
from edge.forward.cstore import CStoreForwarder
from edge.model import ClaimedDelivery, DicomDestination
from tests.edge_samples import take


@dataclass(frozen=True, slots=True)
class Sent:
    """What one `deliver` did: outcomes by SOP Instance UID in the order of settling."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    down: DestinationDown | None = None
    seconds: float = 0.0

    def kinds(self) -> dict[str, type]:
        """The kind of each outcome."""
        return {uid: type(outcome) for uid, outcome in self.outcomes.items()}


def deliveries(
    buffer: Buffer, contents: dict[str, bytes], *, study: str = "1.2.3", attempts: int = 1, **kinds: str
) -> list[ClaimedDelivery]:
    """One delivery for each of these data sets, claimed for the given time."""
    return [
        ClaimedDelivery(
            delivery_id=hash((study, uid)),
            destination="d",
            attempts=attempts,
            sealed=take(buffer, uid, content, **kinds),
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
        )
        for uid, content in contents.items()
    ]


def sender(buffer: Buffer, port: int, *, associations: int = 1, idle_seconds: float = 10.0) -> CStoreForwarder:
    """A forwarder to this port of the machine."""
    destination = DicomDestination(name="d", host="127.0.0.1", port=port, ae_title="PACS", associations=associations)
    return CStoreForwarder(destination, buffer.spool, idle_seconds=idle_seconds)


def deliver(forwarder: Forwarder, wanted: Sequence[ClaimedDelivery]) -> Sent:
    """Deliver, and tell what happened; every delivery is settled once at most."""
    outcomes: dict[str, Outcome] = {}
    down: DestinationDown | None = None

    def settle(delivery: ClaimedDelivery, outcome: Outcome) -> None:
        assert delivery.sealed.sop_instance_uid not in outcomes, "settled twice"
        outcomes[delivery.sealed.sop_instance_uid] = outcome

    began = time.monotonic()
    try:
        forwarder.deliver(wanted, settle)
    except DestinationDown as error:
        down = error
    return Sent(outcomes, down, time.monotonic() - began)
