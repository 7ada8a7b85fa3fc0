"""The rules of approval: a box that asked waits until a person says yes or no."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.enrolment import repository
from control.enrolment.models import EnrolmentRequest, EnrolmentToken
from control.errors import EnrolmentDecided, EnrolmentExpired, EnrolmentRejected, UnknownEnrolment
from control.names import is_name
from control.nodes.service import NewNode, NodeService
from control.principals import Scope, within
from control.sites.service import SiteFacts, SiteService

log = structlog.get_logger(__name__)

WAITING_LIFE = timedelta(days=1)
"""A box waits at least so long for a person, also when its token ends before."""
APPROVED_LIFE = timedelta(days=7)
"""So long an approved box may come for its certificate."""


class RequestState(StrEnum):
    """Where a request is."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What a box shows of itself when it asks."""

    name: str
    key_fingerprint: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """A box that asked, as people see it."""

    id: str
    site: str
    name: str
    key_fingerprint: str
    address: str
    asked_at: datetime
    expires_at: datetime
    state: RequestState
    reason: str
    decided_by: str
    decided_at: datetime | None

    @property
    def spoken_fingerprint(self) -> str:
        """The part of the fingerprint that two people read to each other."""
        return spoken(self.key_fingerprint)


def spoken(fingerprint: str) -> str:
    """The first 80 bits in groups of four digits. The box shows the same."""
    return "-".join(fingerprint[at : at + 4] for at in range(0, 20, 4))


class ApprovalService:
    """Ask, list, approve and reject."""

    def __init__(
        self, database: Database, sites: SiteService, nodes: NodeService, audit: AuditService, clock: Clock
    ) -> None:
        self._database, self._sites, self._nodes, self._audit, self._clock = database, sites, nodes, audit, clock

    async def ask(self, tx: AsyncSession, token: EnrolmentToken, site: SiteFacts, new: NewRequest) -> RequestFacts:
        """Keep that a box asks, inside the transaction that binds its token to its key."""
        now = self._clock()
        row = EnrolmentRequest(
            id=secrets.token_hex(8),
            token_id=token.id,
            site_id=site.id,
            name=new.name,
            key_fingerprint=new.key_fingerprint,
            address=new.address[:64],
            asked_at=now,
            expires_at=max(token.expires_at, now + WAITING_LIFE),
            state=RequestState.WAITING,
            reason="",
            decided_by="",
        )
        repository.add_request(tx, row)
        await tx.flush()
        shown = {"site": site.name, "name": new.name, "key_fingerprint": new.key_fingerprint, "address": row.address}
        await self._audit.record(
            tx, actor=f"token:{token.id}", action="enrolment.ask", object=f"enrolment:{row.id}", after=shown
        )
        log.info("enrolment.waits", enrolment=row.id, site=site.name)
        return _facts(row, site.name)

    async def standing(self, tx: AsyncSession, token: EnrolmentToken, site: SiteFacts) -> RequestFacts:
        """How the request of this token stands: it waits, or it is approved.

        Raises:
            EnrolmentRejected, EnrolmentExpired
        """
        row = await repository.request_of(tx, token.id)
        if row.state == RequestState.REJECTED:
            raise EnrolmentRejected(f"A person rejected this box: {row.reason}")
        if row.expires_at <= self._clock():
            raise EnrolmentExpired
        return _facts(row, site.name)

    async def waiting(self, *, scope: Scope, site: str | None) -> Sequence[RequestFacts]:
        """The boxes that wait at the sites of the scope, the oldest first."""
        async with self._database.snapshot() as session:
            names = await self._sites.names(session)
            rows = await repository.waiting_requests(session, state=RequestState.WAITING, now=self._clock())
        found = [_facts(row, names[row.site_id]) for row in rows]
        return [one for one in found if within(scope, one.site) and site in (None, one.site)]

    async def get(self, request_id: str) -> RequestFacts:
        """One request.

        Raises:
            UnknownEnrolment
        """
        async with self._database.snapshot() as session:
            row = await self._row(session, request_id)
            return _facts(row, (await self._sites.names(session, only=row.site_id))[row.site_id])

    async def approve(self, request_id: str, *, actor: str) -> RequestFacts:
        """Make the box a node; it comes for its certificate. Done twice, it stays done.

        Raises:
            UnknownEnrolment
            EnrolmentDecided: it was rejected, or its time is over.
            NameTaken: a node of this name is in the site already.
        """
        async with self._database.transaction() as tx:
            row = await self._row(tx, request_id, lock=True)
            site = await self._sites.by_id(tx, row.site_id)
            if row.state != RequestState.APPROVED:
                now = self._open_at(row)
                new = NewNode(id=row.id, name=row.name, key_fingerprint=row.key_fingerprint, certificate_ends=now)
                await self._nodes.admit(tx, site, new, actor=actor)
                row.expires_at = now + APPROVED_LIFE
                await self._decide(tx, row, RequestState.APPROVED, "", actor, site.name)
            return _facts(row, site.name)

    async def reject(self, request_id: str, reason: str, *, actor: str) -> RequestFacts:
        """Send the box away for good. Done twice, it stays done.

        Raises:
            UnknownEnrolment
            EnrolmentDecided: it was approved, or its time is over.
        """
        async with self._database.transaction() as tx:
            row = await self._row(tx, request_id, lock=True)
            site = await self._sites.by_id(tx, row.site_id)
            if row.state != RequestState.REJECTED:
                self._open_at(row)
                await self._decide(tx, row, RequestState.REJECTED, reason, actor, site.name)
            return _facts(row, site.name)

    def _open_at(self, row: EnrolmentRequest) -> datetime:
        now = self._clock()
        if row.state != RequestState.WAITING:
            raise EnrolmentDecided(f"{row.decided_by} has {row.state} this box already.")
        if row.expires_at <= now:
            raise EnrolmentDecided("This box has waited too long; nobody waits any more.")
        return now

    async def _decide(
        self, tx: AsyncSession, row: EnrolmentRequest, state: RequestState, reason: str, actor: str, site: str
    ) -> None:
        row.state, row.reason, row.decided_by, row.decided_at = state, reason, actor, self._clock()
        await tx.flush()
        word = "approve" if state is RequestState.APPROVED else "reject"
        after = {"site": site, "name": row.name, "key_fingerprint": row.key_fingerprint, "reason": reason}
        await self._audit.record(tx, actor=actor, action=f"enrolment.{word}", object=f"enrolment:{row.id}", after=after)

    async def _row(self, session: AsyncSession, request_id: str, *, lock: bool = False) -> EnrolmentRequest:
        row = await repository.request(session, request_id, lock=lock) if is_name(request_id) else None
        if row is None:
            raise UnknownEnrolment
        return row


def _facts(row: EnrolmentRequest, site: str) -> RequestFacts:
    return RequestFacts(
        id=row.id,
        site=site,
        name=row.name,
        key_fingerprint=row.key_fingerprint,
        address=row.address,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        state=RequestState(row.state),
        reason=row.reason,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
