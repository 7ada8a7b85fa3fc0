"""Items of an A-ASSOCIATE-RQ that nobody here knows are passed over, as PS3.8 section 9.3.1 asks (pure).

The library chokes on them, and on transfer syntaxes that are no UIDs; a peer that speaks a later edition of the
standard, or names one such syntax among others, must not lose its association by that.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator

from edge.upper_layer.pdu import FIXED_PART, HEADER

_ITEM = struct.Struct(">BxH")
_USER_INFORMATION = 0x50
_CONTEXT, _TRANSFER_SYNTAX = 0x20, 0x40
_CONTEXT_HEAD = _ITEM.size + 4
"""A presentation context's item, its ID and three reserved bytes (PS3.8 Table 9-13)."""
_LONGEST_UID = 64
_KNOWN = frozenset({0x10, _CONTEXT, _USER_INFORMATION})
_KNOWN_TO_USERS = frozenset(range(0x51, 0x59))
"""PS3.8 Annex D and PS3.7 Annex D.3.3: from the maximum length to the user identity."""


def without_unknown_items(request: bytes) -> bytes:
    """The request, with its header, without unknown items; the very same one when it has none, or cannot be read."""
    start = HEADER.size + FIXED_PART
    if len(request) < start:
        return request
    kept = b""
    try:
        for kind, item in _items(request[start:], _KNOWN):
            if kind == _USER_INFORMATION:
                users = b"".join(sub_item for _kind, sub_item in _items(item[_ITEM.size :], _KNOWN_TO_USERS))
                item = _ITEM.pack(kind, len(users)) + users
            elif kind == _CONTEXT:
                item = _with_usable_syntaxes(item)
            kept += item
    except (struct.error, ValueError):
        return request
    if len(kept) == len(request) - start:
        return request
    return HEADER.pack(request[0], FIXED_PART + len(kept)) + request[HEADER.size : start] + kept


def _with_usable_syntaxes(context: bytes) -> bytes:
    """A presentation context without the transfer syntaxes that are longer than a UID may be, if others are left."""
    kept, usable = context[_ITEM.size : _CONTEXT_HEAD], 0
    for kind, item in _items(context[_CONTEXT_HEAD:], range(256)):
        if kind != _TRANSFER_SYNTAX or len(item) - _ITEM.size <= _LONGEST_UID:
            kept += item
            usable += kind == _TRANSFER_SYNTAX
    return _ITEM.pack(_CONTEXT, len(kept)) + kept if usable else context


def _items(raw: bytes, known: Container[int]) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes, header included, of each item of a known kind."""
    at = 0
    while at < len(raw):
        kind, length = _ITEM.unpack_from(raw, at)
        end = at + _ITEM.size + length
        if end > len(raw):
            raise ValueError
        if kind in known:
            yield kind, raw[at:end]
        at = end
