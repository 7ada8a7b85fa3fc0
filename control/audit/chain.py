"""The hash chain of the audit trail: pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

GENESIS = "0" * 64
"""What the first row names as the hash before it."""

Summary = Mapping[str, str | int | bool | None]
"""What an object was or became, in a few plain facts. No secrets, no patient data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One row of the trail."""

    sequence: int
    at: datetime
    actor: str
    action: str
    object: str
    before: Summary | None
    after: Summary | None
    previous_hash: str
    hash: str = ""
    site: str | None = None
    """What `site_of` finds in the content; kept beside it so that it can be asked for."""


def site_of(object: str, before: Summary | None, after: Summary | None) -> str | None:  # noqa: A002
    """The site that a change is about: named by the object (`site:north`, `policy:north/3`) or by its facts."""
    kind, _, name = object.partition(":")
    if kind == "site":
        return name[:63]
    if kind == "policy" and "/" in name:
        return name.partition("/")[0][:63]
    for facts in (after, before):
        if facts is not None and isinstance(site := facts.get("site"), str):
            return site[:63]
    return None


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 over everything in an entry but its own hash, in one canonical form."""
    content = [
        entry.sequence,
        entry.at.isoformat(),
        entry.actor,
        entry.action,
        entry.object,
        dict(entry.before) if entry.before is not None else None,
        dict(entry.after) if entry.after is not None else None,
        entry.previous_hash,
    ]
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    ).hexdigest()


def first_break(entries: Iterable[AuditEntry], *, start: str = GENESIS) -> int | None:
    """The sequence of the first row that does not fit the one before it, or None when the chain holds."""
    previous = start
    expected: int | None = None
    for entry in entries:
        gap = expected is not None and entry.sequence != expected
        moved = entry.site != site_of(entry.object, entry.before, entry.after)
        if gap or moved or entry.previous_hash != previous or entry.hash != hash_of(entry):
            return entry.sequence
        previous, expected = entry.hash, entry.sequence + 1
    return None
