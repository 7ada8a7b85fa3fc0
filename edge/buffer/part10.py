"""File meta information of spool files: PS3.10 section 7.1, always Explicit VR Little Endian.

Only our own files are read here, so only what `encode_meta` writes is understood. Who sent an instance stands in
the meta elements that PS3.10 has for it, so a file copied off a dead box still says where it came from.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from edge.model import AssociationFacts

PREFIX = b"DICM"
IMPLEMENTATION_CLASS_UID = "2.25.266047363419127046386211803263290716423"
IMPLEMENTATION_VERSION_NAME = "SKERRY_1"

_GROUP = 0x0002
_LONG_VRS = frozenset({b"OB", b"UR"})
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010
_SENDING_AE, _RECEIVING_AE, _SENDING_ADDRESS = 0x0017, 0x0018, 0x0027


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What the file meta information says of one instance."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    facts: AssociationFacts


def encode_meta(meta: FileMeta) -> bytes:
    """`DICM` and the file meta group, ready to stand behind the preamble."""
    before, after = _frame(meta.sop_class_uid, meta.transfer_syntax_uid, meta.facts)
    instance = _element(_SOP_INSTANCE, b"UI", _uid(meta.sop_instance_uid))
    length = len(before) + len(instance) + len(after)
    return PREFIX + _element(0x0000, b"UL", struct.pack("<I", length)) + before + instance + after


@lru_cache(maxsize=512)
def _frame(sop_class_uid: str, transfer_syntax_uid: str, facts: AssociationFacts) -> tuple[bytes, bytes]:
    """What stands before and behind the SOP Instance UID: the same for all instances of an association and class."""
    before = _element(0x0001, b"OB", b"\x00\x01") + _element(_SOP_CLASS, b"UI", _uid(sop_class_uid))
    after = b"".join(
        (
            _element(_TRANSFER_SYNTAX, b"UI", _uid(transfer_syntax_uid)),
            _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, b"SH", _text(IMPLEMENTATION_VERSION_NAME)),
            _element(0x0016, b"AE", _text(facts.calling_ae_title)),
            _element(_SENDING_AE, b"AE", _text(facts.calling_ae_title)),
            _element(_RECEIVING_AE, b"AE", _text(facts.called_ae_title)),
            _element(_SENDING_ADDRESS, b"UR", _text(f"dicom:{facts.peer_address}")),
        )
    )
    return before, after


def decode_meta(raw: bytes) -> FileMeta | None:
    """The meta that `encode_meta` wrote, or None when these bytes are not that."""
    if not raw.startswith(PREFIX):
        return None
    values: dict[int, str] = {}
    at = len(PREFIX)
    try:
        while at < len(raw):
            group, element, vr = struct.unpack_from("<HH2s", raw, at)
            long_form = vr in _LONG_VRS
            (length,) = struct.unpack_from("<I" if long_form else "<H", raw, at + (8 if long_form else 6))
            at += 12 if long_form else 8
            if group != _GROUP or at + length > len(raw):
                return None
            values[element] = raw[at : at + length].decode("latin-1").rstrip("\0 ")
            at += length
    except struct.error:
        return None
    if not {_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX} <= values.keys():
        return None
    return FileMeta(
        sop_class_uid=values[_SOP_CLASS],
        sop_instance_uid=values[_SOP_INSTANCE],
        transfer_syntax_uid=values[_TRANSFER_SYNTAX],
        facts=AssociationFacts(
            calling_ae_title=values.get(_SENDING_AE, ""),
            called_ae_title=values.get(_RECEIVING_AE, ""),
            peer_address=values.get(_SENDING_ADDRESS, "").removeprefix("dicom:"),
        ),
    )


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHI", _GROUP, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", _GROUP, element, vr, len(value)) + value


def _uid(value: str) -> bytes:
    raw = value.encode("latin-1", "replace")
    return raw + b"\0" * (len(raw) % 2)


def _text(value: str) -> bytes:
    raw = value.encode("latin-1", "replace")
    return raw + b" " * (len(raw) % 2)
