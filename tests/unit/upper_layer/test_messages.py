"""Messages out of P-DATA, in any split: what goes in comes out, and what may not stand there ends the association."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.upper_layer import pdu
from edge.upper_layer.connection import Connection, Patience
from edge.upper_layer.ends import (
    AssociationEnded,
    Idle,
    PeerAborted,
    PeerGone,
    ProtocolBroken,
    Released,
    Silent,
    Stalled,
)
from edge.upper_layer.messages import Messages, Pieces
from edge.upper_layer.windows import Windows

PATIENCE = Patience(idle=5, dimse=5, pdu=5)


def _pdv(context: int, control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def _pdu(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BxL", 4, len(body)) + body


class _Peer:
    """Both ends of a connection; the peer's bytes are sent by a thread, so that nothing can block the test."""

    def __init__(self, sent: bytes, *, patience: Patience = PATIENCE, longest: int = 0, close: bool = True) -> None:
        self.theirs, ours = socket.socketpair()
        self.connection = Connection(ours, patience, Windows())
        self.messages = Messages(self.connection, {1, 3}, longest)
        self._sent, self._close = sent, close
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        try:
            self.theirs.sendall(self._sent)
            if self._close:
                self.theirs.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self) -> _Peer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()
        self.theirs.close()
        self._thread.join(5)


def _read(messages: Messages) -> tuple[bytes, bytes]:
    command = messages.next_command()
    collected = bytearray()

    def collect(pieces: Pieces) -> None:
        for piece in pieces:
            collected.extend(piece)

    collect(messages.data_set(command.context_id, collect))
    return command.raw, bytes(collected)


def _split(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
        if at >= len(data):
            return parts
    return [*parts, data[at:]]


def _message(context: int, command: bytes, data: bytes, cuts: Sequence[int], together: Sequence[bool]) -> bytes:
    """One message in PDVs of these sizes, several of them in one PDU where `together` says so."""
    pdvs = []
    for kind, whole in ((pdu.COMMAND, command), (0, data)):
        parts = _split(whole, cuts)
        pdvs += [_pdv(context, kind | (pdu.LAST if at == len(parts) - 1 else 0), part) for at, part in enumerate(parts)]
    pdus: list[list[bytes]] = [[]]
    for at, one in enumerate(pdvs):
        pdus[-1].append(one)
        if not together[at % len(together)]:
            pdus.append([])
    return b"".join(_pdu(*one) for one in pdus if one)


@settings(max_examples=150, deadline=None)
@given(
    messages=st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.binary(max_size=5000)), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 700), min_size=1, max_size=12),
    together=st.lists(st.booleans(), min_size=1, max_size=7),
)
def test_messages_come_out_as_they_went_in_however_they_are_split(
    messages: list[tuple[bytes, bytes]], cuts: list[int], together: list[bool]
) -> None:
    sent = b"".join(_message(1, command, data, cuts, together) for command, data in messages)
    with _Peer(sent) as peer:
        assert [_read(peer.messages) for _ in messages] == messages
        with pytest.raises(PeerGone):
            peer.messages.next_command()


@pytest.mark.parametrize("size", [1, (1 << 20) - 40, 1 << 20, (1 << 20) + 1, 5_000_001])
@pytest.mark.parametrize("part", [4084, 16_378, 131_060, 1 << 23])
def test_a_data_set_of_any_size_passes_through_the_window(size: int, part: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    cuts = [part] * (size // part + 1)
    with _Peer(_message(3, b"command", data, cuts, [False]) * 2) as peer:
        assert _read(peer.messages) == (b"command", data)
        assert _read(peer.messages) == (b"command", data)


@pytest.mark.parametrize(
    ("sent", "outcome", "abort"),
    [
        (_pdu(_pdv(5, 3, b"x")), "bad-presentation-context", 6),
        (_pdu(_pdv(0, 3, b"x")), "bad-presentation-context", 6),
        (_pdu(_pdv(2, 3, b"x")), "bad-presentation-context", 6),
        (_pdu(struct.pack(">LBB", 900, 1, 3) + b"x"), "bad-pdv-length", 6),
        (_pdu(struct.pack(">LBB", 1, 1, 3)), "bad-pdv-length", 6),
        (_pdu(b"abc"), "bad-pdv-length", 6),
        (_pdu(), "bad-pdv-length", 6),
        (_pdu(_pdv(1, 2, b"data")), "data-without-command", 5),
        (_pdu(_pdv(1, 1, b"com"), _pdv(3, 3, b"mand")), "context-changed", 5),
        (_pdu(_pdv(1, 1, bytes(60_000)), _pdv(1, 1, bytes(60_000))), "command-too-long", 6),
        (pdu.HEADER.pack(1, 68) + bytes(68), "unexpected-pdu", 2),
        (pdu.HEADER.pack(2, 68) + bytes(68), "unexpected-pdu", 2),
        (pdu.HEADER.pack(6, 4) + bytes(4), "unexpected-pdu", 2),
        (pdu.HEADER.pack(9, 4) + bytes(4), "unrecognised-pdu", 1),
        (pdu.HEADER.pack(4, 0xFFFFFFFF), "pdu-too-long", 6),
        (pdu.HEADER.pack(4, 16_385), "pdu-too-long", 6),
    ],
)
def test_what_may_not_stand_there_is_named_and_ends_the_association(sent: bytes, outcome: str, abort: int) -> None:
    with _Peer(sent, longest=16_384 if outcome == "pdu-too-long" else 0) as peer:
        with pytest.raises(ProtocolBroken) as ended:
            peer.messages.next_command()
        assert (ended.value.outcome, ended.value.abort) == (outcome, abort)


def test_a_command_inside_a_data_set_ends_the_association() -> None:
    sent = _pdu(_pdv(1, 3, b"command"), _pdv(1, 0, b"half"), _pdv(1, 3, b"other"))
    with _Peer(sent) as peer, pytest.raises(ProtocolBroken, match="command-inside-data"):
        _read(peer.messages)


@pytest.mark.parametrize(
    ("sent", "end"),
    [(pdu.RELEASE_REQUEST, Released), (pdu.abort(0), PeerAborted), (b"", PeerGone), (b"\x04\0", PeerGone)],
)
def test_an_association_ends_in_its_own_way(sent: bytes, end: type[AssociationEnded]) -> None:
    with _Peer(_message(1, b"command", b"data", [99], [True]) + sent) as peer:
        assert _read(peer.messages) == (b"command", b"data")
        with pytest.raises(end):
            peer.messages.next_command()
        if end is Released:
            assert peer.theirs.recv(100) == pdu.RELEASE_RESPONSE


@pytest.mark.parametrize(
    ("sent", "patience", "end"),
    [
        (b"", Patience(idle=0.2, dimse=9, pdu=9), Idle),
        (b"\x04\0\0", Patience(idle=9, dimse=9, pdu=0.2), Silent),
        (_pdu(_pdv(1, 3, b"command"), _pdv(1, 0, b"half")), Patience(idle=9, dimse=0.2, pdu=9), Stalled),
        (_pdu(_pdv(1, 3, b"command"))[:-3], Patience(idle=9, dimse=9, pdu=0.2), Silent),
    ],
)
def test_each_silence_has_its_own_limit(sent: bytes, patience: Patience, end: type[AssociationEnded]) -> None:
    with _Peer(sent, patience=patience, close=False) as peer, pytest.raises(end):
        _read(peer.messages)


def test_a_peer_that_sends_a_byte_at_a_time_is_ended_like_a_silent_one() -> None:
    patience = Patience(idle=9, dimse=9, pdu=0.5)
    with _Peer(b"", patience=patience, close=False) as peer:
        stop = threading.Event()

        def drip() -> None:
            for one in _pdu(_pdv(1, 3, bytes(200))):
                if stop.wait(0.05):
                    return
                try:
                    peer.theirs.send(bytes((one,)))
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(Silent):
            peer.messages.next_command()
        stop.set()
        thread.join()


def test_an_idle_connection_holds_no_window_and_goes_on_when_something_comes() -> None:
    with _Peer(b"", patience=Patience(idle=9, dimse=9, pdu=0.1), close=False) as peer:
        found: list[tuple[bytes, bytes]] = []
        reader = threading.Thread(target=lambda: found.append(_read(peer.messages)))
        reader.start()
        reader.join(0.5)
        assert len(peer.connection.view) == 0
        peer.theirs.sendall(_message(1, b"command", b"data", [99], [True]))
        reader.join(5)
        assert found == [(b"command", b"data")]
