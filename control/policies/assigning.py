"""Deciding who shall run what: documents that are kept, sites that run a version, nodes that run another one.

Everything here happens inside the caller's unit of work, with the site locked; `tell` comes after its commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.chain import Summary
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.policies import assignments, repository
from control.policies.board import Place, PolicyBoard, Wanted
from control.policies.models import PolicyRevision
from control.policies.revisions import next_place
from control.policy_errors import PolicyHeld
from control.sites.service import SiteFacts
from mesh.signing import policy_payload


class Assigning:
    """What the publication of a policy and a roll-out have in common."""

    def __init__(
        self, database: Database, audit: AuditService, board: PolicyBoard, key: Ed25519PrivateKey, clock: Clock
    ) -> None:
        self._database, self._audit, self._board, self._key, self._clock = database, audit, board, key, clock

    async def keep(self, tx: AsyncSession, site: SiteFacts, document: bytes, *, actor: str) -> PolicyRevision:
        """Keep a document that was checked as the site's next version. It runs nowhere."""
        digest = hashlib.sha256(document).digest()
        version = await repository.next_version(tx, site.id)
        row = PolicyRevision(
            site_id=site.id,
            version=version,
            document=document,
            sha256=digest,
            created_at=self._clock(),
            created_by=actor,
        )
        await repository.add_revision(tx, row)
        after: Summary = {"version": version, "sha256": digest.hex()}
        await self._audit.record(
            tx, actor=actor, action="policy.upload", object=f"policy:{site.name}/{version}", after=after
        )
        return row

    async def free(self, tx: AsyncSession, site_id: int) -> None:
        """Let only those pass who find the site free.

        Raises:
            PolicyHeld: a roll-out decides what it runs.
        """
        holder = await assignments.holder(tx, site_id)
        if holder is not None:
            raise PolicyHeld(
                f"Roll-out {holder} decides what this site runs.",
                hint=f"Wait for its end, or end it: skerry-control rollout abort {holder}",
            )

    async def hold(self, tx: AsyncSession, site_id: int, rollout_id: str) -> None:
        """Let a roll-out decide what the site runs, until `release`.

        Raises:
            PolicyHeld: another one does.
        """
        await self.free(tx, site_id)
        await assignments.hold(tx, site_id, rollout_id)

    async def release(self, tx: AsyncSession, rollout_id: str) -> None:
        """Let people decide again what the sites of a roll-out run."""
        await assignments.release(tx, rollout_id)

    async def next(self, tx: AsyncSession, site_id: int, version: int) -> Place:
        """A place for a version behind all that the site or a node of it was ever given."""
        active = await repository.active(tx, site_id)
        told = (await repository.furthest_answer(tx, site_id), await assignments.furthest(tx, site_id))
        furthest = max((one for one in told if one is not None), default=None)
        return next_place((active.generation, active.version) if active else None, version, furthest)

    async def settle(
        self, tx: AsyncSession, site: SiteFacts, row: PolicyRevision, *, actor: str, place: Place | None = None
    ) -> Place:
        """Let the whole site run this version, its nodes with something of their own too.

        `place` is one that `next` gave before and that nodes run already.
        """
        before = await repository.active(tx, site.id)
        active = (before.generation, before.version) if before else None
        place = place or await self.next(tx, site.id, row.version)
        await assignments.forget(tx, site.id)
        if place == active:
            await repository.forget_rejections(tx, site.id, generation=place[0], version=place[1])
            await repository.offer_again(tx, site.id, at=self._clock())
            return place
        await repository.activate(
            tx,
            site.id,
            generation=place[0],
            version=place[1],
            signature=self._sign(site, row, place),
            at=self._clock(),
            by=actor,
        )
        await self._audit.record(
            tx,
            actor=actor,
            action="policy.publish",
            object=f"policy:{site.name}/{row.version}",
            before={"generation": active[0], "version": active[1]} if active else None,
            after={"generation": place[0], "version": place[1]},
        )
        return place

    async def assign(
        self,
        tx: AsyncSession,
        site: SiteFacts,
        row: PolicyRevision,
        place: Place,
        nodes: Sequence[str],
        *,
        by: str,
        at: datetime,
        rollout_id: str | None = None,
    ) -> None:
        """Let these nodes of the site run this version at this place, whatever the site runs."""
        signature = self._sign(site, row, place)
        await assignments.assign(
            tx,
            [
                {
                    "node_id": node_id,
                    "site_id": site.id,
                    "generation": place[0],
                    "version": place[1],
                    "signature": signature,
                    "assigned_at": at,
                    "assigned_by": by,
                    "rollout_id": rollout_id,
                }
                for node_id in nodes
            ],
        )
        await self._audit.record(
            tx,
            actor=by,
            action="policy.assign",
            object=f"policy:{site.name}/{row.version}",
            after={"generation": place[0], "version": place[1], "nodes": len(nodes)},
        )

    def _sign(self, site: SiteFacts, row: PolicyRevision, place: Place) -> bytes:
        return self._key.sign(policy_payload(site=site.name, generation=place[0], version=place[1], sha256=row.sha256))

    async def tell(self) -> None:
        """Let this process know at once what was committed; other replicas look each second."""
        async with self._database.snapshot() as session:
            wanted = Wanted(sites=await repository.active_places(session), nodes=await assignments.of_all(session))
        self._board.take(wanted)
