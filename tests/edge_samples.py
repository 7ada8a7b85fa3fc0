"""Small made-up instances for tests of the buffer and of what lies behind it."""

from __future__ import annotations

from edge.buffer.part10 import FileMeta
from edge.buffer.store import Buffer
from edge.model import AssociationFacts, Decision, RoutedInstance, RouteOutcome, SealedInstance

FACTS = AssociationFacts(calling_ae_title="SCANNER", called_ae_title="SKERRY", peer_address="127.0.0.1")
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def meta(uid: str = "1.2.3.4", sop_class: str = CT, syntax: str = EXPLICIT) -> FileMeta:
    """File meta of a made-up instance."""
    return FileMeta(sop_class_uid=sop_class, sop_instance_uid=uid, transfer_syntax_uid=syntax, facts=FACTS)


def data_set(uid: str = "1.2.3.4", sop_class: str = CT, body: bytes = b"\x00" * 1000) -> bytes:
    """A minimal data set in Explicit VR Little Endian (PS3.5 section 7.1.2)."""

    def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        padded = value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        head = group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr
        if vr == b"OB":
            return head + b"\0\0" + len(padded).to_bytes(4, "little") + padded
        return head + len(padded).to_bytes(2, "little") + padded

    return b"".join(
        (
            element(0x0008, 0x0016, b"UI", sop_class.encode()),
            element(0x0008, 0x0018, b"UI", uid.encode()),
            element(0x0008, 0x0060, b"CS", b"CT"),
            element(0x0010, 0x0020, b"LO", b"P1"),
            element(0x0020, 0x000D, b"UI", b"1.2.3"),
            element(0x0020, 0x000E, b"UI", b"1.2.9.1"),
            element(0x7FE0, 0x0010, b"OB", body),
        )
    )


def take(buffer: Buffer, uid: str = "1.2.3.4", content: bytes | None = None, **kinds: str) -> SealedInstance:
    """Take one instance into custody."""
    reception = buffer.receive(meta(uid, **kinds))
    return reception.seal((data_set(uid) if content is None else content,))


def routed(sealed: SealedInstance, *destinations: str) -> RoutedInstance:
    """The instance with a decision for these destinations."""
    outcome = RouteOutcome(route="everything", matched=True, reason="no condition")
    return RoutedInstance(
        sealed=sealed,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.9.1",
        decision=Decision(policy="local:test", outcomes=(outcome,), destinations=destinations),
        flags=(),
        shared_tags={"StudyInstanceUID": "1.2.3", "SOPInstanceUID": sealed.sop_instance_uid, "Modality": "CT"},
    )
