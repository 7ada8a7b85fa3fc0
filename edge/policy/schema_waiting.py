"""The shape of `wait`: a route that lets images go together, once their series or study is complete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = r"^[0-9]{1,6}[smhd]$"
_WORDS = "a duration: a whole number and one of s, m, h, d, such as "
WAIT = "`series`, `study`, or a group of keys such as {for: study, quiet: 60s, at_most: 30m}"


class WaitModel(BaseModel):
    """What is waited for, and how long."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    scope: Literal["series", "study"] = Field(alias="for", description="`series` or `study`")
    quiet: str = Field(default="60s", pattern=_DURATION, description=_WORDS + "60s")
    missing: str | None = Field(default=None, pattern=_DURATION, description=_WORDS + "10m")
    at_most: str = Field(default="30m", pattern=_DURATION, description=_WORDS + "30m")


def _in_full(written: object) -> object:
    return {"for": written} if isinstance(written, str) else written


Waiting = Annotated[WaitModel, BeforeValidator(_in_full, json_schema_input_type=Literal["series", "study"] | WaitModel)]
"""Short or in full."""
