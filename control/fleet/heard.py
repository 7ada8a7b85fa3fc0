"""How old the centre's knowledge of each site is, for answers of other slices."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.fleet import repository
from control.fleet.ages import SiteAge, site_age
from control.nodes.reports import SILENT_AFTER


class AgeService:
    """Tells ages inside somebody's unit of work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def of_all_sites(self, session: AsyncSession) -> Sequence[SiteAge]:
        """Every site by name."""
        now = self._clock()
        words = await repository.site_words(session, silent_before=now - SILENT_AFTER)
        return [site_age(**word._asdict(), now=now) for word in words]

    async def living_sites(self, session: AsyncSession, node_ids: Sequence[str]) -> dict[str, str]:
        """The site of each of these nodes that is enrolled and was not revoked."""
        return await repository.living_sites(session, node_ids)

    async def node_names(self, session: AsyncSession, node_ids: Sequence[str]) -> dict[str, str]:
        """What people call these nodes."""
        return await repository.node_names(session, node_ids)
