"""Objects that come more than once: the same bytes again, or other bytes under the same SOP Instance UID.

Files are compared before the transaction that uses the answer, which then makes sure that it still holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apsw
import structlog

from edge.buffer import rows
from edge.buffer.database import Row, run
from edge.buffer.spool import Spool
from edge.buffer.states import DeliveryEvent, sources
from edge.buffer.transitions import Transition, take
from edge.errors import SpoolError
from edge.model import RoutedInstance

SAME_BYTES = "duplicate-same-bytes"
OTHER_BYTES = "duplicate-uid-other-bytes"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Twins:
    """What is held already under the SOP Instance UID of a newcomer."""

    same: int | None
    """The row of one with the same bytes."""
    others: tuple[int, ...]
    """The rows of those with other bytes."""


def waves(routed: Sequence[RoutedInstance]) -> Iterator[list[RoutedInstance]]:
    """The instances in groups of which none holds a SOP Instance UID twice, so that each finds its elders' rows."""
    left = list(routed)
    while left:
        by_uid: dict[str, RoutedInstance] = {}
        for one in left:
            by_uid.setdefault(one.sealed.sop_instance_uid, one)
        wave = list(by_uid.values())
        yield wave
        chosen = {id(one) for one in wave}
        left = [one for one in left if id(one) not in chosen]


def find_twins(connection: apsw.Connection, spool: Spool, newcomers: Sequence[RoutedInstance]) -> dict[str, Twins]:
    """The twins of each newcomer that has some, by its instance id."""
    uids = json.dumps([one.sealed.sop_instance_uid for one in newcomers])
    elders: dict[str, list[Row]] = {}
    for row in run(connection, "held_under", uids=uids):
        elders.setdefault(row["sop_instance_uid"], []).append(row)
    found = {}
    for one in newcomers:
        held = elders.get(one.sealed.sop_instance_uid, [])
        own = [row["id"] for row in held if row["instance_id"] == one.sealed.instance_id]
        if own:  # it has its row since it came, and is routed only now
            held = [row for row in held if row["id"] < own[0]]
        if held:
            found[one.sealed.instance_id] = _compare(spool, one, held)
    return found


def supersede(connection: apsw.Connection, newcomer: RoutedInstance, others: Sequence[int]) -> None:
    """What still waits of the older objects for the newcomer's destinations goes there no more."""
    ids = json.dumps(list(others))
    run(connection, "mark_replaced", ids=ids)
    for row in run(
        connection,
        "replaceable",
        ids=ids,
        destinations=json.dumps(newcomer.decision.destinations),
        sources=json.dumps(sources(DeliveryEvent.REPLACED)),
    ):
        take(connection, replaced(row["id"]))


def replaced(delivery_id: int) -> Transition:
    """The end of a delivery whose object was replaced."""
    reason = "a newer object of the same UID took its place, as the policy says"
    return Transition(delivery_id=delivery_id, event=DeliveryEvent.REPLACED, reason=reason)


def _compare(spool: Spool, newcomer: RoutedInstance, held: Sequence[Row]) -> Twins:
    others = []
    for row in held:
        try:
            if spool.same_bytes(newcomer.sealed, rows.sealed(row)):
                return Twins(row["id"], ())
        except (SpoolError, OSError):
            log.warning("duplicates.unreadable", instance_id=row["instance_id"], hint="Both are kept.")
            continue
        others.append(row["id"])
    return Twins(None, tuple(others))
