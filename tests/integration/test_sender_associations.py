"""How the sender uses associations: kept, released, opened again, several at a time, cut."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from edge.buffer.store import Buffer
from edge.forward import pool
from edge.forward.base import Accepted, TryLater, Unfit
from provisioning.local.storescp import StoreScp
from tests import byte_pdus as pdus
from tests.byte_sink import ByteSink, Habits
from tests.edge_samples import data_set
from tests.sending import deliver, deliveries, sender


def _few(count: int, *, start: int = 0, size: int = 2_000) -> dict[str, bytes]:
    uids = [f"1.2.{number}" for number in range(start, start + count)]
    return {uid: data_set(uid, body=os.urandom(size)) for uid in uids}


def test_one_association_carries_batch_after_batch(buffer: Buffer) -> None:
    with ByteSink() as sink:
        forwarder = sender(buffer, sink.port)
        for start in range(0, 9, 3):
            assert set(deliver(forwarder, deliveries(buffer, _few(3, start=start))).kinds().values()) == {Accepted}
        forwarder.close()
        sink.wait(lambda: sink.associations[0].end == "released", "the association is released")
        assert len(sink.associations) == 1


@pytest.mark.parametrize("collides", [False, True])
def test_an_association_without_work_is_released(
    buffer: Buffer, monkeypatch: pytest.MonkeyPatch, *, collides: bool
) -> None:
    monkeypatch.setattr(pool, "REST_SECONDS", 0.2)
    with ByteSink(Habits(collides=collides)) as sink:
        forwarder = sender(buffer, sink.port)
        deliver(forwarder, deliveries(buffer, _few(1)))
        forwarder.rest()
        assert sink.associations[0].end == "open"
        time.sleep(0.3)
        forwarder.rest()
        sink.wait(lambda: sink.associations[0].end != "open", "the association is released")
        assert sink.associations[0].end == ("collided" if collides else "released")


@pytest.mark.parametrize(
    "word",
    [pdus.abort(), pdus.abort(2, 0), pdus.release_rq(), b"no DICOM at all", b""],
    ids=["user-abort", "provider-abort", "release", "garbage", "close"],
)
def test_a_peer_that_ends_an_idle_association_is_called_again(buffer: Buffer, word: bytes) -> None:
    with ByteSink() as sink:
        forwarder = sender(buffer, sink.port)
        deliver(forwarder, deliveries(buffer, _few(1)))
        sink.say(word) if word else sink.hang_up()
        time.sleep(0.1)
        sent = deliver(forwarder, deliveries(buffer, _few(2, start=1)))
        assert (sent.down, set(sent.kinds().values())) == (None, {Accepted})
        assert len(sink.associations) == 2


def test_a_peer_that_ended_while_nobody_looked_gets_the_instance_over_a_new_association(buffer: Buffer) -> None:
    first, second = _few(1), _few(1, start=1, size=30_000)
    with ByteSink(Habits(ends_after=len(first["1.2.0"]) + 1, ends_with="reset")) as sink:
        forwarder = sender(buffer, sink.port)
        deliver(forwarder, deliveries(buffer, first))
        sink.habits = Habits()
        sent = deliver(forwarder, deliveries(buffer, second))
        assert (sent.down, sent.kinds()) == (None, {"1.2.1": Accepted})
        assert len(sink.associations) == 2


def test_an_instance_that_breaks_every_association_is_tried_later(buffer: Buffer) -> None:
    first, poison = _few(1), _few(1, start=1, size=30_000)
    with ByteSink(Habits(ends_after=10_000, ends_with="abort")) as sink:
        forwarder = sender(buffer, sink.port)
        deliver(forwarder, deliveries(buffer, first))
        sent = deliver(forwarder, deliveries(buffer, poison) + deliveries(buffer, _few(1, start=2)))
        assert sent.kinds() == {"1.2.1": TryLater}
        assert "aborted" in str(sent.down)
        assert len(sink.associations) == 2


def test_a_peer_that_releases_in_the_middle_of_a_batch_gets_the_rest_over_another(buffer: Buffer) -> None:
    released: list[str] = []

    def status(uid: str) -> int:
        if uid == "1.2.2" and not released:
            released.append(uid)
            sink.say(pdus.release_rq())
        return 0

    with ByteSink() as sink:
        sink.habits = Habits(status=status)
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(5)))
        assert (sent.down, list(sent.kinds().values())) == (None, [Accepted] * 5)
        assert len(sink.associations) == 2


def test_a_peer_that_releases_whatever_it_is_sent_is_down(buffer: Buffer) -> None:
    def status(_uid: str) -> int:
        sink.say(pdus.release_rq())
        return 0

    with ByteSink() as sink:
        sink.habits = Habits(status=status)
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(3)))
        assert sent.kinds() == {"1.2.0": TryLater}
        assert "released" in str(sent.down)


def test_a_kind_that_was_not_proposed_opens_another_association_and_both_kinds_share_it(buffer: Buffer) -> None:
    with ByteSink() as sink:
        forwarder = sender(buffer, sink.port)
        mr = "1.2.840.10008.5.1.4.1.1.4"
        for start in range(0, 4, 2):
            deliver(forwarder, deliveries(buffer, _few(1, start=start)))
            deliver(forwarder, deliveries(buffer, _few(1, start=start + 1), sop_class=mr))
        assert [len(seen.requested.contexts) for seen in sink.associations] == [1, 2]
        assert len(sink.arrivals) == 4


def test_a_large_file_that_rotted_is_never_complete_at_the_peer_and_the_rest_arrives(buffer: Buffer) -> None:
    contents = _few(2) | {"1.2.8": data_set("1.2.8", body=os.urandom(3 << 20))} | _few(2, start=3)
    wanted = deliveries(buffer, contents)
    rotten = wanted[2].sealed
    with buffer.spool.path(rotten.instance_id).open("r+b") as file:
        file.seek(rotten.data_set_offset + rotten.data_set_length - 1)
        last = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([last[0] ^ 1]))
    with ByteSink() as sink:
        sent = deliver(sender(buffer, sink.port), wanted)
        assert sent.down is None
        assert sent.kinds() == {
            "1.2.0": Accepted,
            "1.2.1": Accepted,
            "1.2.8": Unfit,
            "1.2.3": Accepted,
            "1.2.4": Accepted,
        }
        assert {one.uid for one in sink.arrivals} == set(contents) - {"1.2.8"}
        sink.wait(lambda: sink.associations[0].end == "aborted", "the association is aborted")


def test_studies_travel_side_by_side_and_each_in_order_on_one_association(buffer: Buffer) -> None:
    wanted = [
        one for number in range(4) for one in deliveries(buffer, _few(5, start=number * 5), study=f"1.9.{number}")
    ]
    with ByteSink(Habits(delay=0.02)) as sink:
        forwarder = sender(buffer, sink.port, associations=2)
        sent = deliver(forwarder, wanted[::2] + wanted[1::2])
        assert (sent.down, list(sent.kinds().values())) == (None, [Accepted] * 20)
        assert len(sink.associations) == 2
        assert all(seen.arrivals for seen in sink.associations)
        for number in range(4):
            arrived = [one for one in sink.arrivals if int(one.uid.split(".")[2]) // 5 == number]
            assert len({one.association for one in arrived}) == 1
        forwarder.close()
        sink.wait(lambda: all(seen.end == "released" for seen in sink.associations), "both are released")


def test_a_peer_that_serves_one_association_at_a_time_gets_everything_over_one(buffer: Buffer, tmp_path: Path) -> None:
    wanted = [
        one for number in range(3) for one in deliveries(buffer, _few(20, start=number * 20), study=f"1.9.{number}")
    ]
    with StoreScp(tmp_path / "pacs") as pacs:
        forwarder = sender(buffer, pacs.port, associations=3)
        sent = deliver(forwarder, wanted)
        assert (sent.down, set(sent.kinds().values())) == (None, {Accepted})
        forwarder.close()
        assert len(pacs.received()) == 60


def test_one_broken_association_does_not_hold_what_another_can_carry(buffer: Buffer) -> None:
    studies = [deliveries(buffer, _few(6, start=number * 6), study=f"1.9.{number}") for number in range(2)]

    def status(uid: str) -> int:
        if uid == "1.2.1":
            sink.hang_up(next(one.association for one in sink.arrivals if one.uid == uid))
        return 0

    with ByteSink() as sink:
        sink.habits = Habits(delay=0.02, status=status)
        sent = deliver(sender(buffer, sink.port, associations=2), studies[0] + studies[1])
        assert sent.kinds().pop("1.2.1") is TryLater
        assert sent.down is not None
        assert {uid for uid, kind in sent.kinds().items() if kind is Accepted} >= {f"1.2.{n}" for n in range(6, 12)}


def test_all_associations_of_a_destination_can_be_interrupted(buffer: Buffer) -> None:
    studies = [deliveries(buffer, _few(3, start=number * 3), study=f"1.9.{number}") for number in range(3)]
    with ByteSink(Habits(delay=3)) as sink:
        forwarder = sender(buffer, sink.port, associations=3, idle_seconds=60)
        threading.Timer(0.7, forwarder.interrupt).start()
        sent = deliver(forwarder, [one for study in studies for one in study])
        assert set(sent.kinds().values()) == {TryLater}
        assert len(sent.outcomes) == 3
        assert sent.down is not None
        assert sent.seconds < 4
        assert str(deliver(forwarder, studies[0]).down) == "this node is leaving it"
