"""C-FIND after sending, with peers that answer in pieces, wrongly, or not at all: never a false yes, never a hang."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.forward import find
from edge.forward.base import DestinationDown
from edge.forward.find import FindAsker
from edge.model import DicomDestination
from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_wire import Wire, random_cuts

STUDY, SERIES = "1.2.3", "1.2.9.1"
PENDING, SUCCESS = 0xFF00, 0x0000
WANTED = frozenset({"1.2.1", "1.2.22", "1.2.3"})
FIND_RSP = 0x8020
Answer = Callable[[Wire, bytes], None]


def _response(status: int, *, identifier: bool, field: int = FIND_RSP) -> bytes:
    kind = commands.WITH_DATA_SET if identifier else commands.NO_DATA_SET
    values: dict[int, commands.Value] = {commands.COMMAND: field, commands.ANSWERED_ID: 1}
    return commands.command_set({**values, commands.DATA_SET_TYPE: kind, commands.STATUS: status})


def _element(group: int, number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", group, number, len(value)) + value


def _identifier(uid: str) -> bytes:
    padded = uid.encode() + b"\0" * (len(uid) % 2)
    parts = (_element(8, 5, b"ISO_IR 100"), _element(8, 0x18, padded), _element(8, 0x52, b"IMAGE "))
    return b"".join(parts) + _element(0x20, 0xD, b"1.2.3\0")


def _match(uid: str) -> list[tuple[bool, bytes]]:
    """Messages: whether each is a command, and its content."""
    return [(True, _response(PENDING, identifier=True)), (False, _identifier(uid))]


END = (True, _response(SUCCESS, identifier=False))


def _say(messages: list[tuple[bool, bytes]]) -> Answer:
    def answer(wire: Wire, _question: bytes) -> None:
        for is_command, content in messages:
            wire.send(pdus.p_data(pdus.pdv(content, command=is_command)))

    return answer


@contextmanager
def _peer(answer: Answer, *, calls: list[bytes] | None = None) -> Iterator[FindAsker]:
    """Someone who asks a peer that takes C-FIND and answers each question like this."""
    listener = socket.create_server(("127.0.0.1", 0))
    wires: list[Wire] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                wires.append(wire := Wire(connection))
                with contextlib.suppress(OSError):
                    _converse(wire, answer, calls if calls is not None else [])
                wire.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    destination = DicomDestination(
        name="pacs", host="127.0.0.1", port=listener.getsockname()[1], ae_title="PACS", verify="find"
    )
    asker = FindAsker(destination, Path("unused"))
    try:
        yield asker
    finally:
        asker.interrupt()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for wire in wires:
            with contextlib.suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _converse(wire: Wire, answer: Answer, calls: list[bytes]) -> None:
    request = wire.receive()
    assert request is not None
    (context,) = pdus.read_requested(request.body).contexts
    accepted = pdus.context_ac(context.context_id, 0, context.transfer_syntaxes[0])
    wire.send(pdus.associate_ac(accepted, called="PACS", calling="SKERRY", maximum_length=16_384))
    question = b""
    while (found := wire.receive()) is not None:
        if found.kind == pdus.RELEASE_RQ:
            wire.send(pdus.release_rp())
            return
        if found.kind != pdus.P_DATA_TF:
            return
        for part in pdus.read_pdvs(found.body):
            if not part.is_command:
                question += part.content
                if part.is_last:
                    calls.append(question)
                    answer(wire, question)
                    question = b""


def test_only_what_was_asked_for_and_is_listed_counts() -> None:
    calls: list[bytes] = []
    with _peer(_say([*_match("1.2.1"), *_match("1.2.22"), *_match("1.2.77"), END]), calls=calls) as asker:
        assert asker.held(STUDY, SERIES, WANTED) == {"1.2.1", "1.2.22"}
        assert asker.held(STUDY, SERIES, WANTED) == {"1.2.1", "1.2.22"}  # over the same association
        asker.rest()
    question = calls[0]
    assert _element(0x20, 0xD, b"1.2.3\0") in question
    assert _element(0x20, 0xE, b"1.2.9.1\0") in question
    assert question == calls[1]


def test_an_answer_without_matches_is_an_answer() -> None:
    with _peer(_say([END])) as asker:
        assert asker.held(STUDY, SERIES, WANTED) == set()


def test_answers_may_be_cut_and_put_together_in_any_way() -> None:
    chance = random.Random(7)

    def answer(wire: Wire, _question: bytes) -> None:
        parts: list[bytes] = []
        for is_command, content in [*_match("1.2.1"), *_match("1.2.3"), END]:
            parts += pdus.fragments(content, random_cuts(chance, len(content), 4), command=is_command)
        while parts:
            count = chance.randint(1, 3)
            wire.send(pdus.p_data(*parts[:count]))
            del parts[:count]

    with _peer(answer) as asker:
        for _time in range(40):
            assert asker.held(STUDY, SERIES, WANTED) == {"1.2.1", "1.2.3"}


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0122, 0xFE00])
def test_a_failure_after_some_matches_is_no_answer(status: int) -> None:
    failed = (True, _response(status, identifier=False))
    with (
        _peer(_say([*_match("1.2.1"), failed])) as asker,
        pytest.raises(DestinationDown, match=f"it answers C-FIND with status 0x{status:04X}"),
    ):
        asker.held(STUDY, SERIES, WANTED)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda wire: wire.send(pdus.abort()), "asked by C-FIND, it aborted the association"),
        (lambda wire: wire.send(pdus.release_rq()), "asked by C-FIND, it released the association"),
        (lambda wire: wire.reset(), "asked by C-FIND, the connection to it was lost"),
        (lambda wire: wire.socket.shutdown(socket.SHUT_RDWR), "asked by C-FIND, the connection to it was lost"),
    ],
)
def test_an_association_that_ends_in_the_middle_of_an_answer_is_no_answer_and_the_next_question_opens_another(
    end: Callable[[Wire], None], words: str
) -> None:
    ended: list[bool] = []

    def answer(wire: Wire, question: bytes) -> None:
        if ended:
            _say([*_match("1.2.1"), END])(wire, question)
            return
        _say(_match("1.2.1"))(wire, question)
        ended.append(True)
        end(wire)

    with _peer(answer) as asker:
        with pytest.raises(DestinationDown, match=words):
            asker.held(STUDY, SERIES, WANTED)
        assert asker.held(STUDY, SERIES, WANTED) == {"1.2.1"}


NOTHING_LIKE_IT = {
    "an answer to a C-STORE": [(True, _response(SUCCESS, identifier=False, field=0x8001))],
    "a data set without a command": [(False, _identifier("1.2.1"))],
    "a command where a data set belongs": [(True, _response(PENDING, identifier=True)), END],
    "an endless identifier": [(True, _response(PENDING, identifier=True)), (False, bytes(2 << 20))],
    "no command at all": [(True, b"\xff" * 40)],
}


@pytest.mark.parametrize("messages", NOTHING_LIKE_IT.values(), ids=NOTHING_LIKE_IT)
def test_what_is_no_answer_is_taken_for_none(messages: list[tuple[bool, bytes]]) -> None:
    with (
        _peer(_say(messages)) as asker,
        pytest.raises(DestinationDown, match="asked by C-FIND, its answer is not what DICOM says"),
    ):
        asker.held(STUDY, SERIES, WANTED)


def test_a_peer_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "ANSWER_SECONDS", 0.3)
    with _peer(_say(_match("1.2.1"))) as asker:
        began = time.monotonic()
        with pytest.raises(DestinationDown, match="it took and said nothing"):
            asker.held(STUDY, SERIES, WANTED)
        assert time.monotonic() - began < 3


def test_a_question_that_hangs_ends_when_the_node_does() -> None:
    with _peer(lambda _wire, _question: None) as asker:
        threading.Timer(0.3, asker.interrupt).start()
        began = time.monotonic()
        with pytest.raises(DestinationDown):
            asker.held(STUDY, SERIES, WANTED)
        assert time.monotonic() - began < 3


def test_bytes_that_are_changed_at_random_never_hang_and_name_nothing_that_was_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(find, "ANSWER_SECONDS", 0.15)
    chance = random.Random(11)
    whole = b"".join(
        pdus.p_data(pdus.pdv(content, command=is_command))
        for is_command, content in [*_match("1.2.1"), *_match("1.2.22"), END]
    )

    def answer(wire: Wire, _question: bytes) -> None:
        changed = bytearray(whole)
        for _change in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        wire.send(bytes(changed[: chance.choice((len(changed), chance.randrange(1, len(changed))))]))

    answered = unanswered = 0
    with _peer(answer) as asker:
        for _time in range(150):
            try:
                assert asker.held(STUDY, SERIES, WANTED) <= WANTED
                answered += 1
            except DestinationDown:
                unanswered += 1
    assert answered > 10
    assert unanswered > 10
