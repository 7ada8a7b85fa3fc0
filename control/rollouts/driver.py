"""What happens to roll-outs by themselves: one task in each replica looks, one of them takes each step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.db.session import Database
from control.db.singleton import ROLLOUT_LOCK, alone
from control.policies.service import PolicyService
from control.rollouts import repository
from control.rollouts.decide import Step, step
from control.rollouts.models import Rollout
from control.rollouts.repository import NodeRow, SiteRow
from control.rollouts.states import ENDED
from control.rollouts.taking import Overtaken, StepTaker
from control.rollouts.view import facts_of

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
FIGURES_SECONDS = 15.0
"""How often what nodes measure is looked at while nothing else happens; before a step it is looked at in any case."""


class RolloutDriver:
    """Drives every roll-out that has not ended."""

    def __init__(
        self,
        database: Database,
        policies: PolicyService,
        taker: StepTaker,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._policies, self._taker = database, policies, taker
        self._clock, self._monotonic = clock, monotonic
        self._figures_at = float("-inf")

    async def follow(self) -> None:
        """Run for ever. A database that does not answer delays roll-outs and nothing else."""
        while True:
            try:
                await self.drive()
            except Exception as error:
                log.warning("rollout.unread", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def drive(self) -> int:
        """Take the steps that are due; say how many."""
        figures = self._monotonic() - self._figures_at >= FIGURES_SECONDS
        async with self._database.snapshot() as session:
            due = [one for one in await repository.live_ids(session) if await self._is_due(session, one, figures)]
        if figures:
            self._figures_at = self._monotonic()
        taken = 0
        for rollout_id in due:
            try:
                taken += await self._advance(rollout_id)
            except Overtaken:
                log.info("rollout.overtaken", rollout=rollout_id)
            except Exception as error:  # one that cannot go on must not keep the others
                log.error("rollout.step_failed", rollout=rollout_id, error=type(error).__name__)
        if taken:
            await self._policies.assigning.tell()
        return taken

    async def _is_due(self, session: AsyncSession, rollout_id: str, figures: bool) -> bool:
        row = await repository.by_id(session, rollout_id)
        if row is None or row.state in ENDED:
            return False
        _, nodes = await load(session, row, figures=figures)
        return step(facts_of(row, nodes), self._clock()) is not None

    async def _advance(self, rollout_id: str) -> bool:
        """Look again, with everything held that the step depends on, and take it."""
        async with self._database.transaction() as tx:
            if not await alone(tx, ROLLOUT_LOCK):
                return False
            row = await repository.by_id(tx, rollout_id, lock=True)
            if row is None:
                return False
            sites, nodes = await load(tx, row, figures=True)
            now = self._clock()
            due = step(facts_of(row, nodes), now)
            if due is None:
                return False
            await self._taker.take(tx, row, sites, nodes, due, actor=f"rollout:{rollout_id}", now=now)
        _tell(rollout_id, due)
        return True


async def load(session: AsyncSession, row: Rollout, *, figures: bool) -> tuple[Sequence[SiteRow], Sequence[NodeRow]]:
    """The sites and the nodes of a roll-out."""
    return (
        await repository.sites_of(session, row.id),
        await repository.nodes_of(session, row.id, figures=figures),
    )


def _tell(rollout_id: str, due: Step) -> None:
    say = log.warning if due.words else log.info
    say("rollout.step", rollout=rollout_id, happening=str(due.happening), wave=due.wave + 1, failed=len(due.words))
