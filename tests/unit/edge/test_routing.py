"""Routing: arrivals get their rows, whatever one of them is like, and wait for a policy where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.buffer.hand import Hand
from edge.buffer.store import Buffer
from edge.health import HealthBoard
from edge.policy.document import Policy, load_policy
from edge.policy.quickstart import everything_to
from edge.routing import Router
from tests.edge_samples import data_set, take

SHY = everything_to(["PACS@127.0.0.1:104"]) + "privacy: {share: []}\n"


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    opened = Buffer(tmp_path)
    yield opened
    opened.close()


def _wait_held(buffer: Buffer, count: int) -> None:
    deadline = time.monotonic() + 10
    while buffer.counts().instances_held != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_arrives_without_a_policy_is_routed_when_one_comes(buffer: Buffer) -> None:
    policy: list[Policy] = []
    router = Router(buffer, HealthBoard(), lambda: policy[0] if policy else None, b"k" * 32)
    router.start()
    buffer.arrived(take(buffer, "1.2.1"))
    buffer.arrived(take(buffer, "1.2.2"))
    _wait_held(buffer, 2)
    assert buffer.counts().instances_nowhere == 2
    assert buffer.read_outbox(10) == []
    policy.append(load_policy(everything_to(["PACS@127.0.0.1:104"])))
    deadline = time.monotonic() + 10
    while buffer.counts().deliveries_waiting != 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    router.stop(5)
    assert buffer.counts().instances_nowhere == 0
    assert len(buffer.read_outbox(10)) == 2


def test_what_no_route_took_is_counted_and_decided_anew_when_a_person_asks(buffer: Buffer, tmp_path: Path) -> None:
    policy = [load_policy(everything_to([]))]
    router = Router(buffer, HealthBoard(), lambda: policy[0], b"k" * 32)
    router.admit([take(buffer, "1.2.1"), take(buffer, "1.2.2")])
    assert buffer.counts().instances_nowhere == 2
    policy[0] = load_policy(everything_to(["PACS@127.0.0.1:104"]))
    assert Hand(tmp_path).route_again(uid="1.2.1", dry_run=False) == 1
    router.start()
    deadline = time.monotonic() + 10
    while buffer.counts().deliveries_waiting != 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    router.stop(5)
    assert buffer.counts().instances_nowhere == 1


def test_an_arrival_that_cannot_be_committed_holds_no_other(buffer: Buffer, monkeypatch: pytest.MonkeyPatch) -> None:
    admit = buffer.admit
    poison = take(buffer, "1.2.666")

    def choking(routed: list[object]) -> int:
        if any(getattr(one, "sealed", None) == poison for one in routed):
            raise RuntimeError("cannot be committed")
        return admit(routed)  # type: ignore[arg-type]

    monkeypatch.setattr(buffer, "admit", choking)
    health = HealthBoard()
    router = Router(buffer, health, lambda: load_policy(everything_to([])), b"k" * 32)
    for number in range(5):
        buffer.arrived(take(buffer, f"1.2.{number}"))
    buffer.arrived(poison)
    router.start()
    _wait_held(buffer, 5)
    deadline = time.monotonic() + 5
    while [one.code for one in health.current()] != ["buffer-failing"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    monkeypatch.undo()
    _wait_held(buffer, 6)
    router.stop(5)


def test_an_unreadable_object_is_routed_by_what_is_known_and_flagged(buffer: Buffer) -> None:
    router = Router(buffer, HealthBoard(), lambda: load_policy(everything_to(["PACS@h:104"])), b"k" * 32)
    assert router.admit([take(buffer, "1.2.1", content=b"\xff" * 500)]) == 1
    (event,) = buffer.read_outbox(1)
    assert event.body["destinations"] == ["PACS"]
    assert event.body["flags"]


def test_nothing_of_the_patient_leaves_where_the_site_shares_nothing(buffer: Buffer) -> None:
    router = Router(buffer, HealthBoard(), lambda: load_policy(SHY), b"k" * 32)
    content = data_set("1.2.77")
    router.admit([take(buffer, "1.2.77", content=content)])
    (event,) = buffer.read_outbox(1)
    assert event.body["tags"] == {}
    assert event.body["sop_instance_uid"] == ""
    assert event.body["study_instance_uid"] == ""


@pytest.mark.parametrize(
    ("written", "kept"), [(b"12", 12), (b"-1", -1), (b"99999999999 ", None), (b"one ", None), (b"", None)]
)
def test_the_number_of_an_image_is_kept_when_it_can_be_one(buffer: Buffer, written: bytes, kept: int | None) -> None:
    router = Router(buffer, HealthBoard(), lambda: load_policy(SHY), b"k" * 32)
    number = b"\x20\0\x13\0IS" + len(written).to_bytes(2, "little") + written
    content = data_set("1.2.1").replace(b"\xe0\x7f\x10\0OB", number + b"\xe0\x7f\x10\0OB")
    assert router.admit([take(buffer, "1.2.1", content)]) == 1
    found = buffer._reader().execute("SELECT instance_number FROM instance").fetchall()
    assert found == [(kept,)]
