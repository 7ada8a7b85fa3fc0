"""The rules of policies: upload, publish, hand out, hear what the nodes say of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from control.attempt import is_trial
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.nodes.reports import NodeCaller, StatusReport
from control.policies import assignments, repository
from control.policies.assigning import Assigning
from control.policies.board import Place, PolicyBoard, Wanted
from control.policies.etags import etag_of, expect
from control.policies.facts import revision_facts
from control.policies.handing_out import HandingOut
from control.policies.models import PolicyRevision
from control.policies.preview import Finding, check_document, reveals
from control.policies.revisions import Bundle, Revision
from control.policy_errors import InvalidPolicy, UnknownPolicyVersion
from control.sites.service import SiteFacts, SiteService

MAX_DOCUMENT_BYTES = 1 << 20


class PolicyService:
    """Policies of all sites."""

    def __init__(
        self,
        database: Database,
        sites: SiteService,
        audit: AuditService,
        board: PolicyBoard,
        key: Ed25519PrivateKey,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sites = sites
        self._board = board
        self.handing_out = HandingOut(database, board, clock)
        self.assigning = Assigning(database, audit, board, key, clock)

    async def upload(self, site_name: str, document: bytes, *, actor: str, if_match: str | None = None) -> Revision:
        """Keep a document as the site's next version. It runs nowhere until it is published.

        Raises:
            UnknownSite
            InvalidPolicy: an edge would refuse it.
            PolicyMoved: `if_match` names another state than the present one.
        """
        findings = await checked(document)
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name, lock=True)
            await expect(tx, site.id, if_match)
            row = await self.assigning.keep(tx, site, document, actor=actor)
            etag = await etag_of(tx, site.id)
        return revision_facts(site.name, row, None, warnings=findings, etag=etag)

    async def publish(self, site_name: str, version: int, *, actor: str, if_match: str | None = None) -> Revision:
        """Let the site run this version from now on. An older one than before gets a higher generation.

        Publishing what is active already only offers it again to the nodes that refused it. The warnings name
        what the centre newly sees.

        Raises:
            UnknownSite, UnknownPolicyVersion, PolicyMoved
            PolicyHeld: a roll-out is under way here.
        """
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name, lock=True)
            await expect(tx, site.id, if_match)
            row = await self.revision(tx, site.id, version)
            await self.assigning.free(tx, site.id)
            before = await repository.active(tx, site.id)
            old = await repository.revision(tx, site.id, before.version) if before else None
            place = await self.assigning.settle(tx, site, row, actor=actor)
            etag = await etag_of(tx, site.id)
        if not is_trial():
            self.handing_out.offer_again(site.id, place)
            await self.assigning.tell()
            self._board.post({site.id: place})
            self._board.wake(site.id)
        warnings: tuple[Finding, ...] = ()
        if old is not None and old.version != version:
            warnings = await asyncio.to_thread(reveals, old.document, row.document, before_version=old.version)
        return revision_facts(site.name, row, place[0], warnings=warnings, etag=etag)

    async def page(self, site_name: str, *, before: int | None, limit: int) -> Sequence[Revision]:
        """Versions of a site from the newest back, with the nodes' newest words.

        Raises:
            UnknownSite
        """
        async with self._database.snapshot() as session:
            site = await self._sites.require(session, site_name)
            active = await repository.active(session, site.id)
            rows = await repository.revisions_before(session, site.id, before=before, limit=limit)
            said = await repository.answers_of(session, site.id, [row.version for row in rows])
        return [
            revision_facts(
                site.name,
                row,
                active.generation if active is not None and active.version == row.version else None,
                answers=[one for one in said if one.version == row.version],
            )
            for row in rows
        ]

    async def etag(self, site_name: str) -> str:
        """The state of a site's policies, for If-Match.

        Raises:
            UnknownSite
        """
        async with self._database.snapshot() as session:
            return await etag_of(session, (await self._sites.require(session, site_name)).id)

    async def document(self, site_name: str, version: int) -> bytes:
        """The text of one version.

        Raises:
            UnknownSite, UnknownPolicyVersion
        """
        async with self._database.snapshot() as session:
            site = await self._sites.require(session, site_name)
            return (await self.revision(session, site.id, version)).document

    async def revision(self, session: AsyncSession, site_id: int, version: int) -> PolicyRevision:
        """One version with its text, inside somebody's unit of work.

        Raises:
            UnknownPolicyVersion
        """
        row = await repository.revision(session, site_id, version)
        if row is None:
            raise UnknownPolicyVersion
        return row

    async def bundle(self, session: AsyncSession, site: SiteFacts) -> Bundle | None:
        """What a new node of the site shall run, inside somebody's unit of work; None when nothing was published."""
        return await self.handing_out.bundle(session, site)

    async def pull(
        self, caller: NodeCaller, *, have: Place, have_sha256: bytes = b"", wait_seconds: float
    ) -> Bundle | None:
        """What the node shall run when it is not what it has; else wait so long for it, and give None."""
        return await self.handing_out.pull(caller, have=have, have_sha256=have_sha256, wait_seconds=wait_seconds)

    async def hear_all(self, tx: AsyncSession, said: Sequence[tuple[NodeCaller, StatusReport]]) -> None:
        """Keep what many reports say, in the order in which they came."""
        await self.handing_out.hear_all(tx, said)

    async def wanted(self, session: AsyncSession, site_ids: Sequence[int]) -> dict[int, tuple[Place, bytes]]:
        """What some sites shall run, with the text's SHA-256, inside somebody's unit of work."""
        return await repository.wanted_of(session, site_ids)

    async def assigned(self, session: AsyncSession, site_ids: Sequence[int]) -> dict[str, tuple[Place, bytes]]:
        """What nodes of some sites shall run instead of what their sites run, by node id."""
        return await assignments.of_sites(session, site_ids)

    async def places(self) -> Wanted:
        """What everybody shall run: what the board follows."""
        return await self.handing_out.wanted()


async def checked(document: bytes) -> tuple[Finding, ...]:
    """The warnings of a document that may run.

    Raises:
        InvalidPolicy: it must not run.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise InvalidPolicy(f"A policy has at most {MAX_DOCUMENT_BYTES} bytes.")
    findings = await preview(document)
    if any(one.severity == "error" for one in findings):
        raise InvalidPolicy(diagnostics=[asdict(one) for one in findings])
    return findings


async def preview(document: bytes) -> tuple[Finding, ...]:
    """Everything that is wrong or odd in a document, found without blocking the event loop."""
    return tuple(await asyncio.to_thread(check_document, document))
