"""The rules of policies: upload, publish, hand out, hear what the nodes say of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from control.attempt import is_trial
from control.audit.chain import Summary
from control.audit.service import AuditService
from control.clock import Clock
from control.db.session import Database
from control.errors import InvalidPolicy, UnknownPolicyVersion
from control.nodes.reports import NodeCaller, StatusReport
from control.policies import repository
from control.policies.board import Place, PolicyBoard
from control.policies.etags import etag_of, expect
from control.policies.facts import revision_facts
from control.policies.models import PolicyActive, PolicyAnswer, PolicyRevision
from control.policies.preview import Finding, check_document, reveals
from control.policies.revisions import Bundle, Revision, is_news, next_place
from control.sites.service import SiteFacts, SiteService
from mesh.signing import policy_payload

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
        self._audit = audit
        self._board = board
        self._key = key
        self._clock = clock

    async def upload(self, site_name: str, document: bytes, *, actor: str, if_match: str | None = None) -> Revision:
        """Keep a document as the site's next version. It runs nowhere until it is published.

        Raises:
            UnknownSite
            InvalidPolicy: an edge would refuse it.
            PolicyMoved: `if_match` names another state than the present one.
        """
        findings = await checked(document)
        digest = hashlib.sha256(document).digest()
        now = self._clock()
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name, lock=True)
            await expect(tx, site.id, if_match)
            version = await repository.next_version(tx, site.id)
            row = PolicyRevision(
                site_id=site.id,
                version=version,
                document=document,
                sha256=digest,
                created_at=now,
                created_by=actor,
            )
            await repository.add_revision(tx, row)
            after: Summary = {"version": version, "sha256": digest.hex()}
            await self._audit.record(
                tx, actor=actor, action="policy.upload", object=f"policy:{site.name}/{version}", after=after
            )
            etag = await etag_of(tx, site.id)
        return revision_facts(site.name, row, None, warnings=findings, etag=etag)

    async def publish(self, site_name: str, version: int, *, actor: str, if_match: str | None = None) -> Revision:
        """Let the site run this version from now on. An older one than before gets a higher generation.

        Publishing what is active already only offers it again to the nodes that rejected it. The warnings name
        what the centre newly sees.

        Raises:
            UnknownSite, UnknownPolicyVersion, PolicyMoved
        """
        async with self._database.transaction() as tx:
            site = await self._sites.require(tx, site_name, lock=True)
            await expect(tx, site.id, if_match)
            row = await repository.revision(tx, site.id, version)
            if row is None:
                raise UnknownPolicyVersion
            before = await repository.active(tx, site.id)
            active = (before.generation, before.version) if before else None
            place = next_place(active, version, await repository.furthest_answer(tx, site.id))
            old = await repository.revision(tx, site.id, before.version) if before else None
            if place != active:
                await self._activate(tx, site, row, before, place, actor)
            else:
                await repository.forget_rejections(tx, site.id, generation=place[0], version=place[1])
            etag = await etag_of(tx, site.id)
        if not is_trial():
            self._board.post({site.id: place})
            self._board.wake(site.id)
        warnings: tuple[Finding, ...] = ()
        if old is not None and old.version != version:
            warnings = await asyncio.to_thread(reveals, old.document, row.document, before_version=old.version)
        return revision_facts(site.name, row, place[0], warnings=warnings, etag=etag)

    async def _activate(
        self,
        tx: AsyncSession,
        site: SiteFacts,
        row: PolicyRevision,
        before: PolicyActive | None,
        place: Place,
        actor: str,
    ) -> None:
        payload = policy_payload(site=site.name, generation=place[0], version=place[1], sha256=row.sha256)
        old = {"generation": before.generation, "version": before.version} if before else None
        await repository.activate(
            tx,
            site.id,
            generation=place[0],
            version=place[1],
            signature=self._key.sign(payload),
            at=self._clock(),
            by=actor,
        )
        await self._audit.record(
            tx,
            actor=actor,
            action="policy.publish",
            object=f"policy:{site.name}/{row.version}",
            before=old,
            after={"generation": place[0], "version": place[1]},
        )

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
            row = await repository.revision(session, site.id, version)
        if row is None:
            raise UnknownPolicyVersion
        return row.document

    async def bundle(self, session: AsyncSession, site: SiteFacts) -> Bundle | None:
        """What the site shall run, inside somebody's unit of work; None when nothing was published."""
        return await self._bundle(session, site.id, site.name)

    async def _bundle(self, session: AsyncSession, site_id: int, site_name: str) -> Bundle | None:
        active = await repository.active(session, site_id)
        if active is None:
            return None
        row = await repository.revision(session, site_id, active.version)
        if row is None:
            raise UnknownPolicyVersion
        return Bundle(
            site=site_name,
            generation=active.generation,
            version=active.version,
            document=row.document,
            sha256=row.sha256,
            signature=active.signature,
        )

    async def pull(
        self, caller: NodeCaller, *, have: Place, have_sha256: bytes = b"", wait_seconds: float
    ) -> Bundle | None:
        """The site's policy when it is not what the node has; else wait so long for one, and give None.

        A node that rejected this very policy is not offered it again while it waits: it would spin. Without
        waiting it always gets the newest.
        """
        waits = wait_seconds > 0
        seen = self._board.place(caller.site_id)  # before the database is read: what comes after it ends the wait
        offer = await self._offer(caller, have, have_sha256, though_rejected=not waits)
        if offer is None and waits:
            await self._board.wait(caller.site_id, wait_seconds, seen=seen)
            offer = await self._offer(caller, have, have_sha256, though_rejected=False)
        return offer

    async def _offer(
        self, caller: NodeCaller, have: Place, have_sha256: bytes, *, though_rejected: bool
    ) -> Bundle | None:
        async with self._database.snapshot() as session:
            bundle = await self._bundle(session, caller.site_id, caller.site)
            if bundle is None or not is_news(bundle, have, have_sha256):
                return None
            said = await repository.answer(
                session, caller.node_id, generation=bundle.generation, version=bundle.version
            )
        return bundle if though_rejected or said is None or said.state != "rejected" else None

    async def hear(self, tx: AsyncSession, caller: NodeCaller, report: StatusReport) -> None:
        """Keep what a status report says of policies, inside the transaction that keeps the report."""
        words = {}
        if report.active.version:
            words[(report.active.generation, report.active.version)] = ("applied", "")
        if report.attempt.version and report.attempt_state:
            attempt = (report.attempt.generation, report.attempt.version)
            words[attempt] = (report.attempt_state, report.attempt_error)
        for (generation, version), (state, error) in words.items():
            said = await repository.answer(tx, caller.node_id, generation=generation, version=version)
            if said is not None and (said.state, said.error) == (state, error):
                continue
            answer = PolicyAnswer(
                node_id=caller.node_id,
                generation=generation,
                version=version,
                site_id=caller.site_id,
                state=state,
                error=error,
                answered_at=self._clock(),
            )
            await repository.keep_answer(tx, answer)

    async def wanted(self, session: AsyncSession, site_ids: Sequence[int]) -> dict[int, tuple[Place, bytes]]:
        """What some sites shall run, with the text's SHA-256, inside somebody's unit of work."""
        return await repository.wanted_of(session, site_ids)

    async def places(self) -> Mapping[int, Place]:
        """What every site shall run: what the board follows."""
        async with self._database.snapshot() as session:
            return await repository.active_places(session)


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
