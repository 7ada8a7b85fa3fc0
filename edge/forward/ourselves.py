"""Whether an address is this node's own door: who sends to itself sends for ever."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from edge.forward.base import DestinationDown
from edge.host_addresses import Resolve, resolved, resolved_within

_doors: set[tuple[str, int]] = set()
"""Where this node takes images: one fact about the process, told once before anything is sent."""


def this_node_listens_at(endpoint: str) -> None:
    """From now on no destination is called that leads to `HOST:PORT`."""
    host, _, port = endpoint.rpartition(":")
    if port.isdigit() and int(port):
        _doors.add((host.strip("[]"), int(port)))


def refuse_ourselves(addresses: Iterable[tuple[str, int]]) -> None:
    """Do nothing, unless one of these addresses is this node's door.

    Raises:
        DestinationDown: it is; nothing of what waits is lost, and nothing is parked.
    """
    for host, port in addresses:
        if any(leads_to(host, port, door) for door in _doors):
            raise DestinationDown(
                f"{host}:{port} is this node itself: what is sent there would come back without end",
                hint="Name another host or port in the policy; what waits goes there by itself.",
            ).of("itself")


def refuse_our_url(url: str) -> None:
    """Do nothing, unless what stands in a URL is this node's door; a name without an address is none.

    Raises:
        DestinationDown: it is, as `refuse_ourselves` says.
    """
    parts = urlsplit(url)
    if parts.hostname:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        refuse_ourselves((address, port) for address in resolved(parts.hostname))


def leads_by_name(host: str, port: int, listen: str, *, resolve: Resolve = resolved_within) -> bool:
    """Whether a connection from this machine to a host ends at `HOST:PORT`, as far as names are known now."""
    own, _, own_port = listen.rpartition(":")
    if str(port) != own_port:
        return False
    doors = resolve(own.strip("[]"))
    return any(leads_to(address, port, (door, port)) for address in resolve(host) for door in doors)


def leads_to(host: str, port: int, door: tuple[str, int]) -> bool:
    """Whether a connection to this numeric address ends at a door of this machine."""
    own, own_port = door
    if port != own_port:
        return False
    with contextlib.suppress(ValueError):
        ours, theirs = ipaddress.ip_address(own), ipaddress.ip_address(host.partition("%")[0])
        theirs = getattr(theirs, "ipv4_mapped", None) or theirs
        if not ours.is_unspecified:
            return ours == theirs or (theirs.is_unspecified and ours.is_loopback)
        return theirs.is_loopback or theirs.is_unspecified or _is_local(str(theirs))
    return host == own


def _is_local(address: str) -> bool:
    """A road to an address of this machine begins at that very address. Nothing is sent to find out."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return bool(probe.getsockname()[0] == address)
    return False
