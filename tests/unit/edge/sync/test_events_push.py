"""The push duty against the twin: nothing is lost, nothing is doubled, one bad event is in nobody's way."""

from __future__ import annotations

import pytest

from edge.errors import UplinkInvalid, UplinkUnreachable
from edge.health import HealthBoard
from edge.sync.batches import next_batch
from edge.sync.conditions import LinkHealth
from edge.sync.events_push import STUCK_WAIT_SECONDS, PushEvents
from mesh.v1.sync_pb2 import Event, PushBatchRequest
from tests.certificates import MeshAuthority
from tests.control_twin import ControlTwin, InMemoryUplink
from tests.memory_outbox import MemoryOutbox


class Bench:
    """The duty between an outbox and a twin."""

    def __init__(self) -> None:
        self.twin = ControlTwin(MESH)
        self.outbox = MemoryOutbox()
        self.board = HealthBoard()
        self.duty = self.again()

    def again(self) -> PushEvents:
        """The duty of a restarted process."""
        self.duty = PushEvents(
            outbox=self.outbox,
            uplink=InMemoryUplink(self.twin),
            health=LinkHealth(self.board),
            boot_id="boot-1",
            idle_wait=0.01,
        )
        return self.duty

    def drain(self, steps: int = 200) -> None:
        for _ in range(steps):
            if not self.outbox.waiting():
                return
            self.duty.step()
        raise AssertionError(f"still waiting: {self.outbox.waiting()[:5]}")

    def codes(self) -> set[str]:
        return {condition.code for condition in self.board.current()}

    def there(self) -> list[int]:
        return self.twin.sequences("node-1", 7)


MESH = MeshAuthority()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_the_centre_has_leaves_the_outbox(bench: Bench) -> None:
    bench.outbox.add(3)
    bench.drain()
    assert bench.there() == [1, 2, 3]


def test_without_an_answer_nothing_leaves_the_outbox(bench: Bench) -> None:
    bench.outbox.add(3)
    bench.twin.fail_next.append(UplinkUnreachable("gone"))
    with pytest.raises(UplinkUnreachable):
        bench.duty.step()
    assert bench.outbox.waiting() == [1, 2, 3]
    bench.drain()
    assert bench.there() == [1, 2, 3]


def test_a_backlog_travels_in_batches_of_at_most_five_hundred(bench: Bench) -> None:
    bench.outbox.add(1200)
    bench.drain()
    assert bench.twin.batch_sizes == [0, 500, 500, 200]  # the empty one asks what the centre has


def test_what_a_lower_ack_leaves_out_is_sent_again(bench: Bench) -> None:
    bench.outbox.add(10)
    bench.twin.take_at_most = 4
    bench.duty.step()
    assert bench.outbox.waiting() == [5, 6, 7, 8, 9, 10]
    bench.drain()
    assert bench.there() == list(range(1, 11))
    assert bench.twin.applied == 10


def test_a_centre_that_answers_but_takes_nothing_is_told_and_not_hammered(bench: Bench) -> None:
    bench.outbox.add(2)
    bench.twin.take_at_most = 0
    assert bench.duty.step() == STUCK_WAIT_SECONDS
    assert bench.codes() == {"events-not-taken"}
    bench.twin.take_at_most = None
    bench.drain()
    assert bench.codes() == set()


def test_a_lost_answer_costs_a_repetition_and_doubles_nothing(bench: Bench) -> None:
    bench.outbox.add(5)
    sent = next_batch(bench.outbox.read_outbox(500)).events
    bench.outbox.set_note("link.sent", "7:5")
    bench.twin.push("node-1", PushBatchRequest(epoch=7, boot_id="boot-1", events=sent))
    bench.drain()
    assert bench.twin.applied == 5


def test_new_events_of_a_disk_that_was_put_back_reach_the_centre_under_another_epoch(bench: Bench) -> None:
    bench.outbox.add(300)
    bench.drain()
    # The disk is that of a time when 100 events were sent; 300 new ones have numbers of which the centre knows 200.
    restored = MemoryOutbox()
    restored.add(100)
    restored.acknowledge(100)
    restored.notes["link.sent"] = "7:100"
    restored.add(300, body={"instance_id": "f" * 32, "state": "delivered"})
    bench.outbox = restored
    bench.again()
    bench.drain()
    assert bench.twin.sequences("node-1", 8) == list(range(101, 401))
    assert bench.codes() == set()


def test_when_the_centre_stops_understanding_anything_no_event_is_blamed(bench: Bench) -> None:
    bench.outbox.add(1)
    bench.drain()
    bench.outbox.add(4)
    bench.twin.invalid_always = True
    bench.duty.step()  # four are halved
    bench.duty.step()  # two are halved
    with pytest.raises(UplinkInvalid):
        bench.duty.step()
    assert bench.outbox.aside == {}
    assert bench.codes() == {"control-plane-incompatible"}


def test_a_buffer_put_back_under_a_running_process_is_told_and_sends_nothing_as_taken(bench: Bench) -> None:
    bench.outbox.add(1)
    bench.drain()
    sent = [Event(sequence=number) for number in range(2, 6)]
    bench.twin.push("node-1", PushBatchRequest(epoch=7, boot_id="boot-1", events=sent))
    bench.outbox.add(1)
    assert bench.duty.step() == STUCK_WAIT_SECONDS
    assert bench.codes() == {"buffer-older-than-centre"}
    assert bench.outbox.waiting() == [2]
    bench.drain()
    assert bench.twin.sequences("node-1", 8) == [2]
    assert bench.codes() == set()


def test_a_centre_that_does_not_answer_the_first_question_gets_no_event(bench: Bench) -> None:
    bench.outbox.add(3)
    bench.twin.fail_next.append(UplinkUnreachable("gone"))
    with pytest.raises(UplinkUnreachable):
        bench.duty.step()
    assert bench.outbox.note("link.sent") is None


@pytest.mark.parametrize("bad", [{1}, {5}, {1000}, {1, 2, 3}, {250, 251, 999}])
def test_events_that_cannot_be_read_are_set_aside_alone(bench: Bench, bad: set[int]) -> None:
    bench.outbox.add(1000)
    bench.twin.invalid_sequences = bad
    bench.drain()
    assert set(bench.outbox.aside) == bad
    assert bench.there() == sorted(set(range(1, 1001)) - bad)
    assert bench.codes() == {"events-set-aside"}


def test_a_set_aside_event_stays_a_condition_over_a_restart_until_it_is_released(bench: Bench) -> None:
    bench.outbox.add(2)
    bench.twin.invalid_sequences = {1}
    bench.drain()
    bench.board = HealthBoard()
    bench.again().step()
    (condition,) = bench.board.current()
    assert "event 1" in condition.text
    assert condition.text.count("1 events") == 1
    bench.outbox.set_note("link.set_aside", "")
    bench.duty.step()
    assert bench.codes() == set()


def test_an_event_that_this_node_cannot_put_on_the_wire_is_set_aside(bench: Bench) -> None:
    bench.outbox.add(1)
    bench.outbox.add(1, kind="something_new")
    bench.outbox.add(1)
    bench.drain()
    assert bench.there() == [1, 3]
    assert set(bench.outbox.aside) == {2}


def test_when_nothing_at_all_can_be_read_no_event_is_blamed(bench: Bench) -> None:
    bench.outbox.add(4)
    bench.twin.invalid_always = True
    with pytest.raises(UplinkInvalid):
        bench.duty.step()
    assert bench.outbox.aside == {}
    assert bench.codes() == {"control-plane-incompatible"}
    bench.twin.invalid_always = False
    bench.drain()
    assert bench.there() == [1, 2, 3, 4]
    assert bench.codes() == set()


def test_a_centre_that_came_back_from_a_backup_is_told_again_what_it_lost(bench: Bench) -> None:
    bench.outbox.add(10)
    bench.drain()
    bench.twin.restore("node-1", 7, 4)
    bench.outbox.add(1)
    bench.duty.step()
    assert bench.codes() == {"control-plane-restored"}
    bench.drain()
    assert bench.there() == list(range(1, 12))
    assert bench.codes() == set()


def test_a_node_with_nothing_to_tell_notices_it_too_when_the_centre_was_away(bench: Bench) -> None:
    bench.outbox.add(10)
    bench.drain()
    bench.twin.restore("node-1", 7, 4)
    bench.duty.step()
    assert bench.outbox.waiting() == []  # it has no reason to ask
    bench.duty.look_again()
    bench.duty.step()
    assert bench.outbox.waiting() == [5, 6, 7, 8, 9, 10]
    bench.drain()
    assert bench.there() == list(range(1, 11))


def test_a_restarted_node_compares_before_it_sends_anything_new(bench: Bench) -> None:
    bench.outbox.add(10)
    bench.drain()
    bench.twin.restore("node-1", 7, 0)
    bench.outbox.add(2)
    bench.again()
    bench.drain()
    assert bench.there() == list(range(1, 13))
