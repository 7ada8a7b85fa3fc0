"""The HAProxy pools that a site's policy asks for, kept while the policy is the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncSession

from control.policies.preview import pools_in
from control.policies.service import PolicyService
from control.sites.service import SiteFacts
from mesh.pools import PoolModel


class AskedPools:
    """Reads them out of the published policy."""

    def __init__(self, policies: PolicyService) -> None:
        self._policies = policies

    async def of(self, session: AsyncSession, site: SiteFacts) -> Sequence[PoolModel]:
        """The pools of the site's policy; none when there is no policy, or none in it."""
        bundle = await self._policies.bundle(session, site)
        return () if bundle is None else _read(bundle.document)


@lru_cache(maxsize=2048)
def _read(document: bytes) -> Sequence[PoolModel]:
    return pools_in(document)
