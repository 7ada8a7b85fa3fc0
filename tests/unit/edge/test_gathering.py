"""Series and studies that a route waits for, in the buffer: held together, released together, opened again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from edge.attendance import Attendance, OwnAttendance
from edge.buffer.gathering import Look
from edge.buffer.hand import Choice, Hand
from edge.buffer.named_sql import load_queries
from edge.buffer.states import DeliveryEvent, DeliveryState, sources, target
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView, QueueFilter
from edge.gatherer import Gatherer
from edge.model import RoutedInstance, Wait
from tests.edge_samples import data_set, routed, take
from tests.standings import check_standings

SECOND = timedelta(seconds=1)
STUDY = Wait(route="ct", scope="study", quiet=3 * SECOND, at_most=10 * SECOND)


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    """An empty one."""
    buffer = Buffer(tmp_path)
    yield buffer
    buffer.close()


def waiting(
    buffer: Buffer, uid: str, *, wait: Wait = STUDY, study: str = "1.2.3", association: int = 0
) -> RoutedInstance:
    """One instance whose delivery to `pacs` waits."""
    sealed = take(buffer, uid, data_set(uid))
    sealed = replace(sealed, facts=replace(sealed.facts, association=association))
    one = routed(sealed, "pacs")
    return replace(one, study_instance_uid=study, decision=replace(one.decision, waits={"pacs": wait}))


def look(buffer: Buffer, seconds: int = 1, *, open_ones: frozenset[int] = frozenset()) -> Look:
    """So many seconds later, a look each second."""
    found = Look(open=0, gone=0, deliveries=0)
    for _second in range(seconds):
        found = buffer.gatherings.look(SECOND, open_ones.__contains__)
    return found


def states(buffer: Buffer) -> Counter[str]:
    """How many deliveries are in which state."""
    counted: Counter[str] = Counter()
    for (state, _priority), count in buffer.tally().items():
        counted[state] += count
    return +counted


def test_a_study_is_held_until_it_is_quiet_and_goes_as_one(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([waiting(buffer, f"1.2.{n}") for n in range(5)])
    assert buffer.claim("pacs", 10) == []
    assert look(buffer, 2) == Look(open=1, gone=0, deliveries=0)
    buffer.admit([waiting(buffer, "1.2.9")])
    assert look(buffer, 2) == Look(open=1, gone=0, deliveries=0)
    assert states(buffer) == {"gathering": 6}
    check_standings(tmp_path / "edge.db")
    assert look(buffer) == Look(open=0, gone=1, deliveries=6)
    assert len(buffer.claim("pacs", 10)) == 6
    check_standings(tmp_path / "edge.db")


def test_the_cap_lets_it_go_although_images_still_come(buffer: Buffer) -> None:
    for second in range(9):
        buffer.admit([waiting(buffer, f"1.2.{second}", association=7)])
        assert look(buffer, open_ones=frozenset({7})).gone == 0
    assert look(buffer, open_ones=frozenset({7})) == Look(open=0, gone=1, deliveries=9)


def test_an_open_association_holds_what_it_sent_and_nothing_else(buffer: Buffer) -> None:
    buffer.admit([waiting(buffer, "1.2.1", association=7), waiting(buffer, "1.2.2", study="1.2.4", association=8)])
    assert look(buffer, 3, open_ones=frozenset({7})) == Look(open=1, gone=1, deliveries=1)
    assert look(buffer, 2) == Look(open=1, gone=0, deliveries=0)
    assert look(buffer) == Look(open=0, gone=1, deliveries=1)


def test_late_images_open_it_again_for_a_quiet_of_their_own(buffer: Buffer) -> None:
    buffer.admit([waiting(buffer, "1.2.1")])
    assert look(buffer, 3).deliveries == 1
    buffer.admit([waiting(buffer, "1.2.2")])
    assert states(buffer) == {"due": 1, "gathering": 1}
    assert look(buffer, 2) == Look(open=1, gone=0, deliveries=0)
    assert look(buffer) == Look(open=0, gone=1, deliveries=1)


def test_series_of_one_study_go_each_for_itself(buffer: Buffer) -> None:
    series = replace(STUDY, scope="series")
    buffer.admit([waiting(buffer, "1.2.1", wait=series)])
    other = replace(waiting(buffer, "1.2.2", wait=series), series_instance_uid="1.2.9.2")
    look(buffer, 2)
    buffer.admit([other])
    assert look(buffer) == Look(open=1, gone=1, deliveries=1)


def test_what_names_no_study_waits_for_none(buffer: Buffer) -> None:
    buffer.admit([waiting(buffer, "1.2.1", study="")])
    assert states(buffer) == {"due": 1}


def test_a_start_goes_on_counting_where_the_last_run_was(tmp_path: Path) -> None:
    first = Buffer(tmp_path)
    first.admit([waiting(first, "1.2.1")])
    look(first, 2)
    first.close()
    second = Buffer(tmp_path)
    assert look(second) == Look(open=0, gone=1, deliveries=1)
    second.close()


def test_time_in_which_the_node_was_away_or_hung_is_no_quiet(buffer: Buffer) -> None:
    buffer.admit([waiting(buffer, "1.2.1", wait=replace(STUDY, quiet=60 * SECOND, at_most=9000 * SECOND))])
    times = iter([0.0, 1000.0, 1001.0, 5000.0, 5001.0])
    gatherer = Gatherer(buffer.gatherings, lambda _number: False, monotonic=lambda: next(times))
    for _look in range(4):
        gatherer.look()
    assert states(buffer) == {"gathering": 1}


def test_nothing_is_counted_while_images_wait_for_their_row(buffer: Buffer) -> None:
    buffer.admit([waiting(buffer, "1.2.1")])
    times = iter([0.0, 5.0])
    behind = True
    gatherer = Gatherer(buffer.gatherings, lambda _number: False, behind=lambda: behind, monotonic=lambda: next(times))
    gatherer.look()
    assert states(buffer) == {"gathering": 1}
    behind = False
    gatherer.look()
    assert states(buffer) == {"due": 1}


def test_a_person_who_will_not_wait_gets_it_at_once(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([waiting(buffer, "1.2.1"), waiting(buffer, "1.2.2", study="1.2.4")])
    choice = Choice(uid="1.2.3", states=(DeliveryState.GATHERING,))
    assert Hand(tmp_path).release(choice, dry_run=False) == 1
    assert states(buffer) == {"due": 1, "gathering": 1}
    assert look(buffer) == Look(open=1, gone=1, deliveries=0)


def test_the_queue_and_the_trace_say_how_much_is_here_and_when_it_goes(buffer: Buffer, tmp_path: Path) -> None:
    buffer.admit([waiting(buffer, f"1.2.{n}") for n in range(3)])
    view = BufferView(tmp_path)
    (group,) = view.gatherings()
    assert {key: group[key] for key in ("route", "scope", "uid", "images")} == {
        "route": "ct",
        "scope": "study",
        "uid": "1.2.3",
        "images": 3,
    }
    assert group["goes_at"] < group["goes_at_latest"]
    queued = view.queue(QueueFilter(state="gathering"))
    assert [one["gathering"]["images"] for one in queued] == [3, 3, 3]
    assert "waits for the rest of its study" in queued[0]["reason"]
    assert view.trace("1.2.1")[0]["deliveries"][0]["gathering"]["images"] == 3
    look(buffer, 3)
    assert view.gatherings() == []
    assert view.trace("1.2.1")[0]["deliveries"][0]["gathering"] is None


def test_the_centre_hears_that_it_waits_and_that_it_goes(buffer: Buffer) -> None:
    buffer.admit([waiting(buffer, "1.2.1")])
    look(buffer, 3)
    told = [(event.kind, event.body.get("state")) for event in buffer.read_outbox(10)]
    assert told == [("instance_received", None), ("delivery_changed", "gathering"), ("delivery_changed", "due")]


def test_letting_go_is_one_statement_that_reads_no_other_delivery(tmp_path: Path, buffer: Buffer) -> None:
    statement = load_queries("gathering.sql")["gathered"]
    becomes, *of = re.findall(r"state = '(\w+)'", statement)
    assert becomes == target(DeliveryEvent.GATHERED)
    assert set(of) == set(sources(DeliveryEvent.GATHERED))
    connection = apsw.Connection(str(tmp_path / "edge.db"))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", {"now": 1, "id": 1, "reason": ""})]
    assert any("delivery_gathering" in step for step in plan), plan
    connection.close()


def test_a_place_at_the_door_is_told_apart_from_who_had_it_before(tmp_path: Path) -> None:
    own, seen = OwnAttendance(tmp_path / "attendance", 3), Attendance(tmp_path / "attendance")
    first = own.enter()
    assert seen.is_open(first)
    own.leave(first)
    second = own.enter()
    assert (seen.is_open(first), seen.is_open(second)) == (False, True)
    own.leave(first)
    assert seen.is_open(second)
    OwnAttendance(tmp_path / "attendance", 3)
    assert not seen.is_open(second), "who starts again clears what its predecessor held"
    assert not seen.is_open(0)
