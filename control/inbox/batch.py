"""A pushed batch, read and checked: pure, and nothing of a batch is applied when one event of it is not valid."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from control.db.base import EPOCH
from control.deliveries.changes import DeliveryChange, DeliveryState
from control.errors import InvalidEvent
from control.inbox.wire_text import storable, storable_texts, storable_uid
from control.instances.received import ReceivedInstance, RouteReason
from mesh.v1 import sync_pb2

MAX_EVENTS = 5000
"""Ten times what a node sends: a bound on the memory and time of one transaction."""

MOST_IN_AN_EVENT: Mapping[str, int] = {"destinations": 64, "reasons": 256, "flags": 256, "tags": 256}
"""Far above what a policy and the allow-list of attributes can make: a bound on the rows that one event becomes."""

_NEVER_TOO_MANY = min(MOST_IN_AN_EVENT.values())

MAX_SEQUENCE = 2**63 - 1
"""The largest integer that both databases hold."""

NEVER = datetime.max.replace(tzinfo=UTC)

AHEAD = "clock-ahead"
"""The flag of an instance that its node dates later than we can believe."""

_INSTANCE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who pushes: known from the certificate, never from the message."""

    node_id: str
    site: str


Event = ReceivedInstance | DeliveryChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Valid events of one node and epoch, ascending by sequence, each sequence once."""

    sender: Sender
    epoch: str
    boot_id: str
    acknowledged: int
    """What the node knows to be committed here. More than is: this database was restored from a backup."""
    events: tuple[Event, ...]


def read_batch(sender: Sender, request: sync_pb2.PushBatchRequest, *, latest: datetime = NEVER) -> Batch:
    """The batch in the order of its sequences. What a node dates later than `latest` is taken as of then.

    Times order the lists of everybody: one box whose clock runs ahead must not stand first in them for years.

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
        first = by_sequence.setdefault(event.sequence, event)
        if first is not event and first != event:  # comparing one with itself would walk all of it
            raise InvalidEvent(event.sequence, "two different events carry this sequence")
    return Batch(
        sender=sender,
        epoch=epoch,
        boot_id=storable(request.boot_id, 64),
        acknowledged=request.acknowledged,
        events=tuple(_read_event(sender, epoch, by_sequence[key], latest) for key in sorted(by_sequence)),
    )


def _read_event(sender: Sender, epoch: str, event: sync_pb2.Event, latest: datetime) -> Event:
    told_at = _moment(event, event.occurred_at if event.HasField("occurred_at") else None, "occurred_at")
    occurred_at = min(told_at, latest)
    match event.WhichOneof("body"):
        case "instance_received":
            return _received(sender, epoch, event, occurred_at, latest)
        case "delivery_changed":
            return _changed(sender, epoch, event, occurred_at)
        case _:
            raise InvalidEvent(event.sequence, "it has no body that this control plane knows; is the node newer?")


def _received(
    sender: Sender, epoch: str, event: sync_pb2.Event, occurred_at: datetime, latest: datetime
) -> ReceivedInstance:
    body = event.instance_received
    if body.data_set_bytes > MAX_SEQUENCE:
        raise InvalidEvent(event.sequence, "data_set_bytes does not fit in 63 bits")
    tags, reasons, flags, destinations = body.tags, body.reasons, body.flags, body.destinations
    if max(len(destinations), len(reasons), len(flags), len(tags)) > _NEVER_TOO_MANY:
        _refuse_too_many(event, destinations=destinations, reasons=reasons, flags=flags, tags=tags)
    received_at = _moment(event, body.received_at if body.HasField("received_at") else None, "received_at")
    noted = tuple([storable(flag) for flag in flags]) if flags else ()
    if received_at > latest:
        received_at, noted = latest, (*noted, AHEAD)
    return ReceivedInstance(
        sender.node_id,
        sender.site,
        epoch,
        event.sequence,
        occurred_at,
        _instance_id(event, body.instance_id),
        storable_uid(body.sop_class_uid),
        storable_uid(body.sop_instance_uid),
        storable_uid(body.study_instance_uid),
        storable_uid(body.series_instance_uid),
        storable_uid(body.transfer_syntax_uid),
        body.data_set_bytes,
        storable(body.calling_ae_title, 64),
        storable(body.called_ae_title, 64),
        storable(body.peer_address, 256),
        received_at,
        storable_texts(tags),
        noted,
        storable(body.policy, 64),
        tuple([RouteReason(storable(r.route, 128), r.matched, storable(r.reason)) for r in reasons]),
        tuple(dict.fromkeys([_destination(event, name) for name in destinations])) if destinations else (),
    )


def _refuse_too_many(event: sync_pb2.Event, **lists: Sized) -> None:
    for field, some in lists.items():
        if len(some) > MOST_IN_AN_EVENT[field]:
            raise InvalidEvent(
                event.sequence, f"it has {len(some)} {field}, at most {MOST_IN_AN_EVENT[field]} are taken"
            )


def _changed(sender: Sender, epoch: str, event: sync_pb2.Event, occurred_at: datetime) -> DeliveryChange:
    body = event.delivery_changed
    state = _STATES.get(body.state)
    if state is None:
        known = ", ".join(DeliveryState)
        raise InvalidEvent(event.sequence, f"its delivery state is none of {known}")
    return DeliveryChange(
        sender.node_id,
        sender.site,
        epoch,
        event.sequence,
        occurred_at,
        _instance_id(event, body.instance_id),
        storable_uid(body.sop_instance_uid),
        storable_uid(body.study_instance_uid),
        _destination(event, body.destination),
        state,
        storable(body.reason),
        body.attempts,
        body.dimse_status,
    )


_STATES: Mapping[str, DeliveryState] = {one.value: one for one in DeliveryState}


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
    seconds, nanos = value.seconds, value.nanos
    if not 0 <= nanos < 1_000_000_000:
        raise InvalidEvent(event.sequence, f"{field} is not a time")
    try:
        return EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError as problem:
        raise InvalidEvent(event.sequence, f"{field} is not a time") from problem
