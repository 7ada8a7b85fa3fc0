"""What a new worker is told of its servers before it takes the first association (`server-state-file`). Pure.

HAProxy prints it (`show servers state`) and reads it again, with two traps that were found by trying: the port in it
beats the port of the configuration, so that a node that moved would be called where it was; and a server that is new
has no line, so that one which is to rest would work for a moment. Hence each line is written as it is wanted.

While a person keeps a node out, its agent is not asked: the agent's `ready` would let it in again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from haproxy.sockets.tables import StateRow
from mesh.pools import State

ADMIN: Mapping[State, int] = {"ready": 0, "maint": 0x01, "drain": 0x08}
_ASKED = 0x04
_COLUMNS = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)
_BLANK = dict.fromkeys(_COLUMNS.split(), "0") | {
    "srv_fqdn": "-",
    "srvrecord": "-",
    "srv_check_addr": "-",
    "srv_agent_addr": "-",
    "srv_op_state": "2",
    "srv_check_state": "6",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedServer:
    """A server as the configuration has it, and what was said of it."""

    proxy: str
    server: str
    address: str
    port: int
    weight: int
    state: State


def server_state(wanted: Iterable[WantedServer], before: Iterable[StateRow], heading: str) -> str:
    """The file: what checks found out is kept where nothing changed, and what was said holds from the first moment."""
    known = {(row.proxy, row.server): row for row in before}
    names = heading.removeprefix("# ").split() or _COLUMNS.split()
    lines = [f"# {' '.join(names)}"]
    for one in wanted:
        row = known.get((one.proxy, one.server))
        stayed = row is not None and (row.address, row.port) == (one.address, one.port)
        if not stayed and one.state == "ready":
            continue  # HAProxy's own beginning: it works until a check fails
        fields = dict(zip(names, row.fields, strict=True)) if row is not None and stayed else dict(_BLANK)
        agent = int(fields["srv_agent_state"])
        by_agent = row is not None and stayed and row.asks_agent and row.own_weight == one.weight
        fields |= {
            "srv_agent_state": str(agent & ~_ASKED if one.state != "ready" else agent | _ASKED if agent else 0),
            "be_name": one.proxy,
            "srv_name": one.server,
            "srv_addr": one.address,
            "srv_port": str(one.port),
            "srv_admin_state": str(ADMIN[one.state]),
            "srv_uweight": str(row.weight if row is not None and by_agent else one.weight),
            "srv_iweight": str(one.weight),
        }
        lines.append(" ".join(fields.get(name, "0") for name in names))
    return "\n".join(["1", *lines, ""])
