"""What one instance becomes in the index: its row, its deliveries and its event, inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import apsw

from edge.buffer import rows
from edge.buffer.came_back import came_back, cut, remember
from edge.buffer.database import first, run
from edge.buffer.duplicates import OTHER_BYTES, SAME_BYTES, Twins, supersede
from edge.buffer.expected import came
from edge.buffer.gathering import gather
from edge.buffer.remembered import apply_asked
from edge.buffer.slots import generation_of, slot_of
from edge.model import Priority, RoutedInstance

LATELY = 15 * 60 * 1_000_000
"""Microseconds after its last delivery in which the same bytes again are the same arrival."""


def admit_all(
    connection: apsw.Connection,
    *,
    wave: Sequence[RoutedInstance],
    twins: Mapping[str, Twins],
    now: int,
    remembers: bool = False,
) -> int:
    """How many of these changed anything. `remembers`: people may have asked something of them before."""
    added = [one for one in wave if _admit(connection, one, twins.get(one.sealed.instance_id), now)]
    came(connection, added)
    if remembers:
        ids = json.dumps([one.sealed.instance_id for one in added])
        for row in run(connection, "routed_among", ids=ids):
            apply_asked(connection, row["id"], row["instance_id"], now)
    return len(added)


def _admit(connection: apsw.Connection, routed: RoutedInstance, twins: Twins | None, now: int) -> bool:
    """Whether anything changed. `twins` is what was held under its UID a moment ago."""
    again = twins is not None and twins.same is not None and _is_on_its_way(connection, twins.same, now)
    if again:
        routed = replace(routed, flags=(*routed.flags, SAME_BYTES))
    elif twins is not None and twins.others:
        routed = replace(routed, flags=(*routed.flags, OTHER_BYTES))
    back = came_back(connection, routed)
    if back is not None:
        routed = replace(routed, flags=(*routed.flags, back.flag))
    added = first(connection, "add_instance", **rows.instance_values(routed))
    if added is None:
        return False
    instance_id = routed.sealed.instance_id
    run(connection, "occupy_slot", slot=slot_of(instance_id), generation=generation_of(instance_id))
    if back is not None:
        remember(connection, back, now)
    if again:
        # The row is the record of the arrival, and what gives the slot back; nothing is delivered once more.
        run(connection, "mark_repeated", id=added["id"], now=now)
        return True
    waits, gathering = routed.decision.waits, list[int]()
    for destination in routed.decision.destinations:
        waiting = gather(connection, added["id"], routed, destination, now) if destination in waits else None
        if waiting is not None:
            gathering.append(waiting)
            continue
        priority = routed.decision.priorities.get(destination, Priority.NORMAL)
        run(connection, "add_delivery", instance=added["id"], destination=destination, priority=priority, now=now)
    if twins is not None and twins.others and routed.decision.replaces:
        supersede(connection, routed, twins.others)
    if not routed.decision.policy:
        return True  # without a policy there is no privacy rule yet, so nothing is told
    run(connection, "add_event", kind="instance_received", now=now, body=json.dumps(rows.received_body(routed)))
    if gathering:
        run(connection, "tell_together", ids=json.dumps(gathering), now=now)
    if back is not None:
        cut(connection, added["id"], back)
    return True


def _is_on_its_way(connection: apsw.Connection, row_id: int, now: int) -> bool:
    """A sender that heard no answer sends again at once; who sends again later wants it to arrive again."""
    return bool(run(connection, "is_on_its_way", id=row_id, lately=now - LATELY))
