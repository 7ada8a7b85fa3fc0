"""What the live feed looks like, over REST and over the WebSocket."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class LiveLine(BaseModel):
    """Something that happened."""

    model_config = ConfigDict(from_attributes=True)

    type: Literal["event"] = "event"
    sequence: int
    at: datetime
    kind: str
    """study_changed | many_studies_changed | node_presence"""
    body: dict[str, Any]


class LiveHello(BaseModel):
    """The first message: whoever fetches everything after it is up to date with `sequence`."""

    type: Literal["hello"] = "hello"
    sequence: int


class LiveRefetch(BaseModel):
    """Lines are missing: fetch what you show again; you are up to date with `sequence` then."""

    type: Literal["refetch"] = "refetch"
    sequence: int


class LivePage(BaseModel):
    """Lines behind a sequence, in order. `refetch`: some between are gone."""

    items: list[LiveLine]
    newest: int
    refetch: bool
