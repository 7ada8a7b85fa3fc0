"""Previews: a proposed policy beside the one that each node shall run, over what sites told of. Changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.db.session import Database
from control.policies.service import PolicyService, checked
from control.policy_errors import UnknownPolicyVersion
from control.previews import repository
from control.previews.judging import Reception, Rule, attributes_of, judge, read_policy, told_of
from control.previews.tally import Difference, StudyDifference, Tally
from control.principals import Scope
from control.sites.service import SiteFacts, SiteService

MOST_SITES = 50
MOST_INSTANCES = 100_000
MOST_SECONDS = 20.0
STUDY_PAGE, INSTANCE_PAGE = 20, 2000
MOST_POLICIES = 64
"""Kept while one site is looked at."""
NARROWER = "name fewer sites or a shorter time."


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a policy would change."""

    policy: str
    sites: tuple[str, ...]
    since: datetime
    tally: Tally
    note: str
    """Why not all was looked at; empty when all was."""


class PreviewService:
    """Tries policies on what is known; one at a time, so that nobody else waits for it long."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        policies: PolicyService,
        clock: Clock,
        *,
        most_instances: int = MOST_INSTANCES,
    ) -> None:
        self._database, self._sites, self._policies, self._clock = database, sites, policies, clock
        self._most_instances = most_instances
        self._turn = asyncio.Semaphore(1)

    async def preview(
        self,
        document: bytes,
        names: Sequence[str],
        *,
        since: timedelta,
        listed: Difference | None,
        limit: int,
        scope: Scope,
    ) -> Preview:
        """Try a policy on studies that began since then. No names: every site of the scope.

        Raises:
            InvalidPolicy: no edge would run it.
            UnknownSite
        """
        await checked(document)
        proposed = await asyncio.to_thread(read_policy, document)
        assert proposed is not None
        async with self._database.snapshot() as session:
            if names:
                sites = [await self._sites.require(session, name, scope=scope) for name in dict.fromkeys(names)]
            else:
                sites = list(await self._sites.list_in(session, after="", limit=MOST_SITES + 1, scope=scope))
        looking = _Looking(self._database, self._policies, proposed, Tally(listed, limit), self._most_instances)
        note = f"Only the first {MOST_SITES} sites were looked at; name sites." if len(sites) > MOST_SITES else ""
        begin = self._clock() - since
        async with self._turn:
            for site in sites[:MOST_SITES]:
                note = await looking.look(site, begin) or note
        names = tuple(site.name for site in sites[:MOST_SITES])
        return Preview(policy=proposed.label, sites=names, since=begin, tally=looking.tally, note=note)


class _Looking:
    """One preview under way."""

    def __init__(
        self, database: Database, policies: PolicyService, proposed: Rule, tally: Tally, most_instances: int
    ) -> None:
        self._database, self._policies, self._proposed, self.tally = database, policies, proposed, tally
        self._left, self._ends = most_instances, time.monotonic() + MOST_SECONDS
        self._most = most_instances
        self._known: dict[int, Rule | None] = {}
        """Version -> policy of the site that is looked at."""

    async def look(self, site: SiteFacts, since: datetime) -> str:
        """All studies of a site since then; gives the sentence that says why it stopped."""
        self._known = {}
        place: repository.StudyPlace | None = None
        while True:
            async with self._database.snapshot() as session:
                found = await repository.studies_of(session, site.name, since=since, after=place, limit=STUDY_PAGE)
            if not found:
                return ""
            place = found[-1]
            studies: dict[str, StudyDifference] = {}
            stopped = await self._objects(site, [uid for _, uid in found], studies)
            self.tally.add(studies.values())
            if stopped:
                return stopped

    async def _objects(self, site: SiteFacts, uids: Sequence[str], studies: dict[str, StudyDifference]) -> str:
        after: repository.ReceptionPlace | None = None
        while True:
            if self._left <= 0:
                return f"Only {self._most:,} images were looked at, the newest studies first; {NARROWER}"
            if time.monotonic() > self._ends:
                return f"It was stopped after {MOST_SECONDS:.0f} seconds, the newest studies first; {NARROWER}"
            limit = min(INSTANCE_PAGE, self._left)
            async with self._database.snapshot() as session:
                rows, after = await repository.receptions_of(session, site.name, uids, after=after, limit=limit)
                runs, site_runs = await self._runs(session, site)
                await self._learn(session, site, {one.version for one in rows} | {*runs.values(), site_runs})
            self._left -= len(rows)
            await asyncio.to_thread(self._compare, rows, runs, site_runs, studies)
            if after is None:
                return ""

    async def _runs(self, session: AsyncSession, site: SiteFacts) -> tuple[Mapping[str, int], int | None]:
        """The version that each node with something of its own shall run, and that of all others."""
        own = await self._policies.assigned(session, [site.id])
        wanted = (await self._policies.wanted(session, [site.id])).get(site.id)
        return {key: place[1] for key, (place, _) in own.items()}, wanted[0][1] if wanted is not None else None

    async def _learn(self, session: AsyncSession, site: SiteFacts, versions: Iterable[int | None]) -> None:
        if len(self._known) > MOST_POLICIES:
            self._known.clear()
        for version in versions:
            if version is not None and version not in self._known:
                self._known[version] = await self._load(session, site, version)

    async def _load(self, session: AsyncSession, site: SiteFacts, version: int) -> Rule | None:
        try:
            row = await self._policies.revision(session, site.id, version)
        except UnknownPolicyVersion:
            return None
        return await asyncio.to_thread(read_policy, row.document)

    def _compare(
        self,
        rows: Sequence[Reception],
        runs: Mapping[str, int],
        site_runs: int | None,
        studies: dict[str, StudyDifference],
    ) -> None:
        actives = [self._policy(version) for version in {*runs.values(), site_runs}]
        reads = attributes_of([self._proposed, *actives])
        for one in rows:
            told = told_of(one, self._policy(one.version), reads)
            active = self._policy(runs.get(one.node_id, site_runs))
            uid = one.study_instance_uid
            study = studies.setdefault(uid, StudyDifference(site=one.site, study_instance_uid=uid))
            study.add(judge(active, told), judge(self._proposed, told))

    def _policy(self, version: int | None) -> Rule | None:
        return self._known.get(version) if version is not None else None
