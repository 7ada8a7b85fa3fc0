"""What the sender says byte by byte, and what it makes of answers that are split, out of order, odd or no DICOM."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from edge.buffer.store import Buffer
from edge.forward.base import Accepted, Refused, TryLater, Unfit
from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_pdus import Rejected
from tests.byte_sink import ByteSink, Habits
from tests.byte_wire import Wire, gathered, random_cuts
from tests.edge_samples import CT, EXPLICIT, data_set
from tests.sending import deliver, deliveries, sender


def _few(count: int, *, size: int = 2_000) -> dict[str, bytes]:
    return {f"1.2.{n}": data_set(f"1.2.{n}", body=os.urandom(size)) for n in range(count)}


@pytest.mark.parametrize("maximum", [130, 4_096, 5_001, 16_384, 131_072, 1 << 24, 0])
def test_no_pdu_is_longer_than_the_peer_takes_and_every_byte_arrives(buffer: Buffer, maximum: int) -> None:
    sizes = [0, 1, 117, 118, 119, 4_090, 4_091, 16_378, 300_000, (1 << 20) - 300, 2_500_000]
    contents = {f"1.2.{size}": data_set(f"1.2.{size}", body=os.urandom(size)) for size in sizes}
    with ByteSink(Habits(maximum_length=maximum)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, contents))
        assert set(sent.kinds().values()) == {Accepted}
        assert {one.uid: one.data_set for one in sink.arrivals} == contents
        (seen,) = sink.associations
        assert seen.longest_pdu <= (maximum or 1 << 20)
        assert seen.longest_pdu >= (min(maximum, 1 << 18) or 1 << 18) - 1
        assert (seen.requested.calling, seen.requested.called) == ("SKERRY", "PACS")


@pytest.mark.parametrize("maximum", [1, 50, 127])
def test_a_peer_that_takes_no_pdu_worth_the_name_is_down(buffer: Buffer, maximum: int) -> None:
    with ByteSink(Habits(maximum_length=maximum)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(1)))
        assert (sent.outcomes, str(sent.down)) == ({}, f"it takes no PDU longer than {maximum} bytes")


@pytest.mark.parametrize("window", [None, (1, 1)])
def test_without_leave_one_instance_is_under_way(buffer: Buffer, window: tuple[int, int] | None) -> None:
    with ByteSink(Habits(window=window, together=3)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(4)))
        assert set(sent.kinds().values()) == {Accepted}
        assert sink.associations[0].most_outstanding == 1


def test_as_many_are_under_way_as_the_peer_grants_and_each_answer_is_for_its_own(buffer: Buffer) -> None:
    refused = {"1.2.2": 0xA700, "1.2.5": 0xC000}
    with ByteSink(Habits(window=(4, 1), together=4, status=lambda uid: refused.get(uid, 0))) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(10)))
        assert sent.kinds() == dict.fromkeys(_few(10), Accepted) | {"1.2.2": TryLater, "1.2.5": Refused}
        assert sink.associations[0].most_outstanding == 4
        assert [one.uid for one in sink.arrivals] == list(_few(10))


def test_a_peer_without_limit_gets_at_most_what_we_asked_for(buffer: Buffer) -> None:
    with ByteSink(Habits(window=(0, 0), together=50)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(40)))
        assert set(sent.kinds().values()) == {Accepted}
        assert sink.associations[0].most_outstanding == 32


def test_what_failed_before_and_what_is_large_travels_alone(buffer: Buffer) -> None:
    contents = _few(2) | {"1.2.8": data_set("1.2.8", body=os.urandom(2 << 20))}
    tried = deliveries(buffer, {f"1.3.{n}": data_set(f"1.3.{n}") for n in range(3)}, attempts=2)
    with ByteSink(Habits(window=(8, 1), together=8)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, contents) + tried)
        assert set(sent.kinds().values()) == {Accepted}
        assert sink.associations[0].most_outstanding == 2


def test_everything_under_way_on_a_broken_association_is_tried_later_and_the_rest_given_back(buffer: Buffer) -> None:
    with ByteSink(Habits(window=(4, 1), together=9, ends_after=8_000, ends_with="reset")) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(30, size=2_500)))
        assert sent.down is not None
        assert set(sent.kinds().values()) == {TryLater}
        assert list(sent.outcomes) == list(_few(30))[: len(sent.outcomes)]
        assert 3 <= len(sent.outcomes) <= 4


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((1, 1, 3), "calling AE title"), ((1, 1, 7), "called AE title"), ((2, 3, 2), "limit"), ((1, 9, 9), "no reason")],
)
def test_a_rejection_is_said_in_words(buffer: Buffer, numbers: tuple[int, int, int], words: str) -> None:
    result, source, reason = numbers
    with ByteSink(Habits(rejects=Rejected(result=result, source=source, reason=reason))) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(1)))
        assert sent.outcomes == {}
        assert words in str(sent.down)


def test_a_peer_that_accepts_nothing_that_is_offered_parks_it(buffer: Buffer) -> None:
    with ByteSink(Habits(accepts=lambda _context: None)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(2)))
        assert (sent.down, set(sent.kinds().values())) == (None, {Refused})


def test_an_accepted_context_in_a_syntax_that_was_not_offered_carries_nothing(buffer: Buffer) -> None:
    with ByteSink(Habits(accepts=lambda _context: pdus.IMPLICIT)) as sink:
        sent = deliver(sender(buffer, sink.port), deliveries(buffer, _few(1)))
        assert set(sent.kinds().values()) == {Refused}
        assert sink.arrivals == []


def test_an_instance_under_what_is_no_uid_is_quarantined_and_the_others_go(buffer: Buffer) -> None:
    odd = deliveries(buffer, {"1.2.9": data_set("1.2.9")}, sop_class="not a uid")
    with ByteSink() as sink:
        sent = deliver(sender(buffer, sink.port), odd + deliveries(buffer, _few(1)))
        assert sent.kinds() == {"1.2.9": Unfit, "1.2.0": Accepted}


Answer = Callable[[int, str], bytes]


@contextlib.contextmanager
def _acceptor(answer: Answer, *, pieces: int = 0) -> Iterator[int]:
    """A peer that answers each instance with these bytes, in TCP segments of so many."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError), Wire(listener.accept()[0]) as wire:
            asked = wire.receive()
            assert asked is not None
            requested = pdus.read_requested(asked.body)
            accepted = b"".join(pdus.context_ac(one.context_id, 0, EXPLICIT) for one in requested.contexts)
            wire.send(pdus.associate_ac(accepted, called="P", calling="S", maximum_length=0))
            command: commands.Command | None = None
            while (found := wire.receive()) is not None and found.kind == pdus.P_DATA_TF:
                for part in pdus.read_pdvs(found.body):
                    if part.is_command:
                        command = commands.read_command(part.content)
                    elif part.is_last and command is not None:
                        raw = answer(command.number(commands.MESSAGE_ID), command.text(commands.AFFECTED_INSTANCE))
                        wire.send_pieces(raw, pieces or len(raw) or 1)
            wire.drain()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()
        thread.join(5)


def _response(message_id: int, uid: str, **changes: commands.Value) -> bytes:
    values: dict[int, commands.Value] = {
        commands.AFFECTED_CLASS: CT.encode(),
        commands.COMMAND: commands.STORE_RSP,
        commands.ANSWERED_ID: message_id,
        commands.DATA_SET_TYPE: commands.NO_DATA_SET,
        commands.STATUS: 0,
        commands.AFFECTED_INSTANCE: uid.encode(),
    }
    return commands.command_set(values | {getattr(commands, name): value for name, value in changes.items()})


@pytest.mark.parametrize("seed", range(6))
def test_an_answer_is_read_whatever_its_split(buffer: Buffer, seed: int) -> None:
    chance = random.Random(seed)

    def answer(message_id: int, uid: str) -> bytes:
        content = _response(message_id, uid)
        parts = pdus.fragments(content, random_cuts(chance, len(content), 9), command=True)
        empty = [pdus.pdv(b"", command=True, last=False)] if seed % 2 else []
        return b"".join(gathered([*empty, *parts], chance, limit=16_000))

    with _acceptor(answer, pieces=(seed % 3) * 7) as port:
        forwarder = sender(buffer, port)
        sent = deliver(forwarder, deliveries(buffer, _few(12)))
        assert (sent.down, list(sent.kinds().values())) == (None, [Accepted] * 12)
        forwarder.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda _id, _uid: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda _id, _uid: b"\x04\0\xff\xff\xff\xff" + bytes(100),
        lambda _id, _uid: pdus.p_data(pdus.pdv(b"data", command=False)),
        lambda _id, _uid: pdus.p_data(pdus.pdv(b"garbage!", command=True)),
        lambda _id, _uid: pdus.p_data(b"\0\0\0\x01\x01\x03"),
        lambda _id, _uid: pdus.pdu(pdus.P_DATA_TF, b"\0\0"),
        lambda _id, _uid: pdus.pdu(pdus.ASSOCIATE_AC, bytes(80)),
        lambda _id, _uid: pdus.pdu(0x99, bytes(4)),
        lambda id_, uid: pdus.p_data(pdus.pdv(_response(id_ + 1, uid), command=True)),
        lambda id_, uid: pdus.p_data(pdus.pdv(_response(id_, uid), command=True, context_id=77)),
        lambda id_, uid: pdus.p_data(pdus.pdv(_response(id_, uid, STATUS=None), command=True)),
        lambda id_, uid: pdus.p_data(pdus.pdv(_response(id_, uid, COMMAND=commands.ECHO_RSP), command=True)),
        lambda _id, _uid: b"".join(pdus.p_data(pdus.pdv(bytes(8_000), command=True, last=False)) for _ in range(20)),
    ],
)
def test_an_answer_that_is_none_delivers_nothing_and_ends_the_association(buffer: Buffer, answer: Answer) -> None:
    with _acceptor(answer) as port:
        sent = deliver(sender(buffer, port), deliveries(buffer, _few(2)))
        assert sent.kinds() == {"1.2.0": TryLater}
        assert str(sent.down) == "its answer is not what DICOM says"
        assert sent.seconds < 5


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02\0\xff\xff\xff\xff", pdus.pdu(2, bytes(70)), b"\x02\0", b""]
)
def test_what_answers_but_not_as_dicom_is_said(buffer: Buffer, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        sent = deliver(sender(buffer, port), deliveries(buffer, _few(1)))
        thread.join(5)
        assert (sent.outcomes, str(sent.down)) == ({}, f"nothing answers as DICOM at 127.0.0.1:{port}")
