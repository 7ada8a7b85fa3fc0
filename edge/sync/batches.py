"""Events of the buffer as messages of the wire, cut into batches that one call may carry (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import EncodeError

from edge.model import OutboxEvent
from mesh.v1.sync_pb2 import Event

MAX_EVENTS = 500
MAX_BATCH_BYTES = 1 << 20
MAX_EVENT_BYTES = 4 << 20
"""gRPC's default limit of one message: a single event beyond it could never arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsendable:
    """An event that this node itself cannot put on the wire."""

    sequence: int
    reason: str
    """Plain words, without any value of the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The next events to send, in order. Stops before the first unsendable one, which it names when it is next."""

    events: tuple[Event, ...]
    unsendable: Unsendable | None = None


def next_batch(waiting: Sequence[OutboxEvent], limit: int = MAX_EVENTS) -> Batch:
    """The longest batch from the front: at most `limit` events and 1 MiB, but one event however big it is."""
    events: list[Event] = []
    size = 0
    for stored in waiting[:limit]:
        message = to_message(stored)
        if isinstance(message, Unsendable):
            return Batch(events=tuple(events), unsendable=None if events else message)
        size += message.ByteSize()
        if events and size > MAX_BATCH_BYTES:
            break
        events.append(message)
    return Batch(events=tuple(events))


def to_message(stored: OutboxEvent) -> Event | Unsendable:
    """The event as it travels, or why it cannot. Never raises on content."""
    event = Event(sequence=stored.sequence)
    event.occurred_at.FromDatetime(stored.occurred_at)
    try:
        json_format.ParseDict({stored.kind: dict(stored.body)}, event)
        size = event.ByteSize()
    except (json_format.ParseError, EncodeError, ValueError, TypeError, AttributeError) as error:
        # The error's own text may repeat a value, and a value may be a patient's.
        return Unsendable(
            sequence=stored.sequence,
            reason=f"its {stored.kind} is not of this wire version ({type(error).__name__})",
        )
    if event.WhichOneof("body") is None:
        return Unsendable(sequence=stored.sequence, reason="it has no content")
    if size > MAX_EVENT_BYTES:
        return Unsendable(sequence=stored.sequence, reason=f"it is {size} bytes, more than one message may have")
    return event
