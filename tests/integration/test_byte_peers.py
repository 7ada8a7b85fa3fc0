"""The byte-level peers are no island: DCMTK understands them, and they understand each other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from provisioning.local.dcmsend import send
from provisioning.local.storescp import StoreScp
from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_peer import BytePeer, Ended, associated
from tests.byte_sink import ByteSink, Habits
from tests.byte_wire import gathered
from tests.dicom_corpus import corpus_files
from tests.edge_samples import data_set
from tests.real_programs import require


def test_dcmtk_takes_what_the_byte_peer_sends(tmp_path: Path) -> None:
    require("storescp")
    with StoreScp(tmp_path / "pacs") as pacs:
        with BytePeer(pacs.port) as peer:
            peer.associate()
            assert peer.echo() == 0x0000
            assert peer.store("1.2.3.4", data_set("1.2.3.4"), message_id=65535) == 0x0000
            assert peer.release()
        assert pacs.received()["1.2.3.4"].data_set == data_set("1.2.3.4")


def test_the_byte_sink_takes_what_dcmtk_sends() -> None:
    require("dcmsend")
    files = [path for path in corpus_files("dev") if path.stat().st_size < 100_000][:10]
    with ByteSink(Habits(maximum_length=4096)) as sink:
        sent = send(files, port=sink.port)
        assert len(sink.wait_arrivals(len(sent.succeeded))) == len(sent.succeeded) > 0
        sink.wait(lambda: sink.associations[0].end == "released", "a release was expected")
        assert sink.associations[0].longest_pdu <= 4096


def test_answers_may_be_held_back_and_come_out_of_order() -> None:
    with ByteSink(Habits(window=(4, 1), together=4)) as sink, BytePeer(sink.port) as peer:
        assert peer.associate(more=pdus.window_item(4, 1)).window == (4, 1)
        for number in range(6):
            peer.send_message(commands.store_rq(b"1.2.3", message_id=number), data_set())
        assert [peer.response().message_id for _ in range(6)] == [3, 2, 1, 0, 5, 4]
        assert sink.associations[0].most_outstanding == 4


@pytest.mark.parametrize("ends_with", ["abort", "close", "reset"])
def test_the_sink_can_end_in_the_middle_of_an_object(ends_with: str) -> None:
    habits = Habits(ends_after=5_000, ends_with=ends_with)  # type: ignore[arg-type]
    with ByteSink(habits) as sink, associated(sink.port) as peer:
        with pytest.raises((Ended, ConnectionError)):
            peer.store("1.2.3.4", data_set(body=bytes(1 << 20)))
        assert not sink.arrivals


def test_a_release_may_collide() -> None:
    with ByteSink(Habits(collides=True)) as sink, associated(sink.port) as peer:
        peer.send(pdus.release_rq())
        found = peer.receive()
        assert found is not None
        assert found.kind == pdus.RELEASE_RQ
        peer.send(pdus.release_rp())
        found = peer.receive()
        assert found is not None
        assert found.kind == pdus.RELEASE_RP
        sink.wait(lambda: sink.associations[0].end == "collided", "both sides answered")


def test_fragments_and_their_gathering_lose_nothing() -> None:
    chance = random.Random(7)
    content = chance.randbytes(5_000)
    parts = pdus.fragments(content, [1, 2, 700, 4_999])
    together = [pdus.read_pdvs(one[6:]) for one in gathered(parts, chance, limit=4_000)]
    flat = [one for pdvs in together for one in pdvs]
    assert b"".join(one.content for one in flat) == content
    assert [one.is_last for one in flat] == [False] * 4 + [True]
