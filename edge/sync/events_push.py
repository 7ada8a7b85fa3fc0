"""The push duty: events up in order, removed only when the centre has them, one bad event in nobody's way."""

from __future__ import annotations

import time

import structlog

from edge.errors import UplinkInvalid, UplinkUnreachable
from edge.sync import conditions
from edge.sync.batches import MAX_EVENTS, Unsendable, next_batch
from edge.sync.conditions import LinkHealth
from edge.sync.outbox import Outbox
from edge.sync.uplink import Uplink
from mesh.v1.sync_pb2 import Event, PushBatchRequest, PushBatchResponse

log = structlog.get_logger(__name__)

NOTE_SENT = "link.sent"
"""`<epoch>:<highest sequence that was ever sent>`."""
NOTE_SET_ASIDE = "link.set_aside"
"""`<how many> events; the last: …`; empty once a person has released them."""
STUCK_WAIT_SECONDS = 30.0
IDLE_LOOK_SECONDS = 300.0
"""How often a node with nothing to tell asks whether the centre still has all that it was told."""


class PushEvents:
    """One duty of the link. Each step sends one batch; reading does not remove, only an ack does."""

    name = "push"

    def __init__(
        self, *, outbox: Outbox, uplink: Uplink, health: LinkHealth, boot_id: str, idle_wait: float = 0.5
    ) -> None:
        self._outbox = outbox
        self._uplink = uplink
        self._health = health
        self._boot_id = boot_id
        self._idle_wait = idle_wait
        self._told_again_to = 0
        self._compared = False
        """Whether it is known, since the last call that failed, that this buffer is not older than the centre."""
        self._looked_at = -IDLE_LOOK_SECONDS
        self._limit = MAX_EVENTS
        """Halved while a batch is refused as unreadable, doubled while batches are taken."""

    def look_again(self) -> None:
        """The centre was away and is back, perhaps with another database. Called from any thread."""
        self._compared, self._looked_at = False, -IDLE_LOOK_SECONDS

    def step(self) -> float:
        """Send the next batch, if there is one; say how long to wait. Raises UplinkError when it did not arrive."""
        self._report_set_aside()
        waiting = self._outbox.read_outbox(MAX_EVENTS)
        if not waiting and time.monotonic() - self._looked_at < IDLE_LOOK_SECONDS:
            self._outbox.wait_for_outbox(self._idle_wait)
            return 0.0
        if not self._compared or not waiting:
            told = self._outbox.told()
            self._compare()
            if not waiting or self._outbox.told() < told:
                return 0.0
        batch = next_batch(waiting, self._limit)
        if batch.unsendable is not None:
            self._set_aside(batch.unsendable)
            return 0.0
        try:
            return self._send(batch.events)
        except UplinkInvalid as error:
            self._narrow(batch.events, error)
            return 0.0

    def _compare(self) -> None:
        """Ask what the centre has, with a batch without events, before the first one of a process or connection.

        A disk that was put back as a whole (a snapshot of a virtual machine) gives numbers that the centre has
        already to new events; the ack would cover them unread. Another epoch makes them new to the centre.
        A centre that came back from a backup has less than it acknowledged: it is told again.
        """
        ack, highest = self._ask_without_events(), self._highest_sent(self._outbox.epoch)
        self._compared, self._looked_at = True, time.monotonic()
        if ack > highest:
            self._begin_anew(ack, highest)
        elif ack < self._outbox.told():
            self._tell_again(ack)

    def _tell_again(self, ack: int) -> None:
        told = self._outbox.told()
        log.warning("outbox.told_again", known=ack, told=told)
        self._told_again_to = told
        self._health.hold(
            conditions.CENTRE_OLDER_THAN_BUFFER.saying(
                f"The control plane has events up to {ack} of this node and once had them up to {told}."
            )
        )
        self._outbox.tell_again(ack)

    def _begin_anew(self, ack: int, highest: int) -> None:
        self._health.hold(
            conditions.BUFFER_OLDER_THAN_CENTRE.saying(
                f"The control plane has events up to {ack} of this buffer, which itself only ever sent {highest}."
            )
        )
        self._outbox.new_epoch()

    def _send(self, events: tuple[Event, ...]) -> float:
        epoch, first, last = self._outbox.epoch, events[0].sequence, events[-1].sequence
        highest = self._highest_sent(epoch)
        if last > highest:
            # Before it is sent, so that an ack beyond it can only mean that this buffer is older than the centre.
            self._outbox.set_note(NOTE_SENT, f"{epoch}:{last}")
            highest = last
        try:
            ack = self._push(events).ack_sequence
        except UplinkUnreachable:
            self._compared = False  # a box that was frozen, put back and resumed begins with a broken connection
            raise
        self._health.clear(conditions.CENTRE_INCOMPATIBLE.code)
        if ack > highest:
            self._begin_anew(ack, highest)
            return STUCK_WAIT_SECONDS
        self._health.clear(conditions.BUFFER_OLDER_THAN_CENTRE.code)
        if ack < self._outbox.told():
            self._tell_again(ack)
            return 0.0
        if ack < first:
            # It answered, but has nothing of this batch: say so and come again, without a hot loop.
            self._health.hold(
                conditions.EVENTS_NOT_TAKEN.saying(
                    f"The control plane answers but took nothing: sent from event {first}, it has up to {ack}."
                )
            )
            return STUCK_WAIT_SECONDS
        self._health.clear(conditions.EVENTS_NOT_TAKEN.code)
        self._limit = min(MAX_EVENTS, self._limit * 2)
        self._outbox.acknowledge(min(ack, last))
        if ack >= self._told_again_to:
            self._health.clear(conditions.CENTRE_OLDER_THAN_BUFFER.code)
        return 0.0

    def _push(self, events: tuple[Event, ...]) -> PushBatchResponse:
        return self._uplink.push(
            PushBatchRequest(
                epoch=self._outbox.epoch, events=events, boot_id=self._boot_id, acknowledged=self._outbox.told()
            )
        )

    def _highest_sent(self, epoch: int) -> int:
        noted_epoch, _, sequence = (self._outbox.note(NOTE_SENT) or "").partition(":")
        return int(sequence) if noted_epoch == str(epoch) and sequence.isdigit() else 0

    def _narrow(self, events: tuple[Event, ...], error: UplinkInvalid) -> None:
        """Halve down to the single event that cannot be read, and put that one aside."""
        if len(events) > 1:
            self._limit = len(events) // 2
            return
        self._ask_without_events()  # the control plane takes a batch without events, so the event is to blame
        self._set_aside(Unsendable(sequence=events[0].sequence, reason=f"the control plane says: {error}"))

    def _ask_without_events(self) -> int:
        """What the control plane has. Raises, and says so, when it cannot even read a batch without events."""
        try:
            return self._push(()).ack_sequence
        except UplinkInvalid as error:
            self._health.hold(
                conditions.CENTRE_INCOMPATIBLE.saying(
                    f"The control plane cannot read anything that this node sends: {error}"
                )
            )
            raise

    def _set_aside(self, event: Unsendable) -> None:
        # Set aside before a later event is sent: the ack is cumulative and would cover this one too.
        self._outbox.set_aside(event.sequence, event.reason)
        count = self._set_aside_so_far() + 1
        self._outbox.set_note(NOTE_SET_ASIDE, f"{count} events; the last: event {event.sequence}, {event.reason}")
        log.error("outbox.event_set_aside", sequence=event.sequence, reason=event.reason)
        self._report_set_aside()

    def _set_aside_so_far(self) -> int:
        count = (self._outbox.note(NOTE_SET_ASIDE) or "").partition(" ")[0]
        return int(count) if count.isdigit() else 0

    def _report_set_aside(self) -> None:
        """The condition holds, over restarts too, until a person has released the events."""
        note = self._outbox.note(NOTE_SET_ASIDE)
        if note and self._set_aside_so_far():
            self._health.hold(
                conditions.EVENTS_SET_ASIDE.saying(f"Set aside because the control plane cannot read them: {note}.")
            )
        else:
            self._health.clear(conditions.EVENTS_SET_ASIDE.code)
