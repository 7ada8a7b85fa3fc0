"""What status reports say of policies. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from control.nodes.reports import NodeCaller, StatusReport

Key = tuple[str, int, int]
"""(node id, generation, version)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a node says of one published policy."""

    node_id: str
    site_id: int
    generation: int
    version: int
    state: str
    error: str


def words_of(said: Iterable[tuple[NodeCaller, StatusReport]]) -> dict[Key, Word]:
    """The newest word of each node on each policy that it names. What it says of an attempt wins: it knows more."""
    words: dict[Key, Word] = {}
    for caller, report in said:
        told = []
        if report.active.version:
            told.append((report.active, "applied", ""))
        if report.attempt.version and report.attempt_state:
            told.append((report.attempt, report.attempt_state, report.attempt_error))
        for place, state, error in told:
            word = Word(
                node_id=caller.node_id,
                site_id=caller.site_id,
                generation=place.generation,
                version=place.version,
                state=state,
                error=error,
            )
            words[caller.node_id, place.generation, place.version] = word
    return words
