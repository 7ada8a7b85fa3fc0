"""Who may open an association: decided on the request's head, before negotiation costs anything (pure).

Every refusal has the result, source and reason of PS3.8 Table 9-21, a name to be counted under, and a hint.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from edge.upper_layer.pdu import APPLICATION_CONTEXT, AssociationRequest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PERMANENT, TRANSIENT = 1, 2
USER, ACSE, PRESENTATION = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a node's settings say of its callers. Empty lists let everybody in."""

    ae_title: str
    require_called_ae_title: bool
    allow_calling: frozenset[str]
    allow_networks: tuple[Network, ...]
    max_associations: int
    max_associations_per_peer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Associations that are open now, in all ingest processes of the node."""

    total: int
    of_this_peer: int
    room_on_disk: bool
    draining: bool = False
    """People want this node to be empty."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an association is not opened."""

    name: str
    result: int
    source: int
    reason: int
    hint: str


def refuse(rules: Rules, request: AssociationRequest, peer_address: str, crowd: Crowd) -> Rejection | None:
    """The first reason not to open this association, or None: it may be opened."""
    if not request.protocol_version & 1:
        hint = "The peer speaks another version of the upper layer protocol. Mend the sender."
        return Rejection("rejected-protocol-version", PERMANENT, ACSE, 2, hint)
    if request.application_context != APPLICATION_CONTEXT:
        hint = "The peer names another application context than DICOM's. Mend the sender."
        return Rejection("rejected-application-context", PERMANENT, USER, 2, hint)
    if rules.require_called_ae_title and request.called_ae_title != rules.ae_title:
        hint = f"Let the sender call {rules.ae_title}, or set require_called_ae_title = false."
        return Rejection("rejected-called-ae-title", PERMANENT, USER, 7, hint)
    if rules.allow_calling and request.calling_ae_title not in rules.allow_calling:
        hint = "Add the sender's AE title to allow_calling, if it should send here."
        return Rejection("rejected-calling-ae-title", PERMANENT, USER, 3, hint)
    if rules.allow_networks and not inside(peer_address, rules.allow_networks):
        hint = "Add the sender's network to allow_networks, if it should send here."
        return Rejection("rejected-network", PERMANENT, USER, 1, hint)
    return _full(rules, crowd)


def _full(rules: Rules, crowd: Crowd) -> Rejection | None:
    if crowd.draining:
        hint = "This node drains: it delivers what it holds and takes nothing new until `skerry-edge drain --end`."
        return Rejection("rejected-draining", TRANSIENT, PRESENTATION, 1, hint)
    if crowd.total >= rules.max_associations:
        hint = "max_associations are open. Look for a sender that does not release its associations, or raise it."
        return Rejection("rejected-association-limit", TRANSIENT, PRESENTATION, 2, hint)
    if rules.max_associations_per_peer and crowd.of_this_peer >= rules.max_associations_per_peer:
        hint = "This peer holds max_associations_per_peer. Look at why it does not release them, or raise it."
        return Rejection("rejected-peer-limit", TRANSIENT, PRESENTATION, 2, hint)
    if not crowd.room_on_disk:
        hint = "The spool's disk is nearly full: see the destinations that hold the queue, or give it a larger disk."
        return Rejection("rejected-low-disk", TRANSIENT, PRESENTATION, 1, hint)
    return None


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks from settings.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def inside(address: str, wanted: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks; an IPv4 address that IPv6 wraps counts as what it is."""
    try:
        here = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(here, ipaddress.IPv6Address) and here.ipv4_mapped:
        here = here.ipv4_mapped
    return any(here in network for network in wanted if network.version == here.version)
