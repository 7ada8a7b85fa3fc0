"""A pushed batch, read and checked: pure, and nothing of a batch is applied when one event of it is not valid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from control.deliveries.changes import DeliveryChange, DeliveryState
from control.errors import InvalidEvent
from control.inbox.wire_text import storable, storable_uid
from control.instances.received import ReceivedInstance, RouteReason
from mesh.v1 import sync_pb2

MAX_EVENTS = 5000
"""Ten times what a node sends: a bound on the memory and time of one transaction."""

MOST_IN_AN_EVENT: Mapping[str, int] = {"destinations": 64, "reasons": 256, "flags": 256, "tags": 256}
"""Far above what a policy and the allow-list of attributes can make: a bound on the rows that one event becomes."""

MAX_SEQUENCE = 2**63 - 1
"""The largest integer that both databases hold."""

_INSTANCE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who pushes: known from the certificate, never from the message."""

    node_id: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Valid events of one node and epoch, ascending by sequence, each sequence once."""

    sender: Sender
    epoch: str
    boot_id: str
    events: tuple[ReceivedInstance | DeliveryChange, ...]


def read_batch(sender: Sender, request: sync_pb2.PushBatchRequest) -> Batch:
    """The batch in the order of its sequences.

    Raises:
        InvalidEvent: an event that no node of ours writes; names its sequence. Nothing may be applied then.
    """
    if len(request.events) > MAX_EVENTS:
        raise InvalidEvent(0, f"a batch holds at most {MAX_EVENTS} events, this one has {len(request.events)}")
    epoch = f"{request.epoch:016x}"
    by_sequence: dict[int, sync_pb2.Event] = {}
    for event in request.events:
        if not 0 < event.sequence <= MAX_SEQUENCE:
            raise InvalidEvent(event.sequence, "a sequence starts at 1 and fits in 63 bits")
        if by_sequence.setdefault(event.sequence, event) != event:
            raise InvalidEvent(event.sequence, "two different events carry this sequence")
    return Batch(
        sender=sender,
        epoch=epoch,
        boot_id=storable(request.boot_id, 64),
        events=tuple(_read_event(sender, epoch, by_sequence[key]) for key in sorted(by_sequence)),
    )


def _read_event(sender: Sender, epoch: str, event: sync_pb2.Event) -> ReceivedInstance | DeliveryChange:
    occurred_at = _moment(event, event.occurred_at if event.HasField("occurred_at") else None, "occurred_at")
    match event.WhichOneof("body"):
        case "instance_received":
            return _received(sender, epoch, event, occurred_at)
        case "delivery_changed":
            return _changed(sender, epoch, event, occurred_at)
        case _:
            raise InvalidEvent(event.sequence, "it has no body that this control plane knows; is the node newer?")


def _received(sender: Sender, epoch: str, event: sync_pb2.Event, occurred_at: datetime) -> ReceivedInstance:
    body = event.instance_received
    if body.data_set_bytes > MAX_SEQUENCE:
        raise InvalidEvent(event.sequence, "data_set_bytes does not fit in 63 bits")
    for field, most in MOST_IN_AN_EVENT.items():
        if (count := len(getattr(body, field))) > most:
            raise InvalidEvent(event.sequence, f"it has {count} {field}, at most {most} are taken")
    return ReceivedInstance(
        node_id=sender.node_id,
        site=sender.site,
        epoch=epoch,
        sequence=event.sequence,
        occurred_at=occurred_at,
        instance_id=_instance_id(event, body.instance_id),
        sop_class_uid=storable_uid(body.sop_class_uid),
        sop_instance_uid=storable_uid(body.sop_instance_uid),
        study_instance_uid=storable_uid(body.study_instance_uid),
        series_instance_uid=storable_uid(body.series_instance_uid),
        transfer_syntax_uid=storable_uid(body.transfer_syntax_uid),
        data_set_bytes=body.data_set_bytes,
        calling_ae_title=storable(body.calling_ae_title, 64),
        called_ae_title=storable(body.called_ae_title, 64),
        peer_address=storable(body.peer_address, 256),
        received_at=_moment(event, body.received_at if body.HasField("received_at") else None, "received_at"),
        tags={storable(keyword, 64): storable(value) for keyword, value in sorted(body.tags.items())},
        flags=tuple(storable(flag) for flag in body.flags),
        policy=storable(body.policy, 64),
        reasons=tuple(
            RouteReason(route=storable(r.route, 128), matched=r.matched, reason=storable(r.reason))
            for r in body.reasons
        ),
        destinations=tuple(dict.fromkeys(_destination(event, name) for name in body.destinations)),
    )


def _changed(sender: Sender, epoch: str, event: sync_pb2.Event, occurred_at: datetime) -> DeliveryChange:
    body = event.delivery_changed
    try:
        state = DeliveryState(body.state)
    except ValueError:
        known = ", ".join(DeliveryState)
        raise InvalidEvent(event.sequence, f"its delivery state is none of {known}") from None
    return DeliveryChange(
        node_id=sender.node_id,
        site=sender.site,
        epoch=epoch,
        sequence=event.sequence,
        occurred_at=occurred_at,
        instance_id=_instance_id(event, body.instance_id),
        sop_instance_uid=storable_uid(body.sop_instance_uid),
        study_instance_uid=storable_uid(body.study_instance_uid),
        destination=_destination(event, body.destination),
        state=state,
        reason=storable(body.reason),
        attempts=body.attempts,
        dimse_status=body.dimse_status,
    )


def _instance_id(event: sync_pb2.Event, value: str) -> str:
    if not _INSTANCE_ID.fullmatch(value):
        raise InvalidEvent(event.sequence, "instance_id is not 32 lower-case hex digits")
    return value


def _destination(event: sync_pb2.Event, name: str) -> str:
    if not name:
        raise InvalidEvent(event.sequence, "a destination has no name")
    return storable(name, 128)


def _moment(event: sync_pb2.Event, value: Timestamp | None, field: str) -> datetime:
    if value is None:
        raise InvalidEvent(event.sequence, f"{field} is missing")
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as problem:
        raise InvalidEvent(event.sequence, f"{field} is not a time") from problem
