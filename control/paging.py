"""Pages of a list: `{items, next_cursor}`. A cursor is opaque to clients and says where the next page starts."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from control.errors import InvalidCursor

T = TypeVar("T")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="The most items on one page.")]
Cursor = Annotated[str | None, Query(max_length=1024, description="`next_cursor` of the page before.")]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = None


def write_cursor(*place: str | int) -> str:
    """The cursor of a place: the sort key of the last item that was shown."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> Sequence[str | int]:
    """The place that a cursor names.

    Raises:
        InvalidCursor: it is not one of ours, or of another list.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise InvalidCursor from None
    fits = isinstance(place, list) and [type(one) for one in place] == list(kinds)
    if not fits or not all(_storable(one) for one in place):
        raise InvalidCursor
    return tuple(place)


def _storable(value: str | int) -> bool:
    """Whether a database can compare with it: a forged cursor must not become an error of the database."""
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in value)
