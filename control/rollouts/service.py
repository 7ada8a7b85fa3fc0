"""The rules of roll-outs: start, look, pause, resume, abort. What happens by itself is in `driver`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from control.attempt import is_trial
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.nodes.reports import NodeFacts
from control.nodes.service import NodeService
from control.policies.models import PolicyRevision
from control.policies.service import PolicyService, checked
from control.policy_errors import InvalidRollout, NothingToGoBackTo, RolloutMoved, UnknownRollout
from control.principals import Scope
from control.rollouts import repository
from control.rollouts.decide import Step
from control.rollouts.driver import RolloutDriver, load
from control.rollouts.gates import Gates, NodeWord
from control.rollouts.models import Rollout, RolloutNode, RolloutSite
from control.rollouts.states import Happening, RolloutState
from control.rollouts.taking import StepTaker
from control.rollouts.view import RolloutView, view_of
from control.rollouts.waves import members, sizes
from control.sites.service import SiteFacts, SiteService


class RolloutService:
    """Roll-outs of all sites."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        nodes: NodeService,
        policies: PolicyService,
        audit: AuditService,
        clock: Clock,
    ) -> None:
        self._database, self._sites, self._nodes, self._policies = database, sites, nodes, policies
        self._audit, self._clock = audit, clock
        self._taker = StepTaker(sites, policies, audit)

    def driver(self) -> RolloutDriver:
        """What lets the roll-outs go on by themselves."""
        return RolloutDriver(self._database, self._policies, self._taker, self._clock)

    async def start(
        self,
        site_names: Sequence[str],
        document: bytes,
        *,
        waves: Sequence[str],
        soak_seconds: int,
        gates: Gates,
        actor: str,
    ) -> RolloutView:
        """Keep a document as the next version of each site, and let it go out in waves.

        Raises:
            InvalidRollout, InvalidPolicy, UnknownSite
            NothingToGoBackTo: a site runs no policy.
            PolicyHeld: another roll-out is under way at a site.
        """
        sizes(waves, 1)
        await checked(document)
        now = self._clock()
        async with self._database.transaction() as tx:
            sites = [await self._sites.require(tx, name, lock=True) for name in sorted(set(site_names))]
            nodes = await self._nodes.of_sites(tx, sites)
            if not nodes:
                raise InvalidRollout("These sites have no node.", hint="Publish instead: a new node gets it at once.")
            row = _rollout(waves, soak_seconds, gates, actor, now)
            repository.add(tx, row)
            await tx.flush()
            for site in sites:
                revision = await self._prepare(tx, row, site, document, actor)
                row.sha256 = revision.sha256.hex()
            _add_nodes(tx, row, sites, nodes, gates, now)
            await tx.flush()
            await self._audit.record(
                tx,
                actor=actor,
                action="rollout.start",
                object=f"rollout:{row.id}",
                after={"sites": ", ".join(one.name for one in sites)[:500], "sha256": row.sha256}
                | ({"site": sites[0].name} if len(sites) == 1 else {}),
            )
            return await self._view(tx, row)

    async def _prepare(
        self, tx: AsyncSession, row: Rollout, site: SiteFacts, document: bytes, actor: str
    ) -> PolicyRevision:
        before = (await self._policies.wanted(tx, [site.id])).get(site.id)
        if before is None:
            raise NothingToGoBackTo(f"Site {site.name} runs no policy, so a roll-out could not go back.")
        await self._policies.assigning.hold(tx, site.id, row.id)
        revision = await self._policies.assigning.keep(tx, site, document, actor=actor)
        place = await self._policies.assigning.next(tx, site.id, revision.version)
        repository.add(
            tx,
            RolloutSite(
                rollout_id=row.id,
                site_id=site.id,
                generation=place[0],
                version=place[1],
                before_version=before[0][1],
            ),
        )
        return revision

    async def get(self, rollout_id: str) -> RolloutView:
        """One roll-out with its nodes and steps.

        Raises:
            UnknownRollout
        """
        async with self._database.snapshot() as session:
            return await self._view(session, await _known(session, rollout_id))

    async def page(
        self, *, scope: Scope, site: str | None, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[RolloutView]:
        """Roll-outs of the sites in the scope, from the newest back; without their nodes and steps."""
        async with self._database.snapshot() as session:
            rows = await repository.newest(session, sites=scope, site=site, before=before, limit=limit)
            return [view_of(row, await repository.sites_of(session, row.id), (), ()) for row in rows]

    async def _view(self, session: AsyncSession, row: Rollout) -> RolloutView:
        sites, nodes = await load(session, row, figures=False)
        return view_of(row, sites, nodes, await repository.steps_of(session, row.id))

    async def say(self, rollout_id: str, happening: Happening, *, actor: str, if_match: str | None) -> RolloutView:
        """Pause, resume or abort.

        Raises:
            UnknownRollout
            NotNow: it does not fit its state.
            RolloutMoved: `if_match` names another state.
        """
        now = self._clock()
        async with self._database.transaction() as tx:
            row = await _known(tx, rollout_id, lock=True)
            sites, nodes = await load(tx, row, figures=False)
            _expect(row, if_match)
            step = Step(happening=happening, text=_sentence(happening, actor), wave=row.wave)
            await self._taker.take(tx, row, sites, nodes, step, actor=actor, now=now)
            await tx.refresh(row)
            shown = await self._view(tx, row)
        if not is_trial():
            await self._policies.assigning.tell()
        return shown


def _rollout(waves: Sequence[str], soak_seconds: int, gates: Gates, actor: str, now: datetime) -> Rollout:
    return Rollout(
        id=secrets.token_hex(8),
        state=RolloutState.PLANNED,
        turn=0,
        wave=-1,
        waves=list(waves),
        soak_seconds=soak_seconds,
        gates=asdict(gates),
        sha256="",
        started_at=now,
        started_by=actor,
        changed_at=now,
        soak_ends=None,
        back_since=None,
        text="Nobody was given anything.",
    )


def _add_nodes(
    tx: AsyncSession, row: Rollout, sites: Sequence[SiteFacts], nodes: Sequence[NodeFacts], gates: Gates, now: datetime
) -> None:
    site_ids = {site.name: site.id for site in sites}
    silent = {one.id for one in nodes if _word(one).is_silent(gates, now)}
    heard = [one.id for one in nodes if one.id not in silent]
    wave_of = members(row.id, heard, silent, row.waves)
    for one in nodes:
        repository.add(
            tx,
            RolloutNode(
                rollout_id=row.id,
                node_id=one.id,
                site_id=site_ids[one.site],
                wave=wave_of[one.id],
                given_at=None,
                absent=False,
                waiting_before=0,
                parked_before=0,
                refused_before=0,
                accepted_before=0,
                reason="",
            ),
        )


def _word(node: NodeFacts) -> NodeWord:
    heard = max(filter(None, (node.last_contact_at, node.reported_at)), default=None)
    return NodeWord(node_id=node.id, name=node.name, wave=0, last_contact_at=heard)


async def _known(session: AsyncSession, rollout_id: str, *, lock: bool = False) -> Rollout:
    row = await repository.by_id(session, rollout_id, lock=lock) if rollout_id.isalnum() else None
    if row is None:
        raise UnknownRollout
    return row


def _expect(row: Rollout, if_match: str | None) -> None:
    etag = f'"{row.turn}"'
    if if_match is None or if_match.strip() == "*":
        return
    if etag not in [one.strip() for one in if_match.split(",")]:
        raise RolloutMoved(etag=etag)


def _sentence(happening: Happening, actor: str) -> str:
    words = {
        Happening.PAUSE: "It waits for somebody to resume it",
        Happening.RESUME: "It goes on",
        Happening.ABORT: "Whoever was given the policy is given the one before",
    }
    return f"{words[happening]}: {actor} said so."
