"""Commands on the wire (pure)."""

from __future__ import annotations

from datetime import datetime

from control.errors import InvalidCommand
from control.node_commands.service import CommandFacts
from control.node_commands.states import Word
from mesh.v1 import sync_pb2

WORDS = {
    sync_pb2.COMMAND_STATE_ACCEPTED: Word.ACCEPTED,
    sync_pb2.COMMAND_STATE_DONE: Word.DONE,
    sync_pb2.COMMAND_STATE_FAILED: Word.FAILED,
}


def command_message(command: CommandFacts, now: datetime) -> sync_pb2.Command:
    """A command as a node gets it."""
    return sync_pb2.Command(
        command_id=command.id,
        kind=command.kind,
        arguments=dict(command.arguments),
        seconds_left=max(0, int((command.expires_at - now).total_seconds())),
        asked_by=command.asked_by,
    )


def read_word(state: sync_pb2.CommandState.ValueType) -> Word:
    """What a node says of a command.

    Raises:
        InvalidCommand: nothing that this version knows.
    """
    try:
        return WORDS[state]
    except KeyError:
        raise InvalidCommand("A report says accepted, done or failed.") from None
