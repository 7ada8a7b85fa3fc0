"""Destinations that are the node itself: as far as the document tells, and who looks up names for it (pure)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Several
from urllib.parse import urlsplit

from edge.errors import Diagnostic
from edge.model import Destination, DicomDestination, DicomWebDestination, S3Destination
from edge.policy.yaml_text import Mapping, Node, Sequence

_HINT = "Name another host or port: what a node sends to itself comes back without end."


Leads = Callable[[str, int, str], bool]
"""Whether host and port end at the door `HOST:PORT`, by more than their text."""


def by_text_alone(_host: str, _port: int, _door: str) -> bool:
    """No name is looked up."""
    return False


def leads_back(destination: Destination, listen: str, leads: Leads = by_text_alone) -> bool:
    """Whether a destination is the door of the node that listens at `HOST:PORT`."""
    place = _place(destination)
    return place is not None and (_by_text(place[0], place[1], listen) or leads(place[0], place[1], listen))


def check_itself(
    root: Node,
    destinations: tuple[Destination, ...],
    doors: Several[str],
    leads: Leads = by_text_alone,
) -> Iterator[Diagnostic]:
    """An error for each destination that leads back, where its port stands, or its URL."""
    for index, destination in enumerate(destinations):
        for door in doors:
            if leads_back(destination, door, leads):
                place = node_at(root, index, _KEYS[type(destination)])
                message = f"`{destination.name}` is the node itself, which listens at {door}"
                yield Diagnostic(severity="error", line=place.line, column=place.column, message=message, hint=_HINT)


_KEYS = {DicomDestination: "port", DicomWebDestination: "url", S3Destination: "endpoint"}


def _place(destination: Destination) -> tuple[str, int] | None:
    match destination:
        case DicomDestination():
            return destination.host, destination.port
        case DicomWebDestination(url=url) | S3Destination(endpoint=url):
            parts = urlsplit(url)
            return (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)) if parts.hostname else None
    return None


def _by_text(host: str, port: int, listen: str) -> bool:
    own_host, _, own_port = listen.rpartition(":")
    if str(port) != own_port:
        return False
    own, theirs = _address(own_host.strip("[]")), _address(host)
    if own is None or theirs is None:
        return host.lower() == own_host.lower()
    if own.is_unspecified:
        return theirs.is_loopback or theirs.is_unspecified
    return own == theirs or (own.is_loopback and theirs.is_unspecified)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        return None


def node_at(root: Node, index: int, key: str) -> Node:
    """Where a key of a destination stands, or the destination when it has none."""
    node = root
    for step in ("destinations", index, key):
        if isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)][1]
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
    return node
