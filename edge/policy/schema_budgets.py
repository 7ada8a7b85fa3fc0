"""The shape of byte budgets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.policy.schema_names import Name, Strict

BudgetName = Annotated[Name | None, Field(default=None, description="the name of a budget of the document")]


class BudgetModel(Strict):
    """How many bytes a second the destinations that name it get together."""

    name: Name
    per_second: str = Field(
        pattern=r"^[1-9][0-9]*(KB|MB|GB)$",
        max_length=12,
        description="bytes in a second: a whole number and KB, MB or GB, such as 2MB",
    )
