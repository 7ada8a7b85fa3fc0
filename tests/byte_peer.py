"""A DICOM requestor on a bare socket: it can say everything, also what no good modality says."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_commands import Command
from tests.byte_pdus import Aborted, Accepted, Context, Rejected
from tests.byte_wire import Wire
from tests.edge_samples import CT, EXPLICIT

Answer = Accepted | Rejected | Aborted | None
"""What came of an association request; None: the other side closed without a word."""
DEFAULT_CONTEXTS = (
    Context(context_id=1, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,)),
    Context(context_id=3, abstract_syntax=pdus.VERIFICATION, transfer_syntaxes=(pdus.IMPLICIT,)),
)
STORE_CONTEXT, ECHO_CONTEXT = 1, 3


class Ended(AssertionError):
    """The association ended where an answer was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A DIMSE response as it came."""

    context_id: int
    command: Command
    pdu_lengths: tuple[int, ...]

    @property
    def message_id(self) -> int:
        """The request that it answers."""
        return self.command.number(commands.ANSWERED_ID)

    @property
    def status(self) -> int:
        """PS3.7 Annex C."""
        return self.command.number(commands.STATUS)


class BytePeer(Wire):
    """The requestor's end of one TCP connection."""

    def __init__(
        self,
        port: int,
        *,
        seconds: float = 10.0,
        address: str = "127.0.0.1",
        host: str = "127.0.0.1",
        hello: bytes = b"",
        unread: int | None = None,
    ) -> None:
        """From the local `address` to `host`; `hello` goes out first (a PROXY header, say).

        `unread` bounds the bytes that the kernel takes for us while we do not read.
        """
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            if unread is not None:  # before the connection: later, the kernel has promised more already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread)
            connection.settimeout(seconds)
            connection.bind((address, 0))
            connection.connect((host, port))
        except BaseException:
            connection.close()
            raise
        super().__init__(connection)
        self.peer_limit = 16_384
        self._waiting: list[pdus.Pdv] = []
        if hello:
            self.send(hello)

    def associate(self, contexts: Sequence[Context] = DEFAULT_CONTEXTS, **options: Any) -> Accepted:
        """Establish an association; the options are those of `byte_pdus.associate_rq`."""
        answer = self.request(pdus.associate_rq(contexts, **options))
        assert isinstance(answer, Accepted), f"expected an A-ASSOCIATE-AC, got {answer}"
        self.peer_limit = answer.maximum_length
        return answer

    def request(self, raw: bytes) -> Answer:
        """Send an association request made elsewhere, and what came of it."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.send(raw)
        return self.answer()

    def answer(self) -> Answer:
        """What comes of an association request that was sent."""
        found = self.receive()
        if found is None:
            return None
        if found.kind == pdus.ASSOCIATE_AC:
            return pdus.read_accepted(found.body)
        if found.kind == pdus.ASSOCIATE_RJ:
            return Rejected(result=found.body[1], source=found.body[2], reason=found.body[3])
        assert found.kind == pdus.ABORT, f"PDU type {found.kind} answers no association request"
        return Aborted(source=found.body[2], reason=found.body[3])

    def send_message(
        self, command: bytes, data_set: bytes | None = None, *, context_id: int = STORE_CONTEXT, size: int | None = None
    ) -> None:
        """A message in PDUs of at most `size` (as large as the other side takes when not given), one PDV each."""
        room = (size or self.peer_limit or 1 << 20) - 6
        for content, is_command in ((command, True), (data_set, False)):
            if content is not None:
                for one in pdus.fragments(
                    content, range(room, len(content), room), context_id=context_id, command=is_command
                ):
                    self.send(pdus.p_data(one))

    def store(
        self, uid: str, data_set: bytes, *, message_id: int = 1, context_id: int = STORE_CONTEXT, sop_class: str = CT
    ) -> int:
        """Send one instance and wait; the status."""
        request = commands.store_rq(uid.encode(), sop_class=sop_class.encode(), message_id=message_id)
        self.send_message(request, data_set, context_id=context_id)
        answer = self.response()
        assert answer.command.field == commands.STORE_RSP
        assert (answer.message_id, answer.context_id) == (message_id, context_id)
        return answer.status

    def echo(self, *, message_id: int = 1) -> int:
        """C-ECHO; the status."""
        self.send_message(commands.echo_rq(message_id), context_id=ECHO_CONTEXT)
        answer = self.response()
        assert (answer.command.field, answer.message_id) == (commands.ECHO_RSP, message_id)
        return answer.status

    def response(self) -> Response:
        """The next DIMSE response, from as many PDVs and PDUs as it was sent in.

        Raises:
            Ended: an A-ABORT, a release or the end of the connection came instead.
        """
        content, lengths = b"", []
        while True:
            part, length = self._next_pdv()
            if length:
                lengths.append(length)
            assert part.is_command, "a C-STORE or C-ECHO response has no data set"
            content += part.content
            if part.is_last:
                return Response(
                    context_id=part.context_id, command=commands.read_command(content), pdu_lengths=tuple(lengths)
                )

    def release(self) -> bool:
        """Release the association in order; whether the other side did its part."""
        self.send(pdus.release_rq())
        found = self.receive()
        return found is not None and found.kind == pdus.RELEASE_RP

    def _next_pdv(self) -> tuple[pdus.Pdv, int]:
        """The next PDV, and the length of its PDU when it is the first one in it."""
        length = 0
        while not self._waiting:
            found = self.receive()
            if found is None:
                raise Ended("the connection ended")
            if found.kind != pdus.P_DATA_TF:
                raise Ended(f"PDU type {found.kind}: {found.body.hex()}")
            self._waiting, length = pdus.read_pdvs(found.body), len(found.body)
        return self._waiting.pop(0), length


@contextlib.contextmanager
def associated(port: int, contexts: Sequence[Context] = DEFAULT_CONTEXTS, **options: Any) -> Iterator[BytePeer]:
    """An established association, closed without a release."""
    with BytePeer(port) as peer:
        peer.associate(contexts, **options)
        yield peer


def echo_seconds(port: int, *, seconds: float = 10.0) -> float:
    """How long another client needs for an association, a C-ECHO and the release."""
    started = time.monotonic()
    with BytePeer(port, seconds=seconds) as peer:
        peer.associate()
        assert peer.echo() == 0x0000
        assert peer.release()
    return time.monotonic() - started
