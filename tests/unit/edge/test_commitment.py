"""Storage commitment between the index and the peer: who is told what, when, and what happens when nothing works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.buffer.expectations import Expectations
from edge.buffer.hand import Choice, Hand
from edge.buffer.states import DeliveryEvent
from edge.buffer.store import Buffer
from edge.ingest.commitment import Commitment
from edge.ingest.reports import Reports
from edge.upper_layer.announcing import COMMITMENT_INSTANCE, Announcement, Verdict
from edge.upper_layer.negotiation import Context
from tests.edge_samples import CT, EXPLICIT, data_set, routed, take
from tests.mpps import COMMITMENT, asked, encoded

CONTEXTS = {5: Context(COMMITMENT, EXPLICIT)}
VERDICT = Verdict(transaction_uid="1.9", committed={"1.1": CT}, failed={})


class Peer:
    """Takes what is sent, or not."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Any]] = []

    def tell(self, context_id: int, request: Any) -> None:
        """See `Services.tell`."""
        self.told.append((context_id, request))


class Later:
    """Remembers what was to be told another way."""

    def __init__(self, *, known: bool = True) -> None:
        self.verdicts: list[Verdict] = []
        self._known = known

    def __call__(self, ae_title: str, verdict: Verdict) -> bool:
        assert ae_title == "CT01"
        self.verdicts.append(verdict)
        return self._known


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    buffer = Buffer(tmp_path)
    yield buffer
    buffer.close()


def ask(folder: Path, later: Later, *uids: str, patience: float = 0.0, before: Callable[[], object] = bool) -> Peer:
    """One request, and what its association heard; then it ends."""
    peer, heard = Peer(), Expectations(folder / "edge.db")
    commitment = Commitment(heard, "CT01", later, patience_seconds=patience)
    content = encoded(asked("1.9", *uids))
    request = Announcement(
        context_id=5,
        sop_instance_uid=COMMITMENT_INSTANCE,
        action=1,
        data_set=content,
        transfer_syntax_uid=EXPLICIT,
    )
    assert commitment._ask(request) == 0x0000
    before()
    commitment.report(peer, CONTEXTS)  # type: ignore[arg-type]
    commitment.close()
    heard.close()
    return peer


def admit(buffer: Buffer, *uids: str) -> None:
    """These images are here."""
    buffer.admit([routed(take(buffer, uid, data_set(uid)), "pacs") for uid in uids])


def failed(later: Later) -> dict[str, int]:
    """What the only verdict says failed."""
    (verdict,) = later.verdicts
    return {uid: reason for uid, (_class, reason) in verdict.failed.items()}


def test_what_was_delivered_and_has_left_is_not_committed_any_more(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.1", "1.2")
    (first, _second) = buffer.claim("pacs", 2)
    buffer.settle(first.delivery_id, DeliveryEvent.ACCEPTED)
    buffer.release_delivered(timedelta(0))
    later = Later()
    peer = ask(tmp_path, later, "1.1", "1.2")
    assert failed(later) == {"1.1": 0x0112}
    assert [(context, request.EventTypeID) for context, request in peer.told] == [(5, 2)]


def test_what_a_person_gave_up_is_not_committed(buffer: Buffer, tmp_path: Path) -> None:
    admit(buffer, "1.1")
    Hand(tmp_path).discard(Choice(uid="1.1"), dry_run=False, reason="a phantom")
    later = Later()
    ask(tmp_path, later, "1.1")
    assert failed(later) == {"1.1": 0x0112}


def test_a_row_that_is_on_its_way_is_waited_for(buffer: Buffer, tmp_path: Path) -> None:
    later = Later()
    soon = threading.Timer(0.3, lambda: admit(buffer, "1.1"))
    ask(tmp_path, later, "1.1", patience=10.0, before=soon.start)
    assert failed(later) == {}


def test_nothing_is_committed_while_nobody_can_look(tmp_path: Path) -> None:
    (tmp_path / "edge.db").write_bytes(b"no database at all" * 100)
    later = Later()
    ask(tmp_path, later, "1.1")
    assert failed(later) == {"1.1": 0x0110}
    (tmp_path / "edge.db").unlink()


def test_an_answer_ends_it_and_a_refusal_goes_another_way(buffer: Buffer, tmp_path: Path) -> None:
    later, heard = Later(), Expectations(tmp_path / "edge.db")
    commitment = Commitment(heard, "CT01", later, patience_seconds=0)
    commitment._told = {7: VERDICT, 8: VERDICT}
    assert commitment.answered({0x0120: b"\7\0", 0x0900: b"\0\0"})
    assert not commitment.answered({0x0120: b"\7\0", 0x0900: b"\0\0"}), "once"
    assert later.verdicts == []
    assert commitment.answered({0x0120: b"\x08\0", 0x0900: b"\x10\1"})
    assert later.verdicts == [VERDICT]
    commitment.close()
    assert later.verdicts == [VERDICT]
    heard.close()


def test_a_report_is_tried_until_it_is_taken() -> None:
    tries: list[tuple[str, int]] = []
    done = threading.Event()

    def deliver(verdict: Verdict, host: str, port: int, **_titles: str) -> bool:
        assert verdict == VERDICT
        tries.append((host, port))
        if len(tries) == 1:
            raise OSError("no route")
        if len(tries) == 3:
            done.set()
        return len(tries) == 3

    reports = Reports("SKERRY", ["CT01@[::1]:11112"], deliver=deliver, pauses=(0.01,))
    assert not reports.tell("US09", VERDICT)
    assert reports.tell("CT01", VERDICT)
    assert done.wait(10)
    assert tries == [("::1", 11112)] * 3
    until = time.monotonic() + 10
    while reports._thread is not None:
        assert time.monotonic() < until, "its thread stays although nothing is owed"
        time.sleep(0.01)
    reports.stop()
    assert not reports.tell("CT01", VERDICT)


def test_what_is_owed_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.ingest.reports.MOST_OWED", 2)
    reports = Reports("SKERRY", ["CT01@h:1"], deliver=lambda *_, **__: False, pauses=(1000.0,))
    for _one in range(5):
        assert reports.tell("CT01", VERDICT)
    assert len(reports._owed) == 2
    reports.stop()
