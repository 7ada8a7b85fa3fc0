"""What holds for each node of each pool now: of all that was said, the latest. Pure.

Said by the document (the centre), by people at the site, and by hours of maintenance; each with its time. A drain
becomes maint when its associations have ended, or its deadline is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from haproxy.manager.windows import open_since
from haproxy.manager.words import Said
from mesh.pools import MemberModel, PoolModel, PoolsDocument, State

Source = Literal["document", "site", "hours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One node of one pool."""

    pool: str
    node: str
    state: State
    """What is wanted of HAProxy now."""
    said: State
    """What was said, of which `state` came."""
    since: int
    deadline: int
    source: Source
    weight: int


Standings = Mapping[tuple[str, str], Standing]
"""By pool and node."""


def standings(
    document: PoolsDocument, said: Said, now: datetime, *, not_by_hours: frozenset[str] = frozenset()
) -> Standings:
    """Every member of every pool; `not_by_hours` names nodes whose hours must wait."""
    return {
        (one.pool, one.node): one
        for pool in document.pools
        for member in pool.members
        for one in [_standing(pool, member, said, now, not_by_hours)]
    }


def _standing(
    pool: PoolModel, member: MemberModel, said: Said, now: datetime, not_by_hours: frozenset[str]
) -> Standing:
    state, since, deadline, source = max(_claims(pool, member, said, now, not_by_hours), key=lambda claim: claim[1])
    over = bool(deadline) and now.timestamp() >= deadline
    done = said.drained.get(member.node) == since
    weight = said.weights.get(member.node)
    return Standing(
        pool=pool.name,
        node=member.node,
        state="maint" if state == "drain" and (over or done) else state,
        said=state,
        since=since,
        deadline=deadline,
        source=source,
        weight=weight.weight if weight is not None and weight.instead_of == member.weight else member.weight,
    )


def _claims(
    pool: PoolModel, member: MemberModel, said: Said, now: datetime, not_by_hours: frozenset[str]
) -> Iterator[tuple[State, int, int, Source]]:
    """In the order in which the first of several with the same time holds."""
    word = said.states.get(member.node)
    if word is not None:
        yield word.state, word.since, word.deadline, "site"
    yield member.state, member.since, member.deadline, "document"
    begun = open_since(pool.maintenance, member.node, now)
    if begun is not None and member.node not in not_by_hours:
        yield "drain", begun, 0, "hours"


def as_document(document: PoolsDocument, standing: Standings) -> PoolsDocument:
    """The document with what holds now in place of what it said itself."""
    return document.model_copy(
        update={
            "pools": [
                pool.model_copy(
                    update={
                        "members": [
                            member.model_copy(
                                update={
                                    "state": standing[pool.name, member.node].state,
                                    "weight": standing[pool.name, member.node].weight,
                                }
                            )
                            for member in pool.members
                        ]
                    }
                )
                for pool in document.pools
            ]
        }
    )
