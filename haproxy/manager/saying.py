"""What somebody at the site asks for, judged against what there is: refused with reasons, or kept and done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from haproxy.errors import LastMember, UnknownNode
from haproxy.manager.health import last_ones
from haproxy.manager.interface import MemberReport
from mesh.pools import MemberModel, PoolsDocument, State


def members_named(document: PoolsDocument, node: str) -> list[MemberModel]:
    """The node in every pool that has it.

    Raises:
        UnknownNode: none has.
    """
    found = [member for pool in document.pools for member in pool.members if member.node == node]
    if not found:
        known = sorted({member.node for pool in document.pools for member in pool.members})
        raise UnknownNode(
            f"no pool has a member {node!r}", hint=f"Members are: {', '.join(known)}." if known else "There are none."
        )
    return found


def judge(members: Sequence[MemberReport], node: str, state: State, *, last: bool) -> None:
    """Whether a node may be given this state.

    Raises:
        LastMember: modalities would be turned away, and nobody said that they may.
    """
    alone = last_ones(members, node) if state != "ready" else ()
    if alone and not last:
        raise LastMember(
            f"{node} is the last member that works behind {', '.join(alone)}: modalities would be turned away"
        )


def since(members: Sequence[MemberModel], now: int) -> int:
    """When it is said: now, and in any case after what the document says, whatever the clocks of two hosts say."""
    return max(now, *(member.since + 1 for member in members))


def progress(members: Sequence[MemberReport], node: str) -> Mapping[str, Any]:
    """How far a node is, and what is left without it."""
    own = [member for member in members if member.node == node]
    left = {}
    for member in own:
        name = f"{member.pool}.{member.listener}"
        behind = [one for one in members if f"{one.pool}.{one.listener}" == name]
        working = [one for one in behind if one.node != node and one.up and one.admin == "ready"]
        whole = sum(one.weight for one in behind)
        left[name] = {
            "members": [one.node for one in working],
            "share": round(sum(one.weight for one in working) / whole, 2) if whole else 0.0,
        }
    return {
        "node": node,
        "states": {f"{member.pool}.{member.listener}": member.admin for member in own},
        "sessions": sum(member.sessions for member in own),
        "left": left,
    }
