"""What pools look like over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from control.pools.reports import ManagerSaid
from mesh.pools import PoolModel, State

_SAYS_SOMETHING: JsonDict = {
    "anyOf": [
        {"required": ["state"], "properties": {"state": {"type": "string"}}},
        {"required": ["weight"], "properties": {"weight": {"type": "integer"}}},
    ]
}
"""What the validator below asks, in the words of JSON Schema."""


class NewWord(BaseModel):
    """What to say of a node in its site's pools: a state, a weight, or both."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_SAYS_SOMETHING)

    state: State | None = None
    weight: Annotated[int | None, Field(ge=0, le=256)] = None
    deadline_seconds: Annotated[int, Field(ge=0, le=7 * 24 * 3600)] = 0
    """When a drain becomes maint although associations are open; 0: when they have ended."""
    last: bool = False
    """Also when nobody else works: modalities are turned away then."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.state is None and self.weight is None:
            raise ValueError("give a state, a weight, or both")
        return self


class WordItem(BaseModel):
    """What people at the centre said of a node."""

    model_config = ConfigDict(from_attributes=True)

    state: str
    weight: int | None
    since: int
    deadline: int


class ManagerItem(BaseModel):
    """A manager and what it last said."""

    model_config = ConfigDict(from_attributes=True)

    node_id: str
    node: str
    heard_at: datetime
    silent: bool
    report: ManagerSaid


class SitePoolsItem(BaseModel):
    """The pools of a site: what is wanted, what was said, and what is so."""

    model_config = ConfigDict(from_attributes=True)

    site: str
    order: int
    pools: list[PoolModel]
    words: dict[str, WordItem]
    managers: list[ManagerItem]


class PoolsList(BaseModel):
    """The pools of the sites that the caller may see."""

    items: list[SitePoolsItem]
