"""Objects that come back from where they were sent: two routers that point at each other must settle.

DICOM has no field that counts hops, so the index is the mark: which destination answered success for which bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import apsw

from edge.buffer.database import Row, run
from edge.buffer.states import DeliveryEvent, DeliveryState
from edge.buffer.transitions import Transition, take
from edge.model import RoutedInstance

CAME_BACK = "came-back"
CAME_BACK_CHANGED = "came-back-changed"
MOST_CHANGED = 3
"""A system that mends an object sends it back once or twice; one that changes it each time goes round for ever."""
LOOP_NOTE = "loop."
"""Key, before the destination's name, of the moment when something last came back from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """An object that a destination has sends back to us."""

    sender: str
    """The destination that sent it."""
    known_to: frozenset[str]
    """Destinations that answered success for these very bytes; empty when the bytes are others."""
    circling: bool
    """Whether it came back changed too often to be anything but a loop."""

    @property
    def flag(self) -> str:
        """What people see of it."""
        return CAME_BACK if self.known_to else CAME_BACK_CHANGED


def came_back(connection: apsw.Connection, routed: RoutedInstance) -> Return | None:
    """Whether the sender was given this object by us; also when it has left the spool meanwhile."""
    if not routed.origins:
        return None
    sealed = routed.sealed
    before = run(
        connection,
        "delivered_before",
        uid=sealed.sop_instance_uid,
        instance_id=sealed.instance_id,
        length=sealed.data_set_length,
        checksum=sealed.checksum,
    )
    returned = [row for row in before if _is_from(routed, row)]
    if not returned:
        return None
    same = [row for row in returned if row["same"]]
    changed = {row["id"] for row in before if CAME_BACK_CHANGED in json.loads(row["flags"])}
    return Return(
        sender=(same or returned)[0]["destination"],
        known_to=frozenset(row["destination"] for row in before if row["same"]) if same else frozenset(),
        circling=not same and len(changed) >= MOST_CHANGED,
    )


def cut(connection: apsw.Connection, row_id: int, back: Return) -> None:
    """Send it no more to who has it; hold back what circles. The object itself is kept as any other."""
    for row in run(connection, "unfinished_of", instance=row_id):
        if row["destination"] in back.known_to:
            if row["state"] == DeliveryState.GATHERING:
                take(connection, Transition(delivery_id=row["id"], event=DeliveryEvent.GATHERED))
            reason = f"not sent: it came back from {back.sender}, and {row['destination']} has these very bytes"
            take(connection, Transition(delivery_id=row["id"], event=DeliveryEvent.ACCEPTED, reason=reason))
        elif back.circling:
            reason = (
                f"it came back from {back.sender} with other bytes once more, after {MOST_CHANGED} times: "
                "this looks like a loop; release it when it is none"
            )
            take(connection, Transition(delivery_id=row["id"], event=DeliveryEvent.HELD_BY_OPERATOR, reason=reason))


def remember(connection: apsw.Connection, back: Return, now: int) -> None:
    """For who looks after the node: a loop is cut, and should not be there."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    run(connection, "write_note", key=LOOP_NOTE + back.sender, value=moment, now=now)


def _is_from(routed: RoutedInstance, row: Row) -> bool:
    says_title = routed.origins.get(row["destination"])
    if says_title is None:
        return False
    # Behind one address there may be several systems: one that gave us the object may give it again.
    return says_title or row["peer_address"] != routed.sealed.facts.peer_address
