"""What a node shall run, signed and kept in memory: a thousand nodes that ask at once cost one reading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from control.clock import Clock
from control.db.session import Database
from control.nodes.reports import NodeCaller, StatusReport
from control.policies import assignments, repository
from control.policies.board import Place, PolicyBoard, Wanted
from control.policies.reported import Key as AnswerKey
from control.policies.reported import words_of
from control.policies.revisions import REFUSED, Bundle, is_news
from control.policy_errors import UnknownPolicyVersion
from control.sites.service import SiteFacts

KEPT_SECONDS = 1.0
"""How long what was read is handed out without another look: who refused it, and whether the text is the same."""
KEPT_BYTES = 64 << 20

Key = tuple[int, Place]


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A policy as it is handed out, and who does not want it."""

    bundle: Bundle
    refusers: set[str]
    read_at: float


class HandingOut:
    """Gives nodes what they shall run, and hears what they say of it."""

    def __init__(
        self,
        database: Database,
        board: PolicyBoard,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._board, self._clock, self._monotonic = database, board, clock, monotonic
        self._kept: dict[Key, _Kept] = {}
        self._reading: dict[Key, asyncio.Lock] = {}

    async def pull(self, caller: NodeCaller, *, have: Place, have_sha256: bytes, wait_seconds: float) -> Bundle | None:
        """What the node shall run when it is not what it has; else wait so long for it, and give None.

        A node that refused this very policy is not offered it again while it waits: it would spin. Without
        waiting it always gets the newest.
        """
        waits, ends = wait_seconds > 0, self._monotonic() + wait_seconds
        while True:
            seen = self._board.place(caller.site_id, caller.node_id)  # before anything is read: what comes is news
            offer = await self._offer(caller, have, have_sha256, though_refused=not waits)
            left = ends - self._monotonic()
            if offer is not None or not waits or left <= 0:
                return offer
            if not await self._board.wait(caller.site_id, left, seen=seen, node_id=caller.node_id):
                return None

    async def _offer(
        self, caller: NodeCaller, have: Place, have_sha256: bytes, *, though_refused: bool
    ) -> Bundle | None:
        place = await self._wanted(caller)
        if place is None or place < have:
            return None
        kept = await self._look(caller.site_id, caller.site, place)
        if kept is None or not is_news(kept.bundle, have, have_sha256):
            return None
        return kept.bundle if though_refused or caller.node_id not in kept.refusers else None

    async def _wanted(self, caller: NodeCaller) -> Place | None:
        if self._board.is_fresh():
            place = self._board.place(caller.site_id, caller.node_id)
            return place if place != (0, 0) else None
        async with self._database.snapshot() as session:
            own = await assignments.of_node(session, caller.node_id)
            if own is not None:
                return own
            active = await repository.active(session, caller.site_id)
        return (active.generation, active.version) if active is not None else None

    async def _look(self, site_id: int, site: str, place: Place) -> _Kept | None:
        """What was read a moment ago, or else what one of those who ask now reads for all of them."""
        key = (site_id, place)
        if (kept := self._fresh(key)) is not None:
            return kept
        async with self._reading.setdefault(key, asyncio.Lock()):
            if (kept := self._fresh(key)) is not None:
                return kept
            begun = self._monotonic()
            async with self._database.snapshot() as session:
                bundle = await self._read(session, site_id, site, place, self._kept.get(key))
                refusers = await repository.refusers(session, site_id, generation=place[0], version=place[1])
            if bundle is None:
                self._drop(key)
                return None
            kept = self._kept[key] = _Kept(bundle=bundle, refusers=refusers, read_at=begun)
            self._make_room()
        return kept

    def _fresh(self, key: Key) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and self._monotonic() - kept.read_at < KEPT_SECONDS else None

    async def _read(
        self, session: AsyncSession, site_id: int, site: str, place: Place, kept: _Kept | None
    ) -> Bundle | None:
        signed = await assignments.signed(session, site_id, place)
        if signed is None:
            return None  # it was wanted a moment ago; the next look finds what is wanted now
        signature, offer = signed
        if kept is not None and kept.bundle.signature == signature:  # it covers the text
            return replace(kept.bundle, offer=offer)
        row = await repository.revision(session, site_id, place[1])
        if row is None:
            raise UnknownPolicyVersion
        return Bundle(
            site=site,
            generation=place[0],
            version=place[1],
            document=row.document,
            sha256=row.sha256,
            signature=signature,
            offer=offer,
        )

    def _make_room(self) -> None:
        held = sum(len(one.bundle.document) for one in self._kept.values())
        for key in list(self._kept)[:-1]:
            if held <= KEPT_BYTES:
                return
            held -= len(self._kept[key].bundle.document)
            self._drop(key)

    def _drop(self, key: Key) -> None:
        self._kept.pop(key, None)
        self._reading.pop(key, None)

    def offer_again(self, site_id: int, place: Place) -> None:
        """Forget who refused it: people want it tried once more."""
        self._drop((site_id, place))

    async def bundle(self, session: AsyncSession, site: SiteFacts) -> Bundle | None:
        """What a new node of the site shall run, inside somebody's unit of work; None when nothing was published."""
        active = await repository.active(session, site.id)
        if active is None:
            return None
        return await self._read(session, site.id, site.name, (active.generation, active.version), None)

    async def hear_all(self, tx: AsyncSession, said: Sequence[tuple[NodeCaller, StatusReport]]) -> None:
        """Keep what status reports say of policies, inside the transaction that keeps the reports."""
        words = words_of(said)
        for key in await self._of_earlier_offers(tx, said):
            words.pop(key, None)
        known = await repository.answers_to(tx, words.keys())
        now = self._clock()
        fresh = [one for key, one in words.items() if known.get(key) != (one.state, one.error)]
        await repository.keep_answers(tx, fresh, at=now)
        for one in fresh:
            kept = self._kept.get((one.site_id, (one.generation, one.version)))
            if kept is not None and one.state in REFUSED:
                kept.refusers.add(one.node_id)
            elif kept is not None:
                kept.refusers.discard(one.node_id)

    async def _of_earlier_offers(
        self, tx: AsyncSession, said: Sequence[tuple[NodeCaller, StatusReport]]
    ) -> Sequence[AnswerKey]:
        """Refusals of what people offered anew since: the node has not tried it again yet."""
        earlier = []
        for caller, report in said:
            if report.attempt_state not in REFUSED or not report.attempt_offer:
                continue
            place = (report.attempt.generation, report.attempt.version)
            kept = self._kept.get((caller.site_id, place))
            signed = await assignments.signed(tx, caller.site_id, place) if kept is None else None
            offer = kept.bundle.offer if kept is not None else signed[1] if signed is not None else 0
            if report.attempt_offer < offer:
                earlier.append((caller.node_id, *place))
        return earlier

    async def wanted(self) -> Wanted:
        """What everybody shall run: what the board follows."""
        async with self._database.snapshot() as session:
            return Wanted(sites=await repository.active_places(session), nodes=await assignments.of_all(session))
