"""What HAProxy prints as tables, read into rows: `show stat`, `show servers state`, `show info`, `show proc`.

A table that is not whole or not as it should be is an error; a guess about a pool could turn a modality away.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from haproxy.errors import AnswerGarbled


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """One line of `show stat`: a frontend, a server, or a backend as a whole."""

    proxy: str
    name: str
    """`FRONTEND`, `BACKEND` or the server's name."""
    sessions: int
    queued: int
    status: str
    """HAProxy's word, such as `UP`, `DOWN 1/2`, `DRAIN`, `MAINT`, `no check`."""
    weight: int
    effective_weight: int
    last_change_seconds: int
    check_status: str
    """Such as `L7OK` or `L4CON`; empty without a check."""
    check_words: str
    agent_status: str
    agent_words: str
    address: str
    session_limit: int
    """0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """One line of `show servers state`, with all its fields, as it can be given back to HAProxy."""

    proxy: str
    server: str
    address: str
    port: int
    operational: int
    """0 stopped, 1 starting, 2 running, 3 stopping."""
    admin: int
    """A mask; 0x01 maint and 0x08 drain by command, 0x04 maint by configuration."""
    weight: int
    own_weight: int
    """What the configuration gives it; an agent's share is one of this."""
    agent: int
    """A mask; 0x02 there is an agent, 0x04 it is asked."""
    fields: tuple[str, ...]

    @property
    def has_agent(self) -> bool:
        """Whether the node can be asked how much it wants."""
        return bool(self.agent & 0x02)

    @property
    def asks_agent(self) -> bool:
        """Whether it is; its word then sets the administrative state, as a person's does."""
        return self.agent & 0x06 == 0x06


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """HAProxy's processes, as its master tells them."""

    master: int
    reloads: int
    failed: int
    """Reloads that went wrong since the last one that went well."""
    worker: int | None
    """The one that accepts; None while there is none."""
    old_workers: tuple[int, ...]
    """Those that end with their last association."""
    version: str


_STATE_VERSION = "1"
_STATE_NAMES = {
    "be_name",
    "srv_name",
    "srv_addr",
    "srv_op_state",
    "srv_admin_state",
    "srv_uweight",
    "srv_iweight",
    "srv_agent_state",
    "srv_port",
}


def read_stat(text: str) -> tuple[StatRow, ...]:
    """The lines of `show stat`.

    Raises:
        AnswerGarbled: it is no such table, or not a whole one.
    """
    lines = _whole(text, "show stat")
    if not lines or not lines[0].startswith("# pxname,svname,"):
        raise AnswerGarbled(f"`show stat` was answered with: {_first(text)}")
    names = lines[0][2:].split(",")
    rows = []
    for fields in csv.reader(lines[1:]):
        if len(fields) != len(names):
            raise AnswerGarbled("a line of `show stat` has another number of fields than its heading")
        rows.append(_stat_row(dict(zip(names, fields, strict=True))))
    return tuple(rows)


def _stat_row(row: dict[str, str]) -> StatRow:
    def number(name: str) -> int:
        text = row.get(name, "")
        if text and not text.lstrip("-").isdigit():
            raise AnswerGarbled(f"`show stat` has {text[:20]!r} as {name}")
        return int(text or 0)

    return StatRow(
        proxy=row["pxname"],
        name=row["svname"],
        sessions=number("scur"),
        queued=number("qcur"),
        status=row.get("status", ""),
        weight=number("uweight"),
        effective_weight=number("weight"),
        last_change_seconds=number("lastchg"),
        check_status=row.get("check_status", "").removeprefix("* "),
        check_words=_joined(row.get("check_desc", ""), row.get("last_chk", "")),
        agent_status=row.get("agent_status", "").removeprefix("* "),
        agent_words=_joined(row.get("agent_desc", ""), row.get("last_agt", "")),
        address=row.get("addr", ""),
        session_limit=number("slim"),
    )


def _joined(*words: str) -> str:
    """What HAProxy says in two fields, as one sentence; it is told people and kept, so it stays short."""
    return ": ".join(word.strip() for word in words if word.strip())[:300]


def read_servers_state(text: str) -> tuple[str, tuple[StateRow, ...]]:
    """The heading and the lines of `show servers state`.

    Raises:
        AnswerGarbled: it is no such table, not a whole one, or of another version.
    """
    lines = _whole(text, "show servers state")
    if len(lines) < 2 or lines[0] != _STATE_VERSION or not lines[1].startswith("# "):
        raise AnswerGarbled(f"`show servers state` was answered with: {_first(text)}")
    names = lines[1][2:].split()
    if not set(names) >= _STATE_NAMES:
        raise AnswerGarbled("`show servers state` has other columns than are known here")
    return lines[1], tuple(_state_row(names, line.split(" ")) for line in lines[2:] if not line.startswith("#"))


def _state_row(names: Sequence[str], fields: Sequence[str]) -> StateRow:
    if len(fields) != len(names):
        raise AnswerGarbled("a line of `show servers state` has another number of fields than its heading")
    row = dict(zip(names, fields, strict=True))
    try:
        return StateRow(
            proxy=row["be_name"],
            server=row["srv_name"],
            address=row["srv_addr"],
            port=int(row["srv_port"]),
            operational=int(row["srv_op_state"]),
            admin=int(row["srv_admin_state"]),
            weight=int(row["srv_uweight"]),
            own_weight=int(row["srv_iweight"]),
            agent=int(row["srv_agent_state"]),
            fields=tuple(fields),
        )
    except ValueError as error:
        raise AnswerGarbled("`show servers state` has a word where a number should be") from error


def read_info(text: str) -> dict[str, str]:
    """The facts of `show info`.

    Raises:
        AnswerGarbled: it is not that.
    """
    facts = {
        key.strip(): value.strip() for key, mark, value in (line.partition(":") for line in text.split("\n")) if mark
    }
    if "Name" not in facts or "Version" not in facts:
        raise AnswerGarbled(f"`show info` was answered with: {_first(text)}")
    return facts


def read_processes(text: str) -> Processes:
    """What `show proc` tells.

    Raises:
        AnswerGarbled: it is not that.
    """
    lines = _whole(text, "show proc")
    master: list[str] = []
    lists: dict[str, list[int]] = {"# workers": [], "# old workers": [], "# programs": []}
    into: list[int] | None = None
    failed = 0
    try:
        for line in lines:
            fields = line.split()
            if line.startswith("#"):
                into = lists.get(line.strip())
            elif len(fields) > 2 and fields[1] == "master":
                master = fields
                failed = int(line.partition("[failed:")[2].partition("]")[0] or 0)
            elif fields and into is not None:
                into.append(int(fields[0]))
        pid, reloads = int(master[0]), int(master[2])
    except (ValueError, IndexError) as error:
        raise AnswerGarbled(f"`show proc` was answered with: {_first(text)}") from error
    workers = lists["# workers"]
    return Processes(
        master=pid,
        reloads=reloads,
        failed=failed,
        worker=workers[0] if workers else None,
        old_workers=tuple(lists["# old workers"]),
        version=master[-1],
    )


def _whole(text: str, command: str) -> list[str]:
    """The lines of a table, which HAProxy ends with an empty one."""
    if not text.endswith("\n\n"):
        if text.count("\n") <= 1:
            raise AnswerGarbled(f"`{command}` was answered with: {_first(text)}")
        raise AnswerGarbled(f"the answer to `{command}` was cut off")
    return [line for line in text.split("\n") if line]


def _first(text: str) -> str:
    return text.strip().split("\n", 1)[0][:200] or "nothing"
