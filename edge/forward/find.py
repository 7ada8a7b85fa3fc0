"""Asking a peer by C-FIND which images of a series it holds (PS3.4 Annex C): Study Root, IMAGE level, one query."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

from edge.forward.association import release
from edge.forward.base import DestinationDown
from edge.forward.ends import Ended, Garbage, PeerAborted, PeerReleased
from edge.forward.line import Line
from edge.forward.opening import Caller
from edge.model import DicomDestination
from edge.upper_layer import command, pdu
from edge.upper_layer.requesting import Offer

ANSWER_SECONDS = 30.0
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
OFFER: Offer = (STUDY_ROOT, "1.2.840.10008.1.2")
_PENDING = frozenset((0xFF00, 0xFF01))
_ELEMENT = struct.Struct("<HHL")
_SOP_INSTANCE = (0x0008, 0x0018)
_UNDEFINED = 0xFFFFFFFF
_MOST_ANSWERS = 1_000_000
_MOST_BYTES = 1 << 20
"""Of one identifier: a few UIDs."""


class FindAsker:
    """Asks one peer, on an association of its own that stays open for one round of questions."""

    how = "by C-FIND"

    def __init__(self, destination: DicomDestination, data_dir: Path) -> None:
        self._name = destination.calling_ae_title
        self._caller = Caller(destination, data_dir, ANSWER_SECONDS, self._watch)
        self._socket: socket.socket | None = None
        self._line: Line | None = None
        self._context, self._longest, self._message_id = 0, 0, 0
        self._cut = False

    def held(self, study: str, series: str, wanted: frozenset[str]) -> set[str]:
        """Those of the wanted images of a series that it says it holds.

        Raises:
            DestinationDown: it did not say.
        """
        line = self._line or self._open()
        try:
            return self._ask(line, study, series, wanted)
        except Ended as end:
            self._line = None
            line.close()
            raise DestinationDown(f"asked by C-FIND, {end}", hint="Look at its log for the reason.") from end
        except BaseException:
            self._line = None
            line.close()
            raise

    def rest(self) -> None:
        """Nothing is to be asked now."""
        line, self._line = self._line, None
        if line is not None:
            release(line)

    def interrupt(self) -> None:
        """Called from another thread: a question that hangs ends."""
        self._cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _watch(self, sock: socket.socket) -> None:
        self._socket = sock
        if self._cut:
            self.interrupt()

    def _open(self) -> Line:
        line, granted = self._caller.open((OFFER,), answer_seconds=ANSWER_SECONDS)
        if OFFER not in granted.contexts:
            release(line)
            raise DestinationDown(
                f"it takes no C-FIND (Study Root) from {self._name}",
                hint=f"Ask its administrator to let {self._name} query, or leave `verify` out of the policy.",
            )
        self._context, self._longest = granted.contexts[OFFER], granted.maximum_length
        self._line = line
        return line

    def _ask(self, line: Line, study: str, series: str, wanted: frozenset[str]) -> set[str]:
        self._message_id = self._message_id % 65535 + 1
        asked = command.find_request(message_id=self._message_id, sop_class_uid=STUDY_ROOT)
        question = pdu.data_pdu(self._context, _identifier(study, series))
        request = pdu.command_pdus(self._context, asked, self._longest) + question
        line.send([request], len(request))
        held: set[str] = set()
        messages = _Messages(line)
        for _number in range(_MOST_ANSWERS):
            try:
                status, has_identifier = command.read_find_status(messages.next(is_command=True))
            except command.BadCommand:
                raise Garbage from None
            uid = _sop_instance_uid(messages.next(is_command=False)) if has_identifier else ""
            if status == 0:
                return held
            if status not in _PENDING:
                words = f"it answers C-FIND with status 0x{status:04X}"
                raise DestinationDown(words, hint="Look at its log for the reason.")
            if uid in wanted:
                held.add(uid)
        raise Garbage


class _Messages:
    """The command sets and data sets that come, each whole."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._parts: list[tuple[int, bytes]] = []

    def next(self, *, is_command: bool) -> bytes:
        whole = bytearray()
        while True:
            while self._parts:
                control, piece = self._parts.pop(0)
                if bool(control & pdu.COMMAND) is not is_command or len(whole) + len(piece) > _MOST_BYTES:
                    raise Garbage
                whole += piece
                if control & pdu.LAST:
                    return bytes(whole)
            self._read()

    def _read(self) -> None:
        found = self._line.next_pdu()
        kind, body = found if found is not None else (0, memoryview(b""))
        if kind == pdu.ABORT:
            raise PeerAborted
        if kind == pdu.RELEASE_RQ:
            raise PeerReleased
        if kind != pdu.P_DATA_TF:
            raise Garbage
        at = 0
        while at < len(body):
            if at + 6 > len(body):
                raise Garbage
            length, _context, control = pdu.PDV_HEADER.unpack_from(body, at)
            if length < 2 or at + 4 + length > len(body):
                raise Garbage
            self._parts.append((control, bytes(body[at + 6 : at + 4 + length])))
            at += 4 + length


def _identifier(study: str, series: str) -> bytes:
    """What is asked for: every SOP Instance UID of this series (PS3.4 C.4.1.1.3.1), in Implicit VR Little Endian."""
    return b"".join(
        (
            _written(0x0008, 0x0018, b""),
            _written(0x0008, 0x0052, b"IMAGE "),
            _written(0x0020, 0x000D, _padded(study)),
            _written(0x0020, 0x000E, _padded(series)),
        )
    )


def _padded(uid: str) -> bytes:
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def _written(group: int, element: int, value: bytes) -> bytes:
    return _ELEMENT.pack(group, element, len(value)) + value


def _sop_instance_uid(raw: bytes) -> str:
    """(0008,0018) of an identifier; empty when it is not there. Nothing before it has an undefined length."""
    at = 0
    while at + 8 <= len(raw):
        group, element, length = _ELEMENT.unpack_from(raw, at)
        at += 8
        if (group, element) >= _SOP_INSTANCE:
            value = raw[at : at + length] if (group, element) == _SOP_INSTANCE else b""
            return value.rstrip(b"\0 ").decode("ascii", "replace")
        if length == _UNDEFINED:
            break
        at += length
    return ""
