"""The rules of sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import NameTaken, UnknownSite
from control.names import checked_name, is_name
from control.principals import Scope, within
from control.sites import repository
from control.sites.models import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """A site."""

    id: int
    name: str
    created_at: datetime
    needs_approval: bool = False
    """Boxes that join wait for a person, unless their token says otherwise."""


class SiteService:
    """Add, find and list sites."""

    def __init__(self, database: Database, audit: AuditService, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    async def add(self, name: str, *, actor: str) -> SiteFacts:
        """A new site.

        Raises:
            InvalidName, NameTaken
        """
        checked_name(name)
        async with self._database.transaction() as tx:
            try:
                site = await repository.add(tx, name=name, created_at=self._clock())
            except IntegrityError:
                raise NameTaken(f"A site called {name} exists already.") from None
            await self._audit.record(tx, actor=actor, action="site.add", object=f"site:{name}", after={"name": name})
        return _facts(site)

    async def set_approval(self, name: str, *, needed: bool, actor: str) -> SiteFacts:
        """Let boxes that join wait for a person, or not.

        Raises:
            UnknownSite
        """
        async with self._database.transaction() as tx:
            site = await repository.by_name(tx, name, lock=True) if is_name(name) else None
            if site is None:
                raise UnknownSite
            before, site.needs_approval = {"needs_approval": site.needs_approval}, needed
            await tx.flush()
            await self._audit.record(
                tx,
                actor=actor,
                action="site.approval",
                object=f"site:{name}",
                before=before,
                after={"site": name, "needs_approval": needed},
            )
            return _facts(site)

    async def page(self, *, after: str, limit: int, scope: Scope = None) -> Sequence[SiteFacts]:
        """Sites of the scope by name, behind `after`."""
        async with self._database.snapshot() as session:
            return await self.list_in(session, after=after, limit=limit, scope=scope)

    async def list_in(
        self, session: AsyncSession, *, after: str, limit: int, scope: Scope = None
    ) -> Sequence[SiteFacts]:
        """The same, inside somebody's unit of work."""
        return [_facts(one) for one in await repository.after_name(session, after=after, limit=limit, scope=scope)]

    async def require(self, session: AsyncSession, name: str, *, lock: bool = False, scope: Scope = None) -> SiteFacts:
        """The site of this name, inside somebody's unit of work; with `lock`, nobody else holds it meanwhile.

        Raises:
            UnknownSite: also when it is not in the scope.
        """
        site = await repository.by_name(session, name, lock=lock) if is_name(name) and within(scope, name) else None
        if site is None:
            raise UnknownSite
        return _facts(site)

    async def by_id(self, session: AsyncSession, site_id: int) -> SiteFacts:
        """The site that a foreign key names, inside somebody's unit of work."""
        return _facts(await repository.by_id(session, site_id))

    async def names(self, session: AsyncSession, *, only: int | None = None) -> dict[int, str]:
        """The name of every site by its id, or of one, inside somebody's unit of work."""
        return await repository.names(session, only=only)


def _facts(site: Site) -> SiteFacts:
    return SiteFacts(id=site.id, name=site.name, created_at=site.created_at, needs_approval=bool(site.needs_approval))
