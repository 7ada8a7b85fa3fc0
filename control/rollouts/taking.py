"""Taking a step: everything that it means, in the one transaction that raises the turn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.policies.service import PolicyService
from control.policy_errors import NotNow
from control.rollouts import repository
from control.rollouts.decide import Step
from control.rollouts.gates import Gates
from control.rollouts.models import Rollout, RolloutStep
from control.rollouts.repository import NodeRow, SiteRow
from control.rollouts.states import ENDED, Happening, RolloutState, after
from control.sites.service import SiteFacts, SiteService

log = structlog.get_logger(__name__)


class Overtaken(Exception):
    """Somebody else took a step meanwhile; nothing of this one is kept."""


class StepTaker:
    """Writes steps."""

    def __init__(self, sites: SiteService, policies: PolicyService, audit: AuditService) -> None:
        self._sites, self._policies, self._audit = sites, policies, audit

    async def take(
        self,
        tx: AsyncSession,
        row: Rollout,
        sites: Sequence[SiteRow],
        nodes: Sequence[NodeRow],
        step: Step,
        *,
        actor: str,
        now: datetime,
    ) -> None:
        """Take a step, or nothing of it.

        Raises:
            NotNow: it does not fit the state.
            Overtaken
        """
        state = after(RolloutState(row.state), step.happening)
        if state is None:
            raise NotNow(f"A roll-out that is {row.state.replace('_', ' ')} cannot {step.happening}.")
        values: dict[str, Any] = {
            "state": state,
            "wave": step.wave,
            "changed_at": now,
            "soak_ends": step.soak_ends,
            "text": step.text,
        }
        if state is RolloutState.ROLLING_BACK:
            values["back_since"] = now
        if not await repository.move(tx, row.id, turn=row.turn, values=values):
            raise Overtaken
        repository.add(tx, _step_row(row, step, state, actor, now))
        await repository.explain(tx, row.id, step.words)
        await self._mean(tx, row, sites, nodes, step, state, now)
        told: dict[str, str | int | bool | None] = {"state": str(state), "wave": step.wave + 1, "text": step.text[:500]}
        if len(sites) == 1:
            told["site"] = sites[0].site
        await self._audit.record(
            tx,
            actor=actor,
            action=f"rollout.{step.happening.replace(' ', '_')}",
            object=f"rollout:{row.id}",
            before={"state": row.state},
            after=told,
        )

    async def _mean(
        self,
        tx: AsyncSession,
        row: Rollout,
        sites: Sequence[SiteRow],
        nodes: Sequence[NodeRow],
        step: Step,
        state: RolloutState,
        now: datetime,
    ) -> None:
        by = f"rollout:{row.id}"
        if step.gives:
            given = [one for one in nodes if one.word.node_id in set(step.gives)]
            gates = Gates(**row.gates)
            absent = {one.word.node_id for one in given if one.word.is_silent(gates, now)}
            await repository.give(tx, row.id, given, at=now, absent=absent)
            await self._give(tx, row, sites, given, by=by, now=now)
        if state is RolloutState.ROLLING_BACK:
            await self._give_back(tx, row, sites, nodes, by=by, now=now)
        if step.happening is Happening.FINISHED:
            for one, site in await self._locked(tx, sites):
                revision = await self._policies.revision(tx, one.site_id, one.version)
                await self._policies.assigning.settle(tx, site, revision, actor=by, place=(one.generation, one.version))
        if state is RolloutState.ROLLING_BACK or state in ENDED:
            await self._policies.assigning.release(tx, row.id)

    async def _give(
        self,
        tx: AsyncSession,
        row: Rollout,
        sites: Sequence[SiteRow],
        given: Sequence[NodeRow],
        *,
        by: str,
        now: datetime,
    ) -> None:
        concerned = {one.site_id for one in given}
        for one, site in await self._locked(tx, [one for one in sites if one.site_id in concerned]):
            revision = await self._policies.revision(tx, one.site_id, one.version)
            mine = [node.word.node_id for node in given if node.site_id == one.site_id]
            place = (one.generation, one.version)
            await self._policies.assigning.assign(tx, site, revision, place, mine, by=by, at=now, rollout_id=row.id)

    async def _give_back(
        self,
        tx: AsyncSession,
        row: Rollout,
        sites: Sequence[SiteRow],
        nodes: Sequence[NodeRow],
        *,
        by: str,
        now: datetime,
    ) -> None:
        """Whoever was given the policy, heard of or not, shall run the version before, at a later place."""
        given = [one for one in nodes if one.word.given]
        concerned = {one.site_id for one in given}
        for one, site in await self._locked(tx, [one for one in sites if one.site_id in concerned]):
            revision = await self._policies.revision(tx, one.site_id, one.before_version)
            mine = [node.word.node_id for node in given if node.site_id == one.site_id]
            place = await self._policies.assigning.next(tx, one.site_id, one.before_version)
            await self._policies.assigning.assign(tx, site, revision, place, mine, by=by, at=now, rollout_id=row.id)
            await repository.went_back(tx, row.id, one.site_id, generation=place[0])

    async def _locked(self, tx: AsyncSession, sites: Sequence[SiteRow]) -> Sequence[tuple[SiteRow, SiteFacts]]:
        """All of them before the trail is: whoever publishes takes them in this order too."""
        return [(one, await self._sites.require(tx, one.site, lock=True)) for one in sites]


def _step_row(row: Rollout, step: Step, state: RolloutState, actor: str, now: datetime) -> RolloutStep:
    return RolloutStep(
        rollout_id=row.id,
        turn=row.turn + 1,
        at=now,
        actor=actor,
        happening=step.happening,
        state=state,
        wave=step.wave,
        text=step.text,
    )
