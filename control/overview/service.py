"""The fleet at a glance: what each site shall run, and its nodes with the age of their last word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from control.broker.service import PresenceService
from control.db.session import Database
from control.nodes.reports import NodeFacts, PolicyPlace
from control.nodes.service import NodeService
from control.policies.service import PolicyService
from control.principals import Scope
from control.sites.service import SiteFacts, SiteService


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """A site and its nodes. Revoked nodes are left out."""

    site: SiteFacts
    wanted: PolicyPlace | None
    wanted_sha256: bytes
    """Of the wanted policy's text; empty when nothing is wanted."""
    nodes: tuple[NodeFacts, ...]
    assigned: Mapping[str, tuple[PolicyPlace, bytes]]
    """What nodes shall run instead, with the text's SHA-256: nodes to which a roll-out or a person gave their own."""
    presence: Mapping[str, str]
    """Node id -> what the broker last said of it: online | offline."""


class FleetService:
    """Reads the other slices in one snapshot."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        nodes: NodeService,
        policies: PolicyService,
        presence: PresenceService,
    ) -> None:
        self._database = database
        self._sites = sites
        self._nodes = nodes
        self._policies = policies
        self._presence = presence

    async def page(self, *, after: str, limit: int, scope: Scope = None) -> Sequence[SiteView]:
        """Sites of the scope by name, behind `after`."""
        async with self._database.snapshot() as session:
            sites = await self._sites.list_in(session, after=after, limit=limit, scope=scope)
            nodes = await self._nodes.of_sites(session, sites)
            wanted = await self._policies.wanted(session, [site.id for site in sites])
            assigned = await self._policies.assigned(session, [site.id for site in sites])
            presence = await self._presence.of_nodes(session, [node.id for node in nodes])
        return [
            SiteView(
                site=site,
                wanted=_place(wanted[site.id][0]) if site.id in wanted else None,
                wanted_sha256=wanted[site.id][1] if site.id in wanted else b"",
                nodes=tuple(node for node in nodes if node.site == site.name),
                assigned={node: (_place(place), sha256) for node, (place, sha256) in assigned.items()},
                presence=presence,
            )
            for site in sites
        ]


def _place(place: tuple[int, int]) -> PolicyPlace:
    return PolicyPlace(generation=place[0], version=place[1])
