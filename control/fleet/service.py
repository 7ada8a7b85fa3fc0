"""How old the centre's knowledge of each site is."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.fleet import repository
from control.fleet.ages import SiteAge, site_age
from control.nodes.reports import SILENT_AFTER


class AgeService:
    """Tells the age of every site's last word, inside somebody's unit of work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def of_all_sites(self, session: AsyncSession) -> Sequence[SiteAge]:
        """Every site by name, also one without nodes."""
        now = self._clock()
        words = await repository.site_words(session, silent_before=now - SILENT_AFTER)
        return [
            site_age(
                site=word.site,
                nodes=word.nodes,
                silent_nodes=word.silent_nodes,
                last_contact_at=word.last_contact_at,
                now=now,
            )
            for word in words
        ]

    async def node_names(self, session: AsyncSession, node_ids: Sequence[str]) -> dict[str, str]:
        """What people call these nodes, also revoked ones."""
        return await repository.node_names(session, node_ids)
