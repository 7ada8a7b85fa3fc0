"""Stat before normal before bulk: in a policy, in a claim, and in the hands of a lane; and nobody starves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.buffer.claims import ONE_IN
from edge.buffer.deliveries import Deliveries
from edge.buffer.hand import Hand
from edge.buffer.states import DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView, QueueFilter
from edge.forward.base import Accepted, Settle
from edge.forward.lane import Lane
from edge.forward.retry import Backoff
from edge.forward.work import Work
from edge.health import HealthBoard
from edge.model import ClaimedDelivery, Priority, TagSet
from edge.policy.document import check_policy, load_policy
from edge.policy.match import decide
from tests.edge_samples import FACTS, routed, take

STAT, NORMAL, BULK = Priority


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    yield opened
    opened.close()


def admit(buffer: Buffer, priority: Priority, *uids: str, to: str = "pacs") -> None:
    found = [routed(take(buffer, uid), to) for uid in uids]
    buffer.admit([replace(one, decision=replace(one.decision, priorities={to: priority})) for one in found])


def uids(claimed: Sequence[ClaimedDelivery]) -> list[str]:
    return [one.sealed.sop_instance_uid for one in claimed]


# --- the policy


def _policy(*routes: str) -> str:
    folders = "".join(f"  - {{name: {name}, kind: folder, path: /{name}}}\n" for name in ("a", "b"))
    return f"skerry: 1\ndestinations:\n{folders}routes:\n" + "".join(f"  - {{{route}}}\n" for route in routes)


def test_a_delivery_has_the_highest_priority_of_the_routes_that_lead_there() -> None:
    policy = load_policy(
        _policy(
            "name: all, to: [a, b], priority: bulk",
            "name: plain, to: [a]",
            "name: never, when: 'Modality == \"CT\"', to: [a], priority: stat",
            "name: urgent, when: 'Modality == \"MR\"', to: [a], priority: stat",
        )
    )
    decided = [decide(policy, FACTS, TagSet(values={"Modality": modality})).priorities for modality in ("MR", "US")]
    assert decided == [{"a": STAT, "b": BULK}, {"a": NORMAL, "b": BULK}]


def test_a_route_without_a_priority_is_normal() -> None:
    policy = load_policy(_policy("name: all, to: [a, b]"))
    assert decide(policy, FACTS, TagSet(values={})).priorities == {"a": NORMAL, "b": NORMAL}


def test_a_priority_that_there_is_not_is_said_with_its_place() -> None:
    (found,) = check_policy(_policy("name: all, to: [a, b], priority: urgent"))
    assert (found.severity, found.line) == ("error", 6)
    assert "`stat`, `normal` or `bulk`" in found.message + found.hint


# --- the claim


def test_stat_is_claimed_before_normal_before_bulk_and_the_oldest_first(buffer: Buffer) -> None:
    admit(buffer, BULK, "1.1", "1.2")
    admit(buffer, NORMAL, "2.1", "2.2")
    admit(buffer, STAT, "3.1", "3.2")
    claims = [buffer.claim("pacs", 10) for _ in range(4)]
    assert [uids(claimed) for claimed in claims] == [["3.1", "3.2"], ["2.1", "2.2"], ["1.1", "1.2"], []]
    assert [{one.priority for one in claimed} for claimed in claims] == [{STAT}, {NORMAL}, {BULK}, set()]


def test_what_failed_before_goes_behind_what_is_new_of_its_priority_and_before_what_is_less_urgent(
    buffer: Buffer,
) -> None:
    admit(buffer, NORMAL, "1.1")
    (failed,) = buffer.claim("pacs", 1)
    past = datetime.now(UTC) - timedelta(seconds=1)
    buffer.settle(failed.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, reason="busy", not_before=past)
    admit(buffer, BULK, "2.1")
    admit(buffer, NORMAL, "1.2")
    assert [uids(buffer.claim("pacs", 10)) for _ in range(2)] == [["1.2", "1.1"], ["2.1"]]


@pytest.mark.parametrize("limit", [1, 10, 40])
def test_bulk_gets_its_small_share_while_stat_never_ends(buffer: Buffer, limit: int) -> None:
    admit(buffer, BULK, "1.1", "1.2", "1.3")
    admit(buffer, NORMAL, "2.1")
    admit(buffer, STAT, *(f"3.{n}" for n in range(6 * ONE_IN)))
    sent: list[str] = []
    while "2.1" not in sent:
        claimed = buffer.claim("pacs", limit)
        assert claimed
        sent += uids(claimed)
    assert [uid for uid in sent if not uid.startswith("3.")] == ["1.1", "1.2", "1.3", "2.1"]
    assert 4 * ONE_IN - limit <= sent.index("2.1") <= 4 * ONE_IN + 2 * limit + 4


def test_what_has_its_turn_by_age_is_not_overtaken_again(buffer: Buffer) -> None:
    admit(buffer, BULK, "1.1", "1.2")
    admit(buffer, STAT, *(f"3.{n}" for n in range(60)))
    assert uids(buffer.claim("pacs", 50)) == [f"3.{n}" for n in range(50)]
    claimed = buffer.claim("pacs", 50)
    assert uids(claimed)[:3] == ["1.1", "1.2", "3.50"]
    assert {one.priority for one in claimed} == {STAT}


def test_the_most_urgent_that_waits_is_known_also_when_only_its_pause_has_ended(buffer: Buffer) -> None:
    assert buffer.most_urgent("pacs") is None
    admit(buffer, STAT, "3.1")
    (failed,) = buffer.claim("pacs", 1)
    past = datetime.now(UTC) - timedelta(seconds=1)
    buffer.settle(failed.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, reason="busy", not_before=past)
    admit(buffer, BULK, "1.1")
    assert buffer.most_urgent("pacs") is STAT
    assert buffer.most_urgent("elsewhere") is None


# --- the lane


class Gate:
    """A destination that takes one after the other, and tells the test before each."""

    def __init__(self, before: Callable[[str], None]) -> None:
        self.before, self.taken = before, list[str]()

    def deliver(self, deliveries: Sequence[ClaimedDelivery], settle: Settle) -> None:
        for one in deliveries:
            self.before(one.sealed.sop_instance_uid)
            self.taken.append(one.sealed.sop_instance_uid)
            settle(one, Accepted())

    def rest(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing hangs."""

    def close(self) -> None:
        """Nothing is open."""


def _run(deliveries: Deliveries, gate: Gate, count: int) -> None:
    lane = Lane("pacs", gate, deliveries, HealthBoard(), Backoff(base=0.02, cap=0.1), batch=50)
    lane.start()
    deadline = time.monotonic() + 20
    while len(gate.taken) < count:
        assert time.monotonic() < deadline, gate.taken
        time.sleep(0.02)
    lane.stop(5)


def test_stat_overtakes_a_batch_that_is_under_way_after_the_object_in_flight(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, BULK, *(f"1.{n}" for n in range(20)))

    def urgent_comes(uid: str) -> None:
        if uid == "1.4":
            admit(buffer, STAT, "3.1", "3.2")

    gate = Gate(urgent_comes)
    _run(buffer, gate, 22)
    assert gate.taken == [*(f"1.{n}" for n in range(5)), "3.1", "3.2", *(f"1.{n}" for n in range(5, 20))]
    assert all(one["deliveries"][0]["attempts"] == 1 for one in BufferView(tmp_path).trace("1.2.3"))


def test_what_is_no_more_urgent_does_not_disturb_a_batch(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> None:
    admit(buffer, NORMAL, *(f"1.{n}" for n in range(10)))
    claims = []
    real = buffer.claim

    def counted(name: str, limit: int, *, least: Priority) -> list[ClaimedDelivery]:
        claims.append(limit)
        return real(name, limit, least=least)

    monkeypatch.setattr(buffer, "claim", counted)

    def others_come(uid: str) -> None:
        if uid == "1.4":
            admit(buffer, NORMAL, "2.1")
            admit(buffer, BULK, "2.2")

    gate = Gate(others_come)
    _run(buffer, gate, 12)
    assert gate.taken == [*(f"1.{n}" for n in range(10)), "2.1", "2.2"]
    assert len(claims) <= 4


def test_a_sender_in_another_process_is_overtaken_too_with_and_without_a_bell(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, BULK, *(f"1.{n}" for n in range(40)))
    other = Deliveries(tmp_path)

    def urgent_comes(uid: str) -> None:
        if uid == "1.1":
            admit(buffer, STAT, "3.1")
            other.work_came()  # what the bell does
        if uid == "1.5":
            admit(buffer, STAT, "3.2")
        if "1.5" in gate.taken:
            time.sleep(0.15)

    gate = Gate(urgent_comes)
    _run(other, gate, 20)
    other.close()
    assert gate.taken[2] == "3.1"
    assert "3.2" in gate.taken[6:16]


def test_batches_that_are_overtaken_earn_no_turns_for_bulk(buffer: Buffer) -> None:
    admit(buffer, BULK, "1.1")
    admit(buffer, NORMAL, *(f"2.{n}" for n in range(60)))

    def urgent_comes(uid: str) -> None:
        if uid.startswith("2.") and len(gate.taken) < 20:
            admit(buffer, STAT, f"3.{uid}")

    gate = Gate(urgent_comes)
    _run(buffer, gate, 20)
    assert "1.1" not in gate.taken[:20]
    assert gate.taken[:4] == ["2.0", "3.2.0", "2.1", "3.2.1"]


def test_constant_urgent_work_lets_bulk_through(buffer: Buffer) -> None:
    admit(buffer, BULK, "1.1", "1.2", "1.3")
    numbers = iter(range(10_000))
    admit(buffer, STAT, *(f"3.{next(numbers)}" for _ in range(60)))
    stop = threading.Event()

    def one_for_one(uid: str) -> None:
        if uid.startswith("3.") and not stop.is_set():
            admit(buffer, STAT, f"3.{next(numbers)}")

    gate = Gate(one_for_one)
    _run(buffer, gate, 170)
    stop.set()
    assert {"1.1", "1.2", "1.3"} <= set(gate.taken[:170])


def test_a_study_that_is_partly_urgent_blocks_no_other_urgent_one(buffer: Buffer) -> None:
    def claimed(number: int, study: str, priority: Priority) -> ClaimedDelivery:
        return ClaimedDelivery(
            delivery_id=number,
            destination="pacs",
            attempts=1,
            sealed=sealed,
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            priority=priority,
        )

    sealed = take(buffer)
    work = Work([claimed(1, "1", STAT), claimed(2, "2", STAT), claimed(3, "1", BULK), claimed(4, "1", STAT)])
    studies = [[one.delivery_id for one in work.next_study()] for _ in range(3)]
    assert studies == [[1, 4], [2], [3]]


# --- the sum


def test_every_delivery_is_in_one_state_and_the_states_add_up(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, STAT, *(f"3.{n}" for n in range(6)))
    admit(buffer, BULK, *(f"1.{n}" for n in range(4)))
    one, other, third, fourth = buffer.claim("pacs", 4)
    buffer.settle(one.delivery_id, DeliveryEvent.ACCEPTED)
    buffer.settle(other.delivery_id, DeliveryEvent.REFUSED)
    later = datetime.now(UTC) + timedelta(hours=1)
    buffer.settle(third.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, not_before=later)
    tally = buffer.tally()
    assert sum(tally.values()) == 10
    assert {key: count for key, count in tally.items() if count} == {
        ("delivered", STAT): 1,
        ("parked", STAT): 1,
        ("retry_wait", STAT): 1,
        ("sending", STAT): 1,
        ("due", STAT): 2,
        ("due", BULK): 4,
    }
    assert {state for state, _priority in tally} == set(DeliveryState)
    assert (buffer.counts().deliveries_waiting, buffer.counts().deliveries_parked) == (8, 1)
    assert BufferView(tmp_path).by_priority()["bulk"] == {"due": 4}
    assert fourth.priority is STAT


def test_what_is_forgotten_leaves_the_sum(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.buffer.store.REMEMBERED", timedelta(0))
    admit(buffer, BULK, "1.1")
    (only,) = buffer.claim("pacs", 1)
    buffer.settle(only.delivery_id, DeliveryEvent.ACCEPTED)
    buffer.release_delivered(timedelta(0))
    time.sleep(0.01)
    assert buffer.prune() == 1
    assert sum(buffer.tally().values()) == 0


# --- a person's view and hand


def test_the_queue_says_how_urgent_each_is(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, BULK, "1.1")
    admit(buffer, STAT, "3.1")
    found = BufferView(tmp_path).queue(QueueFilter())
    assert [(one["sop_instance_uid"], one["priority"]) for one in found] == [("1.1", "bulk"), ("3.1", "stat")]


def test_a_requeue_takes_a_state_and_a_destination(buffer: Buffer, tmp_path: Path) -> None:
    for place in ("pacs", "archive"):
        admit(buffer, NORMAL, f"{place}.1", f"{place}.2", to=place)
        parked, waiting = buffer.claim(place, 2)
        buffer.settle(parked.delivery_id, DeliveryEvent.REFUSED)
        later = datetime.now(UTC) + timedelta(hours=1)
        buffer.settle(waiting.delivery_id, DeliveryEvent.FAILED_TRANSIENTLY, not_before=later)
    view = Hand(tmp_path)
    assert view.requeue(state="parked", dry_run=True) == 2
    events = len(buffer.read_outbox(1000))
    assert view.requeue(state="parked", destination="pacs", dry_run=False) == 1
    assert view.requeue(state="retry_wait", dry_run=False) == 2
    assert len(buffer.read_outbox(1000)) == events + 3
    states = {(one["destination"], one["state"]) for one in BufferView(tmp_path).queue(QueueFilter())}
    assert states == {("pacs", "due"), ("archive", "due"), ("archive", "parked")}
