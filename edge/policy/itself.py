"""Destinations that are the node itself, as far as the document alone can tell (pure: no name is looked up)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from edge.errors import Diagnostic
from edge.model import Destination, DicomDestination
from edge.policy.yaml_text import Mapping, Node, Sequence

_HINT = "Name another host or port: what a node sends to itself comes back without end."


def leads_back(destination: Destination, listen: str) -> bool:
    """Whether a destination is the door of the node that listens at `HOST:PORT`."""
    host, _, port = listen.rpartition(":")
    if not isinstance(destination, DicomDestination) or str(destination.port) != port:
        return False
    own, theirs = _address(host.strip("[]")), _address(destination.host)
    if own is None or theirs is None:
        return destination.host.lower() == host.lower()
    if own.is_unspecified:
        return theirs.is_loopback or theirs.is_unspecified
    return own == theirs or (own.is_loopback and theirs.is_unspecified)


def check_itself(root: Node, destinations: tuple[Destination, ...], listen: str) -> Iterator[Diagnostic]:
    """An error for each destination that leads back, at its port."""
    for index, destination in enumerate(destinations):
        if leads_back(destination, listen):
            place = _port(root, index)
            message = f"`{destination.name}` is the node itself, which listens at {listen}"
            yield Diagnostic(severity="error", line=place.line, column=place.column, message=message, hint=_HINT)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        return None


def _port(root: Node, index: int) -> Node:
    node = root
    for step in ("destinations", index, "port"):
        if isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)][1]
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
    return node
