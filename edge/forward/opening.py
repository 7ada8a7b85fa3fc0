"""Calling a peer: name, connection, negotiation. Every way in which it can fail has words for a person."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from edge.buffer.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge.forward.base import DestinationDown
from edge.forward.ends import Ended, Garbage, Lost, PeerAborted, Still
from edge.forward.line import LONGEST_P_DATA, Line
from edge.forward.ourselves import refuse_ourselves
from edge.forward.wrapping import SMALLEST_MAXIMUM
from edge.model import DicomDestination
from edge.upper_layer import pdu
from edge.upper_layer.requesting import Granted, Offer, Proposal, can_be_offered, read_acceptance, request
from edge.upper_layer.sockets import timeval

if TYPE_CHECKING:
    from edge.forward.tls_wire import TlsWire

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""How long a peer may think about an association."""
OPERATIONS = 32
"""Requests under way that we ask for; more hides no more of a road's delay and makes more to send again."""
REJECTIONS = {  # PS3.8 Table 9-21: (source, reason) -> words
    (1, 2): "it does not support our application context",
    (1, 3): "it does not know our calling AE title",
    (1, 7): "it does not know the called AE title",
    (2, 2): "it does not support our protocol version",
    (3, 1): "it is congested",
    (3, 2): "it has reached its limit of associations",
}
_MAY_BE_THE_CALLER = frozenset(((1, 1), (1, 3)))
"""No reason given, and calling AE title not recognized."""
_UNREACHABLE = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "closed",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
}
_KINDS = {(1, 3): "calling_ae_title", (1, 7): "called_ae_title", (3, 1): "busy", (3, 2): "busy"}
_LOST = {Lost: "closed", PeerAborted: "aborted", Still: "silent", Garbage: "not_dicom"}
offerable = lru_cache(maxsize=1024)(can_be_offered)


class CallerUnknown(DestinationDown):
    """It does not let us in under this name; under another one it might."""


class Caller:
    """Opens associations to one destination."""

    def __init__(
        self,
        destination: DicomDestination,
        data_dir: Path,
        idle_seconds: float,
        watch: Callable[[socket.socket], None],
    ) -> None:
        """`data_dir` holds the credentials that `tls` may name; `watch` is told of every socket before anything on it
        can block."""
        self._peer, self._idle_seconds, self._watch = destination, idle_seconds, watch
        self._tls = None
        if destination.tls is not None:
            from edge.forward.tls import TlsPeer  # OpenSSL, which few nodes need in this process

            self._tls = TlsPeer(destination.tls, destination.host, data_dir)

    def open(self, offers: Sequence[Offer], *, answer_seconds: float = ANSWER_SECONDS) -> tuple[Line, Granted]:
        """A line on which these were proposed, and what the peer gave.

        Raises:
            DestinationDown: there is none, and why.
        """
        proposal = Proposal(
            calling_ae_title=self._peer.calling_ae_title,
            called_ae_title=self._peer.ae_title,
            offers=offers,
            maximum_length=LONGEST_P_DATA,
            operations=OPERATIONS,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version=IMPLEMENTATION_VERSION_NAME,
        )
        raw = self._connect()
        wire = self._secure(raw, answer_seconds)
        line = Line(raw, min(self._idle_seconds, answer_seconds), wire)
        line.idle_seconds = answer_seconds
        try:
            granted = self._negotiate(line, proposal)
        except Ended as end:
            line.close(pdu.abort(pdu.NOT_SPECIFIED, by_user=True))
            raise self._why_nothing(wire, end) from end
        except BaseException:
            line.close()
            raise
        line.idle_seconds = self._idle_seconds
        return line, granted

    def _secure(self, raw: socket.socket, answer_seconds: float) -> TlsWire | None:
        if self._tls is None:
            return None
        try:
            return self._tls.wrap(raw, answer_seconds)
        except BaseException as error:
            raw.close()
            if isinstance(error, DestinationDown):
                error.of("tls")
            raise

    def _why_nothing(self, wire: TlsWire | None, end: Ended) -> DestinationDown:
        """With TLS 1.3 a peer looks at our certificate after the handshake has ended for us."""
        if self._tls is not None and wire is not None:
            if wire.fault is not None:
                return self._tls.refusal(wire.fault).of("tls")
            if isinstance(end, Lost) and not wire.has_read:
                return self._tls.closed().of("tls")
        return self._nobody(_LOST.get(type(end), "not_dicom"))

    def _negotiate(self, line: Line, proposal: Proposal) -> Granted:
        asked = request(proposal)
        line.send([asked], len(asked))
        found = line.next_pdu()
        kind, body = found if found is not None else (0, memoryview(b""))
        if kind == pdu.ASSOCIATE_RJ and len(body) >= 4:
            kind_of = CallerUnknown if (body[2], body[3]) in _MAY_BE_THE_CALLER else DestinationDown
            raise kind_of(
                f"it refuses the association: {REJECTIONS.get((body[2], body[3]), 'it gives no reason')}",
                hint=f"Ask its administrator to let {self._peer.calling_ae_title} call {self._peer.ae_title}.",
            ).of(_KINDS.get((body[2], body[3]), "rejected"))
        if kind == pdu.ABORT:
            words = "it aborts every association at once"
            raise DestinationDown(words, hint="Look at its log for the reason.").of("aborted")
        if kind != pdu.ASSOCIATE_AC:
            raise self._nobody("not_dicom")
        try:
            granted = read_acceptance(pdu.HEADER.pack(kind, len(body)) + bytes(body), proposal)
        except pdu.NotDicom:
            raise self._nobody("not_dicom") from None
        if 0 < granted.maximum_length < SMALLEST_MAXIMUM:
            raise DestinationDown(
                f"it takes no PDU longer than {granted.maximum_length} bytes", hint="Mend its maximum PDU length."
            )
        return granted

    def _connect(self) -> socket.socket:
        peer = self._peer
        try:
            found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise DestinationDown(
                f"its address {peer.host} cannot be used: {error.strerror}",
                hint="Check the name in the policy, and the name server of this machine.",
            ).of("name") from error
        refuse_ourselves((str(address[0]), int(address[1])) for *_kind, address in found)
        why = "timeout"
        for family, kind, protocol, _name, address in found:
            raw = socket.socket(family, kind, protocol)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A blocking connect has the time-out of a write.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(CONNECT_SECONDS))
                self._watch(raw)
                raw.connect(address)
                self._watch(raw)  # whoever cut it before it was connected cut nothing
            except OSError as error:
                raw.close()
                why = _UNREACHABLE.get(error.errno or 0, "timeout")
            except BaseException:
                with contextlib.suppress(OSError):
                    raw.close()
                raise
            else:
                return raw
        raise self._nobody(why)

    def _nobody(self, kind: str) -> DestinationDown:
        return DestinationDown(
            f"nothing answers as DICOM at {self._peer.host}:{self._peer.port}",
            hint="Check that it runs, and the address, the port and the firewall.",
        ).of(kind)
