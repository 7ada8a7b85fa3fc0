"""The shape of destinations that are groups of others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.policy.schema_destinations import KINDS
from edge.policy.schema_names import Name, Strict
from edge.policy.schema_window import WINDOW, WindowModel

Members = Annotated[
    list[Name],
    Field(min_length=2, max_length=16, description="a list of 2 to 16 names of destinations, such as [pacs-a, pacs-b]"),
]


class FailoverModel(Strict):
    """The first of its members that is well gets everything."""

    name: Name
    kind: Literal["failover"] = Field(description=KINDS)
    members: Members
    window: WindowModel | None = Field(default=None, description=WINDOW)


class BalanceModel(Strict):
    """Its members share the studies."""

    name: Name
    kind: Literal["balance"] = Field(description=KINDS)
    members: Members
    window: WindowModel | None = Field(default=None, description=WINDOW)


GroupModel = FailoverModel | BalanceModel
