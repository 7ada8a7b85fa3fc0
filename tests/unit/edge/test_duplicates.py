"""An object that comes again: the same bytes count once, other bytes are kept, flagged, and follow the policy."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge.buffer.database import open_writer
from edge.buffer.duplicates import OTHER_BYTES, SAME_BYTES
from edge.buffer.held import DUPLICATES_NOTE, HeldInstances
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.model import Decision, RoutedInstance, SealedInstance
from tests.edge_samples import meta, routed, take

ONE, OTHER = b"one body" * 100, b"another one" * 100


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path, ready_bytes=1 << 20)
    yield opened
    opened.close()


def replacing(sealed: SealedInstance, *destinations: str) -> RoutedInstance:
    plain = routed(sealed, *destinations)
    return dataclasses.replace(plain, decision=dataclasses.replace(plain.decision, replaces=True))


def states(data_dir: Path, uid: str = "1.9") -> list[list[str]]:
    return [[one["state"] for one in found["deliveries"]] for found in BufferView(data_dir).trace(uid)]


def test_the_same_bytes_again_are_one_delivery_and_their_slot_is_free_at_once(buffer: Buffer, tmp_path: Path) -> None:
    first, second = take(buffer, "1.9", ONE), take(buffer, "1.9", ONE)
    buffer.admit([routed(first, "pacs")])
    buffer.admit([routed(second, "pacs")])
    assert [held.sealed for held in buffer.claim("pacs", 10)] == [first]
    assert [event.kind for event in buffer.read_outbox(10)] == ["instance_received"]
    buffer.release_delivered(timedelta(days=1))
    assert buffer.spool.contains(first.instance_id)
    assert not buffer.spool.contains(second.instance_id)
    _first, again = BufferView(tmp_path).trace("1.9")
    assert again["flags"] == [SAME_BYTES]
    assert buffer.counts().instances_held == 1


def test_the_same_bytes_twice_in_one_batch_are_one_delivery(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs") for _ in range(3)])
    assert len(buffer.claim("pacs", 10)) == 1


def test_what_was_released_is_delivered_when_it_comes_again(buffer: Buffer) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    (held,) = buffer.claim("pacs", 10)
    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    buffer.release_delivered(timedelta(0))
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    assert len(buffer.claim("pacs", 10)) == 1


@pytest.mark.parametrize(("minutes", "deliveries"), [(14, 0), (16, 1)])
def test_the_same_bytes_soon_after_their_delivery_are_a_retry_and_later_a_wish(
    buffer: Buffer, tmp_path: Path, minutes: int, deliveries: int
) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    (held,) = buffer.claim("pacs", 10)
    buffer.settle(held.delivery_id, DeliveryEvent.ACCEPTED)
    with contextlib.closing(open_writer(tmp_path / "edge.db")) as connection:
        connection.execute("UPDATE instance SET settled_at = settled_at - ?", (minutes * 60_000_000,))
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    assert len(buffer.claim("pacs", 10)) == deliveries


def test_a_checksum_that_agrees_by_chance_makes_no_duplicate(buffer: Buffer) -> None:
    first = take(buffer, "1.9", ONE)
    buffer.admit([routed(first, "pacs")])
    second = dataclasses.replace(take(buffer, "1.9", bytes(len(ONE))), checksum=first.checksum)
    buffer.admit([routed(second, "pacs")])
    assert len(buffer.claim("pacs", 10)) == 2


def test_other_bytes_are_kept_beside_the_first_and_flagged(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    buffer.admit([routed(take(buffer, "1.9", OTHER), "pacs")])
    assert states(tmp_path) == [["due"], ["due"]]
    assert [found["flags"] for found in BufferView(tmp_path).trace("1.9")] == [[], [OTHER_BYTES]]
    assert buffer.read_outbox(10)[1].body["flags"] == [OTHER_BYTES]


def test_a_replacement_supersedes_what_waits_and_says_so(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs", "archive")])
    buffer.admit([replacing(take(buffer, "1.9", OTHER), "pacs")])
    assert states(tmp_path) == [["superseded", "due"], ["due"]], "the archive gets no newer one, so it gets the older"
    told = [event.body["state"] for event in buffer.read_outbox(10) if event.kind == "delivery_changed"]
    assert told == ["superseded"]
    assert buffer.waiting_by_destination() == {"pacs": 1, "archive": 1}


def test_what_is_being_sent_ends_as_superseded_only_when_it_fails(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs"), routed(take(buffer, "1.8", ONE), "pacs")])
    sent, failed = buffer.claim("pacs", 10)
    buffer.admit([replacing(take(buffer, uid, OTHER), "pacs") for uid in ("1.9", "1.8")])
    assert states(tmp_path) == [["sending"], ["due"]]
    buffer.settle(sent.delivery_id, DeliveryEvent.ACCEPTED)
    buffer.settle(failed.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, reason="busy")
    assert states(tmp_path, "1.9") == [["delivered"], ["due"]]
    assert states(tmp_path, "1.8") == [["superseded"], ["due"]]


def test_what_a_dead_sender_left_is_superseded_too(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    buffer.claim("pacs", 10)
    buffer.admit([replacing(take(buffer, "1.9", OTHER), "pacs")])
    assert buffer.recover() == 1
    buffer.release_delivered(timedelta(days=1))
    assert states(tmp_path) == [["superseded"], ["due"]]


def test_what_was_superseded_is_released_as_what_was_delivered_is(buffer: Buffer) -> None:
    first = take(buffer, "1.9", ONE)
    buffer.admit([routed(first, "pacs")])
    buffer.admit([replacing(take(buffer, "1.9", OTHER), "pacs")])
    assert buffer.release_delivered(timedelta(0)) == 1
    assert not buffer.spool.contains(first.instance_id)


def test_duplicates_that_came_before_any_policy_are_flagged_when_they_are_routed(
    buffer: Buffer, tmp_path: Path
) -> None:
    unrouted = Decision(policy="", outcomes=(), destinations=())
    arrivals = [take(buffer, "1.9", body) for body in (ONE, OTHER, ONE)]
    buffer.admit([dataclasses.replace(routed(one), decision=unrouted) for one in arrivals])
    waiting = buffer.unrouted(10)
    assert waiting == arrivals[:2]
    buffer.admit([replacing(one, "pacs") for one in waiting])
    assert buffer.unrouted(10) == []
    assert states(tmp_path) == [["superseded"], ["due"], []]


def test_a_policy_that_refuses_duplicates_is_asked_before_the_answer(buffer: Buffer, tmp_path: Path) -> None:
    held = HeldInstances(tmp_path)
    buffer.admit([routed(take(buffer, "1.9", ONE), "pacs")])
    reception = buffer.receive(meta("1.9"))
    length, checksum = reception.fingerprint((OTHER,))
    assert not held.refuses("1.9", length, checksum), "no policy asks for it"
    buffer.set_note(DUPLICATES_NOTE, "refuse")
    asked = HeldInstances(tmp_path)
    assert asked.refuses("1.9", length, checksum)
    assert not asked.refuses("1.8", length, checksum)
    assert not asked.refuses("1.9", *reception.fingerprint((ONE,))), "the same bytes are no other object"
    reception.discard()


def test_an_index_that_cannot_be_read_refuses_nothing(tmp_path: Path) -> None:
    assert not HeldInstances(tmp_path / "nowhere").refuses("1.9", 10, 20)
