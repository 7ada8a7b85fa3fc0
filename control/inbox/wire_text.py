"""Text from the wire as a database can hold it: odd content is kept readable and never refused.

An object with an odd UID or name is in a node's custody already. Were its event refused, the node's outbox would stop
there for ever; so what a peer wrote is only made storable, and what only our own software writes is checked.
"""

from __future__ import annotations

from collections.abc import Mapping

UID_LIMIT = 256
"""PS3.5 6.1 allows 64; a longer one is a finding of the node, and still has to be found."""
TEXT_LIMIT = 1024
"""One B-tree entry of PostgreSQL must stay below 2704 bytes, and nobody reads more in a table."""

NAME_LIMIT = 64
"""Of a keyword; the longest of PS3.6 has fewer."""

_ELLIPSIS = "…"
_PADDING = ("\0", " ")


def storable(value: str, limit: int = TEXT_LIMIT) -> str:
    """The same text without NUL, which PostgreSQL cannot hold, and cut at `limit` characters with a visible mark."""
    if len(value) <= limit and "\0" not in value:
        return value
    cleaned = value.replace("\0", "�")
    if len(cleaned) <= limit:
        return cleaned
    return cleaned[: limit - len(_ELLIPSIS)] + _ELLIPSIS


def storable_uid(value: str) -> str:
    """A UID without the padding that PS3.5 9.1 puts behind it."""
    return storable(value.rstrip("\0 ") if value[-1:] in _PADDING else value, UID_LIMIT)


def storable_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """The same for many names and values at once, sorted by name: nearly always there is nothing to change."""
    names = sorted(texts)
    values = [texts[name] for name in names]
    if not names or ("\0" not in "".join(names + values) and max(map(len, values)) <= TEXT_LIMIT
                     and max(map(len, names)) <= NAME_LIMIT):  # fmt: skip
        return dict(zip(names, values, strict=True))
    return {storable(name, NAME_LIMIT): storable(value) for name, value in zip(names, values, strict=True)}
