"""What sites, nodes and keys may be called."""

from __future__ import annotations

import re

from control.errors import InvalidName

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


def is_name(name: str) -> bool:
    """Whether something can be called so. What cannot is never looked up: PostgreSQL refuses some texts."""
    return NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """The name, when it can stand in a topic, a URI and a file name.

    Raises:
        InvalidName: it cannot.
    """
    if not is_name(name):
        raise InvalidName
    return name
