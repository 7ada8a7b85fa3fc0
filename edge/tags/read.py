"""Read the attributes of the vocabulary from a data set's header. Nothing that a sender writes can make this fail."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import BinaryIO

from edge.charset import CharacterSets, Undecodable
from edge.model import TagSet, TagValue
from edge.tags.fast import scan
from edge.tags.scan import RawValue, Walker
from edge.tags.source import DeflatedSource, PlainSource, Unreadable
from edge.tags.values import decode
from edge.transfer_syntaxes import BIG_ENDIAN, DEFLATED, IMPLICIT
from edge.vocabulary import ATTRIBUTES

_KEYWORDS = {attribute.tag: keyword for keyword, attribute in ATTRIBUTES.items()}
_UIDS = tuple(keyword for keyword, attribute in ATTRIBUTES.items() if attribute.vr == "UI")
_LAST = max(_KEYWORDS)
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# PS3.5 9.1: at most 64 characters, components of digits without leading zeros.
_UID = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_MOST_UID = 64

_NOT_FAST = DEFLATED | {BIG_ENDIAN}


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
        source=DeflatedSource(plain) if transfer_syntax_uid in DEFLATED else plain,
        implicit=transfer_syntax_uid in IMPLICIT,
        big_endian=transfer_syntax_uid == BIG_ENDIAN,
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
    return _tag_set({}, [raw[tag] for tag in sorted(raw)], flags, big_endian=walker.big_endian)


def read_file_tags(file: int, *, offset: int, length: int, transfer_syntax_uid: str) -> TagSet:
    """What `read_tags` gives for `length` bytes from `offset` of an open file (its number), in most cases faster."""
    if transfer_syntax_uid not in _NOT_FAST:
        header = scan(
            lambda start, size: os.pread(file, size, offset + start), length, implicit=transfer_syntax_uid in IMPLICIT
        )
        if header is not None:
            return _tag_set(header.values, header.odd, [])
    with open(file, "rb", closefd=False) as stream:
        stream.seek(offset)
        return read_tags(stream, transfer_syntax_uid=transfer_syntax_uid, length=length)


def _tag_set(
    values: dict[str, TagValue], raw: Sequence[RawValue], flags: list[str], *, big_endian: bool = False
) -> TagSet:
    if raw or "SpecificCharacterSet" in values:
        _decode(values, raw, flags, big_endian=big_endian)
    _check_uids(values, flags)
    return TagSet(values=values, flags=tuple(flags))


def _decode(values: dict[str, TagValue], raw: Sequence[RawValue], flags: list[str], *, big_endian: bool) -> None:
    """Add what can be decoded of these to the values; they are in the order of their tags."""
    character_sets = _announced(values, flags)
    for one in raw:
        keyword = _KEYWORDS[one.tag]
        try:
            value = decode(one, ATTRIBUTES[keyword], character_sets, big_endian=big_endian)
        except Undecodable:
            flags.append(f"undecodable:{keyword}")
            if keyword == "SpecificCharacterSet":
                character_sets = _UNKNOWN
            continue
        if value is not None:
            values[keyword] = value
            if keyword == "SpecificCharacterSet":
                character_sets = _announced(values, flags)


def _announced(values: dict[str, TagValue], flags: list[str]) -> CharacterSets:
    terms = values.get("SpecificCharacterSet")
    character_sets = _character_sets(terms if isinstance(terms, tuple) else ())
    if not character_sets.known:
        flags.append("unknown-character-set")
    return character_sets


@lru_cache(maxsize=64)
def _character_sets(terms: tuple[str, ...]) -> CharacterSets:
    return CharacterSets(terms)


_UNKNOWN = CharacterSets(("unknown",))


def _check_uids(values: dict[str, TagValue], flags: list[str]) -> None:
    for keyword in _UIDS:
        value = values.get(keyword)
        if value is None:
            if keyword in _IDENTITY and f"undecodable:{keyword}" not in flags:
                flags.append(f"missing:{keyword}")
        elif not _is_uid(value):
            flags.append(f"invalid-uid:{keyword}")


@lru_cache(maxsize=512)
def _is_uid(value: TagValue) -> bool:
    # All UIDs of an instance but one are those of the instance before it.
    return isinstance(value, str) and len(value) <= _MOST_UID and _UID.fullmatch(value) is not None
