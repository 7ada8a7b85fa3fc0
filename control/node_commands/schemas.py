"""What commands look like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from control.node_commands.states import CommandState

Argument = Annotated[str, Field(max_length=200)]


class NewCommand(BaseModel):
    """What to ask of a node."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(max_length=32, examples=["release"])]
    arguments: Annotated[dict[str, Argument], Field(max_length=20, examples=[{"destination": "pacs"}])] = {}
    expires_in_seconds: Annotated[int, Field(ge=10, le=7 * 24 * 3600)] = 3600
    """When the node has not taken it by then, it is not done."""


class CommandItem(BaseModel):
    """A command and what became of it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    node_id: str
    site: str
    kind: str
    arguments: dict[str, str]
    state: CommandState
    text: str
    """What the node said at its end."""
    result: dict[str, Any] | None
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None


class KindItem(BaseModel):
    """A kind of command."""

    kind: str
    meaning: str
    arguments: list[str]
    needed: list[str]
