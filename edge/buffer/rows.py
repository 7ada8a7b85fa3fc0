"""Between rows and values: the only place that knows both (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from edge.buffer.seal import from_microseconds, to_microseconds
from edge.model import (
    AssociationFacts,
    BufferCounts,
    ClaimedDelivery,
    OutboxEvent,
    Priority,
    RoutedInstance,
    RouteOutcome,
    SealedInstance,
)
from edge.steps import transform_of

Row = Mapping[str, Any]
_SHARED_UIDS = ("SOPInstanceUID", "StudyInstanceUID")


def instance_values(routed: RoutedInstance) -> dict[str, object]:
    """The columns of an instance."""
    sealed = routed.sealed
    return {
        "instance_id": sealed.instance_id,
        "sop_class_uid": sealed.sop_class_uid,
        "sop_instance_uid": sealed.sop_instance_uid,
        "study_instance_uid": routed.study_instance_uid,
        "series_instance_uid": routed.series_instance_uid,
        "transfer_syntax_uid": sealed.transfer_syntax_uid,
        "calling_ae_title": sealed.facts.calling_ae_title,
        "called_ae_title": sealed.facts.called_ae_title,
        "peer_address": sealed.facts.peer_address,
        "received_at": to_microseconds(sealed.received_at),
        "data_set_offset": sealed.data_set_offset,
        "data_set_length": sealed.data_set_length,
        "checksum": sealed.checksum,
        "instance_number": routed.instance_number,
        "policy": routed.decision.policy,
        "outcomes": _outcomes_text(routed.decision.outcomes),
        "flags": json.dumps(routed.flags) if routed.flags else "[]",
        "routed_to": len(routed.decision.destinations),
        "standing": "parked" if routed.decision.policy and not routed.decision.destinations else "waiting",
        "shared_uids": json.dumps([routed.shared_tags.get(keyword, "") for keyword in _SHARED_UIDS]),
    }


def received_body(routed: RoutedInstance) -> dict[str, object]:
    """The fields of `InstanceReceived` (mesh/v1/sync.proto); UIDs only as the privacy rule lets them out."""
    sealed, shared = routed.sealed, routed.shared_tags
    return {
        "instance_id": sealed.instance_id,
        "sop_class_uid": sealed.sop_class_uid,
        "sop_instance_uid": shared.get("SOPInstanceUID", ""),
        "study_instance_uid": shared.get("StudyInstanceUID", ""),
        "series_instance_uid": shared.get("SeriesInstanceUID", ""),
        "transfer_syntax_uid": sealed.transfer_syntax_uid,
        "data_set_bytes": sealed.data_set_length,
        "calling_ae_title": sealed.facts.calling_ae_title,
        "called_ae_title": sealed.facts.called_ae_title,
        "peer_address": sealed.facts.peer_address,
        "received_at": rfc3339(sealed.received_at),
        "tags": dict(shared),
        "flags": list(routed.flags),
        "policy": routed.decision.policy,
        "reasons": [_outcome(outcome) for outcome in routed.decision.outcomes],
        "destinations": list(routed.decision.destinations),
    }


def changed_body(row: Row) -> dict[str, object]:
    """The fields of `DeliveryChanged` (mesh/v1/sync.proto)."""
    sop_instance_uid, study_instance_uid = json.loads(row["shared_uids"])
    return {
        "instance_id": row["instance_id"],
        "sop_instance_uid": sop_instance_uid,
        "study_instance_uid": study_instance_uid,
        "destination": row["destination"],
        "state": row["state"],
        "reason": row["reason"],
        "attempts": row["attempts"],
        "dimse_status": row["dimse_status"],
    }


def claimed(found: Sequence[Row]) -> list[ClaimedDelivery]:
    """Deliveries with the instances that they carry."""
    return [
        ClaimedDelivery(
            delivery_id=row["delivery_id"],
            destination=row["destination"],
            attempts=row["attempts"],
            sealed=sealed(row),
            study_instance_uid=row["study_instance_uid"],
            series_instance_uid=row["series_instance_uid"],
            priority=Priority(row["priority"]),
            fix=(transform_of(json.loads(row["fix"])),) if row["fix"] else (),
        )
        for row in found
    ]


def sealed(row: Row) -> SealedInstance:
    """The instance of a row."""
    return SealedInstance(
        instance_id=row["instance_id"],
        sop_class_uid=row["sop_class_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        facts=AssociationFacts(
            calling_ae_title=row["calling_ae_title"],
            called_ae_title=row["called_ae_title"],
            peer_address=row["peer_address"],
        ),
        received_at=from_microseconds(row["received_at"]),
        data_set_offset=row["data_set_offset"],
        data_set_length=row["data_set_length"],
        checksum=row["checksum"],
    )


def events(found: Sequence[Row]) -> list[OutboxEvent]:
    """Outbox rows as events."""
    return [
        OutboxEvent(
            sequence=row["sequence"],
            kind=row["kind"],
            occurred_at=from_microseconds(row["occurred_at"]),
            body=json.loads(row["body"]),
        )
        for row in found
    ]


def counts(row: Row, now: datetime) -> BufferCounts:
    """The counts, with the age of what waits longest."""
    oldest = row["oldest_waiting"]
    return BufferCounts(
        instances_held=row["held"],
        deliveries_waiting=row["waiting"],
        deliveries_parked=row["parked"],
        deliveries_quarantined=row["quarantined"],
        deliveries_held=row["held_back"],
        instances_nowhere=row["nowhere"],
        oldest_waiting_seconds=0 if oldest is None else max(0, int((now - from_microseconds(oldest)).total_seconds())),
        outbox_events=row["outbox"],
        standings=json.loads(row["standings"]),
    )


def tally(found: Sequence[Row]) -> dict[tuple[str, Priority], int]:
    """How many deliveries there are, by state and priority."""
    return {(row["state"], Priority(row["priority"])): row["deliveries"] for row in found}


def by_priority(counted: Mapping[tuple[str, Priority], int]) -> dict[str, dict[str, int]]:
    """The same in words, without what is nothing: `{"stat": {"due": 3}}`."""
    return {
        priority.word: {state: count for (state, of), count in counted.items() if of is priority and count}
        for priority in Priority
    }


def rfc3339(moment: datetime) -> str:
    """UTC with microseconds and a Z."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@lru_cache(maxsize=256)
def _outcomes_text(outcomes: tuple[RouteOutcome, ...]) -> str:
    # The instances of a series nearly always have the same ones.
    return json.dumps([_outcome(outcome) for outcome in outcomes])


def _outcome(outcome: RouteOutcome) -> dict[str, object]:
    # Not `asdict`: it copies deeply, and takes ten times as long.
    return {"route": outcome.route, "matched": outcome.matched, "reason": outcome.reason}
