"""What a manager says of its HAProxy, read with care: it is a stranger's JSON, and people see it. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from control.errors import InvalidCommand
from mesh.pools import State

MOST_BYTES = 1 << 20
Short = Annotated[str, Field(max_length=128)]
Words = Annotated[str, Field(max_length=4000)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]


class _Said(BaseModel):
    # A newer manager may say more.
    model_config = ConfigDict(extra="ignore", frozen=True)


class MemberSaid(_Said):
    """A node behind one listener of one pool, as HAProxy has it."""

    pool: Short
    listener: Short
    node: Short
    admin: State
    up: bool
    status: Short
    sessions: Count
    weight: Count
    check: Short
    check_words: Words
    agent: Words
    changed: Count


class RefusedSaid(_Said):
    """Pools that do not run there, and why, in HAProxy's own words where they are HAProxy's."""

    order: Count
    code: Short
    words: Words


class WordSaid(_Said):
    """What somebody at the site said of a node."""

    node: Short
    state: State | None
    weight: Count | None
    since: Count
    deadline: Count
    by: Short


class ConditionSaid(_Said):
    """Something that is not as it should be."""

    code: Short
    severity: Literal["low", "medium", "high"]
    text: Words
    hint: Words
    subject: Short


class ManagerSaid(_Said):
    """All of it."""

    ready: bool
    order: Count
    origin: Literal["none", "file", "centre"]
    haproxy_running: bool
    haproxy_version: Short
    old_workers: Count
    reloads: Count
    last_reload: Count
    rejected: RefusedSaid | None
    members: Annotated[list[MemberSaid], Field(max_length=4096)]
    words: Annotated[list[WordSaid], Field(max_length=256)]
    conditions: Annotated[list[ConditionSaid], Field(max_length=200)]


def read_report(content: bytes) -> ManagerSaid:
    """The report in these bytes.

    Raises:
        InvalidCommand: it is none, or too long.
    """
    if len(content) > MOST_BYTES:
        raise InvalidCommand(f"A report of pools has at most {MOST_BYTES} bytes.")
    try:
        return ManagerSaid.model_validate_json(content.replace(b"\\u0000", b""))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidCommand(f"This is no report of pools: {where} {first['msg']}") from None


def last_ones(members: list[MemberSaid], node: str) -> list[str]:
    """The listeners that would have nobody left who works, if this node stood aside."""
    behind: dict[str, set[str]] = {}
    for one in members:
        if one.up and one.admin == "ready":
            behind.setdefault(f"{one.pool}.{one.listener}", set()).add(one.node)
    return sorted(listener for listener, working in behind.items() if working == {node})
