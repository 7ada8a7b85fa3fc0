"""The life of a command: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class CommandState(StrEnum):
    """Where a command is."""

    REQUESTED = "requested"
    """The node has not taken it."""
    ACCEPTED = "accepted"
    """The node does it, or has done it and cannot tell."""
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    """Its time was over before the node took it."""


class Word(StrEnum):
    """What happens to a command."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    TIME_OVER = "time over"


TABLE: Mapping[tuple[CommandState, Word], CommandState] = {
    (CommandState.REQUESTED, Word.ACCEPTED): CommandState.ACCEPTED,
    (CommandState.REQUESTED, Word.DONE): CommandState.DONE,
    (CommandState.REQUESTED, Word.FAILED): CommandState.FAILED,
    (CommandState.REQUESTED, Word.TIME_OVER): CommandState.EXPIRED,
    (CommandState.ACCEPTED, Word.DONE): CommandState.DONE,
    (CommandState.ACCEPTED, Word.FAILED): CommandState.FAILED,
    # What the node says of the past is true, whatever the clock here said.
    (CommandState.EXPIRED, Word.ACCEPTED): CommandState.ACCEPTED,
    (CommandState.EXPIRED, Word.DONE): CommandState.DONE,
    (CommandState.EXPIRED, Word.FAILED): CommandState.FAILED,
}
"""(state, word) -> state. A pair that is not here changes nothing: nodes repeat themselves."""

OPEN = frozenset({CommandState.REQUESTED, CommandState.ACCEPTED})
"""What a node may ask for: it was not told the end of it."""


def after(state: CommandState, word: Word) -> CommandState:
    """The state after a word."""
    return TABLE.get((state, word), state)
