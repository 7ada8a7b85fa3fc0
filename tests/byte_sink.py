"""A DICOM acceptor on bare sockets: a destination with whatever habits a test needs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from tests import byte_commands as commands
from tests import byte_pdus as pdus
from tests.byte_commands import Command
from tests.byte_pdus import Context, Rejected, Requested
from tests.byte_wire import Wire

NO_TRANSFER_SYNTAX = 4  # PS3.8 Table 9-18: transfer-syntaxes-not-supported (provider rejection)


def first_syntax(context: Context) -> str | None:
    """Accept the context with the first transfer syntax that it proposes."""
    return context.transfer_syntaxes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How this acceptor behaves; without a change it is a good one."""

    maximum_length: int = 16_384
    """Of the P-DATA-TF that it takes; 0 is no limit."""
    accepts: Callable[[Context], str | None] = first_syntax
    """The transfer syntax for a context, or None to refuse it."""
    rejects: Rejected | None = None
    window: tuple[int, int] | None = None
    """The asynchronous operations window that it grants; None answers nothing."""
    together: int = 1
    """It answers when so many requests wait (or the line falls silent), the last one first."""
    delay: float = 0.0
    """Seconds before each answer."""
    status: Callable[[str], int] = lambda _uid: 0x0000
    """The status for an instance."""
    ends_after: int | None = None
    """It ends the association once so many bytes of data sets came."""
    ends_with: Literal["abort", "close", "reset"] = "abort"
    reads: bool = True
    """False: it accepts the association and never reads again."""
    collides: bool = False
    """It answers an A-RELEASE-RQ with one of its own (PS3.8 section 7.2.2: release collision)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One instance as it came."""

    uid: str
    sop_class: str
    transfer_syntax: str
    message_id: int
    data_set: bytes
    association: int


@dataclass(slots=True)
class Seen:
    """What one association showed."""

    requested: Requested
    longest_pdu: int = 0
    most_outstanding: int = 0
    end: str = "open"
    """`released`, `collided` (and released), `aborted`, `closed`, `released-by-us` or `ended-by-us`."""
    arrivals: list[Arrival] = field(default_factory=list)


class ByteSink:
    """Listens on a free port of 127.0.0.1 with these habits, which may be changed for the next association."""

    def __init__(self, habits: Habits | None = None) -> None:
        self.habits = habits or Habits()
        self.associations: list[Seen] = []
        self._numbering = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._wires: list[Wire] = []
        self._serving: list[Wire] = []
        """That of each association."""
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """For `--to`."""
        return f"SINK@127.0.0.1:{self.port}"

    @property
    def arrivals(self) -> list[Arrival]:
        """Every whole instance, whatever it was answered with."""
        return [one for seen in list(self.associations) for one in list(seen.arrivals)]

    def wait(self, condition: Callable[[], bool], what: str, *, seconds: float = 20.0) -> None:
        """Return once the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    def wait_arrivals(self, count: int, *, seconds: float = 20.0) -> list[Arrival]:
        """Return once so many instances came."""
        self.wait(lambda: len(self.arrivals) >= count, f"{count} instances were expected", seconds=seconds)
        return self.arrivals

    def say(self, raw: bytes) -> None:
        """Send these bytes on the newest connection, whatever its association is at."""
        self._wires[-1].send(raw)

    def hang_up(self, association: int | None = None) -> None:
        """End an association, or the newest connection if none is named, without a word."""
        wire = self._wires[-1] if association is None else self._serving[association]
        wire.socket.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            wire = Wire(connection)
            self._wires.append(wire)
            thread = threading.Thread(target=self._serve, args=(wire,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, wire: Wire) -> None:
        with wire, contextlib.suppress(OSError):
            found = wire.receive()
            if found is None or found.kind != pdus.ASSOCIATE_RQ:
                return
            requested = pdus.read_requested(found.body)
            if self.habits.rejects is not None:
                wire.send(pdus.associate_rj(self.habits.rejects))
                wire.drain()
                return
            seen = Seen(requested=requested)
            with self._numbering:  # several begin at the same moment
                number = len(self.associations)
                self._serving.append(wire)
                self.associations.append(seen)
            _Served(wire, seen, self.habits, number).serve()

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in self._wires:
            with contextlib.suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


class _Served:
    """One association."""

    def __init__(self, wire: Wire, seen: Seen, habits: Habits, number: int) -> None:
        self._wire, self._seen, self._habits, self._number = wire, seen, habits, number
        self._syntaxes: dict[int, str] = {}
        self._command, self._data = bytearray(), bytearray()
        self._request: Command | None = None
        self._bytes = 0
        self._unanswered: list[tuple[int, Command, int]] = []

    def serve(self) -> None:
        self._wire.send(self._answer())
        if not self._habits.reads:
            threading.Event().wait(60)  # the socket's buffers fill, and nothing leaves them
            return
        while self._seen.end == "open":
            found = self._next()
            if found is None:
                self._seen.end = "closed"
            elif found.kind == pdus.ABORT:
                self._seen.end = "aborted"
            elif found.kind == pdus.RELEASE_RQ:
                self._release()
            elif found.kind == pdus.RELEASE_RP:
                self._seen.end = "released-by-us"
            else:
                assert found.kind == pdus.P_DATA_TF, f"PDU type {found.kind}"
                self._seen.longest_pdu = max(self._seen.longest_pdu, len(found.body))
                for one in pdus.read_pdvs(found.body):
                    self._take(one)

    def _answer(self) -> bytes:
        answers = b""
        for context in self._seen.requested.contexts:
            syntax = self._habits.accepts(context)
            if syntax is not None:
                self._syntaxes[context.context_id] = syntax
            result = 0 if syntax is not None else NO_TRANSFER_SYNTAX
            answers += pdus.context_ac(context.context_id, result, syntax or context.transfer_syntaxes[0])
        return pdus.associate_ac(
            answers,
            called=self._seen.requested.called,
            calling=self._seen.requested.calling,
            maximum_length=self._habits.maximum_length,
            more=b"" if self._habits.window is None else pdus.window_item(*self._habits.window),
        )

    def _next(self) -> pdus.Pdu | None:
        """The next PDU; while some answers are held back, silence makes them go."""
        if self._unanswered:
            self._wire.socket.settimeout(0.2)
            try:
                self._wire.socket.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                self._answer_held()
            self._wire.socket.settimeout(None)
        return self._wire.receive()

    def _take(self, part: pdus.Pdv) -> None:
        if self._seen.end != "open":
            return
        if part.is_command:
            self._command += part.content
            if part.is_last:
                self._request = commands.read_command(bytes(self._command))
                self._command.clear()
                if not self._request.has_data_set:
                    self._finish(part.context_id, self._request)
            return
        self._data += part.content
        self._bytes += len(part.content)
        if self._habits.ends_after is not None and self._bytes >= self._habits.ends_after:
            self._end()
        elif part.is_last:
            assert self._request is not None, "a data set follows its command"
            self._finish(part.context_id, self._request)

    def _finish(self, context_id: int, request: Command) -> None:
        status = 0x0000
        if request.field == commands.STORE_RQ:
            arrival = Arrival(
                uid=request.text(commands.AFFECTED_INSTANCE),
                sop_class=request.text(commands.AFFECTED_CLASS),
                transfer_syntax=self._syntaxes[context_id],
                message_id=request.number(commands.MESSAGE_ID),
                data_set=bytes(self._data),
                association=self._number,
            )
            self._seen.arrivals.append(arrival)
            status = self._habits.status(arrival.uid)
        self._data.clear()
        self._unanswered.append((context_id, request, status))
        self._seen.most_outstanding = max(self._seen.most_outstanding, len(self._unanswered))
        if len(self._unanswered) >= self._habits.together:
            self._answer_held()

    def _answer_held(self) -> None:
        for context_id, request, status in reversed(self._unanswered):
            time.sleep(self._habits.delay)
            content = commands.response(request, status)
            self._wire.send(pdus.p_data(pdus.pdv(content, context_id=context_id, command=True)))
        self._unanswered.clear()

    def _end(self) -> None:
        self._seen.end = "ended-by-us"
        if self._habits.ends_with == "abort":
            self._wire.send(pdus.abort())
        elif self._habits.ends_with == "reset":
            self._wire.reset()

    def _release(self) -> None:
        if not self._habits.collides:
            self._wire.send(pdus.release_rp())
            self._seen.end = "released"
            return
        # PS3.8 section 7.2.2.6: the requestor answers first, then the acceptor.
        self._wire.send(pdus.release_rq())
        found = self._wire.receive()
        if found is not None and found.kind == pdus.RELEASE_RP:
            self._wire.send(pdus.release_rp())
            self._seen.end = "collided"
        else:
            self._seen.end = "aborted" if found is not None else "closed"
