"""Status reports, committed in groups: what a transaction costs is paid once for all nodes that report together."""

from __future__ import annotations

from collections.abc import Sequence

from control.db.session import Database
from control.errors import NodeRevoked
from control.gather import Gatherer
from control.nodes.reports import NodeCaller, StatusReport
from control.nodes.service import NodeService
from control.policies.service import PolicyService

TOGETHER = 250
"""Reports in one transaction: some fifty milliseconds."""
WAITING = 10_000
"""Reports in memory before nodes are asked to come later: some seconds of work, and well below their deadline."""


class ReportLane:
    """Keeps what nodes say of themselves."""

    def __init__(self, database: Database, nodes: NodeService, policies: PolicyService) -> None:
        self._database, self._nodes, self._policies = database, nodes, policies
        self._reports: Gatherer[tuple[NodeCaller, StatusReport], bool | None] = Gatherer(
            self._commit, most_together=TOGETHER, most_waiting=WAITING
        )

    async def keep(self, caller: NodeCaller, report: StatusReport) -> bool:
        """Return when the report is committed: whether two boxes seem to share the node's identity.

        Raises:
            NodeRevoked: since the node was recognised.
            Busy: too many reports wait.
            DatabaseAway
        """
        cloned = await self._reports.ask((caller, report))
        if cloned is None:
            raise NodeRevoked
        return cloned

    async def _commit(self, said: Sequence[tuple[NodeCaller, StatusReport]]) -> Sequence[bool | None]:
        async with self._database.transaction() as tx:
            # Holds the nodes' rows, so that two reports of one node never write the same answer twice.
            cloned = await self._nodes.store_reports(tx, said)
            living = [one for one, answer in zip(said, cloned, strict=True) if answer is not None]
            await self._policies.hear_all(tx, living)
        return cloned
