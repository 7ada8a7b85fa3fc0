"""Messages in every shape that PS3.8 9.3.5 and PS3.7 6.3 allow come in whole, untouched and answered."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.local.dataset import split_part10
from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_pdus import Context
from tests.byte_peer import ECHO_CONTEXT, BytePeer, associated
from tests.byte_wire import gathered, random_cuts
from tests.conftest import Figures
from tests.dicom_corpus import corpus_files
from tests.edge_door import TunedEdge
from tests.edge_samples import CT, EXPLICIT, data_set

SMALLEST_LIMIT = 4096


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunedEdge]:
    with TunedEdge(tmp_path_factory.mktemp("completeness"), pdu_timeout_seconds=10) as node:
        yield node
        assert "Traceback" not in node.log_text()


def _content(uid: str, chance: random.Random, size: int) -> bytes:
    return data_set(uid, body=chance.randbytes(size & ~1))


def _uid(request: pytest.FixtureRequest, number: int = 0) -> str:
    """A UID of its own for each test of this module."""
    return f"1.2.840.1.{zlib.crc32(request.node.name.encode())}.{number}"


@pytest.mark.parametrize("seed", range(16))
def test_a_message_in_any_fragments_and_pdus_arrives_whole(
    edge: TunedEdge, request: pytest.FixtureRequest, seed: int
) -> None:
    """Several PDVs in one PDU, the command's and the data set's among them, empty ones and those of one byte."""
    chance = random.Random(seed)
    with associated(edge.dicom_port) as peer:
        limit = peer.peer_limit or 1 << 20
        for number in range(4):
            uid = _uid(request, number)
            content = _content(uid, chance, chance.choice([0, 50, 3_000, 40_000, 300_000]))
            command = commands.store_rq(uid.encode(), message_id=number)
            heads = pdus.fragments(command, random_cuts(chance, len(command), 12), command=True)
            heads.insert(chance.randrange(len(heads)), pdus.pdv(b"", command=True, last=False))
            tails = _within(content, random_cuts(chance, len(content), 60), limit)
            tails.insert(chance.randrange(len(tails)), pdus.pdv(b"", last=False))
            parts = heads + tails
            peer.send_pieces(b"".join(gathered(parts, chance, limit=limit)), chance.choice([999, 100_000]))
            answer = peer.response()
            assert (answer.message_id, answer.status) == (number, 0x0000)
            assert edge.stored(uid).data_set == content
        assert peer.release()


def _within(content: bytes, cuts: list[int], limit: int) -> list[bytes]:
    return pdus.fragments(content, [*cuts, *range(limit - 6, len(content), limit - 6)])


def test_an_empty_last_fragment_ends_a_data_set(edge: TunedEdge, request: pytest.FixtureRequest) -> None:
    uid = _uid(request)
    content = data_set(uid)
    with associated(edge.dicom_port) as peer:
        peer.send(pdus.p_data(pdus.pdv(commands.store_rq(uid.encode()), command=True)))
        peer.send(pdus.p_data(pdus.pdv(content, last=False)))
        peer.send(pdus.p_data(pdus.pdv(b"")))
        assert peer.response().status == 0x0000
    assert edge.stored(uid).data_set == content


@pytest.mark.parametrize("in_one_pdu", [False, True], ids=["a PDU for each", "all in one PDU"])
def test_fragments_of_one_byte_arrive_whole(edge: TunedEdge, request: pytest.FixtureRequest, in_one_pdu: bool) -> None:
    uid = _uid(request)
    content = data_set(uid)
    command = commands.store_rq(uid.encode())
    parts = pdus.fragments(command, range(len(command)), command=True) + pdus.fragments(content, range(len(content)))
    with associated(edge.dicom_port) as peer:
        peer.send(pdus.p_data(*parts) if in_one_pdu else b"".join(pdus.p_data(one) for one in parts))
        assert peer.response().status == 0x0000
    assert edge.stored(uid).data_set == content


def test_bytes_one_at_a_time_are_a_message_too(edge: TunedEdge, request: pytest.FixtureRequest) -> None:
    uid = _uid(request)
    message = pdus.p_data(pdus.pdv(commands.store_rq(uid.encode()), command=True), pdus.pdv(data_set(uid)))
    with associated(edge.dicom_port) as peer:
        peer.send_pieces(message, 1)
        assert peer.response().status == 0x0000
    assert edge.stored(uid).data_set == data_set(uid)


@pytest.mark.parametrize("size", [12, 128, SMALLEST_LIMIT, 16_384, 65_536, None], ids=str)
def test_pdus_of_any_size_up_to_the_limit_are_taken(
    edge: TunedEdge, request: pytest.FixtureRequest, size: int | None
) -> None:
    """None: as large as the answer to the association request says, to the byte."""
    uid = _uid(request)
    content = _content(uid, random.Random(1), 20_000 if size and size < 1000 else 700_001)
    with associated(edge.dicom_port) as peer:
        assert peer.peer_limit == 0 or peer.peer_limit >= SMALLEST_LIMIT
        peer.send_message(commands.store_rq(uid.encode()), content, size=size)
        assert peer.response().status == 0x0000
    assert edge.stored(uid).data_set == content


@pytest.mark.parametrize("limit", [64, SMALLEST_LIMIT, 16_384, 1 << 20, 0xFFFFFFFF, 0])
def test_no_answer_is_longer_than_the_peer_takes(edge: TunedEdge, request: pytest.FixtureRequest, limit: int) -> None:
    """0 is no limit (PS3.8 Annex D.1)."""
    uid = _uid(request)
    with associated(edge.dicom_port, maximum_length=limit) as peer:
        peer.send_message(commands.store_rq(uid.encode()), data_set(uid))
        answer = peer.response()
        assert answer.status == 0x0000
        assert max(answer.pdu_lengths) <= (limit or 1 << 20)
        assert peer.echo() == 0x0000


def test_every_transfer_syntax_of_the_corpus_passes_untouched(edge: TunedEdge, figures: Figures) -> None:
    samples: dict[str, Path] = {}
    for path in sorted(corpus_files("dev"), key=lambda one: one.stat().st_size):
        raw = path.read_bytes()
        if raw[128:132] == b"DICM" and (syntax := split_part10(raw).transfer_syntax_uid):
            samples.setdefault(syntax, path)
    for number, (syntax, path) in enumerate(samples.items()):
        part = split_part10(path.read_bytes())
        context = Context(abstract_syntax=part.sop_class_uid, transfer_syntaxes=(syntax,))
        uid = f"{part.sop_instance_uid[:50]}.{number}".replace("..", ".")
        with associated(edge.dicom_port, [context]) as peer:
            assert peer.store(uid, part.data_set, sop_class=part.sop_class_uid) == 0x0000
        stored = edge.stored(uid)
        assert stored.data_set == part.data_set
        assert (stored.transfer_syntax_uid, stored.sop_class_uid) == (syntax, part.sop_class_uid)
    figures(f"upper layer: transfer syntaxes of the corpus that passed untouched {len(samples)}")
    assert len(samples) > 10


def test_a_private_sop_class_in_a_private_transfer_syntax_is_taken_untouched(
    edge: TunedEdge, request: pytest.FixtureRequest
) -> None:
    uid, sop_class, syntax = _uid(request), "1.2.826.0.1.3680043.10.9999.7", "1.2.826.0.1.3680043.10.9999.8"
    content = random.Random(3).randbytes(10_001)  # nothing that anybody can read, of an odd length
    with associated(edge.dicom_port, [Context(abstract_syntax=sop_class, transfer_syntaxes=(syntax,))]) as peer:
        assert peer.store(uid, content, sop_class=sop_class) == 0x0000
    stored = edge.stored(uid)
    assert (stored.data_set, stored.sop_class_uid, stored.transfer_syntax_uid) == (content, sop_class, syntax)


@pytest.mark.parametrize("message_id", [0, 1, 65535])
def test_any_message_id_is_answered_with_itself(
    edge: TunedEdge, request: pytest.FixtureRequest, message_id: int
) -> None:
    with associated(edge.dicom_port) as peer:
        assert peer.store(_uid(request), data_set(_uid(request)), message_id=message_id) == 0x0000
        assert peer.echo(message_id=message_id) == 0x0000


def test_stores_and_echoes_take_turns_on_one_association(edge: TunedEdge, request: pytest.FixtureRequest) -> None:
    with associated(edge.dicom_port) as peer:
        for number in range(10):
            assert peer.echo(message_id=number) == 0x0000
            assert peer.store(_uid(request, number), data_set(_uid(request, number)), message_id=number) == 0x0000
        assert peer.release()
    assert [edge.stored(_uid(request, number)).data_set for number in range(10)] == [
        data_set(_uid(request, number)) for number in range(10)
    ]


@pytest.mark.parametrize("window", [b"", pdus.window_item(0, 1)], ids=["no window asked for", "unlimited asked for"])
def test_requests_that_wait_for_no_answer_are_all_answered(
    edge: TunedEdge, request: pytest.FixtureRequest, window: bytes
) -> None:
    count = 40
    with associated(edge.dicom_port, more=window) as peer:
        message = b""
        for number in range(count):
            uid = _uid(request, number)
            command = commands.store_rq(uid.encode(), message_id=number)
            message += pdus.p_data(pdus.pdv(command, command=True)) + pdus.p_data(pdus.pdv(data_set(uid)))
            if number % 10 == 5:
                echo = commands.echo_rq(1_000 + number)
                message += pdus.p_data(pdus.pdv(echo, command=True, context_id=ECHO_CONTEXT))
        peer.send(message)
        answers = [peer.response() for _ in range(count + 4)]
        assert {one.status for one in answers} == {0x0000}
        assert sorted(one.message_id for one in answers) == [*range(count), 1005, 1015, 1025, 1035]
        assert peer.release()
    assert all(edge.is_held(_uid(request, number)) or edge.held(_uid(request, number)) for number in range(count))


def test_a_data_set_of_no_bytes_is_answered_and_the_association_goes_on(
    edge: TunedEdge, request: pytest.FixtureRequest
) -> None:
    with associated(edge.dicom_port) as peer:
        peer.send_message(commands.store_rq(_uid(request).encode()), b"")
        assert peer.response().status in (0x0000, 0xC000)
        assert peer.store(_uid(request, 1), data_set(_uid(request, 1)), message_id=2) == 0x0000


def test_a_store_request_that_announces_no_data_set_is_refused_and_the_association_goes_on(
    edge: TunedEdge, request: pytest.FixtureRequest
) -> None:
    with associated(edge.dicom_port) as peer:
        peer.send_message(commands.store_rq(_uid(request).encode(), data_set_type=commands.NO_DATA_SET))
        answer = peer.response()
        assert answer.message_id == 1
        assert answer.status >= 0xA000 or answer.status in range(0x0100, 0x0213)
        assert peer.store(_uid(request, 1), data_set(_uid(request, 1)), message_id=2) == 0x0000
    assert not edge.is_held(_uid(request))


def test_any_other_data_set_type_announces_a_data_set(edge: TunedEdge, request: pytest.FixtureRequest) -> None:
    """PS3.7 Annex E.1: 0101H is none, everything else is some."""
    with associated(edge.dicom_port) as peer:
        for number, kind in enumerate((0x0000, 0x0102, 0xFEFE, 0xFFFF)):
            uid = _uid(request, number)
            peer.send_message(commands.store_rq(uid.encode(), data_set_type=kind), data_set(uid))
            assert peer.response().status == 0x0000


def test_elements_of_a_command_that_nobody_needs_are_passed_over(
    edge: TunedEdge, request: pytest.FixtureRequest
) -> None:
    """Move originator (PS3.7 Table 9.3-1), retired elements, and a UID padded with a space or with nothing."""
    uid = _uid(request)
    more: dict[int, commands.Value] = {0x1030: b"MOVER", 0x1031: 7, 0x0001: b"\0\0\0\0", 0x5110: b"private"}
    with associated(edge.dicom_port) as peer:
        peer.send_message(commands.store_rq(uid.encode(), more=more), data_set(uid))
        assert peer.response().status == 0x0000
        peer.send_message(commands.store_rq(b"1.2.3.45 ", sop_class=f"{CT} ".encode()), data_set("1.2.3.45"))
        assert peer.response().status == 0x0000
    assert edge.stored(uid).sop_instance_uid == uid
    assert edge.stored("1.2.3.45").data_set == data_set("1.2.3.45")


def test_as_many_contexts_as_there_can_be_are_answered_one_by_one(
    edge: TunedEdge, request: pytest.FixtureRequest
) -> None:
    contexts = [Context(context_id=number, abstract_syntax=CT) for number in range(1, 256, 2)]
    with BytePeer(edge.dicom_port) as peer:
        answer = peer.associate(contexts)
        assert answer.contexts == dict.fromkeys(range(1, 256, 2), (0, EXPLICIT))
        for number in (1, 127, 255):
            uid = _uid(request, number)
            assert peer.store(uid, data_set(uid), context_id=number) == 0x0000
