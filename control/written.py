"""Days and moments as people write them: RFC 3339 only. A bare number would quietly be read as seconds since 1970."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _day(value: object) -> object:
    if isinstance(value, str) and not DAY.fullmatch(value):
        raise ValueError("write a day as 2026-03-01")
    return value


def _moment(value: object) -> object:
    if isinstance(value, str) and not MOMENT.fullmatch(value):
        raise ValueError("write a moment as 2026-03-01T12:00:00Z")
    return value


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
