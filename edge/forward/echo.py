"""C-ECHO to a peer (PS3.4 Annex A): is it there, does it let us in, does it answer; and if not, who mends what.

By hand for people (`ask`), and for a lane whose destination was down: nothing is sent that anybody keeps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edge.forward.association import release
from edge.forward.base import DestinationDown
from edge.forward.ends import Ended, Garbage, Lost, PeerAborted, PeerReleased, Still
from edge.forward.line import Line
from edge.forward.opening import CONNECT_SECONDS, Caller
from edge.model import DicomDestination
from edge.upper_layer import command, pdu
from edge.upper_layer.requesting import Granted, Offer

ANSWER_SECONDS = 10.0
"""How long a peer may think: about the association, and about its answer."""
OFFER: Offer = (command.VERIFICATION, "1.2.840.10008.1.2")
_WORDS = {
    "answered": "it answers",
    "no_verification": "it accepts our association, and does not support Verification",
    "refused": "nothing listens there: the connection is refused",
    "timeout": f"nothing answers there within {CONNECT_SECONDS:g} s",
    "unreachable": "no network leads there",
    "closed": "it takes the connection and closes it without a word",
    "silent": f"it takes the connection and says nothing for {ANSWER_SECONDS:g} s",
    "not_dicom": "what answers there does not speak DICOM",
}
_HINTS = {
    "no_verification": "Whether it takes images shows with the next one.",
    "refused": "Check that its DICOM service runs, and the port.",
    "timeout": "Check the address, the port and the firewalls on the way.",
    "unreachable": "Check the address, and the routes of this machine.",
    "closed": "Check the port, and whether it lets in only addresses or names that it knows.",
    "silent": "Check the port; a peer that wants TLS waits for it in silence.",
    "not_dicom": "Check the port, and whether it speaks TLS.",
    "called_ae_title": "Check `ae_title` of the destination.",
    "aborted": "Look at its log for the reason.",
    "status": "Look at its log for the reason.",
}
UNSURE = frozenset(("no_verification", "rejected", "aborted", "closed", "not_dicom", "status"))
"""What a peer may also do that only takes images, or only from who proposes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAnswer:
    """What became of one C-ECHO."""

    destination: str
    kind: str
    """`answered`, `no_verification`; or what is the matter: `name`, `refused`, `timeout`, `unreachable`, `closed`,
    `silent`, `not_dicom`, `tls`, `calling_ae_title`, `called_ae_title`, `rejected`, `busy`, `aborted`, `status`,
    `itself`, `down`."""
    well: bool
    """Whether it is there and lets us in."""
    text: str
    hint: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str
    tls: bool
    milliseconds: float
    """From the first byte to the last."""


def ask(destination: DicomDestination, data_dir: Path) -> EchoAnswer:
    """Ask it now. `data_dir` holds the credentials that `tls` of a destination may name. Never raises for a peer."""
    caller = Caller(destination, data_dir, ANSWER_SECONDS, lambda _socket: None)
    began = time.monotonic()
    kind, text, hint = _kind_of(caller)
    return EchoAnswer(
        destination=destination.name,
        kind=kind,
        well=kind in ("answered", "no_verification"),
        text=text,
        hint=hint,
        host=destination.host,
        port=destination.port,
        ae_title=destination.ae_title,
        calling_ae_title=destination.calling_ae_title,
        tls=destination.tls is not None,
        milliseconds=round((time.monotonic() - began) * 1000, 1),
    )


def _kind_of(caller: Caller) -> tuple[str, str, str]:
    try:
        said = echo(caller)
    except DestinationDown as error:
        return error.kind, _WORDS.get(error.kind, str(error)), _HINTS.get(error.kind, error.hint)
    return said, _WORDS[said], _HINTS.get(said, "")


def echo(caller: Caller) -> str:
    """`answered`, or `no_verification` when only real work can tell.

    Raises:
        DestinationDown: it does not let us in or does not answer; its `kind` says what is the matter.
    """
    line, granted = caller.open((OFFER,), answer_seconds=ANSWER_SECONDS)
    line.idle_seconds = ANSWER_SECONDS
    status = None
    if OFFER in granted.contexts:
        try:
            status = _exchange(line, granted)
        except Ended as end:
            line.close()
            raise _broken(end) from end
    release(line)
    if status is None:
        return "no_verification"
    if status:
        words = f"it answers C-ECHO with status 0x{status:04X}"
        raise DestinationDown(words, hint=_HINTS["status"]).of("status")
    return "answered"


def _exchange(line: Line, granted: Granted) -> int:
    request = pdu.command_pdus(granted.contexts[OFFER], command.echo_request(message_id=1), granted.maximum_length)
    line.send([request], len(request))
    answer = bytearray()
    while True:
        found = line.next_pdu()
        kind, body = found if found is not None else (0, memoryview(b""))
        if kind == pdu.ABORT:
            raise PeerAborted
        if kind == pdu.RELEASE_RQ:
            raise PeerReleased
        if kind != pdu.P_DATA_TF or len(answer) > command.MAXIMUM_BYTES:
            raise Garbage
        last, at = False, 0
        while at < len(body):
            if at + 6 > len(body):
                raise Garbage
            length, _context, control = pdu.PDV_HEADER.unpack_from(body, at)
            if length < 2 or at + 4 + length > len(body) or not control & pdu.COMMAND:
                raise Garbage
            answer += body[at + 6 : at + 4 + length]
            last, at = bool(control & pdu.LAST), at + 4 + length
        if last:
            try:
                return command.read_echo_status(answer)
            except command.BadCommand:
                raise Garbage from None


def _broken(end: Ended) -> DestinationDown:
    kinds = {PeerAborted: "aborted", Lost: "closed", Still: "silent", PeerReleased: "closed"}
    kind = kinds.get(type(end), "not_dicom")
    return DestinationDown(f"asked by C-ECHO, {end}", hint=_HINTS.get(kind, "")).of(kind)
