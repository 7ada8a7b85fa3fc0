"""The states of a delivery as the centre knows them, and one change of state."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class DeliveryState(StrEnum):
    """The states of the edge's own table; the words are those of the wire."""

    GATHERING = "gathering"
    DUE = "due"
    SENDING = "sending"
    VERIFYING = "verifying"
    RETRY_WAIT = "retry_wait"
    DELIVERED = "delivered"
    HELD = "held"
    PARKED = "parked"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"


class Progress(StrEnum):
    """What people are told of an object: the least finished of its deliveries decides."""

    DELIVERED = "delivered"
    """Every destination answered success for this very object."""
    WAITING = "waiting"
    """At least one destination still has to answer success; the node goes on by itself."""
    PARKED = "parked"
    """At least one destination refused it, or it could not be sent as it is; a person is needed."""
    UNROUTED = "unrouted"
    """In custody of its node, and no route sends it anywhere."""
    SUPERSEDED = "superseded"
    """A newer object of the same UID went in its place, or a person discarded it; it was not delivered."""


UNFINISHED: dict[DeliveryState, int] = {
    DeliveryState.SUPERSEDED: -2,  # the delivery that took its place decides
    DeliveryState.DISCARDED: -2,  # a person decided
    DeliveryState.DELIVERED: 0,
    DeliveryState.GATHERING: 1,
    DeliveryState.HELD: 1,
    DeliveryState.DUE: 1,
    DeliveryState.SENDING: 1,
    DeliveryState.VERIFYING: 1,
    DeliveryState.RETRY_WAIT: 1,
    DeliveryState.PARKED: 2,  # a person is needed, so it outranks what goes on by itself
    DeliveryState.QUARANTINED: 2,
}
"""How far from done a state is. A count over several deliveries shows the highest, and never claims more than is so."""

PROGRESS_BY_RANK: dict[int, Progress] = {
    -2: Progress.SUPERSEDED,
    -1: Progress.UNROUTED,
    0: Progress.DELIVERED,
    1: Progress.WAITING,
    2: Progress.PARKED,
}

FINALITY: dict[DeliveryState, int] = {
    DeliveryState.GATHERING: 0,
    DeliveryState.DUE: 1,
    DeliveryState.RETRY_WAIT: 2,
    DeliveryState.HELD: 3,
    DeliveryState.SENDING: 4,
    DeliveryState.VERIFYING: 5,
    DeliveryState.PARKED: 6,
    DeliveryState.QUARANTINED: 7,
    DeliveryState.SUPERSEDED: 8,
    DeliveryState.DISCARDED: 9,
    DeliveryState.DELIVERED: 10,
}
"""Which of two changes with the same time stands, when their epochs differ: one that says delivered is kept."""


class DeliveryChange(NamedTuple):
    """A delivery took a transition on its node."""

    node_id: str
    site: str
    epoch: str
    sequence: int
    occurred_at: datetime
    instance_id: str
    sop_instance_uid: str
    study_instance_uid: str
    destination: str
    state: DeliveryState
    reason: str
    attempts: int
    dimse_status: int
