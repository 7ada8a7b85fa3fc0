"""Outcomes that share one change say and do what each alone would have."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from edge.buffer import outcomes
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.buffer.transitions import Transition
from edge.errors import IllegalTransition
from tests.edge_samples import routed, take

ENDS = [
    (DeliveryEvent.ACCEPTED, "", 0),
    (DeliveryEvent.ACCEPTED, "", 0),
    (DeliveryEvent.ACCEPTED, "taken with warning 0xB000", 0xB000),
    (DeliveryEvent.REFUSED, "the destination answered 0xC000", 0xC000),
    (DeliveryEvent.GIVEN_BACK, "", 0),
    (DeliveryEvent.ACCEPTED, "", 0),
]


def _sending(buffer: Buffer) -> list[Transition]:
    buffer.admit([routed(take(buffer, f"1.2.{number}"), "pacs", "archive") for number in range(len(ENDS))])
    return [
        Transition(delivery_id=one.delivery_id, event=event, reason=reason, dimse_status=status)
        for one, (event, reason, status) in zip(buffer.claim("pacs", 10), ENDS, strict=True)
    ]


def _told(buffer: Buffer) -> list[list[tuple[str, object]]]:
    bodies = [event.body for event in buffer.read_outbox(100) if event.kind == "delivery_changed"]
    return sorted(sorted((key, value) for key, value in body.items() if key != "instance_id") for body in bodies)


def test_the_same_events_are_told_and_the_same_instances_are_finished(tmp_path: Path) -> None:
    told: list[object] = []
    for folder in ("alone", "together"):
        buffer = Buffer(tmp_path / folder)
        changes = _sending(buffer)
        if folder == "together":
            ended = wait([buffer.settle_soon(change) for change in changes]).done
            assert [one.exception() for one in ended] == [None] * len(ENDS)
        else:
            for one in changes:
                buffer.settle(one.delivery_id, one.event, reason=one.reason, dimse_status=one.dimse_status)
        told.append(_told(buffer))
        assert buffer.release_delivered(timedelta(0)) == 0
        for delivery in buffer.claim("archive", 10):
            buffer.settle_soon(Transition(delivery_id=delivery.delivery_id, event=DeliveryEvent.ACCEPTED)).result(5)
        assert buffer.release_delivered(timedelta(0)) == 4
        buffer.close()
    assert told[0] == told[1]


def test_one_that_cannot_be_taken_spoils_no_other(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path)
    changes = _sending(buffer)
    buffer.settle(changes[1].delivery_id, DeliveryEvent.REFUSED)
    ended = [buffer.settle_soon(change).exception(5) for change in changes]
    assert [type(error) for error in ended] == [type(None), IllegalTransition, *[type(None)] * 4]
    buffer.close()


def test_when_the_short_way_fails_each_is_taken_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> dict[int, Exception]:
        raise apsw.SQLError

    monkeypatch.setattr(outcomes, "_deliver", broken)
    buffer = Buffer(tmp_path)
    ended = [buffer.settle_soon(change).exception(5) for change in _sending(buffer)]
    assert ended == [None] * len(ENDS)
    assert len(_told(buffer)) == 5
    buffer.close()


def test_a_moment_in_which_nothing_can_be_written_fails_all_of_it_and_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_connection: apsw.Connection, _changes: Sequence[Transition]) -> dict[int, Exception]:
        raise apsw.FullError

    buffer = Buffer(tmp_path)
    changes = _sending(buffer)
    with monkeypatch.context() as hours:
        hours.setattr(outcomes, "take_together", full)
        ended = [buffer.settle_soon(change) for change in changes]
        assert [type(one.exception(5)) for one in ended] == [apsw.FullError] * len(ENDS)
    assert [buffer.settle_soon(change).exception(5) for change in changes] == [None] * len(ENDS)
    buffer.close()
