"""Read the attributes of the vocabulary from a data set's header. Nothing that a sender writes can make this fail."""

from __future__ import annotations

import re
import zlib
from typing import BinaryIO

from edge.model import TagSet, TagValue
from edge.tags.charset import CharacterSets, Undecodable
from edge.tags.scan import RawValue, Walker
from edge.tags.source import DeflatedSource, PlainSource, Unreadable
from edge.tags.values import decode
from edge.vocabulary import ATTRIBUTES

_KEYWORDS = {attribute.tag: keyword for keyword, attribute in ATTRIBUTES.items()}
_LAST = max(_KEYWORDS)
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# PS3.5 9.1: at most 64 characters, components of digits without leading zeros.
_UID = re.compile(r"(?=.{1,64}\Z)(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")

# Implicit VR Little Endian, and the private one whose header is the same (only its pixels are big endian).
_IMPLICIT = frozenset(("1.2.840.10008.1.2", "1.2.840.113619.5.2"))
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
# Deflated Explicit VR; JPIP Referenced Deflate and JPIP HTJ2K Referenced Deflate (PS3.5 A.5, A.7, A.13).
_DEFLATED = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))


def read_tags(stream: BinaryIO, *, transfer_syntax_uid: str, length: int | None = None) -> TagSet:
    """Read a header from the first byte of the data set, and no further than the last attribute of the vocabulary.

    The data set ends with the stream, or after `length` bytes.

    Never raises on content: what is absent has no value, what cannot be decoded has none and a flag. An OSError of the
    stream itself passes, because a disk that fails is not an image without tags. Memory is bounded.

    Flags: `undecodable:<Keyword>`, `invalid-uid:<Keyword>` (the value is kept), `missing:<Keyword>` for the four
    identifying UIDs, `unreadable-header` (cut off or garbled; what was read before is kept), `unknown-character-set`,
    `wrong-transfer-syntax` (Explicit VR was announced and Implicit VR came, or the reverse).
    """
    plain = PlainSource(stream, length)
    walker = Walker(
        source=DeflatedSource(plain) if transfer_syntax_uid in _DEFLATED else plain,
        implicit=transfer_syntax_uid in _IMPLICIT,
        big_endian=transfer_syntax_uid == _BIG_ENDIAN,
    )
    flags: list[str] = []
    raw: dict[int, RawValue] = {}
    try:
        for value in walker.walk(_KEYWORDS, _LAST):
            raw[value.tag] = value  # the last one counts when a tag stands twice
    except (Unreadable, zlib.error):
        flags.append("unreadable-header")
    if walker.guessed:
        flags.append("wrong-transfer-syntax")
    values = _decode_all(raw, flags, big_endian=walker.big_endian)
    _check_uids(values, flags)
    return TagSet(values=values, flags=tuple(flags))


def _decode_all(raw: dict[int, RawValue], flags: list[str], *, big_endian: bool) -> dict[str, TagValue]:
    values: dict[str, TagValue] = {}
    character_sets = CharacterSets()
    for tag in sorted(raw):  # Specific Character Set comes first
        keyword = _KEYWORDS[tag]
        try:
            value = decode(raw[tag], ATTRIBUTES[keyword], character_sets, big_endian=big_endian)
        except Undecodable:
            flags.append(f"undecodable:{keyword}")
            if keyword == "SpecificCharacterSet":
                character_sets.known = False
            continue
        if value is not None:
            values[keyword] = value
        if keyword == "SpecificCharacterSet" and isinstance(value, tuple):
            character_sets = CharacterSets(value)
            if not character_sets.known:
                flags.append("unknown-character-set")
    return values


def _check_uids(values: dict[str, TagValue], flags: list[str]) -> None:
    for keyword, attribute in ATTRIBUTES.items():
        value = values.get(keyword)
        if attribute.vr == "UI" and isinstance(value, str) and not _UID.fullmatch(value):
            flags.append(f"invalid-uid:{keyword}")
        if value is None and keyword in _IDENTITY and f"undecodable:{keyword}" not in flags:
            flags.append(f"missing:{keyword}")
