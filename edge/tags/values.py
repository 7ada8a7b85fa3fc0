"""From an attribute's raw bytes to the value that rules see, or the refusal to guess."""

from __future__ import annotations

import math
import re
import struct

from edge.charset import CharacterSets, Undecodable
from edge.model import TagValue
from edge.tags.scan import RawValue
from edge.vocabulary import Attribute

# PS3.5 6.1.2.3: only these are affected by Specific Character Set; all other text is ASCII.
_LOCALISED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_MULTILINE = frozenset(("LT", "ST", "UT"))
_ASCII = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
# C0 and C1 controls have no place in a value; a database or a terminal would trip over them.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def decode(raw: RawValue, attribute: Attribute, character_sets: CharacterSets, *, big_endian: bool) -> TagValue | None:
    """Give the value, or None when it is empty. Raises Undecodable when it cannot be told faithfully."""
    if raw.data is None:  # too long, or of undefined length
        raise Undecodable
    data, vr = raw.data, attribute.vr if raw.vr in {"", "UN"} else raw.vr
    if attribute.kind in {"integer", "decimal"}:
        return _number(data, vr, attribute, big_endian=big_endian)
    if vr not in _LOCALISED and vr not in _ASCII:
        raise Undecodable
    text = _text(data, vr, character_sets)
    if attribute.kind == "texts":
        values = tuple(part.strip(" ") for part in text.split("\\"))
        return values if any(values) else None
    return (text if vr in _MULTILINE else text.strip(" ")) or None


def _text(data: bytes, vr: str, character_sets: CharacterSets) -> str:
    data = data.rstrip(b"\x00 ")
    if vr in _LOCALISED:
        # PS3.5 6.1.2.5.3: what resets code extensions.
        delimiters = b"\\^=" if vr == "PN" else b"\r\n\x0c\t" if vr in _MULTILINE else b"\\"
        text = character_sets.decode(data, delimiters=delimiters)
    elif data.isascii():
        text = data.decode("ascii")
    else:
        raise Undecodable
    if (_CONTROL_BUT_LINES if vr in _MULTILINE else _CONTROL).search(text):
        raise Undecodable
    return text


def _number(data: bytes, vr: str, attribute: Attribute, *, big_endian: bool) -> int | float | None:
    if vr in _BINARY:
        number = _binary(data, vr, big_endian=big_endian)
    else:
        number = _written(data, whole=attribute.kind == "integer")
    if number is None or attribute.kind == "decimal":
        return None if number is None else _finite(float(number))
    if number != int(number) or not -(2**63) <= number < 2**63:
        raise Undecodable
    return int(number)


def _binary(data: bytes, vr: str, *, big_endian: bool) -> int | float | None:
    code = _BINARY[vr]
    if not data:
        return None
    if len(data) != struct.calcsize("=" + code):  # several values, or a broken one
        raise Undecodable
    number: int | float = struct.unpack((">" if big_endian else "<") + code, data)[0]
    return _finite(number)


def _written(data: bytes, *, whole: bool) -> int | float | None:
    if not data.isascii():
        raise Undecodable
    text = data.decode("ascii").strip(" \x00")
    if not text:
        return None
    if whole and _WHOLE.fullmatch(text):
        return int(text)
    if not _DECIMAL.fullmatch(text):
        raise Undecodable
    return _finite(float(text))


def _finite(number: int | float) -> int | float:
    if not math.isfinite(number):
        raise Undecodable
    return number
