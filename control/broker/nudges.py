"""What travels over MQTT, read and written: pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Place = tuple[int, ...]
"""(generation, version) of the policy that a site shall run; a third number tells apart what single nodes shall run."""

MAX_PAYLOAD = 1024
STATES = frozenset({"online", "offline"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a node, or the broker in its name, last said."""

    state: str
    """online | offline"""
    boot_id: str


def unsent(wanted: Mapping[str, Place], sent: Mapping[str, Place]) -> Iterator[tuple[str, Place]]:
    """The sites whose retained nudge is not the one that it should be."""
    for site, place in sorted(wanted.items()):
        if sent.get(site) != place:
            yield site, place


def nudge_payload(place: Place) -> bytes:
    """`{"generation": G, "version": V}`."""
    return json.dumps({"generation": place[0], "version": place[1]}).encode()


def read_presence(payload: object) -> Presence | None:
    """The presence in a message, or None for anything else: a broker is not a trusted source."""
    if not isinstance(payload, bytes | bytearray) or len(payload) > MAX_PAYLOAD:
        return None
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    state, boot_id = content.get("state"), content.get("boot_id", "")
    if not isinstance(state, str) or state not in STATES:
        return None
    if not isinstance(boot_id, str) or len(boot_id) > 64 or "\0" in boot_id:
        return None
    return Presence(state=state, boot_id=boot_id)
