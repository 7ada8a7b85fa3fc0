"""What the fleet looks like over REST."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from control.nodes.reports import NodeFacts
from control.nodes.schemas import NodeItem, PolicyPlaceItem, node_item
from control.overview.service import SiteView
from control.policies.revisions import REFUSED, same_text


class FleetNode(NodeItem):
    """A node, and how it stands to the policy of its site."""

    policy_state: str
    """none (nothing published) | unknown (not heard of) | pending | applied | rejected | rolled_back"""
    presence: str
    """What the broker last said: online | offline, or empty. A hint; `state` follows the node's own word."""


class FleetSite(BaseModel):
    """A site. The counts add what its nodes last reported, however old that is."""

    site: str
    policy_wanted: PolicyPlaceItem | None
    nodes: list[FleetNode]
    nodes_online: int
    instances_held: int
    deliveries_waiting: int
    deliveries_parked: int


def fleet_site(view: SiteView, now: datetime) -> FleetSite:
    """A site as it is shown at this moment."""
    nodes = [
        FleetNode(
            **dict(node_item(node, now)),
            policy_state=policy_state(view, node),
            presence=view.presence.get(node.id, ""),
        )
        for node in view.nodes
    ]
    reports = [node.report for node in view.nodes if node.report is not None]
    return FleetSite(
        site=view.site.name,
        policy_wanted=PolicyPlaceItem.model_validate(view.wanted) if view.wanted is not None else None,
        nodes=nodes,
        nodes_online=sum(node.state == "online" for node in nodes),
        instances_held=sum(report.instances_held for report in reports),
        deliveries_waiting=sum(report.deliveries_waiting for report in reports),
        deliveries_parked=sum(report.deliveries_parked for report in reports),
    )


def policy_state(view: SiteView, node: NodeFacts) -> str:
    """How a node stands to what it, or else its site, shall run. Pure."""
    wanted, sha256 = view.assigned.get(node.id, (view.wanted, view.wanted_sha256))
    if wanted is None:
        return "none"
    if node.report is None:
        return "unknown"
    if node.report.attempt == wanted and node.report.attempt_state == "applying":
        return "pending"  # it may run already, on probation: applied means healthy
    if node.report.active == wanted and same_text(sha256, node.report.active_sha256):
        return "applied"
    if node.report.attempt == wanted and node.report.attempt_state in REFUSED:
        return node.report.attempt_state
    return "pending"
