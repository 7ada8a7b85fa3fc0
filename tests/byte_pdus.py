"""PDUs made and read by hand, so that a test can also make those that no library would (PS3.8 section 9.3)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 Annex A.2.1
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
IMPLEMENTATION = "1.2.826.0.1.3680043.10.9999.1"
# The items inside an association request or its answer (PS3.8 Tables 9-12 to 9-20, PS3.7 Annex D.3.3).
MAXIMUM_LENGTH, IMPLEMENTATION_CLASS, WINDOW, ROLE, IMPLEMENTATION_VERSION = range(0x51, 0x56)
EXTENDED, COMMON_EXTENDED, IDENTITY, IDENTITY_ANSWER = range(0x56, 0x5A)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One proposed presentation context."""

    context_id: int = 1
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (EXPLICIT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu:
    """One PDU as it came: its type and what stands behind its length."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdv:
    """One presentation data value: a fragment of a command set or of a data set (PS3.8 Annex E.2)."""

    context_id: int
    is_command: bool
    is_last: bool
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """What an A-ASSOCIATE-RQ asks for."""

    called: str
    calling: str
    contexts: tuple[Context, ...]
    user_items: Mapping[int, tuple[bytes, ...]]

    @property
    def maximum_length(self) -> int:
        """The longest P-DATA-TF that the requestor takes; 0 is no limit."""
        (value,) = self.user_items.get(MAXIMUM_LENGTH, (b"\0\0\0\0",))
        return int.from_bytes(value, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What an A-ASSOCIATE-AC grants."""

    contexts: Mapping[int, tuple[int, str]]
    """Result (0 is acceptance) and transfer syntax by presentation context id."""
    user_items: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def maximum_length(self) -> int:
        """The longest P-DATA-TF that the acceptor takes; 0 is no limit."""
        (value,) = self.user_items[MAXIMUM_LENGTH]
        return int.from_bytes(value, "big")

    @property
    def window(self) -> tuple[int, int]:
        """Operations that we may invoke, and must perform, at once (PS3.7 D.3.3.3: 1 and 1 when not negotiated)."""
        (value,) = self.user_items.get(WINDOW, (b"\0\1\0\1",))
        invoked, performed = struct.unpack(">HH", value)
        return invoked, performed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The three numbers of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """The two numbers of an A-ABORT (PS3.8 Table 9-26)."""

    source: int
    reason: int


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """A PDU; `length` announces another length than the true one."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def item(kind: int, value: bytes) -> bytes:
    """An item or sub-item of an association PDU."""
    return struct.pack(">BBH", kind, 0, len(value)) + value


def context_rq(context: Context) -> bytes:
    """A proposed presentation context (PS3.8 Table 9-13)."""
    syntaxes = b"".join(item(0x40, syntax.encode()) for syntax in context.transfer_syntaxes)
    head = bytes([context.context_id, 0, 0, 0])
    return item(0x20, head + item(0x30, context.abstract_syntax.encode()) + syntaxes)


def context_ac(context_id: int, result: int, transfer_syntax: str) -> bytes:
    """The answer to a proposed presentation context (PS3.8 Table 9-18)."""
    return item(0x21, bytes([context_id, 0, result, 0]) + item(0x40, transfer_syntax.encode()))


def maximum_length_item(length: int) -> bytes:
    """PS3.8 Annex D.1."""
    return item(MAXIMUM_LENGTH, struct.pack(">L", length))


def window_item(invoked: int, performed: int) -> bytes:
    """An asynchronous operations window (PS3.7 Annex D.3.3.3); 0 is no limit."""
    return item(WINDOW, struct.pack(">HH", invoked, performed))


def role_item(sop_class: str, *, scu: bool, scp: bool) -> bytes:
    """SCP/SCU role selection (PS3.7 Annex D.3.3.4)."""
    return item(ROLE, _counted(sop_class.encode()) + bytes([scu, scp]))


def extended_item(sop_class: str, information: bytes) -> bytes:
    """SOP Class extended negotiation (PS3.7 Annex D.3.3.5)."""
    return item(EXTENDED, _counted(sop_class.encode()) + information)


def common_extended_item(sop_class: str, service_class: str, related: Iterable[str] = ()) -> bytes:
    """SOP Class common extended negotiation (PS3.7 Annex D.3.3.6)."""
    inner = b"".join(_counted(uid.encode()) for uid in related)
    return item(COMMON_EXTENDED, _counted(sop_class.encode()) + _counted(service_class.encode()) + _counted(inner))


def identity_item(kind: int, primary: bytes, secondary: bytes = b"", *, wants_answer: bool = False) -> bytes:
    """User identity (PS3.7 Annex D.3.3.7): 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT."""
    return item(IDENTITY, bytes([kind, wants_answer]) + _counted(primary) + _counted(secondary))


def associate_rq(
    contexts: Sequence[Context] | bytes,
    *,
    calling: bytes = b"PROBE",
    called: bytes = b"SKERRY",
    application_context: str = APPLICATION_CONTEXT,
    version: int = 1,
    maximum_length: int | None = 16_384,
    more: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ; `more` are further user information items, `contexts` may be raw bytes."""
    user = b"" if maximum_length is None else maximum_length_item(maximum_length)
    user += item(IMPLEMENTATION_CLASS, IMPLEMENTATION.encode()) + item(IMPLEMENTATION_VERSION, b"BYTES") + more
    proposed = contexts if isinstance(contexts, bytes) else b"".join(context_rq(context) for context in contexts)
    items = item(0x10, application_context.encode()) + proposed + item(0x50, user)
    return pdu(ASSOCIATE_RQ, _head(version, called, calling) + items)


def associate_ac(answers: bytes, *, called: str, calling: str, maximum_length: int, more: bytes = b"") -> bytes:
    """An A-ASSOCIATE-AC; `answers` are presentation context items."""
    user = maximum_length_item(maximum_length) + item(IMPLEMENTATION_CLASS, IMPLEMENTATION.encode()) + more
    items = item(0x10, APPLICATION_CONTEXT.encode()) + answers + item(0x50, user)
    return pdu(ASSOCIATE_AC, _head(1, called.encode(), calling.encode()) + items)


def associate_rj(rejected: Rejected) -> bytes:
    """An A-ASSOCIATE-RJ."""
    return pdu(ASSOCIATE_RJ, bytes([0, rejected.result, rejected.source, rejected.reason]))


def release_rq() -> bytes:
    """An A-RELEASE-RQ."""
    return pdu(RELEASE_RQ, bytes(4))


def release_rp() -> bytes:
    """An A-RELEASE-RP."""
    return pdu(RELEASE_RP, bytes(4))


def abort(source: int = 0, reason: int = 0) -> bytes:
    """An A-ABORT, by the service user unless another source is given."""
    return pdu(ABORT, bytes([0, 0, source, reason]))


def pdv(content: bytes, *, context_id: int = 1, command: bool = False, last: bool = True) -> bytes:
    """One PDV item (PS3.8 Table 9-23, control header of Annex E.2)."""
    return struct.pack(">LBB", len(content) + 2, context_id, command | last << 1) + content


def p_data(*pdvs: bytes) -> bytes:
    """A P-DATA-TF of these PDVs."""
    return pdu(P_DATA_TF, b"".join(pdvs))


def fragments(content: bytes, cuts: Iterable[int], *, context_id: int = 1, command: bool = False) -> list[bytes]:
    """PDVs of the content cut at these places; only the last one says that it is the last."""
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(content)), len(content)]
    return [
        pdv(content[start:end], context_id=context_id, command=command, last=end == len(content))
        for start, end in itertools.pairwise(edges)
    ]


def read_pdvs(body: bytes) -> list[Pdv]:
    """The PDVs of a P-DATA-TF."""
    found: list[Pdv] = []
    position = 0
    while position < len(body):
        length, context_id, control = struct.unpack_from(">LBB", body, position)
        content = body[position + 6 : position + 4 + length]
        assert len(content) == length - 2, "the PDV ends inside its PDU"
        found.append(
            Pdv(context_id=context_id, is_command=bool(control & 1), is_last=bool(control & 2), content=content)
        )
        position += 4 + length
    return found


def read_requested(body: bytes) -> Requested:
    """An A-ASSOCIATE-RQ taken apart."""
    contexts: list[Context] = []
    users: dict[int, tuple[bytes, ...]] = {}
    for kind, value in _items(body[68:]):
        if kind == 0x20:
            inner = list(_items(value[4:]))
            contexts.append(
                Context(
                    context_id=value[0],
                    abstract_syntax=inner[0][1].decode().strip("\0 "),
                    transfer_syntaxes=tuple(text.decode().strip("\0 ") for _kind, text in inner[1:]),
                )
            )
        elif kind == 0x50:
            users = _grouped(value)
    called, calling = body[4:20].decode().strip(), body[20:36].decode().strip()
    return Requested(called=called, calling=calling, contexts=tuple(contexts), user_items=users)


def read_accepted(body: bytes) -> Accepted:
    """An A-ASSOCIATE-AC taken apart."""
    contexts: dict[int, tuple[int, str]] = {}
    users: dict[int, tuple[bytes, ...]] = {}
    for kind, value in _items(body[68:]):
        if kind == 0x21:
            syntax = next((text for inner, text in _items(value[4:]) if inner == 0x40), b"")
            contexts[value[0]] = value[2], syntax.decode().strip("\0 ")
        elif kind == 0x50:
            users = _grouped(value)
    return Accepted(contexts=contexts, user_items=users)


def _head(version: int, called: bytes, calling: bytes) -> bytes:
    return struct.pack(">HH", version, 0) + called.ljust(16)[:16] + calling.ljust(16)[:16] + bytes(32)


def _counted(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def _items(raw: bytes) -> Iterable[tuple[int, bytes]]:
    position = 0
    while position < len(raw):
        kind, length = struct.unpack_from(">BxH", raw, position)
        yield kind, raw[position + 4 : position + 4 + length]
        position += 4 + length


def _grouped(raw: bytes) -> dict[int, tuple[bytes, ...]]:
    grouped: dict[int, tuple[bytes, ...]] = {}
    for kind, value in _items(raw):
        grouped[kind] = (*grouped.get(kind, ()), value)
    return grouped
