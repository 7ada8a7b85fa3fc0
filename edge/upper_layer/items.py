"""Items of an A-ASSOCIATE-RQ that nobody here knows are passed over, as PS3.8 section 9.3.1 asks (pure).

The library chokes on them; a peer that speaks a later edition of the standard must not lose its association by that.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator

from edge.upper_layer.pdu import FIXED_PART, HEADER

_ITEM = struct.Struct(">BxH")
_USER_INFORMATION = 0x50
_KNOWN = frozenset({0x10, 0x20, _USER_INFORMATION})
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
            kept += item
    except (struct.error, ValueError):
        return request
    if len(kept) == len(request) - start:
        return request
    return HEADER.pack(request[0], FIXED_PART + len(kept)) + request[HEADER.size : start] + kept


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
