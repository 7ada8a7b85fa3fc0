"""The shape of what a policy says about hours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.policy.schema_names import Strict

_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
Clock = Annotated[str, Field(pattern=_TIME, description="a time of day in quotes, such as '18:00'")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WINDOW = "a group of keys, such as {from: '18:00', until: '06:00', zone: Europe/Berlin}"


class WindowModel(Strict):
    """The hours in which a destination may be sent to."""

    from_: Clock = Field(alias="from")
    until: Clock
    zone: str = Field(max_length=64, description="a time zone of the IANA database, such as Europe/Berlin")
    days: list[Day] | None = Field(
        default=None, min_length=1, description="the days on which it opens, such as [mon, tue, wed]"
    )
    stat_passes: bool = Field(default=True, description="`true` or `false`")
