"""Text from the wire as a database can hold it: odd content is kept readable and never refused.

An object with an odd UID or name is in a node's custody already. Were its event refused, the node's outbox would stop
there for ever; so what a peer wrote is only made storable, and what only our own software writes is checked.
"""

from __future__ import annotations

UID_LIMIT = 256
"""PS3.5 6.1 allows 64; a longer one is a finding of the node, and still has to be found."""
TEXT_LIMIT = 1024
"""One B-tree entry of PostgreSQL must stay below 2704 bytes, and nobody reads more in a table."""

_ELLIPSIS = "…"


def storable(value: str, limit: int = TEXT_LIMIT) -> str:
    """The same text without NUL, which PostgreSQL cannot hold, and cut at `limit` characters with a visible mark."""
    cleaned = value.replace("\0", "�") if "\0" in value else value
    if len(cleaned) <= limit:
        return cleaned
    return cleaned[: limit - len(_ELLIPSIS)] + _ELLIPSIS


def storable_uid(value: str) -> str:
    """A UID without the padding that PS3.5 9.1 puts behind it."""
    return storable(value.rstrip("\0 "), UID_LIMIT)
