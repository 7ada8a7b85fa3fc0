"""A destination that was down is asked before it is tried with instances, once for each rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, DestinationDown, Settle
from edge.forward.lane import Lane
from edge.forward.retry import Backoff
from edge.health import HealthBoard
from edge.model import ClaimedDelivery
from tests.edge_samples import routed, take


class Peer:
    """A destination whose answers the test chooses; notes what is done to it."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.reachable, self.verifies, self.takes = False, True, True

    def ask(self) -> bool:
        self.story.append("ask")
        if not self.verifies:
            return False
        if not self.reachable:
            raise DestinationDown("nothing listens").of("refused")
        return True

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        self.story.append("deliver")
        if not self.reachable:
            raise DestinationDown("nothing listens").of("refused")
        if not self.takes:
            raise DestinationDown("it aborted the association")
        for one in deliveries:
            settle(one, Accepted())

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def health() -> HealthBoard:
    return HealthBoard()


@pytest.fixture
def lane(buffer: Buffer, peer: Peer, health: HealthBoard) -> Iterator[Lane]:
    buffer.admit([routed(take(buffer, "1.2.1"), "pacs")])
    made = Lane("pacs", peer, buffer, health, Backoff(base=0.02, cap=0.05), 10)
    made.start()
    yield made
    made.stop(10)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_while_it_does_not_answer_it_gets_no_instance(lane: Lane, peer: Peer, buffer: Buffer) -> None:
    _until(lambda: peer.story.count("ask") >= 3)
    assert peer.story.count("deliver") == 1
    peer.reachable = True
    _until(lambda: not buffer.counts().deliveries_waiting)
    assert peer.story[-2:] == ["ask", "deliver"]


def test_a_peer_that_cannot_be_asked_is_tried_with_real_work_at_once(lane: Lane, peer: Peer, buffer: Buffer) -> None:
    peer.verifies = False
    _until(lambda: peer.story.count("deliver") >= 3)
    assert peer.story[:5] in (
        ["deliver", "ask", "deliver", "ask", "deliver"],
        ["deliver", "ask", "ask", "deliver", "ask"],  # it was still asked when the first rest ended
    )
    peer.reachable = True
    _until(lambda: not buffer.counts().deliveries_waiting)


def test_one_that_answers_and_breaks_off_over_instances_rests_longer_each_time_and_stays_down(
    lane: Lane, peer: Peer, buffer: Buffer, health: HealthBoard
) -> None:
    peer.reachable, peer.takes = True, False
    _until(lambda: peer.story.count("deliver") >= 4)
    assert health.current()
    assert abs(peer.story.count("ask") - peer.story.count("deliver")) <= 2
    peer.takes = True
    _until(lambda: not buffer.counts().deliveries_waiting)
    _until(lambda: not health.current())


def test_one_for_which_nothing_waits_any_more_is_well_when_it_answers(
    lane: Lane, peer: Peer, buffer: Buffer, health: HealthBoard
) -> None:
    _until(lambda: peer.story.count("ask") >= 2)
    assert buffer.claim("pacs", 1)
    peer.reachable = True
    _until(lambda: not health.current())
    assert peer.story.count("deliver") == 1
    asked = peer.story.count("ask")
    time.sleep(0.2)
    assert peer.story.count("ask") == asked
