"""Two HAProxy hosts that hold one address in turn: keepalived's configuration for one of them. Pure.

VRRP (RFC 5798) in unicast, for many hospital networks let no multicast through. Both hosts begin as BACKUP and do not
preempt: an address that moves cuts every association, so it moves only when the host that has it fails.
"""

from __future__ import annotations

from mesh.pools import PoolModel, SharedAddressModel

FIRST_PRIORITY, STEP = 150, 10
PROTOCOL_6 = "native_ipv6"


def render_keepalived(pool: PoolModel, host: str, *, ready_url: str = "http://127.0.0.1:8043/readyz") -> str:
    """The file for the host with this address. It gives the address up while its manager or its HAProxy is not well.

    Raises:
        LookupError: the pool shares no address, or not with this host.
    """
    shared = pool.shared_address
    if shared is None:
        raise LookupError(f"pool {pool.name} has no shared_address")
    if host not in shared.hosts:
        raise LookupError(f"{host} is none of the hosts of pool {pool.name}: {', '.join(shared.hosts)}")
    return "\n".join(_lines(pool.name, shared, host, ready_url)) + "\n"


def _lines(name: str, shared: SharedAddressModel, host: str, ready_url: str) -> list[str]:
    place = shared.hosts.index(host)
    others = [f"        {other}" for other in shared.hosts if other != host]
    return [
        "# Made by `skerry-haproxy keepalived`.",
        "global_defs {",
        "    enable_script_security",
        "    script_user nobody",
        "}",
        "",
        f"vrrp_script well_{name} {{",
        f'    script "/usr/bin/curl --fail --silent --max-time 2 --output /dev/null {ready_url}"',
        "    interval 2",
        "    fall 3",
        "    rise 2",
        "}",
        "",
        f"vrrp_instance {name} {{",
        "    state BACKUP",
        "    nopreempt",
        f"    interface {shared.interface}",
        f"    virtual_router_id {shared.router_id}",
        f"    priority {FIRST_PRIORITY - STEP * place}",
        "    advert_int 1",
        *([f"    {PROTOCOL_6}"] if ":" in shared.address else []),
        f"    unicast_src_ip {host}",
        "    unicast_peer {",
        *others,
        "    }",
        "    virtual_ipaddress {",
        f"        {shared.address}",
        "    }",
        "    track_script {",
        f"        well_{name}",
        "    }",
        "}",
    ]
