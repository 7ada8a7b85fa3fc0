"""What a person does to many deliveries: those that were meant, no others, and all of it in the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.buffer.deeds import hold
from edge.buffer.hand import Choice, Hand
from edge.buffer.states import DeliveryEvent, DeliveryState
from edge.buffer.store import Buffer
from edge.buffer.view import BufferView
from edge.errors import UnknownInstance
from edge.model import RouteOutcome
from tests.edge_samples import data_set, routed, take
from tests.standings import check_standings

HELD, PARKED, QUARANTINED = DeliveryState.HELD, DeliveryState.PARKED, DeliveryState.QUARANTINED


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    """An empty one."""
    buffer = Buffer(tmp_path)
    yield buffer
    buffer.close()


def admit(buffer: Buffer, uid: str, *destinations: str) -> None:
    """One instance with its deliveries."""
    buffer.admit([routed(take(buffer, uid, data_set(uid)), *destinations)])


def end(buffer: Buffer, destination: str, event: DeliveryEvent, reason: str = "") -> None:
    """What is due there ends so."""
    later = datetime.now(UTC) + timedelta(hours=1)
    for one in buffer.claim(destination, 1):
        buffer.settle(one.delivery_id, event, reason=reason, not_before=later)


def states(tmp_path: Path, uid: str) -> dict[str, str]:
    """Where the deliveries of an instance stand."""
    (found,) = BufferView(tmp_path).trace(uid)
    return {one["destination"]: one["state"] for one in found["deliveries"]}


def in_every_state(buffer: Buffer, tmp_path: Path) -> None:
    """One delivery to `pacs` that waits, one parked, one quarantined and one held."""
    for uid, event in (
        ("1.2.11", DeliveryEvent.FAILED_TRANSIENTLY),
        ("1.2.12", DeliveryEvent.REFUSED),
        ("1.2.13", DeliveryEvent.UNFIT),
    ):
        admit(buffer, uid, "pacs")
        end(buffer, "pacs", event)
    admit(buffer, "1.2.14", "pacs")
    Hand(tmp_path).hold(Choice(uid="1.2.14"), reason="to look at it", dry_run=False)


def test_requeue_touches_neither_what_is_held_nor_what_is_quarantined(buffer: Buffer, tmp_path: Path) -> None:
    in_every_state(buffer, tmp_path)
    assert Hand(tmp_path).requeue(dry_run=False) == 2
    stand = [states(tmp_path, f"1.2.{number}")["pacs"] for number in (11, 12, 13, 14)]
    assert stand == ["due", "due", "quarantined", "held"]


def test_release_takes_all_that_waits_for_a_person_or_a_time(buffer: Buffer, tmp_path: Path) -> None:
    in_every_state(buffer, tmp_path)
    assert Hand(tmp_path).release(Choice(), dry_run=False) == 4
    assert len(buffer.claim("pacs", 10)) == 4


def test_a_dry_run_changes_nothing_and_is_not_in_the_audit(buffer: Buffer, tmp_path: Path) -> None:
    in_every_state(buffer, tmp_path)
    hand, before = Hand(tmp_path), BufferView(tmp_path).by_priority()
    deeds = hand.deeds()
    assert hand.discard(Choice(), reason="gone", dry_run=True) == 4
    assert hand.release(Choice(states=(PARKED, HELD)), dry_run=True) == 2
    assert BufferView(tmp_path).by_priority() == before
    assert hand.deeds() == deeds


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (Choice(uid="1.2.1"), {"1.2.1"}),
        (Choice(uid="1.2.3"), {"1.2.1", "1.2.2"}),  # the study
        (Choice(uid="1.2.9.1"), {"1.2.1", "1.2.2"}),  # the series
        (Choice(destination="archive"), {"1.2.2"}),
        (Choice(states=(DeliveryState.PARKED,)), {"1.2.1"}),
        (Choice(reason="0XA9"), {"1.2.1"}),
        (Choice(route="urgent"), {"1.2.2"}),
        (Choice(calling_ae_title="SCANNER"), {"1.2.1", "1.2.2"}),
        (Choice(calling_ae_title="OTHER"), set()),
        (Choice(before=datetime(2020, 1, 1, tzinfo=UTC)), set()),
        (Choice(destination="pacs", route="urgent"), set()),
    ],
)
def test_only_what_meets_all_of_the_choice_is_meant(
    buffer: Buffer, tmp_path: Path, choice: Choice, meant: set[str]
) -> None:
    admit(buffer, "1.2.1", "pacs")
    end(buffer, "pacs", DeliveryEvent.REFUSED, "status 0xA900 of the peer")
    other = routed(take(buffer, "1.2.2", data_set("1.2.2")), "archive")
    outcomes = (
        RouteOutcome(route="urgent", matched=True, reason="the condition is true"),
        RouteOutcome(route="everything", matched=False, reason="the condition is false"),
    )
    buffer.admit([replace(other, decision=replace(other.decision, outcomes=outcomes))])
    assert Hand(tmp_path).hold(choice, reason="", dry_run=False) == len(meant)
    held = {one["sop_instance_uid"] for one in BufferView(tmp_path).trace("1.2.3") if _all_held(one)}
    assert held == meant


def _all_held(one: dict[str, Any]) -> bool:
    return {delivery["state"] for delivery in one["deliveries"]} == {"held"}


def test_an_unknown_uid_is_told_and_not_taken_for_nothing_to_do(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.2.1", "pacs")
    with pytest.raises(UnknownInstance):
        Hand(tmp_path).discard(Choice(uid="9.9.9"), reason="gone", dry_run=True)


def test_a_state_in_which_it_is_not_possible_is_no_announcement(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.2.1", "pacs")
    assert Hand(tmp_path).release(Choice(states=(DeliveryState.DUE,)), dry_run=True) == 0
    buffer.claim("pacs", 1)
    assert Hand(tmp_path).discard(Choice(states=(DeliveryState.SENDING,)), reason="gone", dry_run=True) == 0


def test_what_is_sent_elsewhere_is_due_there_and_ended_here(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.2.1", "pacs")
    end(buffer, "pacs", DeliveryEvent.REFUSED)
    assert Hand(tmp_path).reroute(Choice(destination="pacs"), to="archive", dry_run=False) == 1
    assert states(tmp_path, "1.2.1") == {"pacs": "discarded", "archive": "due"}
    end(buffer, "archive", DeliveryEvent.ACCEPTED)
    assert check_standings(tmp_path / "edge.db") == 1


def test_what_is_sent_elsewhere_and_back_is_sent(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.2.1", "pacs")
    hand = Hand(tmp_path)
    hand.reroute(Choice(), to="archive", dry_run=False)
    assert hand.reroute(Choice(), to="pacs", dry_run=False) == 1
    assert states(tmp_path, "1.2.1") == {"pacs": "due", "archive": "discarded"}


def test_sending_all_to_one_place_leaves_what_goes_there_as_it_is(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.2.1", "pacs", "archive")
    assert Hand(tmp_path).reroute(Choice(), to="pacs", dry_run=False) == 1
    assert states(tmp_path, "1.2.1") == {"pacs": "due", "archive": "discarded"}


def test_what_a_person_ends_leaves_the_spool_and_nothing_else_does(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.2.1", "pacs")
    admit(buffer, "1.2.2", "pacs")
    Hand(tmp_path).discard(Choice(uid="1.2.1"), reason="sent twice", dry_run=False)
    assert buffer.release_delivered(timedelta(0)) == 1
    assert buffer.counts().instances_held == 1
    assert buffer.counts().standings["ended"] == 1


def test_every_change_of_state_is_an_event_and_every_action_is_in_the_audit(buffer: Buffer, tmp_path: Path) -> None:
    for number in range(3):
        admit(buffer, f"1.2.{number}", "pacs")
    last = max(event.sequence for event in buffer.read_outbox(100))
    buffer.acknowledge(last)
    hand = Hand(tmp_path, who="miller")
    hand.hold(Choice(destination="pacs"), reason="the PACS moves", dry_run=False)
    hand.release(Choice(states=(HELD,)), dry_run=False)
    hand.discard(Choice(uid="1.2.0"), reason="a phantom", dry_run=False)
    told = [event.body["state"] for event in buffer.read_outbox(100)]
    assert told == ["held"] * 3 + ["due"] * 3 + ["discarded"]
    deeds = [(one["who"], one["action"], one["reason"], one["deliveries"]) for one in hand.deeds()]
    assert deeds == [
        ("miller", "discard", "a phantom", 1),
        ("miller", "release", "", 3),
        ("miller", "hold", "the PACS moves", 3),
    ]
    assert hand.deeds()[2]["choice"] == {"destination": "pacs"}


def test_an_action_that_is_cut_off_leaves_in_the_audit_what_it_did(
    buffer: Buffer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        admit(buffer, f"1.2.{number}", "pacs")
    calls: list[int] = []

    def hold_until_the_end(connection: apsw.Connection, ids: Sequence[int], *, reason: str) -> int:
        calls.append(len(ids))
        done = hold(connection, ids, reason=reason)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr("edge.buffer.hand.CHANGES_TOGETHER", 2)
    monkeypatch.setattr("edge.buffer.hand.hold", hold_until_the_end)
    hand = Hand(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        hand.hold(Choice(), reason="", dry_run=False)
    assert [one["deliveries"] for one in hand.deeds()] == [2]
    assert buffer.counts().deliveries_held == 2
    assert [event.body["state"] for event in buffer.read_outbox(100) if event.kind == "delivery_changed"] == [
        "held"
    ] * 2
