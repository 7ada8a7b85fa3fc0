"""Whether a node may stand aside: whoever sends images to a site needs somebody there who takes them (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from control.node_commands.states import CommandState
from control.nodes.reports import NodeFacts, node_state

DRAIN = "drain"
NEVER_DONE = frozenset({CommandState.FAILED, CommandState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedToDrain:
    """What was asked of a node, and when."""

    node_id: str
    state: CommandState
    arguments: Mapping[str, str]
    asked_at: datetime


def is_asked(kind: str, arguments: Mapping[str, str]) -> bool:
    """Whether this command makes a node stand aside that nobody said may leave its site alone."""
    flags = {name for name, value in arguments.items() if value == "true"}
    return kind == DRAIN and not flags & {"end", "even_alone", "dry_run"}


def who_stays(
    node: NodeFacts, site: Iterable[NodeFacts], asked: Sequence[AskedToDrain], now: datetime
) -> Sequence[str]:
    """The names of the other nodes that are heard of and take images; `asked` has the newest first."""
    return [
        one.name for one in site if one.id != node.id and node_state(one, now) == "online" and not _aside(one, asked)
    ]


def _aside(node: NodeFacts, asked: Sequence[AskedToDrain]) -> bool:
    for one in asked:
        tried = one.state in NEVER_DONE or one.arguments.get("dry_run") == "true"
        # What was asked after its last report is not in it yet.
        if one.node_id == node.id and not tried and (node.reported_at is None or one.asked_at > node.reported_at):
            return one.arguments.get("end") != "true"
    return node.report is not None and any(held.code == "draining" for held in node.report.conditions)
